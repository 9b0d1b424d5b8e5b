"""The parts of a subset: of the stated sizes, without leaks, the same whatever else arrives."""

import hashlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.duplicate_tables import split_keys
from dataset_assets.domain.splits import family_links, keys_of, lowest_names, sketch_links, split_of

SHARES = {"train": 90.0, "val": 5.0, "test": 5.0}


def images(*names: str) -> pl.LazyFrame:
    return pl.LazyFrame({"image_id": names}, schema={"image_id": pl.String})


def grouped(*groups: tuple[str, ...]) -> pl.LazyFrame:
    """Rows of near_duplicates: each group by its images, the leader first."""
    rows = [(image, group[0], len(group)) for group in groups for image in group]
    return pl.LazyFrame(
        rows, schema={"image_id": pl.String, "group_id": pl.String, "group_size": pl.Int32}, orient="row"
    )


def linked(**links: str) -> pl.LazyFrame:
    """Links by name, each with its images, separated by blanks."""
    rows = [(image, name) for name, several in links.items() for image in several.split()]
    return pl.LazyFrame(rows, schema={"image_id": pl.String, "name": pl.String}, orient="row")


def keys(*arguments: pl.LazyFrame | None) -> dict[str, int]:
    return dict(keys_of(*arguments).collect().iter_rows())  # type: ignore[arg-type]  # as many as are given


def parts(*arguments: pl.LazyFrame | None, shares: dict[str, float] = SHARES) -> dict[str, str]:
    found = keys_of(*arguments).select("image_id", split_of(pl.col("key"), shares))  # type: ignore[arg-type]
    return dict(found.collect().iter_rows())


def test_parts_are_of_the_stated_shares() -> None:
    found = list(parts(images(*(f"d-{number}-0" for number in range(20_000)))).values())

    assert 17_800 < found.count("train") < 18_200
    assert 900 < found.count("val") < 1_100
    assert len(found) == found.count("train") + found.count("val") + found.count("test")


@pytest.mark.parametrize(
    ("key", "part"),
    [
        (0, "train"),
        (2**31 - 1, "train"),
        (2**31, "val"),
        (3 * 2**30 - 1, "val"),
        (3 * 2**30, "test"),
        (2**32 - 1, "test"),
    ],
)
def test_shares_cut_the_numbers_into_spans_in_their_order(key: int, part: str) -> None:
    shares = {"train": 2.0, "val": 1.0, "test": 1.0}

    assert pl.select(split_of(pl.lit(key), shares)).item() == part


def test_a_single_part_has_everything() -> None:
    assert set(parts(images("a-1-0", "a-2-0"), shares={"all": 0.1}).values()) == {"all"}


def test_dividing_the_last_part_moves_no_image_of_the_others() -> None:
    names = images(*(f"d-{number}-0" for number in range(500)))
    before, after = (
        parts(names, shares={"train": 90, "rest": 10}),
        parts(names, shares={"train": 90, "val": 5, "test": 5}),
    )

    assert {name for name, part in before.items() if part == "train"} == {n for n, p in after.items() if p == "train"}


def test_a_sample_by_split_key_is_dealt_in_the_stated_shares_too() -> None:
    names = pl.Series([f"d-{number}-0" for number in range(20_000)])
    sampled = names.filter(split_keys(names) % 100 < 10)
    found = list(parts(images(*sampled), grouped(*((name,) for name in sampled))).values())

    assert 0.85 < found.count("train") / len(found) < 0.95


def test_near_duplicates_share_their_leaders_number() -> None:
    found = keys(images("d-1-0", "d-2-0", "d-3-0"), grouped(("d-2-0", "d-1-0", "x-9-0"), ("d-3-0",)))

    assert found["d-1-0"] == found["d-2-0"] == split_keys(pl.Series(["d-2-0"]))[0]
    assert found["d-3-0"] != found["d-1-0"]


def test_an_image_of_no_group_stands_for_itself() -> None:
    alone = keys(images("d-1-0"))

    assert alone == keys(images("d-1-0"), grouped()) == keys(images("d-1-0"), grouped(("d-1-0",)), linked())


def test_the_number_is_the_one_that_stands_in_near_duplicates() -> None:
    digest = int.from_bytes(hashlib.sha256(b"d-1-0").digest()[:4], "big")

    assert keys(images("d-1-0"), grouped(("d-1-0",))) == {"d-1-0": digest}


def test_colourings_of_a_sketch_stay_together_also_through_their_duplicates() -> None:
    pairs = pl.LazyFrame({"colored_id": ["p-1-0", "p-2-0"], "sketch_id": ["p-9-0", "p-9-0"], "split_key": ["k", "k"]})
    names = images("p-1-0", "p-2-0", "p-9-0", "d-5-0", "d-6-0")
    found = keys(names, grouped(("d-5-0", "p-1-0"), ("d-6-0",), ("p-2-0",), ("p-9-0",)), sketch_links(pairs))

    assert len({found[name] for name in ("p-1-0", "p-2-0", "p-9-0", "d-5-0")}) == 1
    assert found["d-6-0"] == split_keys(pl.Series(["d-6-0"]))[0]


def test_a_duplicate_makes_one_group_of_two_sketches() -> None:
    links = linked(k1="p-1-0 p-2-0", k2="p-3-0 p-4-0")
    apart = keys(images("p-1-0", "p-3-0"), grouped(("p-1-0",), ("p-3-0",)), links)
    joined = keys(images("p-1-0", "p-3-0"), grouped(("p-2-0", "p-4-0"), ("p-1-0",), ("p-3-0",)), links)

    assert apart["p-1-0"] != apart["p-3-0"]
    assert joined["p-1-0"] == joined["p-3-0"] == apart["p-1-0"], "the lowest link names both"


def test_a_family_is_its_posts_all_their_pages_and_what_duplicates_them() -> None:
    families = pl.LazyFrame({"image_id": ["d-1-0", "d-2-0", "e-2-0"], "root_id": ["1", "1", "1"]})
    names = ("d-1-0", "d-2-0", "d-2-1", "d-3-0", "d-3-1", "e-2-0", "e-7-0")
    groups = grouped(("e-7-0", "d-2-1"), *((name,) for name in names if name not in ("e-7-0", "d-2-1")))
    found = keys(images(*names), groups, family_links(families, images(*names)))

    assert len({found[name] for name in ("d-1-0", "d-2-0", "d-2-1", "e-7-0")}) == 1
    assert found["d-3-0"] == found["d-3-1"], "pages of one post"
    assert len({found["d-1-0"], found["d-3-0"], found["e-2-0"]}) == 3, "a root's number means another post elsewhere"


def test_a_post_with_a_hyphen_in_its_id_has_its_own_family() -> None:
    families = pl.LazyFrame({"image_id": ["pd-a-b-0"], "root_id": ["a-c"]})
    found = family_links(families, images("pd-a-b-0", "pd-a-b-1", "pd-a-c-0")).collect()

    assert dict(found.iter_rows()) == {"pd-a-b-0": "pd-a-c", "pd-a-b-1": "pd-a-c", "pd-a-c-0": "pd-a-c"}


NAMES = [f"d-{number}-0" for number in range(8)]
PARTITIONS = st.lists(st.integers(0, 4), min_size=len(NAMES), max_size=len(NAMES))


def _as_groups(numbers: list[int]) -> pl.LazyFrame:
    return grouped(
        *(tuple(n for n, at in zip(NAMES, numbers, strict=True) if at == one) for one in sorted(set(numbers)))
    )


@given(PARTITIONS, st.lists(st.none() | st.integers(0, 3), min_size=len(NAMES), max_size=len(NAMES)))
def test_no_group_and_no_link_is_ever_parted(groups: list[int], links: list[int | None]) -> None:
    rows = [(name, f"k{link}") for name, link in zip(NAMES, links, strict=True) if link is not None]
    tied = pl.LazyFrame(rows, schema={"image_id": pl.String, "name": pl.String}, orient="row")
    found = keys(images(*NAMES), _as_groups(groups), tied)

    for belongs in (groups, links):
        for one in {number for number in belongs if number is not None}:
            together = {found[name] for name, number in zip(NAMES, belongs, strict=True) if number == one}
            assert len(together) == 1


@given(PARTITIONS, st.permutations(NAMES), st.integers(1, len(NAMES)))
def test_neither_order_nor_what_else_is_asked_about_changes_a_number(
    groups: list[int], order: list[str], some: int
) -> None:
    everything = keys(images(*NAMES), _as_groups(groups))

    assert keys(images(*order[:some]), _as_groups(groups)) == {name: everything[name] for name in order[:some]}


def test_a_long_chain_of_links_has_one_name() -> None:
    chain = [
        pair for number in range(20_000) for pair in ((f"k{number}", f"g{number}"), (f"k{number + 1}", f"g{number}"))
    ]

    assert set(lowest_names(chain).values()) == {"k0"}
