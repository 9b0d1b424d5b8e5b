"""PD12M's published CLIP embeddings: `.npy` files in which a vector's position alone says whose it is.

A file holds the vectors of one shard of the first layout, row by row: `pd12m.07.npy` those of `pd12m.07.parquet`. Of
the newest layout, whose shards are ten times smaller and have three digits, ten lie end to end in one file. Which
ViT-L/14 made the vectors is not published.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from dataset_assets.sources import DamagedExport

DIM = 768
VECTORS_PER_BATCH = 65_536  # 200 MB as float32
BAD_VECTOR, NO_FILE = "bad_vector", "no_embedding_file"

_VECTOR = pl.Array(pl.Float16, DIM)
EMBEDDINGS = pl.Schema({"image_id": pl.String(), "embedding": _VECTOR, "norm": pl.Float32(), "error": pl.String()})

# A vector that is so short or long cannot be scaled to 1, or says nothing of the image.
_SHORTEST, _LONGEST = 1e-6, 1e6


@dataclass(frozen=True)
class Layout:
    """How many rows the shards hold: those of two digits, as many as a file of vectors, and those of three."""

    rows_per_file: int = 1_000_000
    rows_per_small_shard: int = 100_000

    @property
    def shards_per_file(self) -> int:
        return self.rows_per_file // self.rows_per_small_shard


PUBLISHED = Layout()


def read_embeddings(files: Sequence[Path], rows: pl.DataFrame, layout: Layout = PUBLISHED) -> Iterator[pl.DataFrame]:
    """The published vectors of rows of the snapshot (`image_id`, `record_file`, `shard_number`, `row_in_shard`).

    Yields: batches of image_id, embedding (float16, length 1), norm (of the published vector; null = not finite) and
    error (null, bad_vector when the vector is zero, not finite or absurdly long or short, no_embedding_file). Each row
    of `rows` comes once, in the order of the files, those without a file last.
    Raises: DamagedExport when a file is damaged, or cannot be aligned with the rows.
    """
    numbered = _numbered(files)
    positions = _positions(rows, layout)
    has_file = pl.col("file").is_in(list(numbered)).fill_null(False)
    for (number,), of_file in positions.filter(has_file).sort("file", "position").group_by("file", maintain_order=True):
        path = numbered[int(str(number))]
        _require_alignment(path, of_file, is_last=number == max(numbered), layout=layout)
        for batch in of_file.iter_slices(VECTORS_PER_BATCH):
            # Opened anew for each batch: pages of a mapped file stay in memory until it is let go.
            yield _frame(batch["image_id"], _open(path)[batch["position"].to_numpy()])
    for batch in positions.filter(~has_file).iter_slices(VECTORS_PER_BATCH):
        empty = pl.DataFrame(schema=EMBEDDINGS)
        yield pl.concat([empty, batch.select("image_id", error=pl.lit(NO_FILE))], how="diagonal")


def _numbered(files: Iterable[Path]) -> dict[int, Path]:
    """The files by the number in their names. Raises: DamagedExport when it has none, or another file has it too."""
    numbered: dict[int, Path] = {}
    for file in sorted(files):
        found = re.search(r"(\d{1,9})\.npy$", file.name)
        if found is None:
            raise DamagedExport(f"{file}: expected a name such as pd12m.07.npy, whose number says which rows these are")
        if int(found[1]) in numbered:
            raise DamagedExport(f"{file}: has the same number as {numbered[int(found[1])]}; remove one of them")
        numbered[int(found[1])] = file
    return numbered


def _positions(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Of each row: image_id, file (its number) and position (row in that file); null for a shard of neither layout."""
    digits = pl.col("record_file").str.extract(r"(\d+)\.parquet$").str.len_bytes()
    shard, row, per_file = pl.col("shard_number").cast(pl.Int64), pl.col("row_in_shard"), layout.shards_per_file
    before = shard % per_file * layout.rows_per_small_shard
    return rows.select(
        "image_id",
        file=pl.when(digits == 2).then(shard).when(digits == 3).then(shard // per_file),
        position=pl.when(digits == 2).then(row).when(digits == 3).then(before + row),
        in_small_shard=digits == 3,
        row=row,
    )


def _require_alignment(path: Path, rows: pl.DataFrame, *, is_last: bool, layout: Layout) -> None:
    """Raises: DamagedExport when the file's vectors cannot be those of the rows."""
    held, last = len(_open(path)), int(str(rows["position"].max()))
    if last >= held:
        raise DamagedExport(f"{path}: {held:,} vectors, but the metadata has a row {last + 1:,}; is it of this shard?")
    small = rows.filter("in_small_shard")
    if small.height and not is_last and held != layout.rows_per_file:
        raise DamagedExport(
            f"{path}: {held:,} vectors, expected {layout.rows_per_file:,}: those of {layout.shards_per_file} shards"
        )
    if int(str(small["row"].max() or 0)) >= layout.rows_per_small_shard:
        raise DamagedExport(
            f"{path}: a shard of three digits has over {layout.rows_per_small_shard:,} rows; its vectors are unknown"
        )


def _open(path: Path) -> npt.NDArray[np.float32]:
    """A file's vectors, mapped into memory. Raises: DamagedExport when it is no array of float32, 768 numbers a row."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DamagedExport(f"{path}: not a whole .npy file of numbers: {error}; fetch it again") from error
    if not isinstance(vectors, np.ndarray):
        raise DamagedExport(f"{path}: an archive of arrays, expected one array")
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != DIM:
        raise DamagedExport(
            f"{path}: {vectors.dtype} of shape {vectors.shape}, expected float32 of shape (rows, {DIM})"
        )
    return vectors


def _frame(image_ids: pl.Series, vectors: npt.NDArray[np.float32]) -> pl.DataFrame:
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    is_good = (norms >= _SHORTEST) & (norms <= _LONGEST)
    scale = np.where(is_good, norms, 1.0).astype(np.float32)
    unit = np.where(is_good[:, None], vectors, np.float32(0)) / scale[:, None]
    norm = np.where(np.isfinite(norms) & (norms < np.finfo(np.float32).max), norms, np.nan).astype(np.float32)
    good = pl.Series(is_good)
    return pl.select(
        image_id=image_ids,
        embedding=pl.when(good).then(pl.Series(unit.astype(np.float16), dtype=_VECTOR)),
        norm=pl.Series(norm).fill_nan(None),
        error=pl.when(~good).then(pl.lit(BAD_VECTOR)),
    )
