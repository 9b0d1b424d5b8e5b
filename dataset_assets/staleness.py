"""Which partitions of which assets are missing or stale, and why, as Dagster judges it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

# Dagster shows this in the UI but offers no public call for it.
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dataset_assets.resources import table_name
from dataset_assets.storage.tables import Cell, Tables

WITHOUT_TABLE = frozenset({"catalog"})


@dataclass(frozen=True)
class Verdict:
    """An asset's partition that wants rebuilding."""

    asset: dg.AssetKey
    cell: Cell
    is_missing: bool
    causes: tuple[str, ...]

    def __str__(self) -> str:
        why = "not built yet" if self.is_missing else "; ".join(self.causes)
        return f"{self.asset.to_user_string()} {self.cell}: {why}"


class Staleness:
    """Judges partitions as they are at the moment of the first question; make a new one after a run.

    Dagster remembers what was built, not where: a partition that the root does not have is missing, though it may have
    been built in another root, or before the root was emptied.
    """

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, tables: Tables) -> None:
        graph = definitions.resolve_asset_graph()
        self._resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        self._tables = tables

    def of(self, assets: Iterable[dg.AssetKey], cell: Cell) -> list[Verdict]:
        """The assets among these whose partition is missing or stale."""
        return [verdict for key in assets if (verdict := self._verdict(key, cell)) is not None]

    def _verdict(self, key: dg.AssetKey, cell: Cell) -> Verdict | None:
        status = self._resolver.get_status(key, cell.key)
        if status != StaleStatus.MISSING and not self._is_in_root(key, cell):
            return Verdict(key, cell, True, ())
        if status == StaleStatus.FRESH:
            return None
        causes = self._resolver.get_stale_causes(key, cell.key)
        return Verdict(key, cell, status == StaleStatus.MISSING, tuple(_in_words(cause) for cause in causes))

    def _is_in_root(self, key: dg.AssetKey, cell: Cell) -> bool:
        name = table_name(key)
        return name in WITHOUT_TABLE or self._tables.commit_of(name, cell) is not None


def _in_words(cause: object) -> str:
    reason = str(getattr(cause, "reason", cause))
    dependency = getattr(cause, "dependency", None)
    return f"{reason} ({dependency.asset_key.to_user_string()})" if dependency is not None else reason


def keys_of(definitions: dg.Definitions, job: str) -> Sequence[dg.AssetKey]:
    """The assets of a job, upstream first."""
    graph = definitions.resolve_asset_graph()
    selected = definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    return [key for key in graph.toposorted_asset_keys if key in selected]
