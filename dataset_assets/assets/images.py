"""The images themselves: taken in, judged, prepared for training.

What works on pixels is imported where it is used: NumPy and Pillow would be a third of what a code server starts with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version

import dagster as dg
import polars as pl

from dataset_assets.assets.fetched_images import update_fetched
from dataset_assets.assets.graph import OWNERS, Graph, code_version, table_metadata
from dataset_assets.assets.origins import listed_files
from dataset_assets.assets.per_image import HAS_ITS_FILE
from dataset_assets.assets.pictures import carried_along, contact_sheet_of, staged_rows, states
from dataset_assets.assets.takedowns import is_takedowns_only, requests_of, taken_down
from dataset_assets.compute.fetch_inputs import TAKEN_DOWN, kept_out_key
from dataset_assets.compute.update import Job, Recipe, Update
from dataset_assets.domain.blocked import REASON
from dataset_assets.domain.schemas import IMAGE_FACTS, RAW_IMAGES, TRAINING_IMAGES, Table
from dataset_assets.domain.takedowns import TAKEDOWNS, blocked_by
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.sources import adapters
from dataset_assets.storage.tables import Cell, Staged


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
MISSING = "missing"  # how the key of an image without a file begins
LOCATED_BY = ("image_id", "post_id", "page", "file_ext", "file_name", "file_url", "md5", "is_banned")


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
            deps=[TAKEDOWNS.name],
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

    if is_takedowns_only(context):
        taken_out = _without_taken_down(dataset, cell_of(context))
        return dataset.result(context, taken_out, states(dataset.tables, taken_out))
    name, blocked = str(cell_of(context).source), blocked_by(requests_of(dataset))
    source = dataset.config.sources[name]
    listed = image_metadata.select(LOCATED_BY).collect()
    down = taken_down(dataset, listed["image_id"])
    wanted = listed.join(down, on="image_id", how="anti", maintain_order="left")
    found = adapters()[source.kind].locate(source, wanted, listed_files(dataset, name, say(context)))
    located = listed.join(found, on="image_id", how="left").join(down, on="image_id", how="left")
    if source.is_fetched:
        fetched = update_fetched(context, dataset, source.fetch, located, blocked)
        return dataset.result(context, fetched, states(dataset.tables, fetched.staged))
    marks = (pl.col(mark).cast(pl.String).fill_null("-") for mark in ("size", "mtime_ns", "md5"))
    key = pl.format("{} {} {} {}", "location", *marks)
    lacking = pl.format(f"{MISSING} {{}}", "problem") if "problem" in located.columns else pl.lit(None, pl.String)
    inputs = located.with_columns(input_key=pl.coalesce(kept_out_key(), key, lacking, pl.lit(MISSING)))
    recipe = Recipe(
        parts={"version": RAW_VERSION, "store": source.store},
        function=image_work.TakeIn(dataset.blobs, source.store, blocked=blocked),
        lost=image_work.lost_raw_image,
        settled=_is_settled(),
        file_size=None if source.store == "reference" else dataset.blobs.size,  # `locate` looks at the mirror itself
    )
    made = dataset.update(context, RAW_IMAGES, inputs, recipe)
    return dataset.result(context, made, states(dataset.tables, made.staged))


def _is_settled() -> pl.Expr:
    """Which rows of images that are not fetched may be carried over.

    A missing file is looked for on every run by `locate`, at no cost; its row need not be made again. A file that was
    kept out for its hash is made again until its image is known to be kept out, and when that was lifted.
    """
    is_kept_out = pl.col("input_key").str.starts_with(TAKEN_DOWN)
    is_settled = (pl.col("state") != "pending") | pl.col("input_key").str.starts_with(MISSING)
    return is_settled & (pl.col("reason").ne_missing(REASON) | is_kept_out)


def _without_taken_down(dataset: Dataset, cell: Cell) -> Staged:
    """The table as it stands, with the rows of images that were taken down since: no source is looked at."""
    from dataset_assets.compute import image_work

    tables, commit = dataset.tables, dataset.tables.commit_of(RAW_IMAGES.name, cell)
    with tables.lock(RAW_IMAGES.name, cell):
        rows = tables.scan(RAW_IMAGES, cell).collect()
        down = taken_down(dataset, rows["image_id"]).with_columns(key=kept_out_key())
        named = rows.select("image_id", "input_key", "recipe", md5="md5_claimed").join(down, on="image_id")
        changed = named.filter(pl.col("input_key") != pl.col("key")).with_columns(input_key="key").sort("image_id")
        if commit is None or changed.is_empty():
            return tables.stage(RAW_IMAGES, cell, rows) if commit is None else tables.unchanged(RAW_IMAGES, cell)
        made = [
            {**image_work.kept_out(row), "input_key": row["input_key"], "recipe": row["recipe"]}
            for row in changed.to_dicts()
        ]
        kept = rows.join(changed, on="image_id", how="anti")
        staged = tables.stage(RAW_IMAGES, cell, pl.concat([kept, RAW_IMAGES.frame(made)]), commit.recipe)
    return replace(staged, computed_ids=changed["image_id"])


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
    blocked = blocked_by(requests_of(dataset))
    return dataset.update_together(context, jobs, image_work.JudgeAndPrepare(judge, prepare, blocked))


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
        settled=HAS_ITS_FILE & pl.col("error").ne_missing(REASON),
        file_size=dataset.blobs.size,
    )


def stored(raw_images: pl.LazyFrame) -> pl.DataFrame:
    """The stored rows of `raw_images`, as inputs keyed by the content of the file."""
    rows = raw_images.filter(pl.col("state") == "stored").select("image_id", "path", "sha256")
    return rows.with_columns(input_key="sha256").collect()
