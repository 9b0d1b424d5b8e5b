"""What the sources' records contradict."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of, staged_rows
from dataset_assets.domain.metadata_doubts import METADATA_DOUBTS
from dataset_assets.domain.metadata_doubts import metadata_doubts as doubts_of
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.tables import Staged


def doubts_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `metadata_doubts`."""
    return graph.asset(
        metadata_doubts, METADATA_DOUBTS, group="metadata", kinds={"polars", "parquet"}, version="1", by_source=True
    )


def metadata_doubts(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame, tag_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """What records say that cannot be, or that contradicts another thing they say: one row per image and doubt."""
    staged = dataset.tables.stage(METADATA_DOUBTS, cell_of(context), doubts_of(image_metadata, tag_metadata))
    rows = staged_rows(dataset.tables, staged).select("doubt").collect()
    return dataset.result(context, staged, counts_of(rows, "doubt"))
