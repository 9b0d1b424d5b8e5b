"""What assets are handed: settings, tables, files and an engine."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.compute.engine import Engine, RowFunction
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.update import Job, Recipe, Update, update, update_together
from dataset_assets.config import DatasetConfig, load_config
from dataset_assets.domain.schemas import Table
from dataset_assets.storage.blobs import Blobs
from dataset_assets.storage.bucket_sources import locations_of
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.tables import Cell, Staged, Tables

# Where a command line shows progress; Dagster's own log receives it in any case.
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("progress listener", default=None)


@contextmanager
def progress_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Within this block, lines of progress go to `listener` too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Dataset(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic is over what it hands out: itself
    """One dataset.yaml and the root it names."""

    config_file: str
    folder: str

    @property
    def config(self) -> DatasetConfig:
        file = Path(self.config_file)
        return _loaded(file, Path(self.folder), file.stat().st_mtime_ns)

    @property
    def tables(self) -> Tables:
        return Tables(self.config.root_path)

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.config.root_path, locations_of(self.config))

    @property
    def engine(self) -> Engine:
        if self.config.engine == "ray":
            from dataset_assets.compute.ray_engine import RayEngine

            return RayEngine(os.environ.get("RAY_ADDRESS") or None, self.config.workers)
        return LocalEngine(self.config.workers or os.cpu_count() or 1)

    def is_declared(self, cell: Cell) -> bool:
        """Whether dataset.yaml gives this source this year."""
        return self.config.declares(cell.source, cell.year)

    def cells_of(self, name: str, source: str | None = None) -> list[Cell]:
        """The partitions of a table that exist and that dataset.yaml declares, of one source or of all.

        A year that was taken out leaves its tables in the root: no table over years may be made of them.
        """
        return declared_cells(self.config, name, None if source is None else [source])

    def update(
        self,
        context: dg.AssetExecutionContext,
        table: Table,
        inputs: pl.DataFrame,
        recipe: Recipe,
        engine: Engine | None = None,
    ) -> Update:
        """Bring the run's partition of a per-image table up to date. Raises: PartitionLocked."""
        cell = cell_of(context)
        with self.tables.lock(table.name, cell):
            return update(self.tables, cell, Job(table, inputs, recipe), engine or self.engine, say(context))

    def update_together(
        self, context: dg.AssetExecutionContext, jobs: Sequence[Job], together: RowFunction
    ) -> list[Update]:
        """Bring the run's partition of several per-image tables up to date in one pass. Raises: PartitionLocked."""
        cell = cell_of(context)
        with ExitStack() as locks:
            for job in jobs:
                locks.enter_context(self.tables.lock(job.table.name, cell))
            return update_together(self.tables, cell, jobs, together, self.engine, say(context))

    def result(
        self, context: dg.AssetExecutionContext, made: Staged | Update, metadata: Mapping[str, Any] | None = None
    ) -> dg.MaterializeResult[Staged]:
        """An asset's result: the staged table, its data version, and what the run did."""
        staged, counted = (made.staged, _counted(made)) if isinstance(made, Update) else (made, {})
        if staged.cell.year is None:
            staged = replace(staged, gathered=self.config.declared(staged.cell.source))
        note = (
            {}
            if self.is_declared(staged.cell)
            else {"note": f"{staged.cell.source} declares no year {staged.cell.year}"}
        )
        return dg.MaterializeResult(
            asset_key=context.asset_key if len(context.selected_asset_keys) == 1 else dg.AssetKey(staged.table.name),
            value=staged,
            data_version=dg.DataVersion(staged.data_version),
            metadata={**note, **counted, "bytes": staged.bytes, **(metadata or {})},
        )


def _counted(made: Update) -> dict[str, Any]:
    counts = {f"rows_{name}": value for name, value in asdict(made.counts).items() if name != "seconds"}
    return {**counts, "rows_per_second": round(made.counts.rate, 1)}


@lru_cache(maxsize=8)
def _loaded(file: Path, folder: Path, changed_at: int) -> DatasetConfig:
    return load_config(file, folder=folder)


def cell_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OutputContext) -> Cell:
    """The partition that a run is about."""
    return Cell.parse(str(context.partition_key) if context.has_partition_key else None)


def say(context: dg.AssetExecutionContext) -> Callable[[str], None]:
    """Where an asset says how far it is: Dagster's log, and whoever listens."""

    def both(line: str) -> None:
        context.log.info(line)
        if listener := _listener.get():
            listener(line)

    return both


class TableIOManager(dg.ConfigurableIOManager):
    """Commits staged tables, and hands assets the tables they depend on as Polars LazyFrames."""

    dataset: dg.ResourceDependency[Dataset]

    def handle_output(self, context: dg.OutputContext, obj: Staged) -> None:
        commit = self.dataset.tables.commit(obj, context.run_id)
        at = self.dataset.tables.shown(obj.table.name, obj.cell)
        rows = "dagster/partition_row_count" if obj.cell.source else "dagster/row_count"
        context.add_output_metadata(
            {
                "dagster/uri": at,
                rows: commit.rows,
                "dagster/column_schema": column_schema(obj.table),
                "dagster/column_lineage": column_lineage(obj.table),
                "sha256": commit.sha256,
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        name = table_name(context.asset_key)
        keys = sorted(context.asset_partition_keys) if context.has_asset_partitions else [None]
        cells, is_one = [Cell.parse(key) for key in keys], len(keys) == 1
        if not is_one:  # Dagster's partitions are every source x every year
            cells = [cell for cell in cells if self.dataset.is_declared(cell)]
        tables = self.dataset.tables
        if damaged := [cell for cell in cells if not tables.is_intact(name, cell)]:
            said = f"{name} {damaged[0]} does not match its checksum; rebuild it: {rebuild_command(name, damaged[0])}"
            raise dg.Failure(said, allow_retries=False)
        if is_one:
            file = tables.file(name, cells[0])
            if file.exists():
                return pl.scan_parquet(file, hive_partitioning=False)
        elif (rows := tables.scan_all(name, cells)) is not None:
            return rows
        lacking = cells[0] if len(cells) == 1 else Cell()  # without a source, a rebuild builds it for all of them
        said = f"{name} of {' '.join(map(str, cells))} is not built yet; build it: {rebuild_command(name, lacking)}"
        raise dg.Failure(said, allow_retries=False)


def rebuild_command(table: str, cell: Cell) -> str:
    """What to type to build a partition of a table."""
    source = f" --source {cell.source}" if cell.source else ""
    years = f" --years {cell.year}" if cell.year else ""
    return f"dataset-assets rebuild{source}{years} --assets {table}"


def table_name(key: dg.AssetKey) -> str:
    """The table of an asset: `subset/sfw_512` for the key of that path."""
    return "/".join(key.path)


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns as the UI shows them."""
    return dg.TableSchema([dg.TableColumn(c.name, str(c.dtype), description=c.description) for c in table.columns])


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Where a table's columns come from, as the UI shows it."""
    deps = {
        column.name: [
            dg.TableColumnDep(dg.AssetKey(origin.split(".")[0]), origin.split(".")[1]) for origin in column.comes_from
        ]
        for column in table.columns
        if column.comes_from
    }
    return dg.TableColumnLineage(deps)
