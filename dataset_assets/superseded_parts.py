"""What decides whether a file is superseded, besides what names it: the graph, commits, locks and open takedowns."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import dagster as dg
import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.definitions import build
from dataset_assets.domain.identity import parse_image_id
from dataset_assets.domain.optimized_images import OPTIMIZED_IMAGES
from dataset_assets.domain.schemas import RAW_IMAGES, TRAINING_IMAGES
from dataset_assets.domain.superseded import history_file, image_file, shard_file
from dataset_assets.resources import table_name
from dataset_assets.sources import adapters
from dataset_assets.sources.vanished import vanished_table
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_holdings import cells_of, shards_with, superseded_indexes
from dataset_assets.takedown_removal import is_finished

# The tables whose updates put images into the root, or say again that one is there.
IMAGE_TABLES = (RAW_IMAGES.name, TRAINING_IMAGES.name, OPTIMIZED_IMAGES.name)
REBUILD = "_rebuild"  # what a rebuild of a cell holds from its beginning to its end
_MADE_BY = ("image_id", "input_key", "recipe")


@dataclass(frozen=True)
class Parts:
    """A root's tables and unfinished rebuilds, as dataset.yaml and the commits know them."""

    config: DatasetConfig

    @property
    def tables(self) -> Tables:
        return Tables(self.config.root_path)

    @cached_property
    def columns(self) -> dict[str, set[str]]:
        """The columns of each table that the graph has; of a source's own export, those of any kind of source."""
        graph = build(self.config).resolve_asset_graph()
        exports = [adapter.SNAPSHOT for adapter in adapters().values()]
        found = {"source_snapshot": {name for table in exports for name in table.schema}}
        found["vanished_records"] = {name for table in exports for name in vanished_table(table).schema}
        for key in graph.materializable_asset_keys:
            schema = graph.get(key).metadata.get("dagster/column_schema")
            if isinstance(schema, dg.TableSchema):
                found[table_name(key)] = {column.name for column in schema.columns}
        return found

    def cells_of(self, source: str) -> list[Cell]:
        """The partitions of a source that hold images, did so once, or may come to."""
        declared = {Cell(*cell) for cell in self.config.cells() if cell[0] == source}
        held = {cell for table in IMAGE_TABLES for cell in self.tables.cells(table) if cell.source == source}
        return sorted(declared | held)

    def superseded_shards(self, table: str, cell: Cell, names: Sequence[str]) -> dict[str, str]:
        """Of some shards of a partition those that no update would go on with, with their kind."""
        if not self._is_declared(table, cell):
            return dict.fromkeys(names, "abandoned shards")
        return {name: "finished shards" for name in names if self._is_in_the_table(table, cell, name)}

    def _is_declared(self, table: str, cell: Cell) -> bool:
        if table not in self.columns:
            return False
        source = self.config.sources.get(str(cell.source))
        return cell.source is None or (source is not None and (cell.year is None or cell.year in source.years))

    def _is_in_the_table(self, table: str, cell: Cell, shard: str) -> bool:
        """Whether a partition has all rows of a shard, made from the same by the same recipe."""
        commit, made = self.tables.commit_of(table, cell), shard_file(shard)
        if commit is None or made is None or commit.recipe != made.mark or not self.tables.is_intact(table, cell):
            return False
        rows, committed = (
            pl.scan_parquet(file, hive_partitioning=False)
            for file in (opened(self.config.root_path).file(shard), self.tables.file(table, cell))
        )
        if not all(set(_MADE_BY) <= set(scan.collect_schema()) for scan in (rows, committed)):
            return False
        left = rows.select(_MADE_BY).join(committed.select(_MADE_BY), on=_MADE_BY, how="anti", nulls_equal=True)
        return not int(left.select(pl.len()).collect().item())

    def is_old_history(self, name: str) -> bool:
        """Whether a row history is one that its partition's record no longer names."""
        of = history_file(name)
        if of is None or of.mark == "data":
            return False
        commit = self.tables.commit_of(of.table, cell_in(of.partition))
        return commit is not None and commit.history != name

    def is_abandoned_release(self, name: str) -> bool:
        """Whether nobody would go on with a release that was never finished."""
        return name not in self.config.releases and self.tables.commit_of(f"release/{name}", Cell()) is None


def cell_in(partition: str) -> Cell:
    """The partition of hive folders, such as `source=danbooru/year=2019`."""
    values = dict(part.split("=", 1) for part in partition.split("/") if part)
    return Cell(values.get("source"), int(values["year"]) if "year" in values else None)


@contextmanager
def locked(config: DatasetConfig, tables: Iterable[str], cells: Iterable[Cell]) -> Iterator[None]:
    """Hold partitions of some tables against every run. Raises: PartitionLocked."""
    kept, cells = Tables(config.root_path), list(cells)
    with ExitStack() as locks:
        for name in tables:
            for cell in cells:
                locks.enter_context(kept.lock(name, cell))
        yield


@dataclass(frozen=True)
class Spared:
    """What is left to takedowns that are not done: their proofs are to list all that was removed for them.

    images: source, post id and page.
    """

    images: Collection[tuple[str, str, int]]
    names: Collection[str]

    @classmethod
    def of(cls, config: DatasetConfig) -> "Spared":
        """Raises: BadTakedown."""
        files = TakedownFiles(config.root_path)
        waiting = [one for one in files.active() if not is_finished(config, one, files.proof(one.id))]
        ids = sorted({image_id for one in waiting for image_id in one.image_ids})
        if not ids:
            return cls((), ())
        names = {*shards_with(config, ids), *superseded_indexes(config, {c for one in waiting for c in cells_of(one)})}
        return cls({(*parse_image_id(image_id),) for image_id in ids}, names)

    def has(self, name: str) -> bool:
        """Whether a file is left to a takedown."""
        if name in self.names:
            return True
        image = image_file(name) if self.images else None
        return image is not None and (image.source, image.post_id, image.page) in self.images
