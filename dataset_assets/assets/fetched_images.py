"""`raw_images` of a source whose images are fetched: which files are asked for, and with what in hand."""

from datetime import UTC, datetime
from functools import partial

import dagster as dg
import polars as pl

from dataset_assets.compute.fetch_inputs import (
    FETCH_VERSION,
    ROWS_PER_BATCH,
    Mode,
    is_settled,
    parse_mode,
    with_what_is_held,
)
from dataset_assets.compute.update import Recipe, Update
from dataset_assets.config import Fetch
from dataset_assets.domain.blocked import Blocked
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.durable import remove_tree
from dataset_assets.storage.root import opened

BUCKET_KEEPERS = 16  # threads that put images: each waits some tens of milliseconds for the bucket's answer
FETCH_TAG = "dataset_assets/fetch"  # of a run: its value is a `Mode`


def update_fetched(
    context: dg.AssetExecutionContext, dataset: Dataset, fetch: Fetch, located: pl.DataFrame, blocked: Blocked
) -> Update:
    """Bring the run's partition up to date by fetching. `located`: image_id, location, file_ext, md5, taken_down."""
    from dataset_assets.compute.fetch_engine import FetchEngine
    from dataset_assets.compute.fetch_held import HoldingEngine
    from dataset_assets.compute.fetch_journal import JournaledEngine
    from dataset_assets.compute.fetch_work import KeepFetched, known_of, never_lost

    tables, blobs, cell = dataset.tables, dataset.blobs, cell_of(context)
    recipe = Recipe(
        parts={"version": FETCH_VERSION},
        function=KeepFetched(blobs, fetch.md5_mismatch, frozenset(fetch.placeholders), blocked),
        lost=never_lost,
        rows_per_batch=ROWS_PER_BATCH,
        settled=is_settled(fetch, mode_of(context), datetime.now(UTC)),
        file_size=blobs.size,
    )
    journal = tables.scratch / "journal" / RAW_IMAGES.name / cell.folder
    keepers = BUCKET_KEEPERS if opened(tables.root).is_bucket else 1
    fetching = FetchEngine(fetch, tables.scratch, partial(known_of, blobs), keepers=keepers)
    engine = JournaledEngine(HoldingEngine(fetching, blobs.size), RAW_IMAGES, journal, blobs.size)
    inputs = with_what_is_held(located, tables.scan(RAW_IMAGES, cell))
    made = dataset.update(context, RAW_IMAGES, inputs, recipe, engine)
    remove_tree(journal)
    return made


def mode_of(context: dg.AssetExecutionContext) -> Mode:
    """What the run's tag asks for. Raises: dg.Failure when it is no mode."""
    try:
        return parse_mode(context.run.tags.get(FETCH_TAG, "due"))
    except ValueError as error:
        raise dg.Failure(f"tag {FETCH_TAG}: {error}", allow_retries=False) from None
