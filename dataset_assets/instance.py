"""The graph of a dataset.yaml, and the Dagster instance that remembers its runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dataset_assets.config import DatasetConfig
from dataset_assets.environment import dagster_home

if TYPE_CHECKING:
    import dagster as dg


@contextmanager
def dagster_of(config: DatasetConfig) -> Iterator[tuple["dg.Definitions", "dg.DagsterInstance"]]:
    """The graph, and the instance, closed at the end. Importing Dagster takes a second, so it is done here."""
    dagster_home(config)
    import dagster

    from dataset_assets.definitions import build

    with dagster.DagsterInstance.get() as instance:
        yield build(config), instance
