"""What an engine is: something that runs a function over batches of rows, and survives what the rows do to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Row = Mapping[str, Any]
Loss = Literal["worker_died", "worker_timeout"]


class RowFunction(Protocol):
    """A pure function of rows: one result for each row, in the same order. Must be picklable for a process pool."""

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Batch:
    """The results of one batch, and the rows that took their worker down with them."""

    index: int
    results: list[dict[str, Any]]
    lost: list[tuple[Row, Loss]] = field(default_factory=list)


class Engine(Protocol):
    """Runs batches of rows, in any order."""

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        """Yield each batch as it is finished. An exception of the function itself is a bug, and is raised."""
