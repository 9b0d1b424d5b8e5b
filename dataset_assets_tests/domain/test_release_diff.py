from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain import aligned_members
from dataset_assets.domain.aligned_members import NotInOrder, aligned, moved_ids
from dataset_assets.domain.member_changes import ALL_CHANGES, CHANGES
from dataset_assets.domain.members import MEMBERS
from dataset_assets.domain.release_diff import NOT_LISTED, OUTSIDE, changed_images, release_diff
from dataset_assets_tests.releases import member, members

EARLIER = members(member(1), member(2), member(3, rating="explicit"))


def counts(before: pl.LazyFrame, after: pl.LazyFrame) -> dict[str, int]:
    found = release_diff(before, after)
    return {change: found.count(change) for change in ALL_CHANGES if found.count(change)}


def test_equal_releases_do_not_differ() -> None:
    assert counts(EARLIER, EARLIER) == {"unchanged": 3}


def test_images_are_added_and_removed() -> None:
    found = release_diff(EARLIER, members(member(2), member(3, rating="explicit"), member(4)))

    assert (found.count("added"), found.count("removed"), found.count("unchanged")) == (1, 1, 2)
    assert found.total("images") == (3, 3)
    assert found.total("bytes") == (1001 + 1002 + 1003, 1002 + 1003 + 1004)


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ({"pixel_hash": "others", "original_sha256": "other", "sha256": "other"}, {"replaced"}),
        ({"pixel_hash": None, "original_sha256": "other"}, {"replaced"}),
        ({"pixel_hash": None}, {"unchanged"}),  # it was not hashed, and is the same file
        ({"sha256": "other"}, {"bytes"}),
        ({"original_sha256": "other"}, {"bytes"}),
        ({"captions": []}, {"captions"}),
        ({"tags": ["artist:ada"]}, {"tags"}),
        ({"rating": None}, {"rating"}),
        ({"license": "CC-BY-4.0"}, {"license"}),
        ({"may_redistribute": False}, {"license"}),
        ({"split": "test"}, {"split"}),
        ({"year": 2020}, {"year"}),
        ({"artist": ["bob"]}, {"artist"}),
        ({"title": "Dawn"}, {"stated"}),
        ({"score": 9}, {"score"}),
        ({"score": 9, "rating": "explicit"}, {"rating", "score"}),
    ],
)
def test_a_change_is_told_by_what_changed(said: dict[str, Any], changes: set[str]) -> None:
    assert counts(members(member(1), member(2)), members(member(1, **said), member(2))) == {
        **dict.fromkeys(changes, 1),
        "unchanged": 1 + (changes == {"unchanged"}),
    }


def test_an_image_whose_year_was_corrected_is_neither_new_nor_gone() -> None:
    found = release_diff(EARLIER, members(member(1, year=2005), member(2), member(3, rating="explicit")))

    assert (found.count("added"), found.count("removed"), found.count("year")) == (0, 0, 1)
    assert found.moves.rows() == [("year", "2019", "2005", 1)]


def test_counts_are_kept_by_source_year_rating_split_and_licence() -> None:
    found = release_diff(EARLIER, members(member(2), member(3), member(4, source="pixiv", rating=None)))
    by = {(aspect, value): numbers for aspect, value, *numbers in found.by.iter_rows()}

    assert by["source", "danbooru"] == [3, 2, 0, 1, 1]  # before, after, added, removed, changed
    assert by["source", "pixiv"] == [0, 1, 1, 0, 0]
    assert by["rating", "explicit"] == [1, 0, 0, 0, 0]
    assert by["rating", "general"] == [2, 2, 0, 1, 1]
    assert by["rating", None] == [0, 1, 1, 0, 0]


def test_tags_and_artists_are_new_vanished_or_on_more_images() -> None:
    before = members(member(1, tags=["general:old", "general:both", "artist:ada"]), member(2, tags=["general:both"]))
    after = members(member(1, tags=["general:both", "artist:bob"]), member(2, tags=["general:both", "general:new"]))
    found = release_diff(before, after)
    names = {(kind, change, name) for kind, change, name in found.names.select("kind", "change", "name").iter_rows()}

    assert names == {
        ("tag", "new", "new"), ("tag", "new", "bob"), ("tag", "vanished", "old"), ("tag", "vanished", "ada"),
        ("artist", "new", "bob"), ("artist", "vanished", "ada"),
    }  # fmt: skip
    assert found.name_count("tag", "new") == 2
    assert found.total("distinct_tags") == (3, 3)
    assert found.total("tags") == (4, 4)


def test_a_removed_image_has_its_reason() -> None:
    reasons = pl.DataFrame({"image_id": ["danbooru-1-0", "danbooru-2-0"], "reason": ["taken down", None]}).lazy()
    found = release_diff(EARLIER, members(member(4)), reasons)

    assert dict(found.removed_because.iter_rows()) == {"taken down": 1, OUTSIDE: 1, NOT_LISTED: 1}
    said = found.examples.filter(pl.col("change") == "removed").select("image_id", "detail").rows()
    assert ("danbooru-1-0", "taken down") in said


def test_without_reasons_none_is_invented() -> None:
    assert release_diff(EARLIER, members(member(1))).removed_because.rows() == [(None, 2)]


def test_a_move_between_splits_is_counted() -> None:
    found = release_diff(members(member(1, split="train")), members(member(1, split="test")))

    assert found.moves.rows() == [("split", "train", "test", 1)]
    assert found.examples.row(0) == ("split", "danbooru-1-0", "train -> test", "https://example.org/posts/1")


def test_empty_releases_can_be_compared() -> None:
    nothing = MEMBERS.empty().lazy()

    assert counts(nothing, nothing) == {}
    assert counts(nothing, EARLIER) == {"added": 3}
    assert counts(EARLIER, nothing) == {"removed": 3}


def test_every_changed_image_is_listed_with_each_of_its_changes() -> None:
    after = members(member(2, rating="explicit", score=9), member(3, rating="explicit"), member(4))
    rows = [row for some in changed_images(EARLIER, after) for row in some.rows()]

    assert rows == [
        ("danbooru-1-0", "removed"), ("danbooru-2-0", "rating"), ("danbooru-2-0", "score"), ("danbooru-4-0", "added"),
    ]  # fmt: skip


def test_rows_out_of_order_are_refused() -> None:
    with pytest.raises(NotInOrder, match="danbooru-2-0"):
        release_diff(EARLIER, EARLIER.reverse().filter(pl.col("post_id") != "3"))
    with pytest.raises(NotInOrder):
        release_diff(EARLIER, pl.concat([EARLIER, EARLIER]))


SMALL = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(2000, 2003), st.integers(0, 30)), unique_by=lambda row: row[::2]
)


def keyed(rows: list[tuple[str, int, int]]) -> pl.LazyFrame:
    frame = [{"source": source, "year": year, "image_id": f"{source}-{post:02}-0"} for source, year, post in rows]
    schema = {name: MEMBERS.schema[name] for name in aligned_members.ORDER}
    return pl.DataFrame(frame, schema=schema).sort(aligned_members.ORDER).lazy()


@settings(max_examples=60, deadline=None)
@given(SMALL, SMALL, st.integers(1, 7))
def test_pieces_have_every_row_once_and_equal_keys_together(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]], rows: int
) -> None:
    one, other = keyed(before), keyed(after)
    pieces = list(aligned(one, other, ["image_id"], rows=rows))

    for side, whole in enumerate((one, other)):
        assert pl.concat([whole.collect().clear(), *(piece[side] for piece in pieces)]).equals(whole.collect())
    for number, (left, _) in enumerate(pieces):
        for later in (*pieces[:number], *pieces[number + 1 :]):
            assert left.join(later[1], on=aligned_members.ORDER).is_empty()


@settings(max_examples=60, deadline=None)
@given(SMALL, SMALL)
def test_moved_images_are_in_both_with_another_year(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    then, now = ({row[::2]: row[1] for row in rows} for rows in (before, after))
    expected = sorted(f"{key[0]}-{key[1]:02}-0" for key in then.keys() & now.keys() if then[key] != now[key])

    assert moved_ids(keyed(before), keyed(after)).to_list() == expected


def test_pieces_of_many_rows_add_up_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = members(*(member(post, split="train", rating="general") for post in range(120)))
    after = members(*(member(post, split="test" if post % 5 else "train", score=post % 3) for post in range(20, 160)))
    whole = release_diff(before, after)
    monkeypatch.setattr(aligned_members.aligned, "__defaults__", (None, 7))
    in_pieces = release_diff(before, after)

    for name in ("totals", "changes", "by", "moves", "removed_because", "names", "name_counts", "examples"):
        assert getattr(in_pieces, name).equals(getattr(whole, name)), name
    assert set(CHANGES) <= set(whole.changes["change"])
