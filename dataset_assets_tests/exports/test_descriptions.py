import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.attribution import credit
from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.descriptions import as_json, described, first_caption, safe_batches
from dataset_assets.exports.tar_files import NotAllowed
from dataset_assets_tests.exports.hostile_members import hostile_members, member, members_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TAGS = st.lists(st.fixed_dictionaries({"tag": TEXT, "category": st.none() | TEXT}), max_size=3)
CAPTIONS = st.lists(st.fixed_dictionaries({"origin": TEXT, "caption": TEXT}), max_size=3)


def said_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(line) for line in frame.select(as_json(described()))["json"]]


@given(title=st.none() | TEXT, tags=TAGS, captions=CAPTIONS, scale=st.none() | st.floats(1e-6, 1e6))
def test_any_text_comes_back_from_the_json(
    title: str | None, tags: list[dict[str, str]], captions: list[dict[str, str]], scale: float | None
) -> None:
    row = {"image_id": "danbooru-1-0", "title": title, "tags": tags, "captions": captions, "scale_x": scale}
    (said,) = said_of(MEMBERS.frame([row]))

    assert {name: said[name] for name in row} == row


def test_all_that_is_known_is_said_but_where_the_file_lies_here() -> None:
    members = hostile_members()
    for batch in members.batches():
        for said, row in zip(said_of(batch), batch.iter_rows(named=True), strict=True):
            renamed = {"artist": "artists", "source_url": "stated_source_url"}
            for name in set(row) - {"path", "may_redistribute", "created_at"}:
                assert said[renamed.get(name, name)] == row[name], name
            assert (said["created_at"] is None) == (row["created_at"] is None)
            assert "path" not in said
            owed = credit(row)
            assert {name: said[name] for name in ("artist", "source_url", "license", "license_basis")} == {
                name: owed[name] for name in ("artist", "source_url", "license", "license_basis")
            }


def test_a_time_is_said_in_utc_to_the_microsecond() -> None:
    (batch,) = members_of(
        [member(3, {}, created_at=pl.Series(["2020-02-29T23:59:59.000007Z"]).str.to_datetime()[0])], {}
    ).batches()

    assert said_of(batch)[0]["created_at"] == "2020-02-29T23:59:59.000007Z"


@pytest.mark.parametrize("captions", [None, [], [{"origin": "coca", "caption": None}]])
def test_an_image_without_a_caption_has_an_empty_one(captions: list[dict[str, str]] | None) -> None:
    row = {"image_id": "danbooru-1-0", "captions": captions}

    assert MEMBERS.frame([row]).select(first_caption())["caption"].to_list() == [""]


@pytest.mark.parametrize(
    "image_id",
    [None, "", "danbooru", "../danbooru-1-0", "danbooru-1-0.jpg", "danbooru-1-0\n", "danbooru-a/b-0", "D-1-0"],
)
def test_what_is_no_image_id_never_becomes_a_name(image_id: str | None) -> None:
    members = members_of([member(1, {}, image_id=image_id)], {})

    with pytest.raises(NotAllowed, match="is no image id"):
        list(safe_batches(members))


@pytest.mark.parametrize("extension", [None, "zip", "mp4", "pickle", "svg", "JPG"])
def test_what_is_no_image_is_refused_by_name(extension: str | None) -> None:
    rows = [member(1, {}) | {"extension": extension}]

    with pytest.raises(NotAllowed, match="danbooru-0000001-0 is a file of kind"):
        list(safe_batches(members_of(rows, {})))
