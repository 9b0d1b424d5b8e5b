"""The catalog: a DuckDB file with a view for each table, for people who ask in SQL.

Of a root in a bucket it is a script: DuckDB looks at a view's files when the view is made, and reads `s3://` only with
an extension that it downloads, which is for whoever runs the script to decide.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import OWNERS, table_metadata
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import Column, Table
from dataset_assets.places import Place, S3Place
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.durable import scratch_file
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Staged, Tables

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
    """A DuckDB file over all tables, to be opened by any DuckDB: one row per view.

    Of a root in a bucket, a script that makes the views: `duckdb -init catalog.sql`.
    """
    import duckdb

    tables, root = dataset.tables, opened(dataset.config.root_path)
    with scratch_file(tables.scratch, ".duckdb") as file:
        with duckdb.connect(file) as connection:
            views = create_views(connection, dataset.config)
        if not root.is_bucket:
            root.put_file(catalog_name(dataset.config.root_path), file)
    if root.is_bucket:
        root.put(catalog_name(dataset.config.root_path), script(dataset.config).encode())
    staged = tables.stage(CATALOG, cell_of(context), views)
    shown = root.shown(catalog_name(dataset.config.root_path))
    return dataset.result(context, staged, {"catalog_file": dg.MetadataValue.path(shown)})


def catalog_name(root: Place) -> str:
    """What the catalog is called below a root."""
    return "catalog.duckdb" if isinstance(root, Path) else "catalog.sql"


def create_views(connection: "duckdb.DuckDBPyConnection", config: DatasetConfig) -> pl.DataFrame:
    """Create a view for each table that exists, of the years that dataset.yaml declares, and `funnel` over all subsets.

    Returns: the rows of `catalog`. A table `subset/sfw` is the view `subset.sfw`.
    """
    tables, rows = Tables(config.root_path), []
    shown = _shown(config, tables)
    for statement in _statements(shown, partial(_files_here, tables)):
        connection.execute(statement)
    for name, cells in shown.items():
        count = sum(commit.rows for commit in tables.commits(name, cells) if commit is not None)
        rows.append({"view": name.replace("/", "."), "table": name, "partitions": len(cells), "rows": count})
    if any(name.startswith("subset/") for name in shown):
        rows.append({"view": "funnel", "table": "subset/*", "partitions": 0, "rows": 0})
    return CATALOG.frame(rows)


def script(config: DatasetConfig) -> str:
    """The same views as a script over the files of a bucket."""
    tables = Tables(config.root_path)
    statements = _statements(_shown(config, tables), partial(_files_in_bucket, tables))
    lines = ["INSTALL httpfs", "LOAD httpfs", f"CREATE OR REPLACE SECRET ({_secret(tables.root)})"]
    return "".join(f"{line};\n" for line in [*lines, *statements])


def _secret(at: Place) -> str:
    """How DuckDB finds the bucket, and where it looks for credentials; none is named here."""
    parts = ["TYPE s3", "PROVIDER credential_chain"]
    if isinstance(at, S3Place) and at.region:
        parts.append(f"REGION {_text(at.region)}")
    if isinstance(at, S3Place) and at.endpoint_url:
        scheme, _, host = at.endpoint_url.rstrip("/").partition("://")
        parts += [f"ENDPOINT {_text(host)}", "URL_STYLE 'path'", f"USE_SSL {str(scheme == 'https').lower()}"]
    return ", ".join(parts)


def _shown(config: DatasetConfig, tables: Tables) -> dict[str, list[Cell]]:
    """The declared partitions of each table that has any."""
    found = {name: declared_cells(config, name) for name in table_names(tables)}
    return {name: cells for name, cells in found.items() if cells}


def _statements(shown: dict[str, list[Cell]], files: Callable[[str, list[Cell]], str]) -> Iterator[str]:
    """What makes the views; `files` gives a table's files, of these partitions, as DuckDB names them."""
    for name, cells in shown.items():
        if "/" in name:
            yield f"CREATE SCHEMA IF NOT EXISTS {_quoted(name.split('/')[0])}"
        view = ".".join(_quoted(part) for part in name.split("/"))
        yield f"CREATE VIEW {view} AS SELECT * FROM {_parquet(name, cells, files(name, cells))}"  # noqa: S608 - quoted
    if subsets := [name for name in shown if name.startswith("subset/")]:
        yield f"CREATE VIEW funnel AS {' UNION ALL '.join(_funnel(name) for name in subsets)}"


def table_names(tables: Tables) -> list[str]:
    """The tables that exist, by name; the catalog itself is none of them."""
    return [name for name in tables.names() if name != CATALOG.name]


def _files_here(tables: Tables, name: str, cells: list[Cell]) -> str:
    """Files on this machine: a pattern if it means these, so that a view knows later years too; of a bucket, copies."""
    if isinstance(tables.root, Path) and cells == tables.cells(name):
        return _text(str(tables.root / "tables" / name / "**" / "data.parquet"))
    return _list(str(file) for file in tables.files(name, cells))


def _files_in_bucket(tables: Tables, name: str, cells: list[Cell]) -> str:
    if cells == tables.cells(name):
        return _text(opened(tables.root).shown(f"tables/{name}/**/data.parquet"))
    return _list(tables.shown(name, cell) for cell in cells)


def _list(files: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, files))}]"


def _parquet(name: str, cells: list[Cell], files: str) -> str:
    # Their own `source` is what the export says: where the uploader found the image.
    if name in ("source_snapshot", "vanished_records"):
        return f"read_parquet({files}, hive_partitioning = false, union_by_name = true)"
    if not any(cell.source for cell in cells):  # a table over all sources: no folder names one
        return f"read_parquet({files}, hive_partitioning = false)"
    types = "{'source': VARCHAR, 'year': INTEGER}" if any(cell.year for cell in cells) else "{'source': VARCHAR}"
    return f"read_parquet({files}, hive_partitioning = true, union_by_name = true, hive_types = {types})"


def _funnel(name: str) -> str:
    subset = name.partition("/")[2]
    columns = f"'{subset}' AS subset, source, year, drop_reason, count(*) AS images"
    return f"SELECT {columns} FROM {_quoted('subset')}.{_quoted(subset)} GROUP BY ALL"  # noqa: S608 - names of a-z, 0-9, _


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
