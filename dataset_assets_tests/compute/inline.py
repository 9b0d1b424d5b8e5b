"""An engine without workers, for tests of what engines are given."""

from collections.abc import Iterable, Iterator, Sequence

from dataset_assets.compute.engine import Batch, Row, RowFunction


class InlineEngine:
    """Runs batches in this process, one after another."""

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        for index, rows in enumerate(batches):
            yield Batch(index, function(rows))
