"""What a fetch begins from: which rows are settled, and what is held of the files that are asked for again."""

from datetime import datetime
from typing import Literal, get_args

import polars as pl

from dataset_assets.config import Fetch
from dataset_assets.domain.blocked import REASON
from dataset_assets.domain.schemas import RAW_IMAGES

FETCH_VERSION = "1"
ROWS_PER_BATCH = 64
# Which files are asked for again: due = those whose time has come; retry = all that are pending; again = all, with
# what is held told to the host, so that it need not send what has not changed.
Mode = Literal["due", "retry", "again"]
MODES: tuple[Mode, ...] = get_args(Mode)
_HELD = ("path", "size", "md5", "sha256", "format", "extension", "etag", "last_modified")


# How the `input_key` of an image begins that is kept out: it is not read, and when the request is lifted it is.
TAKEN_DOWN = "taken down "


def kept_out_key() -> pl.Expr:
    """The input_key of an image that is kept out by `taken_down`; null = it is not."""
    return pl.format(f"{TAKEN_DOWN}{{}}", "taken_down")


def parse_mode(text: str) -> Mode:
    """Which files are asked for again. Raises: ValueError."""
    for mode in MODES:
        if text == mode:
            return mode
    raise ValueError(f"{text!r} is none of {', '.join(MODES)}")


def is_settled(fetch: Fetch, mode: Mode, now: datetime) -> pl.Expr:
    """Which rows of `raw_images` are not asked for again."""
    if mode == "again":
        return pl.lit(False)
    is_placeholder = pl.col("md5").is_in(list(fetch.placeholders)) | pl.col("sha256").is_in(list(fetch.placeholders))
    is_shown_for_another = is_placeholder.fill_null(False)
    is_pending = pl.col("state") == "pending"
    is_kept_out = pl.col("input_key").str.starts_with(TAKEN_DOWN)
    return (
        pl.when(is_pending)
        .then((pl.col("next_try_at") > now).fill_null(False) & (mode == "due"))
        .when(pl.col("state") == "stored")
        .then(~is_shown_for_another)
        .when((pl.col("reason") == "withheld") & pl.col("md5").is_not_null())  # the list may have changed
        .then(is_shown_for_another)
        .when(pl.col("reason") == REASON)  # one that came under another name; when it is lifted, it may come in
        .then(is_kept_out)
        .otherwise(True)
    )


def with_what_is_held(located: pl.DataFrame, previous: pl.LazyFrame) -> pl.DataFrame:
    """The inputs of a fetch: `located`, its key, and of the row before it the file that is held and the attempts.

    What is held of another address says nothing of this one.
    """
    if previous.collect_schema() != RAW_IMAGES.schema:  # written by an older version of the code
        previous = RAW_IMAGES.empty().lazy()
    held = previous.select(
        "image_id",
        "location",
        pl.when(pl.col("state") == "pending").then("attempts").alias("attempts"),
        *(pl.when(pl.col("path").is_not_null()).then(name).alias(f"held_{name}") for name in _HELD),
    )
    address = pl.format("{} {}", "location", pl.col("md5").fill_null("-")).fill_null("no address")
    key = pl.coalesce(kept_out_key(), address)
    asked = located.lazy().select("image_id", "location", "file_ext", "md5", "taken_down", input_key=key)
    return asked.join(held, on=["image_id", "location"], how="left").collect()
