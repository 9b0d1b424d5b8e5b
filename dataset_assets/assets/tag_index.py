"""The index that answers tag queries: one file of bitmaps for each year of a source."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.takedowns import without_taken_down
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_INDEX, TAG_METADATA
from dataset_assets.domain.takedowns import TAKEDOWNS
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.tables import Cell, Staged

TAG_INDEX_VERSION = "2"


def tag_index_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `tag_index`."""
    return graph.asset(
        tag_index,
        TAG_INDEX,
        group="metadata",
        kinds={"polars", "parquet"},
        version=TAG_INDEX_VERSION,
        deps=[TAKEDOWNS.name],
    )


def tag_index(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame, tag_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Which images have which tag, rating, score and so on, as bitmaps: one row per index file.

    Images that were taken down are not in it.

    The file lies below the root and is read through a memory map. A file that a newer one replaced stays until it is
    removed; no table lists it.
    """
    from dataset_assets.domain.tag_index_build import index_bytes

    cell = cell_of(context)
    made_from = {
        table.name: version_of(dataset, table.name, cell) for table in (IMAGE_METADATA, TAG_METADATA, TAKEDOWNS)
    }
    images, tags = (without_taken_down(dataset, rows, cell) for rows in (image_metadata, tag_metadata))
    written = IndexFiles(dataset.config.root_path).write(
        f"{TAG_INDEX.name}/{cell.source}/{cell.year}", index_bytes(images, tags)
    )
    counts = {
        "images": int(images.select(pl.len()).collect().item()),
        "pairs": int(tags.select(pl.len()).collect().item()),
    }
    row: dict[str, object] = {
        "path": written.path,
        "sha256": written.sha256,
        "size": written.bytes,
        **counts,
        **made_from,
    }
    staged = dataset.tables.stage(TAG_INDEX, cell, TAG_INDEX.frame([row]))
    return dataset.result(context, staged, {**counts, "index_bytes": written.bytes, "index_file": written.path})


def version_of(dataset: Dataset, name: str, cell: Cell) -> str | None:
    """The SHA-256 of a partition's table; null where it was written by something else."""
    commit = dataset.tables.commit_of(name, cell)
    return None if commit is None else commit.sha256
