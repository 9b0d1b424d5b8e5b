"""What leads to further works at Pixiv: popularity tags to search for, and works that link to another."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import staged_rows
from dataset_assets.config import GalleryDlSource, PixivListsSource
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.sources.pair_candidates import PAIR_CANDIDATES
from dataset_assets.sources.pair_candidates import pair_candidates as candidates_of
from dataset_assets.sources.pixiv_lists import BOOKMARK_TAGS, read_bookmark_tags
from dataset_assets.storage.tables import Staged

LEADS_VERSION = "1"
PIXIV_LEADS = (BOOKMARK_TAGS.name, PAIR_CANDIDATES.name)


def leads_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this module, each of a source as a whole."""
    kinds = {"polars", "parquet"}
    return [
        graph.asset(
            bookmark_tags,
            BOOKMARK_TAGS,
            group="metadata",
            kinds=kinds,
            version=LEADS_VERSION,
            by_source=True,
            fed_from_outside=True,
        ),
        graph.asset(
            pair_candidates,
            PAIR_CANDIDATES,
            group="curation",
            kinds=kinds,
            version=LEADS_VERSION,
            deps=["source_snapshot"],
            by_source=True,
        ),
    ]


def bookmark_tags(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Tags that Pixiv's users give to works with many bookmarks: one row per tag that the source's list names."""
    cell = cell_of(context)
    source = dataset.config.sources[str(cell.source)]
    rows = BOOKMARK_TAGS.empty()
    if isinstance(source, PixivListsSource) and source.bookmark_tags:
        lists = [read_bookmark_tags(file) for file in source.files([source.bookmark_tags])]
        rows = pl.concat([rows, *lists]).unique("tag", keep="first", maintain_order=True)
    tiers = {str(tier): tags for tier, tags in rows.group_by("tier").len().sort("tier").iter_rows()}
    return dataset.result(context, dataset.tables.stage(BOOKMARK_TAGS, cell, rows), {"tags_by_tier": tiers})


def pair_candidates(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Works that may colour a sketch, for a human to look at: one row per work and other work that it links to."""
    cell = cell_of(context)
    rows = PAIR_CANDIDATES.empty().lazy()
    if isinstance(dataset.config.sources[str(cell.source)], GalleryDlSource):
        from dataset_assets.sources import gallery_dl

        rows = candidates_of(dataset.tables.scan(gallery_dl.SNAPSHOT, cell))
    staged = dataset.tables.stage(PAIR_CANDIDATES, cell, rows)
    tagged = staged_rows(dataset.tables, staged).filter(pl.col("coloring_tags").list.len() > 0)
    return dataset.result(context, staged, {"tagged_as_coloring": int(tagged.select(pl.len()).collect().item())})
