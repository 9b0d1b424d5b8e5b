"""Posts that belong together, as Danbooru says: families of parents and children, and pools."""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DanbooruSource
from dataset_assets.domain.families import FAMILIES
from dataset_assets.domain.families import families as families_of
from dataset_assets.domain.schemas import Table
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.sources.danbooru_side_tables import (
    ARTIST_COMMENTARIES,
    NOTES,
    POOLS,
    read_commentaries,
    read_notes,
    read_pools,
)
from dataset_assets.sources.local_files import fingerprint_of
from dataset_assets.storage.tables import Cell, Staged

FAMILIES_VERSION = SIDE_TABLES_VERSION = "1"


def family_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """`families`, and what Danbooru publishes beside its posts: `pools`, `artist_commentaries` and `notes`."""
    kinds = {"polars", "parquet"}
    side_tables = [
        graph.asset(
            function,
            table,
            group="metadata",
            kinds=kinds,
            version=SIDE_TABLES_VERSION,
            settings=(dumps := _dumps(graph, table.name)),
            by_source=True,
            fed_from_outside=bool(dumps),
        )
        for function, table in ((pools, POOLS), (artist_commentaries, ARTIST_COMMENTARIES), (notes, NOTES))
    ]
    return [
        graph.asset(families, FAMILIES, group="metadata", kinds=kinds, version=FAMILIES_VERSION, by_source=True),
        *side_tables,
    ]


def _dumps(graph: Graph, key: str) -> dict[str, Sequence[str]]:
    """The dumps that sources name under a key of dataset.yaml, by source."""
    sources = graph.config.sources.items()
    named = {name: getattr(source, key) for name, source in sources if isinstance(source, DanbooruSource)}
    return {name: patterns for name, patterns in named.items() if patterns}


def families(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Parents and children, and what is wrong with their links: one row per post that has a parent or children."""
    rows = families_of(image_metadata)
    staged = dataset.tables.stage(FAMILIES, cell_of(context), rows)
    return dataset.result(
        context, staged, {"families": rows.get_column("root_id").n_unique(), **counts_of(rows, "problem")}
    )


def pools(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Pools in their order, from a dump of pools and from what posts say: one row per pool and post in it."""
    return _side_table(context, dataset, POOLS, lambda files: read_pools(files, image_metadata))


def artist_commentaries(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Artists' titles and words, original and translated: one row per post that its artist commented on."""
    return _side_table(
        context,
        dataset,
        ARTIST_COMMENTARIES,
        lambda files: read_commentaries(files, image_metadata),
    )


def notes(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Translations and remarks laid over images, each with its box: one row per note."""
    return _side_table(context, dataset, NOTES, lambda files: read_notes(files, image_metadata))


def _side_table(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    table: Table,
    read: Callable[[Sequence[Path]], pl.LazyFrame],
) -> dg.MaterializeResult[Staged]:
    """A table out of the dumps that its key in dataset.yaml names; read anew only when they or the images changed."""
    cell, tables = cell_of(context), dataset.tables
    source = dataset.config.sources[str(cell.source)]
    if not isinstance(source, DanbooruSource):
        return dataset.result(context, tables.stage(table, cell, table.empty()))
    dataset.config.require_inputs([str(cell.source)])
    files = source.files(getattr(source, table.name))
    recipe = fingerprint(
        {"version": SIDE_TABLES_VERSION, "dumps": fingerprint_of(files), "images": _images(dataset, cell)}
    )
    commit = tables.commit_of(table.name, cell)
    if commit is not None and commit.recipe == recipe and tables.is_intact(table.name, cell):
        return dataset.result(context, tables.unchanged(table, cell))
    rows = read(files).collect()
    of_unknown = rows.filter(pl.col("error").is_null(), pl.col("post_id").is_not_null(), pl.col("image_id").is_null())
    staged = tables.stage(table, cell, rows, recipe)
    return dataset.result(context, staged, {"rows_of_unknown_posts": of_unknown.height, **counts_of(rows, "error")})


def _images(dataset: Dataset, cell: Cell) -> dict[str, str]:
    """The content of a source's `image_metadata`, by year."""
    name = "image_metadata"
    cells = dataset.cells_of(name, cell.source)
    return {str(found): commit.sha256 for found in cells if (commit := dataset.tables.commit_of(name, found))}
