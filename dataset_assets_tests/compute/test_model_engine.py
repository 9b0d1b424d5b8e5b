"""A model fed by others: batches of its size, rows that are lost, and where the time goes."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.compute.engine import Batch, Engine, Row
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.model_engine import ModelEngine, ThreadEngine
from dataset_assets_tests.compute.inline import InlineEngine


def read_squares(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Reads a number's square; some numbers kill their reader."""
    for row in rows:
        if row["number"] == "kills":
            os._exit(1)
    return [{"number": row["number"], "square": row["number"] ** 2} for row in rows]


@dataclass
class Model:
    """Adds one to squares, a batch late, and remembers the batches' sizes."""

    sizes: list[int]

    def reader(self) -> Any:
        return read_squares

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        waiting: list[dict[str, Any]] | None = None
        for batch in batches:
            self.sizes.append(len(batch))
            if waiting is not None:
                yield waiting
            waiting = [{**row, "made": row["square"] + 1} for row in batch]
        if waiting is not None:
            yield waiting

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [row for batch in self.work([read_squares(rows)]) for row in batch]


def inputs(*sizes: int) -> list[list[dict[str, Any]]]:
    """Batches of so many rows each, numbered through."""
    numbers = iter(range(sum(sizes)))
    return [[{"number": next(numbers)} for _ in range(size)] for size in sizes]


def made(batches: Iterable[Batch]) -> list[tuple[int, int]]:
    return sorted((row["number"], row["made"]) for batch in batches for row in batch.results)


@pytest.mark.parametrize(
    "readers", [InlineEngine(), ThreadEngine(3), LocalEngine(2)], ids=["inline", "threads", "processes"]
)
def test_every_row_is_read_and_worked_on_once(readers: Engine) -> None:
    model = Model([])
    engine = ModelEngine(lambda: readers, 10)
    assert made(engine.run(model, inputs(*[4] * 9))) == [(n, n * n + 1) for n in range(36)]
    assert model.sizes == [10, 10, 10, 6]
    assert engine.spent.rows == 36


@given(sizes=st.lists(st.integers(1, 7), max_size=12), batch_size=st.integers(1, 9))
def test_only_the_last_batch_is_short(sizes: list[int], batch_size: int) -> None:
    model = Model([])
    batches = ModelEngine(InlineEngine, batch_size).run(model, inputs(*sizes))
    assert made(batches) == [(n, n * n + 1) for n in range(sum(sizes))]
    assert all(size == batch_size for size in model.sizes[:-1])
    assert sum(model.sizes) == sum(sizes)


def test_no_rows_ask_for_no_readers_and_no_model() -> None:
    def refuse() -> Engine:
        raise AssertionError("nothing is to be read")

    assert list(ModelEngine(refuse, 8).run(Model([]), [])) == []


def test_row_that_takes_its_reader_down_is_lost_and_no_other() -> None:
    batches: list[list[Row]] = [[{"number": 1}, {"number": "kills"}, {"number": 2}], [{"number": 3}]]
    found = list(ModelEngine(lambda: LocalEngine(1), 2).run(Model([]), batches))
    assert made(found) == [(1, 2), (2, 5), (3, 10)]
    assert [loss for batch in found for loss in batch.lost] == [({"number": "kills"}, "worker_died")]


def test_time_without_input_is_waiting_and_no_other() -> None:
    class Slow(InlineEngine):
        def run(self, function: Any, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
            for batch in super().run(function, batches):
                time.sleep(0.05)
                yield batch

    engine = ModelEngine(Slow, 4)
    for _ in engine.run(Model([]), inputs(4, 4)):
        time.sleep(0.2)  # the caller's own time, as for writing rows, counts for neither
    assert 0.1 <= engine.spent.waiting <= engine.spent.seconds < 0.35
    assert engine.spent.working_share < 0.5


def test_nothing_made_is_no_rate() -> None:
    engine = ModelEngine(InlineEngine, 4)
    assert (engine.spent.rate, engine.spent.working_share) == (0, 0)


def test_function_without_a_model_is_refused() -> None:
    with pytest.raises(TypeError, match="no ModelFunction"):
        list(ModelEngine(InlineEngine, 4).run(read_squares, inputs(1)))


def test_threads_keep_the_order_and_pass_errors_on() -> None:
    batches = ThreadEngine(3).run(read_squares, inputs(*[2] * 20))
    assert [batch.results[0]["number"] for batch in batches] == list(range(0, 40, 2))
    with pytest.raises(KeyError):
        list(ThreadEngine(2).run(read_squares, [[{"other": 1}]]))


def test_threads_read_no_further_ahead_than_a_few_batches() -> None:
    taken: list[int] = []

    def counted() -> Iterator[list[dict[str, Any]]]:
        for batch in inputs(*[1] * 50):
            taken.append(1)
            yield batch

    next(ThreadEngine(2).run(read_squares, counted()))
    assert len(taken) == 5
