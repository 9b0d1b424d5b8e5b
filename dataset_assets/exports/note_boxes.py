"""Boxes of notes, carried over from the original to the file that leaves."""

from collections.abc import Iterator

import polars as pl

from dataset_assets.exports.members import Members

MEMBERS_AT_ONCE = 20_000
DECIMALS = 2  # of a pixel
_OF_MEMBER = ("image_id", "width", "height", "scale_x", "scale_y", "offset_x", "offset_y")


def boxes_of(members: Members, first: int) -> Iterator[pl.DataFrame]:
    """`number` (of the member, from `first` on), `x`, `y`, `width`, `height` and `body` of each note, in order.

    Boxes are cut off at the edges of the file. One of which nothing is within has a width or height of 0.
    """
    if members.notes is None:
        return
    for batch in members.batches(_OF_MEMBER, MEMBERS_AT_ONCE):
        numbered = batch.with_row_index("number", first).rename({"width": "across", "height": "down"})
        found = members.notes.join(numbered.lazy(), on="image_id", how="inner").select(
            pl.col("number").cast(pl.Int64), *_cut("x", "width", "across"), *_cut("y", "height", "down"), "body"
        )
        yield found.collect().sort("number", "y", "x", "height", "width", "body", nulls_last=True)
        first += batch.height


def _cut(start: str, length: str, side: str) -> tuple[pl.Expr, pl.Expr]:
    """Where a box starts and how long it is along one side of the file. What a note does not say is 0."""
    scale = pl.col(f"scale_{start}").fill_null(1.0)
    offset = pl.col(f"offset_{start}").fill_null(0)
    at, extent = pl.col(start).cast(pl.Float64).fill_null(0), pl.col(length).cast(pl.Float64).fill_null(0)
    low = (at * scale + offset).clip(0, pl.col(side)).round(DECIMALS)
    high = ((at + extent) * scale + offset).clip(0, pl.col(side)).round(DECIMALS)
    return low.alias(start), (high - low).clip(0).round(DECIMALS).alias(length)
