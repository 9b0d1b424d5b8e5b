"""One record read strictly."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources.danbooru_records import BadRecord, read_record
from dataset_assets_tests.sources.mirrors import new_record, old_record


def read(record: dict[str, Any]) -> dict[str, Any]:
    return read_record(json.dumps(record).encode())[0]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2007-10-26 22:19:44.22335 UTC", "2007-10-26 22:19:44.223350 UTC"),
        ("2007-10-26 22:19:44 UTC", "2007-10-26 22:19:44.000000 UTC"),
        ("2020-07-26T10:31:20.176-04:00", "2020-07-26 14:31:20.176000 UTC"),
        ("2020-12-31T23:59:59-0500", "2021-01-01 04:59:59.000000 UTC"),
        ("2020-07-26T10:31:20Z", "2020-07-26 10:31:20.000000 UTC"),
        ("2012/03/29 04:15:23 -0400", "2012-03-29 08:15:23.000000 UTC"),
        ("2020-07-26 10:31:20.1234567 UTC", "2020-07-26 10:31:20.123456 UTC"),
    ],
)
def test_times_become_utc(text: str, moment: str) -> None:
    assert read(new_record(created_at=text))["created_at"] == moment


@pytest.mark.parametrize(
    "text",
    [
        "1989-12-31 23:59:59 UTC",
        "2101-01-01 00:00:00 UTC",
        "2010-13-01 00:00:00 UTC",
        "2010-01-01",
        "yesterday",
        "infinity",
    ],
)
def test_times_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(BadRecord, match="created_at is") as caught:
        read(new_record(created_at=text))
    assert caught.value.reason == "bad_date"


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ((), "known by md5 '[0-9a-f]{32}', created_at '20"),
        (("md5",), "known by created_at '20"),
        (("md5", "created_at"), "gold-only posts$"),
    ],
)
def test_a_withheld_post_is_told_by_what_is_left_of_it(without: tuple[str, ...], said: str) -> None:
    record = {key: value for key, value in new_record().items() if key not in ("id", *without)}

    with pytest.raises(BadRecord, match=said) as caught:
        read(record)
    assert caught.value.reason == "no_id"


def test_record_of_danbooru_1_is_read() -> None:
    record = {
        "id": 1129897,
        "created_at": "2012/03/29 04:15:23 -0400",
        "width": 464,
        "height": 600,
        "tags": "blonde_hair chibi",
        "rating": "s",
        "author": "Prody",
        "creator_id": 79708,
    }
    row = read(record)
    assert (row["image_width"], row["image_height"]) == ("464", "600")
    assert (row["uploader_name"], row["uploader_id"]) == ("Prody", "79708")
    assert row["tags_other"] == [{"name": "blonde_hair", "category": None}, {"name": "chibi", "category": None}]


def test_tags_of_both_forms_are_united() -> None:
    row = read(old_record(tag_string_general="solo", tag_string_character="miku"))
    assert (row["tag_string_general"], row["tag_string_character"]) == ("solo 1girl", "miku")


def test_blank_in_a_tag_is_an_underscore() -> None:
    row = read(old_record(tags=[{"name": " long hair ", "category": "0"}]))
    assert row["tag_string_general"] == "long_hair"


def test_both_forms_of_pools_agree() -> None:
    assert read(old_record())["pools"] == read(new_record())["pools"] == ["10152", "4162"]


def test_what_means_none_is_not_called_unreadable() -> None:
    _, unreadable = read_record(json.dumps(old_record(score="", pixiv_id=0)).encode())
    assert unreadable == []


def test_what_cannot_be_read_is_named() -> None:
    _, unreadable = read_record(json.dumps(old_record(score="many", up_score=[1], updated_at="soon")).encode())
    assert sorted(unreadable) == ["score 'many'", "up_score a list", "updated_at 'soon'"]


def test_many_keys_of_which_one_stands_twice_are_refused_at_once() -> None:
    keys = ", ".join(f'"k{number}": 1' for number in range(100_000))
    with pytest.raises(BadRecord, match="key 'k7' stands twice"):
        read_record(f'{{{keys}, "k7": 1}}'.encode())


def test_number_with_too_many_digits_is_no_json() -> None:
    with pytest.raises(BadRecord) as caught:
        read_record(b'{"id": ' + b"9" * 10_000 + b"}")
    assert caught.value.reason == "not_json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted({*old_record(), *new_record(), "zzz"})), json_values))
def test_any_record_is_read_or_refused_for_a_known_reason(changed: dict[str, Any]) -> None:
    try:
        record, _ = read_record(json.dumps(new_record(**changed)).encode())
    except BadRecord as error:
        assert error.reason in REJECT_REASONS  # noqa: PT017 - either outcome is right
    else:
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        read_record(line)
    assert caught.value.reason in REJECT_REASONS
