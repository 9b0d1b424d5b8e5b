"""Taking images out of years and sources that dataset.yaml no longer declares: no rebuild makes their tables anew."""

from dataclasses import replace

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import Column, Table
from dataset_assets.domain.takedowns import Takedown
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.takedown_holdings import INDEXES, cells_of, held_rows, image_columns


def undeclared_cells(config: DatasetConfig, one: Takedown) -> set[Cell]:
    """The partitions of a request's images that dataset.yaml does not declare."""
    return {cell for cell in cells_of(one) if not config.declares(cell.source, cell.year)}


def take_out_of_undeclared(config: DatasetConfig, one: Takedown) -> None:
    """Take the rows of a request's images out of these partitions, and forget their indexes.

    All other rows stay, to be carried over when the year is declared again; what left is judged anew then.
    Raises: PartitionLocked when another run writes one of them.
    """
    tables = Tables(config.root_path)
    for held in held_rows(config, one):
        cell = _cell_of(held.partition)
        if not config.declares(cell.source, cell.year):
            _without(tables, held.table, cell, one)
    for cell in sorted(undeclared_cells(config, one)):
        for index in INDEXES:
            tables.forget(index.name, cell)


def _cell_of(partition: str) -> Cell:
    return Cell() if partition == str(Cell()) else Cell.parse(partition)


def _without(tables: Tables, name: str, cell: Cell, one: Takedown) -> None:
    """Commit a partition again, less the rows that name one of a request's images."""
    before = tables.commit_of(name, cell)
    if before is None:
        return  # removed since it was looked at
    scan = pl.scan_parquet(tables.file(name, cell), hive_partitioning=False)
    schema = scan.collect_schema()
    names_one = (pl.col(column).is_in(one.image_ids).fill_null(value=False) for column in image_columns(schema))
    # As it lies there: an older version of the code may have written it.
    table = Table(name, "row of before", tuple(Column(column, dtype, "") for column, dtype in schema.items()), ())
    staged = tables.stage_frames(table, cell, [scan.filter(~pl.any_horizontal(names_one)).collect()], before.recipe)
    nothing_computed = pl.Series([], dtype=pl.String) if before.history else None
    staged = replace(staged, gathered=before.gathered, computed_ids=nothing_computed)
    tables.commit(staged, f"takedown {one.id}")
