"""Ids that stand in an export more than once: noticed as it is read, settled when all of it is."""

import numpy as np
import numpy.typing as npt
import polars as pl


class SeenIds:
    """Which ids have been met: one bit for each below 2^28, 32 MB at most; a set of any larger ones."""

    _SMALL = 1 << 28

    def __init__(self) -> None:
        self._bits = np.zeros(self._SMALL >> 3, np.uint8)
        self._large: set[int] = set()

    def repeated(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these ids were met before, be it earlier among themselves; all of them are met then."""
        repeated = np.ones(len(ids), np.bool_)
        distinct, first = np.unique(ids, return_index=True)
        small = int(np.searchsorted(distinct, self._SMALL))
        byte, bit = distinct[:small] >> 3, np.left_shift(1, distinct[:small] & 7).astype(np.uint8)
        repeated[first[:small]] = self._bits[byte] & bit
        np.bitwise_or.at(self._bits, byte, bit)
        large = distinct[small:].tolist()
        repeated[first[small:]] = [one in self._large for one in large]
        self._large.update(large)
        return repeated


def to_be_dropped(records: pl.LazyFrame, places: pl.DataFrame, repeated: pl.DataFrame) -> pl.DataFrame:
    """Of the records whose `id` is in `repeated`, all but the first by file name and line.

    records: piece, line, id; places: piece, number, file, first_line.
    Returns: piece, line, number, file, record_line, id, kept (which record is).
    """
    alike = records.select("piece", "line", "id").join(repeated.lazy(), on="id", how="semi").collect()
    placed = (
        alike.join(places, on="piece")
        .with_columns(record_line=pl.col("first_line") + pl.col("line"))
        .sort("id", "file", "number", "record_line")
    )
    first = pl.format("line {} of {}", "record_line", "file").first().over("id")
    return (
        placed.with_columns(kept=first)
        .filter(pl.col("id") == pl.col("id").shift())
        .select("piece", "line", "number", "file", "record_line", "id", "kept")
    )
