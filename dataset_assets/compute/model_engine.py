"""An engine for models: others read and decode ahead while the model works, in this process, on what they brought."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from dataset_assets.compute.engine import Batch, Engine, Loss, Row, RowFunction


@runtime_checkable
class ModelFunction(Protocol):
    """A row function in two steps: one that others can do, and one that needs the model."""

    def reader(self) -> RowFunction:
        """The first step: what the model needs of each row, in the rows' order. Picklable where processes run it."""

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """The second step: the results of each batch of what was read, in its order, maybe one batch late."""

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Both steps, one after the other."""


@dataclass
class Spent:
    """Where the time went. A model that never waits is fed fast enough."""

    rows: int = 0
    waiting: float = 0.0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Rows per second, waiting included; 0 when there were none."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def working_share(self) -> float:
        """The share of the time in which the model did not wait to be fed."""
        return 1 - self.waiting / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class ModelEngine:
    """Feeds a model in this process, in batches of `batch_size` rows, with what `readers` read.

    `readers` is asked for once there are rows, so that it may look at the model and the machine.
    """

    readers: Callable[[], Engine]
    batch_size: int
    spent: Spent = field(default_factory=Spent)

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        """Yield each batch as it is finished; rows that took their reader down are lost. No rows need no model."""
        if not isinstance(function, ModelFunction):
            raise TypeError(f"{function} is no ModelFunction: it has no reader and no work")
        rest = iter(batches)
        first = next(rest, None)
        if first is None:
            return
        lost: list[tuple[Row, Loss]] = []
        reader = function.reader()
        read = self._read(self.readers().run(reader, _chained(first, rest)), lost)
        began, index = time.perf_counter(), -1
        for index, results in enumerate(function.work(read)):
            self.spent.rows += len(results)
            self.spent.seconds += time.perf_counter() - began
            yield Batch(index, results)
            began = time.perf_counter()
        self.spent.seconds += time.perf_counter() - began
        if lost:
            yield Batch(index + 1, [], lost)

    def _read(self, finished: Iterator[Batch], lost: list[tuple[Row, Loss]]) -> Iterator[Sequence[dict[str, Any]]]:
        """What was read, in batches for the model; what is left over comes last."""
        ready: list[dict[str, Any]] = []
        while (batch := self._next(finished)) is not None:
            ready += batch.results
            lost += batch.lost
            while len(ready) >= self.batch_size:
                yield ready[: self.batch_size]
                ready = ready[self.batch_size :]
        if ready:
            yield ready

    def _next(self, finished: Iterator[Batch]) -> Batch | None:
        began = time.perf_counter()
        batch = next(finished, None)
        self.spent.waiting += time.perf_counter() - began
        return batch


@dataclass(frozen=True)
class ThreadEngine:
    """Runs batches in threads of this process, in order: for readers beside a model that works on the processor."""

    threads: int

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        """Yield each batch in its turn; a few are ahead."""
        with ThreadPoolExecutor(self.threads) as pool:
            ahead: deque[Future[list[dict[str, Any]]]] = deque()
            index = 0
            try:
                for rows in batches:
                    ahead.append(pool.submit(function, rows))
                    if len(ahead) > 2 * self.threads:
                        yield Batch(index, ahead.popleft().result())
                        index += 1
                while ahead:
                    yield Batch(index, ahead.popleft().result())
                    index += 1
            finally:  # a model that failed wants no more of them
                pool.shutdown(wait=False, cancel_futures=True)


def _chained(first: Sequence[Row], rest: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    yield first
    yield from rest
