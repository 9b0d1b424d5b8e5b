"""The originals in fewer bytes, for those who store or pass on what they collected.

It costs seconds of processor time for each large image and nothing else is made from it. So a rebuild makes it only
where dataset.yaml has an `optimized_images` block; elsewhere it is made when it is asked for by name.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.per_image import HAS_ITS_FILE
from dataset_assets.assets.pictures import counts_of, staged_rows, states
from dataset_assets.compute.update import Recipe
from dataset_assets.config import OptimizedImages
from dataset_assets.domain.optimized_images import OPTIMIZED_IMAGES
from dataset_assets.resources import Dataset
from dataset_assets.storage.blobs import Blobs
from dataset_assets.storage.tables import Staged, Tables

# Other optimizers write other bytes.
_LIBRARIES = ("pyoxipng", "mozjpeg-lossless-optimization", "pillow")
OPTIMIZED_VERSION = "-".join(["1", *(version(library) for library in _LIBRARIES)])
# A PNG of 100 million pixels takes half a minute: few rows at a time, or a batch takes too long.
ROWS_PER_BATCH = 4


def optimized_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `optimized_images`."""
    settings = graph.config.optimized_images or OptimizedImages()
    return graph.asset(
        optimized_images,
        OPTIMIZED_IMAGES,
        group="images",
        kinds={"python", "parquet"},
        version=OPTIMIZED_VERSION,
        settings=settings.model_dump(),
    )


def optimized_images(
    context: dg.AssetExecutionContext, dataset: Dataset, raw_images: pl.LazyFrame, image_facts: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """The originals recompressed without loss, or as they are if that gains nothing: one row per stored raw image."""
    from dataset_assets.compute import lossless_work
    from dataset_assets.domain.images import LIMITS
    from dataset_assets.domain.lossless import LosslessRecipe

    settings = (dataset.config.optimized_images or OptimizedImages()).model_dump()
    inputs = _inputs(raw_images, image_facts)
    has_its_original = pl.col("path").is_in(inputs.get_column("path").implode())
    recipe = Recipe(
        parts={"version": OPTIMIZED_VERSION, **settings},
        function=lossless_work.Optimize(dataset.blobs, LosslessRecipe(**settings), LIMITS),
        lost=lossless_work.lost_optimized_image,
        rows_per_batch=ROWS_PER_BATCH,
        settled=HAS_ITS_FILE & (pl.col("kept_because").is_null() | has_its_original),
        file_size=_file_size(dataset.blobs, inputs),
    )
    made = dataset.update(context, OPTIMIZED_IMAGES, inputs, recipe)
    return dataset.result(context, made, _gains(dataset.tables, made.staged))


def _inputs(raw_images: pl.LazyFrame, image_facts: pl.LazyFrame) -> pl.DataFrame:
    """The stored images with what is known of them, keyed by their content."""
    facts = image_facts.select("image_id", "sha256", "pixel_hash", facts_error="error")
    columns = ("image_id", "path", "sha256", "size", "md5", "format", "extension")
    stored = raw_images.filter(pl.col("state") == "stored").select(columns)
    return stored.join(facts, on=["image_id", "sha256"], how="left").with_columns(input_key="sha256").collect()


def _file_size(blobs: Blobs, inputs: pl.DataFrame) -> Callable[[str], int | None]:
    """Bytes of a file by its path; of originals outside the root, as `raw_images` knows them."""
    outside = dict(inputs.filter(pl.col("path").str.contains("^/|://")).select("path", "size").iter_rows())
    return lambda path: outside.get(path) or blobs.size(path)


def _gains(tables: Tables, staged: Staged) -> dict[str, Any]:
    """Bytes before and after, why originals were kept, and the share saved by format, for the UI."""
    rows = staged_rows(tables, staged).filter(pl.col("error").is_null())
    before, after = pl.col("original_size").sum(), pl.col("size").sum()
    by_format = rows.group_by("format").agg(
        images=pl.len().cast(pl.Int64),
        recompressed=pl.col("kept_because").is_null().sum().cast(pl.Int64),
        bytes_before=before,
        bytes_after=after,
        saved_share=(1 - after / before).round(4),
    )
    table = by_format.sort("format").collect()
    total_before, total_after = int(table["bytes_before"].sum()), int(table["bytes_after"].sum())
    return {
        **states(tables, staged),
        **counts_of(rows.select(kept=pl.format("kept_{}", "kept_because")).collect(), "kept"),
        "bytes_before": total_before,
        "bytes_saved": total_before - total_after,
        "saved_share": round(1 - total_after / total_before, 4) if total_before else 0.0,
        "by_format": dg.MetadataValue.table([dg.TableRecord(row) for row in table.to_dicts()], schema=_BY_FORMAT),
    }


_BY_FORMAT = dg.TableSchema(
    [
        dg.TableColumn("format"),
        dg.TableColumn("images", "int"),
        dg.TableColumn("recompressed", "int"),
        dg.TableColumn("bytes_before", "int"),
        dg.TableColumn("bytes_after", "int"),
        dg.TableColumn("saved_share", "float"),
    ]
)
