"""The catalog: a DuckDB file with a view for each table, for people who ask in SQL."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import OWNERS, table_metadata
from dataset_assets.domain.schemas import Column, Table
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.durable import place, scratch_file
from dataset_assets.storage.tables import Staged, Tables

if TYPE_CHECKING:
    import duckdb

CATALOG = Table(
    "catalog",
    "view in the DuckDB file",
    (
        Column("view", pl.String, "name to use in SQL"),
        Column("table", pl.String, "the table behind it"),
        Column("partitions", pl.Int32, "partitions that exist"),
        Column("rows", pl.Int64, "rows in all of them"),
    ),
    sorted_by=("view",),
)


def catalog_asset(upstream: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset `catalog`, behind all tables."""
    return dg.asset(
        key="catalog",
        group_name="releases",
        kinds={"duckdb"},
        owners=OWNERS,
        code_version="1",
        io_manager_key="tables",
        deps=list(upstream),
        description=catalog.__doc__,
        metadata=table_metadata(CATALOG),
    )(catalog)


def catalog(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """A DuckDB file over all tables, to be opened by any DuckDB: one row per view."""
    import duckdb

    target = catalog_file(dataset.config.root_path)
    with scratch_file(dataset.tables.scratch, ".duckdb") as file:
        with duckdb.connect(file) as connection:
            views = create_views(connection, dataset.tables)
        place(file, target)
    staged = dataset.tables.stage(CATALOG, cell_of(context), views)
    return dataset.result(context, staged, {"duckdb_file": dg.MetadataValue.path(str(target))})


def catalog_file(root: Path) -> Path:
    """Where the DuckDB file lies."""
    return root / "catalog.duckdb"


def create_views(connection: "duckdb.DuckDBPyConnection", tables: Tables) -> pl.DataFrame:
    """Create a view for each table that exists, and `funnel` over all subsets.

    Returns: the rows of `catalog`. A table `subset/sfw` is the view `subset.sfw`.
    """
    rows = []
    for name in table_names(tables):
        if "/" in name:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(name.split('/')[0])}")
        view = ".".join(_quoted(part) for part in name.split("/"))
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {_parquet(tables, name)}")  # noqa: S608 - quoted
        cells = tables.cells(name)
        count = sum(commit.rows for cell in cells if (commit := tables.commit_of(name, cell)) is not None)
        rows.append({"view": name.replace("/", "."), "table": name, "partitions": len(cells), "rows": count})
    if subsets := [name for name in table_names(tables) if name.startswith("subset/")]:
        connection.execute(f"CREATE VIEW funnel AS {' UNION ALL '.join(_funnel(name) for name in subsets)}")
        rows.append({"view": "funnel", "table": "subset/*", "partitions": 0, "rows": 0})
    return CATALOG.frame(rows)


def table_names(tables: Tables) -> list[str]:
    """The tables that exist, by name; the catalog itself is none of them."""
    top = tables.root / "tables"
    files = top.glob("**/data.parquet")
    names = {"/".join(part for part in file.relative_to(top).parts[:-1] if "=" not in part) for file in files}
    return sorted(names - {CATALOG.name})


def _parquet(tables: Tables, name: str) -> str:
    files = str(tables.root / "tables" / name / "**" / "data.parquet").replace("'", "''")
    # Their own `source` is what the export says: where the uploader found the image.
    if name in ("source_snapshot", "vanished_records"):
        return f"read_parquet('{files}', hive_partitioning = false, union_by_name = true)"
    if not any(cell.source for cell in tables.cells(name)):  # a table over all sources: no folder names one
        return f"read_parquet('{files}', hive_partitioning = false)"
    types = "{'source': VARCHAR, 'year': INTEGER}" if any(c.year for c in tables.cells(name)) else "{'source': VARCHAR}"
    return f"read_parquet('{files}', hive_partitioning = true, union_by_name = true, hive_types = {types})"


def _funnel(name: str) -> str:
    subset = name.partition("/")[2]
    columns = f"'{subset}' AS subset, source, year, drop_reason, count(*) AS images"
    return f"SELECT {columns} FROM {_quoted('subset')}.{_quoted(subset)} GROUP BY ALL"  # noqa: S608 - names of a-z, 0-9, _


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
