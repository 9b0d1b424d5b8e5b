"""The pieces of an export put together: sorted batch by batch, so that memory holds but one batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from dataset_assets.sources.danbooru_fields import SNAPSHOT

ROWS_PER_BATCH = 2 * 65_536
ROWS_PER_GROUP = 65_536
_LEADING_DIGITS = 3


class Bound(NamedTuple):
    """Records of a year whose ids begin with these digits: where a batch begins or ends."""

    year: int
    digits: str


def write_sorted(records: pl.LazyFrame, name: str, into: Path) -> None:
    """Write the rows of a snapshot by year and image id, always the same bytes for the same rows.

    Memory holds ROWS_PER_BATCH records, or more when more of one year have ids that begin with the same three digits.
    """
    digits = pl.col("image_id").str.slice(len(name) + 1, _LEADING_DIGITS)
    counted = records.group_by("year", digits=digits).len().sort("year", "digits").collect()
    batches = _batches([(Bound(year, found), rows) for year, found, rows in counted.rows()])

    def rows(*_: object) -> Iterator[pl.DataFrame]:
        for first, last in batches:
            batch = records.filter(pl.col("year").is_between(first.year, last.year), *_within(digits, first, last))
            yield batch.select(SNAPSHOT.schema.names()).collect().sort(SNAPSHOT.sorted_by)

    register_io_source(rows, schema=SNAPSHOT.schema, is_pure=True).sink_parquet(
        into, compression="zstd", compression_level=1, row_group_size=ROWS_PER_GROUP
    )


def _within(digits: pl.Expr, first: Bound, last: Bound) -> list[pl.Expr]:
    return [
        (pl.col("year") > first.year) | (digits >= pl.lit(first.digits)),
        (pl.col("year") < last.year) | (digits <= pl.lit(last.digits)),
    ]


def _batches(counted: list[tuple[Bound, int]]) -> list[tuple[Bound, Bound]]:
    """The first and last bound of each batch; what is counted comes in order."""
    batches: list[tuple[Bound, Bound]] = []
    size = 0
    for bound, rows in counted:
        if batches and size + rows <= ROWS_PER_BATCH:
            batches[-1] = (batches[-1][0], bound)
            size += rows
        else:
            batches.append((bound, bound))
            size = rows
    return batches
