"""The pieces of an export put together: sorted batch by batch, so that memory holds but one batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from dataset_assets.sources.danbooru_fields import SNAPSHOT

ROWS_PER_BATCH = 250_000
ROWS_PER_GROUP = 65_536
_LEADING_DIGITS = 3


class Batch(NamedTuple):
    """Records of one year whose ids begin with certain digits; batches that follow one another are in order."""

    year: int
    first: str
    last: str
    rows: int


def write_sorted(records: pl.LazyFrame, name: str, into: Path) -> None:
    """Write the rows of a snapshot by year and image id, always the same bytes for the same rows.

    Memory holds at most ROWS_PER_BATCH records, or those of one year whose ids share their first three digits.
    """
    digits = pl.col("image_id").str.slice(len(name) + 1, _LEADING_DIGITS)
    counted = records.group_by("year", digits=digits).len().sort("year", "digits").collect()
    batches = list(_batches(counted))

    def rows(*_: object) -> Iterator[pl.DataFrame]:
        for batch in batches:
            is_in_batch = (pl.col("year") == batch.year) & digits.is_between(pl.lit(batch.first), pl.lit(batch.last))
            yield records.filter(is_in_batch).select(SNAPSHOT.schema.names()).collect().sort("image_id")

    register_io_source(rows, schema=SNAPSHOT.schema, is_pure=True).sink_parquet(
        into, compression="zstd", compression_level=1, row_group_size=ROWS_PER_GROUP
    )


def _batches(counted: pl.DataFrame) -> Iterator[Batch]:
    """Cut (year, digits, len), sorted, where the year changes or a batch is full."""
    batch: Batch | None = None
    for year, digits, rows in counted.rows():
        if batch and batch.year == year and batch.rows + rows <= ROWS_PER_BATCH:
            batch = Batch(year, batch.first, digits, batch.rows + rows)
        else:
            if batch:
                yield batch
            batch = Batch(year, digits, digits, rows)
    if batch:
        yield batch
