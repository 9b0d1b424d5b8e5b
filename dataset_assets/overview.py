"""How many images are where: rows by state for each cell, what is rejected, what is damaged."""

from collections.abc import Iterable
from functools import partial

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_INDEX
from dataset_assets.domain.states import STATES
from dataset_assets.domain.vector_tables import VECTOR_INDEX
from dataset_assets.domain.wording import counted
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.index_files import index_is_there
from dataset_assets.storage.root import opened
from dataset_assets.storage.snapshots import Snapshots
from dataset_assets.storage.tables import Cell, Tables


def states_by_cell(config: DatasetConfig, cells: Iterable[tuple[str, int]]) -> list[dict[str, object]]:
    """For each cell: images listed, by state, decoded, prepared and embedded; None where a table is not built."""
    tables = Tables(config.root_path)
    return opened(tables.root).each(lambda cell: _states(tables, Cell(*cell)), cells)


def _states(tables: Tables, cell: Cell) -> dict[str, object]:
    row: dict[str, object] = {"cell": str(cell), "listed": _rows(tables, "image_metadata", cell)}
    raw = tables.file("raw_images", cell)
    is_built = raw.exists() and tables.is_intact("raw_images", cell)
    counts = dict(pl.scan_parquet(raw).group_by("state").len().collect().iter_rows()) if is_built else None
    row |= {state: None if counts is None else counts.get(state, 0) for state in STATES}
    for name, table in (("decoded", "image_facts"), ("prepared", "training_images"), ("embedded", "clip_embeddings")):
        row[name] = _rows(tables, table, cell, pl.col("error").is_null())
    return row


def _rows(tables: Tables, name: str, cell: Cell, which: pl.Expr | None = None) -> int | None:
    file = tables.file(name, cell)
    if not file.exists() or not tables.is_intact(name, cell):
        return None
    scan = pl.scan_parquet(file, hive_partitioning=False)
    return int((scan if which is None else scan.filter(which)).select(pl.len()).collect().item())


def rejected_by_reason(config: DatasetConfig, sources: Iterable[str]) -> list[dict[str, object]]:
    """How many lines and files of each source are no records, and images that no record names, by reason."""
    tables, name = Tables(config.root_path), "rejected_records"
    rows: list[dict[str, object]] = []
    for source in sources:
        file = tables.file(name, Cell(source))
        if file.exists() and tables.is_intact(name, Cell(source)):
            counted = pl.scan_parquet(file, hive_partitioning=False).group_by("reason").len("rows").sort("reason")
            rows += [{"source": source, **row} for row in counted.collect().to_dicts()]
    return rows


def damage(config: DatasetConfig) -> list[str]:
    """The tables and index files that are not as they were committed, in words."""
    tables = Tables(config.root_path)
    lost = [
        f"{name} {cell}: its table is gone or was changed"
        for name, cell in tables.damaged()
        if config.declares(cell.source, cell.year)
    ]
    for index in (TAG_INDEX, VECTOR_INDEX):
        cells = declared_cells(config, index.name)
        present = opened(tables.root).each(partial(index_is_there, tables, index), cells)
        indexes = [cell for cell, is_there in zip(cells, present, strict=True) if not is_there]
        lost += [f"{index.name} {cell}: its index file is gone or was cut short" for cell in indexes]
    return lost


def undeclared_records(config: DatasetConfig, sources: Iterable[str]) -> list[str]:
    """What the sources' newest exports hold of years that dataset.yaml gives them not, in words."""
    said = []
    for source in sources:
        newest = Snapshots(config.root_path).present(source)
        declared = config.sources[source].years
        for year, (records, _) in sorted(newest.years.items()) if newest else ():
            if year not in declared:
                said.append(f"{source}: {counted(records, 'record')} of {year}, which is none of its years")
    return said


def undeclared_tables(config: DatasetConfig) -> list[str]:
    """The years in the root that dataset.yaml has not, or no longer, in words."""
    cells = Tables(config.root_path).cells(IMAGE_METADATA.name)
    left = [cell for cell in cells if not config.declares(cell.source, cell.year)]
    return [f"{cell} is not declared, but its tables are there; nothing uses them until it is again" for cell in left]
