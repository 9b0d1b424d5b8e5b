"""Families of posts."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.families import FAMILIES, families, find_places
from dataset_assets.domain.schemas import IMAGE_METADATA, require_schema


def rows_of(parents: dict[int, int | None], **has_children: bool) -> dict[int, dict[str, object]]:
    """The family rows of posts by their parents; `has_children` as `_7=True`."""
    images = IMAGE_METADATA.frame(
        [
            {
                "image_id": f"danbooru-{post}-0",
                "post_id": str(post),
                "page": 0,
                "parent_id": None if parent is None else str(parent),
                "has_children": has_children.get(f"_{post}"),
            }
            for post, parent in parents.items()
        ]
    )
    found = families(images.lazy())
    require_schema(FAMILIES, found.schema)
    return {int(str(row["post_id"])): row for row in found.to_dicts()}


def places(parents: dict[int, int | None]) -> dict[int, tuple[object, ...]]:
    return {
        post: (row["root_id"], row["depth"], row["family_size"], row["problem"])
        for post, row in rows_of(parents).items()
    }


def test_children_and_grandchildren_are_under_one_root_and_posts_alone_are_left_out() -> None:
    assert places({1: None, 2: 1, 3: 2, 4: 1, 9: None}) == {
        1: ("1", 0, 4, None),
        2: ("1", 1, 4, None),
        3: ("1", 2, 4, None),
        4: ("1", 1, 4, None),
    }
    assert rows_of({1: None, 2: 1, 4: 1})[1]["children"] == 2


def test_children_of_a_post_that_is_not_listed_are_still_one_family() -> None:
    assert places({2: 7, 3: 7, 4: 2}) == {
        2: ("7", 1, 3, "parent_missing"),
        3: ("7", 1, 3, "parent_missing"),
        4: ("7", 2, 3, None),
    }


def test_a_post_that_is_its_own_parent_is_a_root_and_flagged() -> None:
    assert places({5: 5, 6: 5}) == {5: ("5", 0, 2, "self_parent"), 6: ("5", 1, 2, None)}


def test_a_circle_and_what_hangs_from_it_is_flagged_and_named_by_its_lowest_id() -> None:
    assert places({10: 9, 9: 11, 11: 10, 12: 11, 13: 12}) == dict.fromkeys((9, 10, 11, 12, 13), ("9", None, 5, "cycle"))


def test_a_flag_that_no_child_bears_out_is_told_and_so_is_one_that_children_deny() -> None:
    rows = rows_of({1: None, 2: None, 3: 2}, _1=True, _2=False)

    assert (rows[1]["problem"], rows[1]["family_size"]) == ("children_missing", 1)
    assert rows[2]["problem"] == "children_denied"


def test_a_line_of_a_hundred_thousand_ancestors_ends() -> None:
    deepest = find_places({str(post): str(post - 1) for post in range(1, 100_001)})["100000"]

    assert deepest == ("0", 100_000)


def test_a_source_without_parents_has_no_families() -> None:
    assert families(IMAGE_METADATA.empty().lazy()).is_empty()


@given(st.dictionaries(st.integers(0, 12), st.integers(0, 12)))
def test_every_child_is_one_step_below_its_parent_under_the_same_root(parents: dict[int, int]) -> None:
    named = {str(post): str(parent) for post, parent in parents.items()}
    found = find_places(named)

    assert found.keys() == named.keys()
    for post, parent in named.items():
        above = found.get(parent)
        if post == parent:
            assert found[post] == (post, 0)
        elif above is None:
            assert found[post] == (parent, 1)
        else:
            assert found[post].root == above.root
            assert found[post].depth == (None if above.depth is None else above.depth + 1)


@given(st.permutations([("1", "2"), ("2", "3"), ("3", "1"), ("4", "3"), ("5", "6"), ("6", "6")]))
def test_the_order_of_posts_changes_nothing(links: list[tuple[str, str]]) -> None:
    assert find_places(dict(links)) == find_places(dict(sorted(links)))


def test_only_the_first_page_of_a_post_stands_for_it() -> None:
    rows = [{"image_id": f"x-1-{page}", "post_id": "1", "page": page, "parent_id": "2"} for page in (0, 1)]

    assert families(IMAGE_METADATA.frame(rows).lazy()).select(pl.len()).item() == 1
