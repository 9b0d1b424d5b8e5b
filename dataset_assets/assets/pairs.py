"""Pairs of a sketch and its colouring."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.config import PixivListsSource
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.sources.sketch_pairs import COMPLETED_SKETCH_PAIRS, completeness, read_pairs
from dataset_assets.storage.tables import Staged


def pairs_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `sketch_pairs`."""
    return graph.asset(
        sketch_pairs,
        COMPLETED_SKETCH_PAIRS,
        group="curation",
        kinds={"polars", "parquet"},
        version="1",
        deps=["source_snapshot"],
        by_source=True,
    )


def sketch_pairs(
    context: dg.AssetExecutionContext, dataset: Dataset, raw_images: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Sketches and their colourings, and whether both images are stored: one row per colored/sketch pair."""
    cell = cell_of(context)
    source = dataset.config.sources[str(cell.source)]
    if not isinstance(source, PixivListsSource) or source.sketch_pairs is None:
        return dataset.result(
            context, dataset.tables.stage(COMPLETED_SKETCH_PAIRS, cell, COMPLETED_SKETCH_PAIRS.empty())
        )
    pairs, _ = read_pairs(str(cell.source), source)
    completed = completeness(pairs, raw_images)
    complete = completed.filter(pl.col("state") == "complete").height
    staged = dataset.tables.stage(COMPLETED_SKETCH_PAIRS, cell, completed)
    return dataset.result(context, staged, {"complete": complete, "incomplete": completed.height - complete})
