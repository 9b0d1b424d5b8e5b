"""Two releases' members side by side, a piece at a time, however large the releases are."""

from collections.abc import Iterator, Sequence

import polars as pl

ORDER = ("source", "year", "image_id")
ROWS_AT_ONCE = 25_000

_Key = tuple[str, int, str]


class NotInOrder(ValueError):
    """Members that do not stand in order of source, year and image_id, each once."""


def aligned(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    columns: Sequence[str],
    wanted: pl.Expr | None = None,
    rows: int = ROWS_AT_ONCE,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pieces of both, so that an image of the same source and year is in both halves of one piece.

    before, after: in order of ORDER. wanted: which rows; null = all. A half may be empty, and has at most `rows` rows.
    Raises: NotInOrder.
    """
    names = list(dict.fromkeys((*ORDER, *columns)))
    sides = tuple(_Side(side.select(names), rows, wanted) for side in (before, after))
    while any(side.waiting is not None for side in sides):
        ends = [side.last_key for side in sides if side.waiting is not None]
        yield sides[0].up_to(min(ends)), sides[1].up_to(min(ends))


def moved_ids(before: pl.LazyFrame, after: pl.LazyFrame) -> pl.Series:
    """The images that both have, but of another source or year, in order: few, as years are seldom corrected."""
    lone: list[list[pl.Series]] = [[], []]
    for pieces in aligned(before, after, ORDER, rows=10 * ROWS_AT_ONCE):
        for found, one, other in zip(lone, pieces, reversed(pieces), strict=True):
            alone = one.join(other, on=ORDER, how="anti")
            found.append(alone.get_column("image_id").hash())
    hashes = [pl.concat([pl.Series(dtype=pl.UInt64), *found]).unique() for found in lone]
    both = hashes[0].to_frame("hash").join(hashes[1].to_frame("hash"), on="hash", how="semi").get_column("hash")
    if both.is_empty():
        return pl.Series("image_id", [], pl.String)
    sides = [
        side.select("image_id").filter(pl.col("image_id").hash().is_in(both.implode())) for side in (before, after)
    ]
    return sides[0].join(sides[1], on="image_id", how="semi").collect().get_column("image_id").sort()


class _Side:
    """The rows of one release that were not handed out yet."""

    def __init__(self, rows: pl.LazyFrame, at_once: int, wanted: pl.Expr | None) -> None:
        self._rows, self._at_once, self._wanted = rows, at_once, wanted
        self._schema = rows.collect_schema()
        self._offset = 0
        self._last: _Key | None = None
        self.waiting: pl.DataFrame | None = None
        self._read()

    @property
    def last_key(self) -> _Key:
        """Of the rows that were read; those behind it were not."""
        assert self._last is not None
        return self._last

    def up_to(self, end: _Key) -> pl.DataFrame:
        """Hand out the waiting rows up to a key, with it."""
        if self.waiting is None:
            return pl.DataFrame(schema=self._schema)
        taken = self.waiting.filter(_at_most(end))
        rest = self.waiting.slice(taken.height)
        self.waiting = rest if rest.height else None
        if self.waiting is None:
            self._read()
        return taken

    def _read(self) -> None:
        """Wait with the next rows that are wanted. Slices, as `collect_batches` reads on until all is in memory."""
        self.waiting = None
        while self.waiting is None:
            batch = self._rows.slice(self._offset, self._at_once).collect()
            if batch.is_empty():
                return
            self._offset += batch.height
            _require_order(batch, self._last)
            self._last = batch.select(ORDER).row(-1)
            chosen = batch if self._wanted is None else batch.filter(self._wanted)
            self.waiting = chosen if chosen.height else None


def _at_most(end: _Key) -> pl.Expr:
    source, year, image_id = (pl.col(name) for name in ORDER)
    same_source = source == end[0]
    return (source < end[0]) | (same_source & ((year < end[1]) | ((year == end[1]) & (image_id <= end[2]))))


def _require_order(batch: pl.DataFrame, last: _Key | None) -> None:
    keys = batch.select(pl.struct(ORDER).alias("key"))
    rises = keys.select(_rises(pl.col("key").shift(1), pl.col("key")).slice(1).all()).item()
    first: _Key = batch.select(ORDER).row(0)
    if not rises or (last is not None and first <= last):
        raise NotInOrder(
            f"members near {first[2]} do not stand in order of {', '.join(ORDER)}, each once; "
            "a release's members.parquet does: verify it with `dataset-assets release verify`"
        )


def _rises(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Whether a key is less than another."""
    (a_source, b_source), (a_year, b_year), (a_id, b_id) = (
        (one.struct.field(name), other.struct.field(name)) for name in ORDER
    )
    within_year = (a_year < b_year) | ((a_year == b_year) & (a_id < b_id))
    return (a_source < b_source) | ((a_source == b_source) & within_year)
