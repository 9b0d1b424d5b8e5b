"""What has become of images between two judgements."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.funnel_changes import came_and_went, changes, counted, funnel_as_found, in_order, moved
from dataset_assets.domain.selection import funnel


def judged(**reasons: str | None) -> pl.LazyFrame:
    rows = {"image_id": list(reasons), "drop_reason": list(reasons.values())}
    return pl.LazyFrame(rows, schema={"image_id": pl.String, "drop_reason": pl.String})


def rows(frame: pl.LazyFrame) -> list[tuple[object, ...]]:
    return frame.sort("image_id").collect().rows()


def test_an_image_that_is_judged_anew_has_moved() -> None:
    before = judged(a=None, b="tags", c="where", d=None, e="tags")
    now = judged(a="where", b=None, c="where", d=None, f=None)

    assert rows(moved(before, now)) == [
        ("a", "kept", "where"),
        ("b", "tags", "kept"),
        ("e", "tags", "not listed"),
        ("f", "not listed", "kept"),
    ]


def test_beside_members_only_what_came_or_went_has_moved() -> None:
    members = pl.LazyFrame({"image_id": ["a", "b", "z"]})
    found = rows(came_and_went(members, judged(a=None, b="where", c=None, d="tags"), "not in r1"))

    assert found == [("b", "kept", "where"), ("c", "not in r1", "kept"), ("z", "kept", "not listed")]


def test_moves_are_counted_over_all_years_the_most_first() -> None:
    years = [moved(judged(a=None, b=None), judged(a="where", b="tags")), moved(judged(c=None), judged(c="where"))]

    assert counted(years).rows() == [("kept", "where", 2), ("kept", "tags", 1)]
    assert counted([]).is_empty()


def test_rules_of_both_funnels_stand_in_one_order_with_their_change() -> None:
    before = funnel(judged(a=None, b="size", c="where"), ["source", "size", "where"])
    now = funnel(judged(a="tags", b="where", c="where", d=None), ["source", "tags", "where"])

    assert changes(before, now).rows() == [
        ("candidates", 3, 4, 1),
        ("source", 0, 0, 0),
        ("size", 1, 0, -1),
        ("tags", 0, 1, 1),
        ("where", 1, 2, 1),
        ("kept", 1, 1, 0),
    ]


def test_a_table_of_another_definition_has_its_own_rules_behind_the_known_ones() -> None:
    found = funnel_as_found(judged(a="old_rule", b=None), ["source"])

    assert found.rows() == [("candidates", 0, 2), ("source", 0, 2), ("old_rule", 1, 1)]


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True))
def test_every_rule_stands_once_and_those_of_today_in_their_order(before: list[str], now: list[str]) -> None:
    found = in_order(before, now)

    assert sorted(found) == sorted({*before, *now})
    assert [rule for rule in found if rule in now] == now


REASONS = st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.sampled_from(["tags", "where"]))


@given(REASONS, REASONS)
def test_moves_explain_the_change_of_what_is_kept(then: dict[str, str | None], since: dict[str, str | None]) -> None:
    before, now = judged(**then), judged(**since)
    moves = counted([moved(before, now)])
    came = sum(moves.filter(pl.col("now") == "kept")["images"])
    went = sum(moves.filter(pl.col("was") == "kept")["images"])
    kept = changes(funnel(before, ["tags", "where"]), funnel(now, ["tags", "where"])).row(-1)

    assert kept[3] == came - went
