"""The images themselves: taken in, judged, prepared for training.

What works on pixels is imported where it is used: NumPy and Pillow would be a third of what a code server starts with.
"""

from importlib.metadata import version

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import contact_sheet_of, staged_rows, states
from dataset_assets.compute.update import Recipe
from dataset_assets.domain.schemas import IMAGE_FACTS, RAW_IMAGES, TRAINING_IMAGES
from dataset_assets.domain.states import FILE_ERRORS
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.sources import adapters
from dataset_assets.storage.tables import Staged

# Another Pillow decodes a little differently, so its version is part of what makes a row.
PILLOW = "pillow-" + ".".join(version("pillow").split(".")[:2])
RAW_VERSION = "1"
FACTS_VERSION = f"1-{PILLOW}"
TRAINING_VERSION = f"1-{PILLOW}"
# A row whose stored file was gone or damaged is made again: the file may have been mended since.
HAS_ITS_FILE = ~pl.col("error").is_in(FILE_ERRORS).fill_null(False)


def image_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage."""
    settings = graph.config.training_images.model_dump()
    group, kinds = "images", {"pillow", "parquet"}
    stores = {name: source.store for name, source in graph.config.sources.items()}
    return [
        graph.asset(
            raw_images,
            RAW_IMAGES,
            group=group,
            kinds={"python", "parquet"},
            version=RAW_VERSION,
            settings=stores,
            fed_from_outside=True,
        ),
        graph.asset(image_facts, IMAGE_FACTS, group=group, kinds=kinds, version=FACTS_VERSION),
        graph.asset(
            training_images, TRAINING_IMAGES, group=group, kinds=kinds, version=TRAINING_VERSION, settings=settings
        ),
    ]


def raw_images(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """The original files, hashed and kept, and why one is not: one row per image that the source lists."""
    from dataset_assets.compute import image_work

    source = dataset.config.sources[str(cell_of(context).source)]
    listed = image_metadata.select("image_id", "post_id", "page", "file_ext", "file_name", "md5").collect()
    found = adapters()[source.kind].locate(source, listed)
    key = pl.format("{} {} {} {}", "location", "size", "mtime_ns", pl.col("md5").fill_null("-"))
    inputs = listed.join(found, on="image_id", how="left").with_columns(input_key=key.fill_null("missing"))
    recipe = Recipe(
        parts={"version": RAW_VERSION, "store": source.store},
        function=image_work.TakeIn(dataset.blobs, source.store),
        lost=image_work.lost_raw_image,
        # A missing file is looked for on every run by `locate`, at no cost; its row need not be made again.
        settled=(pl.col("state") != "pending") | (pl.col("input_key") == "missing"),
        file_size=None if source.store == "reference" else dataset.blobs.size,  # `locate` looks at the mirror itself
    )
    made = dataset.update(context, RAW_IMAGES, inputs, recipe)
    return dataset.result(context, made, states(dataset.tables, made.staged))


def image_facts(
    context: dg.AssetExecutionContext, dataset: Dataset, raw_images: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """What each image really is, found by decoding it whole: one row per stored raw image."""
    from dataset_assets.compute import image_work
    from dataset_assets.domain.images import LIMITS

    recipe = Recipe(
        parts={"version": FACTS_VERSION},
        function=image_work.Judge(dataset.blobs, LIMITS),
        lost=image_work.lost_facts,
        settled=HAS_ITS_FILE,
    )
    made = dataset.update(context, IMAGE_FACTS, stored(raw_images), recipe)
    return dataset.result(context, made, states(dataset.tables, made.staged))


def training_images(
    context: dg.AssetExecutionContext, dataset: Dataset, raw_images: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Images as a trainer wants them, upright, sRGB, opaque, at most so large: one row per stored raw image."""
    from dataset_assets.compute import image_work
    from dataset_assets.domain.images import LIMITS
    from dataset_assets.domain.training import TrainingRecipe

    settings = dataset.config.training_images
    recipe = Recipe(
        parts={"version": TRAINING_VERSION, **settings.model_dump()},
        function=image_work.Prepare(dataset.blobs, TrainingRecipe(**settings.model_dump()), LIMITS),
        lost=image_work.lost_training_image,
        settled=HAS_ITS_FILE,
        file_size=dataset.blobs.size,
    )
    made = dataset.update(context, TRAINING_IMAGES, stored(raw_images), recipe)
    sheet = contact_sheet_of(dataset, made.staged, staged_rows(dataset.tables, made.staged))
    return dataset.result(context, made, {**states(dataset.tables, made.staged), **sheet})


def stored(raw_images: pl.LazyFrame) -> pl.DataFrame:
    """The stored rows of `raw_images`, as inputs keyed by the content of the file."""
    rows = raw_images.filter(pl.col("state") == "stored").select("image_id", "path", "sha256")
    return rows.with_columns(input_key="sha256").collect()
