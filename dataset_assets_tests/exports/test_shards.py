from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.exports.shards import MembersChanged, Shard, dealt, plan

SIZES = st.lists(st.integers(1, 40), max_size=60)


def frames(sizes: list[int], at_once: int = 7, said: str = "member") -> Iterator[pl.DataFrame]:
    rows = {"bytes": sizes, "json": [f'{{"{said}": {number}}}' for number in range(len(sizes))]}
    return pl.DataFrame(rows, schema={"bytes": pl.Int64, "json": pl.String}).iter_slices(at_once)


@given(sizes=SIZES, most_bytes=st.integers(1, 60), most_rows=st.none() | st.integers(1, 9))
def test_each_member_is_in_one_shard_and_no_shard_is_larger_than_one_member_needs(
    sizes: list[int], most_bytes: int, most_rows: int | None
) -> None:
    shards = list(plan(frames(sizes), most_bytes, most_rows))

    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert sum(shard.rows for shard in shards) == len(sizes)
    assert sum(shard.bytes for shard in shards) == sum(sizes)
    assert all(shard.bytes <= most_bytes or shard.rows == 1 for shard in shards)
    assert most_rows is None or all(shard.rows <= most_rows for shard in shards)


@given(sizes=SIZES, at_once=st.integers(1, 20), looked_at=st.sets(st.integers(0, 30)))
def test_rows_are_dealt_in_order_whatever_is_passed_over(sizes: list[int], at_once: int, looked_at: set[int]) -> None:
    shards = list(plan(frames(sizes), 50))
    wanted, found = [], []
    for shard, rows in dealt(frames(sizes, at_once), shards):
        first = sum(before.rows for before in shards[: shard.number])
        if shard.number in looked_at:
            wanted += [f'{{"member": {number}}}' for number in range(first, first + shard.rows)]
            found += [said for frame in rows for said in frame["json"]]

    assert found == wanted


def test_a_plan_does_not_hang_on_how_many_rows_are_read_at_once() -> None:
    sizes = [number % 11 + 1 for number in range(100)]

    assert list(plan(frames(sizes, 1), 40)) == list(plan(frames(sizes, 33), 40))


def test_a_shard_of_which_anything_else_is_said_has_another_key() -> None:
    first, second = plan(frames([5, 5]), 50), plan(frames([5, 5], said="other"), 50)

    assert next(first).key != next(second).key


@pytest.mark.parametrize("later", [frames([5, 5, 5], said="other"), frames([5, 5]), frames([])])
def test_members_that_changed_after_the_plan_are_not_written_under_its_key(later: Iterator[pl.DataFrame]) -> None:
    shards: list[Shard] = list(plan(frames([5, 5, 5]), 50))

    with pytest.raises(MembersChanged, match="write them again"):
        list(dealt(later, shards))
