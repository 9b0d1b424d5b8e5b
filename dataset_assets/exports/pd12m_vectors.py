"""A file of vectors that grows: the vectors of rows, in their order, after a header that is right at the end."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl

ROWS_AT_ONCE = 10_000  # 30 MB of vectors of 768 numbers, as float32


class NotVectors(Exception):
    """Embeddings that are no vectors of one length, or several of one image."""


class VectorFile:
    """An `.npy` file (rows, dim) of float32, as PD12M has it, in the making."""

    def __init__(self, file: Path, embeddings: pl.LazyFrame) -> None:
        """embeddings: image_id, embedding (Array) and model; they are read where they are asked for."""
        dtype = embeddings.collect_schema()["embedding"]
        if not isinstance(dtype, pl.Array):
            raise NotVectors(f"embedding is {dtype}; expected an Array of Float16")
        self._dim, self._rows = int(dtype.size), 0
        self._embeddings = embeddings.filter(pl.col("embedding").is_not_null())
        self._stream = file.open("wb")
        self._write_header()

    def __enter__(self) -> "VectorFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Append the vectors of some members (image_id, source, year), in order.

        Returns: embedding_row and embedding_model of each; null = it has no vector.
        """
        return pl.concat([self._add(batch) for batch in rows.iter_slices(ROWS_AT_ONCE)] or [self._add(rows)])

    def finish(self) -> None:
        """Say in the header how many there are."""
        self._stream.seek(0)
        self._write_header()
        self._stream.flush()

    def _add(self, rows: pl.DataFrame) -> pl.DataFrame:
        found = rows.select("image_id").join(self._found(rows), on="image_id", how="left", maintain_order="left")
        if found.height != rows.height:
            twice = found.filter(found["image_id"].is_duplicated())["image_id"][0]
            raise NotVectors(f"{twice} has several vectors; expected one of one model")
        vectors = found["embedding"].drop_nulls()
        self._stream.write(np.ascontiguousarray(vectors.to_numpy(), "<f4").data)
        has_one = pl.col("embedding").is_not_null()
        numbered = found.select(
            embedding_row=pl.when(has_one).then(self._rows - 1 + has_one.cast(pl.Int64).cum_sum()),
            embedding_model=pl.col("model"),
        )
        self._rows += len(vectors)
        return numbered

    def _found(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The vectors of some members. Where they are stored by image_id, but a part of them is read."""
        near = pl.any_horizontal(pl.lit(False), *_ranges(rows))
        ids = rows.lazy().select("image_id")
        return self._embeddings.filter(near).join(ids, on="image_id", how="semi").collect(engine="streaming")

    def _write_header(self) -> None:
        """The header has room for a longer number, so that it stays as long as it is."""
        said = {"descr": "<f4", "fortran_order": False, "shape": (self._rows, self._dim)}
        np.lib.format.write_array_header_1_0(self._stream, said)


def _ranges(rows: pl.DataFrame) -> Iterator[pl.Expr]:
    """The ids from the first to the last of each source and year."""
    bounds = rows.group_by("source", "year").agg(first=pl.col("image_id").min(), last=pl.col("image_id").max())
    for first, last in bounds.sort("first").select("first", "last").iter_rows():
        yield pl.col("image_id").is_between(pl.lit(first), pl.lit(last))
