"""The images themselves: taken in, judged, prepared for training.

What works on pixels is imported where it is used: NumPy and Pillow would be a third of what a code server starts with.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version

import dagster as dg
import polars as pl

from dataset_assets.assets.fetched_images import update_fetched
from dataset_assets.assets.graph import OWNERS, Graph, code_version, table_metadata
from dataset_assets.assets.origins import listed_files
from dataset_assets.assets.pictures import carried_along, contact_sheet_of, staged_rows, states
from dataset_assets.compute.update import Job, Recipe, Update
from dataset_assets.domain.schemas import IMAGE_FACTS, RAW_IMAGES, TRAINING_IMAGES, Table
from dataset_assets.domain.states import FILE_ERRORS
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.sources import adapters
from dataset_assets.storage.tables import Staged


def _release(library: str) -> str:
    return f"{library}-" + ".".join(version(library).split(".")[:2])


# Another Pillow decodes a little differently, so its version is part of what makes a row.
PILLOW = _release("pillow")
RAW_VERSION = "1"
FACTS_VERSION = f"2-{PILLOW}"
# So do the libraries that decode and scale ordinary files.
TRAINING_VERSION = f"2-{PILLOW}-{_release('pyvips-binary')}-{_release('simplejpeg')}"
FACTS = "What each image really is, found by decoding it whole: one row per stored raw image."
TRAINING = "Images as a trainer wants them, upright, sRGB, opaque, fitted into a box: one row per stored raw image."
# What tells where an image lies, and what is claimed of it.
LOCATED_BY = ("image_id", "post_id", "page", "file_ext", "file_name", "file_url", "md5", "is_banned")
# A row whose stored file was gone or damaged is made again: the file may have been mended since.
HAS_ITS_FILE = ~pl.col("error").is_in(FILE_ERRORS).fill_null(False)


def image_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage."""
    stores = {name: source.store for name, source in graph.config.sources.items()}
    return [
        graph.asset(
            raw_images,
            RAW_IMAGES,
            group="images",
            kinds={"python", "parquet"},
            version=RAW_VERSION,
            settings=stores,
            fed_from_outside=True,
        ),
        _judging_and_preparing(graph),
    ]


def _judging_and_preparing(graph: Graph) -> dg.AssetsDefinition:
    """The assets `image_facts` and `training_images`: each can be made alone, and both in one pass over the images."""
    settings = graph.config.training_images.model_dump()
    return dg.multi_asset(
        name="judge_and_prepare",
        specs=[
            _spec(IMAGE_FACTS, FACTS, code_version(FACTS_VERSION)),
            _spec(TRAINING_IMAGES, TRAINING, code_version(TRAINING_VERSION, settings)),
        ],
        ins={RAW_IMAGES.name: dg.AssetIn(RAW_IMAGES.name)},
        partitions_def=graph.partitions.source_year,
        can_subset=True,
    )(judge_and_prepare)


def _spec(table: Table, description: str, version: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        table.name,
        deps=[RAW_IMAGES.name],
        description=description,
        metadata=table_metadata(table),
        group_name="images",
        kinds={"pillow", "parquet"},
        owners=OWNERS,
        code_version=version,
    ).with_io_manager_key("tables")


def raw_images(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """The original files, hashed and kept, and why one is not: one row per image that the source lists."""
    from dataset_assets.compute import image_work

    name = str(cell_of(context).source)
    source = dataset.config.sources[name]
    listed = image_metadata.select(LOCATED_BY).collect()
    found = adapters()[source.kind].locate(source, listed, listed_files(dataset, name, say(context)))
    if source.is_fetched:
        fetched = update_fetched(context, dataset, source.fetch, listed.join(found, on="image_id", how="left"))
        return dataset.result(context, fetched, states(dataset.tables, fetched.staged))
    marks = (pl.col(mark).cast(pl.String).fill_null("-") for mark in ("size", "mtime_ns", "md5"))
    key = pl.format("{} {} {} {}", "location", *marks)
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


def judge_and_prepare(
    context: dg.AssetExecutionContext, dataset: Dataset, raw_images: pl.LazyFrame
) -> Iterator[dg.MaterializeResult[Staged]]:
    """Judge the stored images and prepare them for training; both in one pass where both are asked for."""
    inputs = stored(raw_images)
    ways = {
        IMAGE_FACTS.name: (IMAGE_FACTS, _judging(dataset)),
        TRAINING_IMAGES.name: (TRAINING_IMAGES, _preparing(dataset)),
    }
    asked = {"/".join(key.path) for key in context.selected_asset_keys}
    jobs = [Job(table, inputs, recipe) for name, (table, recipe) in ways.items() if name in asked]
    for job, made in zip(jobs, _made(context, dataset, jobs), strict=True):
        sheet = {}
        if job.table is IMAGE_FACTS:
            sheet = carried_along(staged_rows(dataset.tables, made.staged))
        if job.table is TRAINING_IMAGES:
            sheet = contact_sheet_of(dataset, made.staged, staged_rows(dataset.tables, made.staged))
        yield dataset.result(context, made, {**states(dataset.tables, made.staged), **sheet})


def _made(context: dg.AssetExecutionContext, dataset: Dataset, jobs: Sequence[Job]) -> list[Update]:
    from dataset_assets.compute import image_work

    if len(jobs) == 1:
        return [dataset.update(context, jobs[0].table, jobs[0].inputs, jobs[0].recipe)]
    judge, prepare = (job.recipe.function for job in jobs)
    assert isinstance(judge, image_work.Judge)
    assert isinstance(prepare, image_work.Prepare)
    return dataset.update_together(context, jobs, image_work.JudgeAndPrepare(judge, prepare))


def _judging(dataset: Dataset) -> Recipe:
    from dataset_assets.compute import image_work
    from dataset_assets.domain.images import LIMITS

    return Recipe(
        parts={"version": FACTS_VERSION},
        function=image_work.Judge(dataset.blobs, LIMITS),
        lost=image_work.lost_facts,
        settled=HAS_ITS_FILE,
    )


def _preparing(dataset: Dataset) -> Recipe:
    from dataset_assets.compute import image_work
    from dataset_assets.domain.images import LIMITS
    from dataset_assets.domain.training import TrainingRecipe

    settings = dataset.config.training_images.model_dump()
    return Recipe(
        parts={"version": TRAINING_VERSION, **settings},
        function=image_work.Prepare(dataset.blobs, TrainingRecipe(**settings), LIMITS),
        lost=image_work.lost_training_image,
        settled=HAS_ITS_FILE,
        file_size=dataset.blobs.size,
    )


def stored(raw_images: pl.LazyFrame) -> pl.DataFrame:
    """The stored rows of `raw_images`, as inputs keyed by the content of the file."""
    rows = raw_images.filter(pl.col("state") == "stored").select("image_id", "path", "sha256")
    return rows.with_columns(input_key="sha256").collect()
