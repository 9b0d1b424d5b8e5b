"""The same work, met in two sources."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of, staged_rows
from dataset_assets.domain.pixiv_works import PIXIV_WORKS, SAME_WORKS
from dataset_assets.domain.pixiv_works import pixiv_works as works_of
from dataset_assets.domain.pixiv_works import same_works as met_again
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.tables import Staged

WORKS_VERSION = "1"
KINDS_OF_PIXIV = ("gallery_dl", "pixiv_lists")  # sources whose posts are works at Pixiv


def works_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage: `pixiv_works` of each source, and `same_works` of all."""
    group, kinds = "metadata", {"polars", "parquet"}
    return [
        graph.asset(pixiv_works, PIXIV_WORKS, group=group, kinds=kinds, version=WORKS_VERSION, by_source=True),
        graph.asset(same_works, SAME_WORKS, group=group, kinds=kinds, version=WORKS_VERSION, across_sources=True),
    ]


def pixiv_works(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Which work at Pixiv an image is, and how that is known: one row per image that is known to be of one."""
    cell = cell_of(context)
    is_of_pixiv = dataset.config.sources[str(cell.source)].kind in KINDS_OF_PIXIV
    staged = dataset.tables.stage(PIXIV_WORKS, cell, works_of(image_metadata, is_of_pixiv=is_of_pixiv))
    rows = staged_rows(dataset.tables, staged).select("evidence").collect()
    return dataset.result(context, staged, counts_of(rows, "evidence"))


def same_works(
    context: dg.AssetExecutionContext, dataset: Dataset, pixiv_works: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Pixiv works that two or more sources have: one row per image of such a work."""
    staged = dataset.tables.stage(SAME_WORKS, cell_of(context), met_again(pixiv_works))
    rows = staged_rows(dataset.tables, staged).select("pixiv_id", "match").collect()
    works = rows.get_column("pixiv_id").n_unique()
    return dataset.result(context, staged, {"works": works, **counts_of(rows, "match")})
