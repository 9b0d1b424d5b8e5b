"""What assets with a row for each image have in common."""

import polars as pl

from dataset_assets.compute.engine import Loss, Row
from dataset_assets.domain.states import FILE_ERRORS

# A row whose stored file was gone or damaged is made again: the file may have been mended since.
HAS_ITS_FILE = ~pl.col("error").is_in(FILE_ERRORS).fill_null(False)
# What models look at was made here: where it does not decode, its file is no longer what was written.
HAS_A_WHOLE_FILE = HAS_ITS_FILE & pl.col("error").ne_missing("undecodable")


def prepared(training_images: pl.LazyFrame) -> pl.DataFrame:
    """What models look at: image_id, path and input_key of each training image that was made."""
    made = training_images.filter(pl.col("error").is_null())
    return made.select("image_id", "path", input_key="sha256").collect()


def lost(row: Row, loss: Loss) -> dict[str, object]:
    """The row of an image that took its worker down."""
    return {"image_id": row["image_id"], "error": loss}
