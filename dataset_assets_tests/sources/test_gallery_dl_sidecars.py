import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources.gallery_dl_fields import SNAPSHOT
from dataset_assets.sources.gallery_dl_sidecars import MAX_SIDECAR_BYTES, BadSidecar, parse_sidecar
from dataset_assets_tests.sources.scrapes import as_bytes, canonical, parsed, recovered, sidecar


def reason_of(content: bytes, file: str = "niji/102633379_p0.png.json") -> str:
    with pytest.raises(BadSidecar) as caught:
        parse_sidecar(content, file, "niji")
    return caught.value.reason


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "word", "x"]), inner),
    max_leaves=6,
)
OPEN_KEYS = sorted(set(sidecar()) - {"id", "category", "num", "create_date"} | {"frames", "ranking", "url", "new_key"})


@given(changes=st.dictionaries(st.sampled_from(OPEN_KEYS), JSON, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_value_of_any_key_is_lost(changes: dict[str, Any]) -> None:
    keys = sidecar(**changes)

    row = parsed(keys)

    packed = SNAPSHOT.frame([row]).to_dicts()[0]
    assert recovered(packed) == canonical(keys)


@given(content=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_content_that_is_no_sidecar_has_a_reason(content: bytes) -> None:
    assert reason_of(content) in REJECT_REASONS


def test_columns_are_typed_and_times_are_utc() -> None:
    row = parsed(sidecar())

    assert row["image_id"] == "niji-102633379-0"
    assert row["year"] == 2022
    assert row["create_date"] == datetime(2022, 11, 8, 17, 4, 4, tzinfo=UTC)
    assert (row["user_id"], row["user_name"], row["search_word"]) == (17, "絵描き", "nijijourney")
    assert row["file_name"] == "niji/102633379_p0.png"
    assert row["extra"] is None


def test_the_year_is_that_of_the_upload_in_utc() -> None:
    assert parsed(sidecar(create_date="2022-01-01T08:59:59+09:00"))["year"] == 2021


def test_what_fits_no_column_stays_in_extra_with_sorted_keys() -> None:
    row = parsed(sidecar(zeal={"b": 1, "a": [1.5]}, width="950", user={"id": 17, "region": "JP"}, series={"id": None}))

    assert row["width"] is None
    assert row["user_id"] == 17
    assert row["extra"] == (
        '{"series": {"id": null}, "user": {"region": "JP"}, "width": "950", "zeal": {"a": [1.5], "b": 1}}'
    )


def test_a_time_in_another_form_keeps_that_form_in_extra() -> None:
    row = parsed(sidecar(create_date="2022-11-08T17:04:04Z"))

    assert row["create_date"] == datetime(2022, 11, 8, 17, 4, 4, tzinfo=UTC)
    assert json.loads(row["extra"]) == {"create_date": "2022-11-08T17:04:04Z"}


def test_translated_tags_stand_beside_their_names() -> None:
    tags = [{"name": "雪", "translated_name": "snow"}, {"name": "虹", "translated_name": None}]

    row = parsed(sidecar(tags=tags))

    assert (row["tags"], row["translated_tags"], row["extra"]) == (["雪", "虹"], ["snow", None], None)


def test_tags_in_a_form_that_nobody_knows_yet_still_have_their_names() -> None:
    row = parsed(sidecar(tags=[{"name": "雪", "locked": True}, "虹", 7]))

    assert row["tags"] == ["雪", "虹"]
    assert json.loads(row["extra"]) == {"tags": [{"name": "雪", "locked": True}, "虹", 7]}


def test_frames_of_an_ugoira_are_kept() -> None:
    frames = [{"file": "000000.jpg", "delay": 60}, {"file": "000001.jpg", "delay": 90}]

    assert parsed(sidecar(frames=frames, type="ugoira"))["frames"] == frames


@pytest.mark.parametrize(
    ("changes", "file", "image_id"),
    [
        ({"num": 3}, "a_p0.png.json", "niji-102633379-3"),
        ({"num": ...}, "niji_p9/102633379_p12.png.json", "niji-102633379-12"),
        ({"num": None}, "102633379_p3_master1200.jpg.json", "niji-102633379-3"),
        ({"id": "102633379"}, "a.png.json", "niji-102633379-0"),
    ],
)
def test_id_and_page_name_the_image(changes: dict[str, Any], file: str, image_id: str) -> None:
    assert parsed(sidecar(**changes), file)["image_id"] == image_id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ...}, "no_id"),
        ({"id": None}, "no_id"),
        ({"id": 0}, "bad_id"),
        ({"id": -5}, "bad_id"),
        ({"id": 1 << 63}, "bad_id"),
        ({"id": "00123"}, "bad_id"),
        ({"id": "1/../2"}, "bad_id"),
        ({"id": True}, "bad_id"),
        ({"id": 1.5}, "bad_id"),
        ({"num": -1}, "bad_id"),
        ({"num": 100_000}, "bad_id"),
        ({"num": "0"}, "bad_id"),
        ({"category": "danbooru"}, "bad_id"),
        ({"category": ...}, "bad_id"),
        ({"create_date": ..., "date": ...}, "bad_date"),
        ({"create_date": "yesterday", "date": "0000-00-00 00:00:00"}, "bad_date"),
        ({"create_date": "2022-11-09T02:04:04", "date": ...}, "bad_date"),
        ({"create_date": "0001-01-01T00:00:00+09:00", "date": 1667926800}, "bad_date"),
        ({"create_date": "9999-12-31T23:59:59-09:00", "date": ...}, "bad_date"),
        ({"create_date": "1970-01-01T09:00:00+09:00", "date": "1970-01-01 00:00:00"}, "bad_date"),
    ],
)
def test_a_sidecar_that_names_no_image_or_moment_is_rejected(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(as_bytes(sidecar(**changes))) == reason


def test_a_file_name_without_a_page_leaves_a_sidecar_without_num_nameless() -> None:
    assert reason_of(as_bytes(sidecar(num=...)), "102633379.png.json") == "bad_id"


def test_a_damaged_create_date_falls_back_to_date_and_is_kept() -> None:
    row = parsed(sidecar(create_date="0000-00-00"))

    assert row["create_date"] is None
    assert row["year"] == 2022
    assert json.loads(row["extra"]) == {"create_date": "0000-00-00"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not_json"),
        (bytes(2000), "not_json"),
        (as_bytes(sidecar())[:400], "not_json"),
        (b'{"id": 1, "id": 2}', "not_json"),
        (b'{"id": NaN}', "not_json"),
        (b'{"id": 1e400}', "not_json"),
        (b'{"id": ' + b"9" * 5000 + b"}", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"category": "pixiv"} {}', "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        ('{"title": "雪"}'.encode("shift-jis"), "bad_encoding"),
        ('{"title": "雪"}'.encode("utf-16"), "bad_encoding"),
        (rb'{"title": "\ud83d"}', "bad_encoding"),
        (b" " * (MAX_SIDECAR_BYTES + 1), "line_too_long"),
    ],
)
def test_a_damaged_sidecar_is_rejected_with_its_reason(content: bytes, reason: str) -> None:
    assert reason_of(content) == reason


def test_a_byte_order_mark_and_a_pair_of_surrogates_do_no_harm() -> None:
    content = b"\xef\xbb\xbf" + json.dumps(sidecar(title="😀")).encode()

    assert parse_sidecar(content, "a_p0.png.json", "niji")["title"] == "😀"
