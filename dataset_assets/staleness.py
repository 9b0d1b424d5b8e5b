"""Which partitions of which assets are missing or stale, and why, as Dagster judges it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

# Dagster shows this in the UI but offers no public call for it.
from dagster._core.definitions.data_version import CachingStaleStatusResolver, DataProvenance, StaleStatus
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.loader import LoadingContextForTest
from dagster._utils.cached_method import cached_method

from dataset_assets.config import DatasetConfig
from dataset_assets.resources import table_name
from dataset_assets.storage.tables import Cell, Commit, Tables

WITHOUT_TABLE = frozenset({"catalog"})


class _Resolver(CachingStaleStatusResolver):
    """Dagster's judgement, with one query for each asset where it makes one for each partition of each dependency."""

    def _is_dep_updated(self, provenance: DataProvenance, dep_key: AssetKeyPartitionKey) -> bool:
        partition, seen = dep_key.partition_key, provenance.input_storage_ids.get(dep_key.asset_key)
        if partition is not None and seen is not None and self._latest(dep_key.asset_key).get(partition, 0) <= seen:
            return False  # nothing came after what the table was made from
        return super()._is_dep_updated(provenance, dep_key)

    @cached_method
    def _latest(self, asset: dg.AssetKey) -> Mapping[str, int]:
        """The number of the newest event of each of an asset's partitions that makes what follows from it stale."""
        is_external = self.asset_graph.get(asset).is_external
        event = dg.DagsterEventType.ASSET_OBSERVATION if is_external else dg.DagsterEventType.ASSET_MATERIALIZATION
        return self._instance.get_latest_storage_id_by_partition(asset, event)


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
    been built in another root, or before the root was emptied; one that the root has otherwise is stale.
    """

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, config: DatasetConfig) -> None:
        self._graph = definitions.resolve_asset_graph()
        self._resolver = _Resolver(instance, self._graph, LoadingContextForTest(instance))
        self._config, self._tables = config, Tables(config.root_path)

    def of(self, assets: Iterable[dg.AssetKey], cell: Cell) -> list[Verdict]:
        """The assets among these whose partition is missing or stale."""
        return [verdict for key in assets if (verdict := self._verdict(key, cell)) is not None]

    def made_from_stale(self, assets: Iterable[dg.AssetKey]) -> list[Verdict]:
        """What is stale of all that these assets are made from, near or far, upstream first.

        Dagster looks no further than the direct inputs. What is missing is no verdict: what was made without it can be.
        """
        above = set[dg.AssetKey]().union(*(self._graph.get_ancestor_asset_keys(key) for key in assets))
        above &= self._graph.materializable_asset_keys
        keys = [key for key in self._graph.toposorted_asset_keys if key in above]
        verdicts = (self._verdict(key, cell) for key in keys for cell in self._cells_of(key))
        return [verdict for verdict in verdicts if verdict is not None and not verdict.is_missing]

    def _cells_of(self, key: dg.AssetKey) -> list[Cell]:
        """The partitions of an asset that dataset.yaml declares."""
        partitions = self._graph.get(key).partitions_def
        if partitions is None:
            return [Cell()]
        cells = map(Cell.parse, partitions.get_partition_keys())
        return [cell for cell in cells if self._config.declares(cell.source, cell.year)]

    def _verdict(self, key: dg.AssetKey, cell: Cell) -> Verdict | None:
        status = self._resolver.get_status(key, cell.key)
        if status == StaleStatus.MISSING:
            return Verdict(key, cell, True, ())
        commit = self._tables.commit_of(table_name(key), cell)
        if commit is None and table_name(key) not in WITHOUT_TABLE:
            return Verdict(key, cell, True, ())
        causes = [] if status == StaleStatus.FRESH else self._resolver.get_stale_causes(key, cell.key)
        said = (
            *(_in_words(cause) for cause in causes),
            *self._overwritten(key, cell, commit),
            *self._gathered_otherwise(key, cell, commit),
        )
        return Verdict(key, cell, False, said) if said else None

    def _overwritten(self, key: dg.AssetKey, cell: Cell, commit: Commit | None) -> Iterator[str]:
        """That the root has another table than this Dagster knows: several may work on one root, or one on several."""
        built = self._resolver.get_current_data_version(key, cell.key).value
        if commit is not None and commit.data_version != built:
            at = commit.written_at[:16].replace("T", " ")
            yield f"its table is that of run {commit.run_id[:8]}, {at}, not the one that this DAGSTER_HOME built last"

    def _gathered_otherwise(self, key: dg.AssetKey, cell: Cell, commit: Commit | None) -> Iterator[str]:
        """What a table over years or sources was made of, where dataset.yaml declares others now.

        Dagster's partitions are every source x every year, and it does not miss one that is gone.
        """
        declared = self._config.declared(cell.source)
        if cell.year is None and commit is not None and commit.gathered != declared and self._gathers(key):
            yield f"is gathered from {commit.gathered or 'other years'}; declared now: {declared}"

    def _gathers(self, key: dg.AssetKey) -> bool:
        """Whether an asset is made of several partitions of another."""
        asset = self._graph.get(key)
        upstream = (self._graph.get(parent).partitions_def for parent in asset.parent_keys)
        return any(one is not None and one != asset.partitions_def for one in upstream)


def _in_words(cause: object) -> str:
    reason = str(getattr(cause, "reason", cause))
    dependency = getattr(cause, "dependency", None)
    return f"{reason} ({dependency.asset_key.to_user_string()})" if dependency is not None else reason


def keys_of(definitions: dg.Definitions, job: str) -> Sequence[dg.AssetKey]:
    """The assets of a job, upstream first."""
    graph = definitions.resolve_asset_graph()
    selected = definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    return [key for key in graph.toposorted_asset_keys if key in selected]
