"""PD12M's published CLIP embeddings: `.npy` files in which a vector's position alone says whose it is.

A file holds the vectors of one shard of the first layout, row by row: `pd12m.07.npy` those of `pd12m.07.parquet`. Of
the newest layout, whose shards are ten times smaller and have three digits, ten lie end to end in one file. Which
ViT-L/14 made the vectors is not published. That ten shards align so is inferred from the files' sizes, so every file
whose number of vectors is not that of its shards' rows is refused as a whole.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from dataset_assets.sources import DamagedExport
from dataset_assets.sources.local_files import names_of

DIM = 768
VECTORS_PER_BATCH = 65_536  # 200 MB as float32
NOT_FINITE, BAD_NORM = "not_finite", "bad_norm"
NO_FILE, BAD_FILE = "no_embedding_file", "bad_embedding_file"

_VECTOR = pl.Array(pl.Float16, DIM)
EMBEDDINGS = pl.Schema(
    {
        "image_id": pl.String(),
        "error": pl.String(),
        "embedding": _VECTOR,
        "norm": pl.Float32(),
        "file": pl.String(),
        "position": pl.Int64(),
    }
)

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


@dataclass(frozen=True)
class Alignment:
    """Files of vectors by number, and why some of them cannot be those of their shards' rows."""

    files: Mapping[int, Path]
    problems: Mapping[int, str]
    layout: Layout


def rows_of_shards(shards: Sequence[Path]) -> dict[str, int]:
    """How many rows each shard has, by its name in the snapshot; from the files' footers."""
    count = pl.len()
    return {name: int(pl.scan_parquet(file).select(count).collect().item()) for file, name in names_of(shards).items()}


def align(files: Sequence[Path], shards: Mapping[str, int], layout: Layout = PUBLISHED) -> Alignment:
    """Compare the files of vectors with the rows of the shards (by name: how many).

    Raises: DamagedExport when a file's name has no number, or another file's.
    """
    numbered = _numbered(files)
    last = max(numbered, default=0)
    problems = {
        number: problem
        for number, file in numbered.items()
        if (problem := _problem(file, number, shards, is_last=number == last, layout=layout))
    }
    return Alignment(numbered, problems, layout)


def read_embeddings(alignment: Alignment, rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The published vectors of rows of the snapshot (`image_id`, `record_file`, `shard_number`, `row_in_shard`).

    Yields: batches of image_id, error, embedding (float16, length 1), norm (of the published vector; null = not
    finite), file (its name) and position (0-based, in that file). Each row of `rows` comes once, by file and position;
    those without a file come last, in the order of `rows`. Memory holds the ids of one file and a batch of vectors.
    """
    placed = _placed(rows, alignment.layout)
    present = set(placed.select("number").unique().collect().to_series().drop_nulls())
    for number, path in sorted(alignment.files.items()):
        if number in present:
            of_file = placed.filter(pl.col("number") == number).select("image_id", "position").collect()
            yield from _of_file(path, of_file.sort("position", "image_id"), alignment.problems.get(number))
    rest = placed.filter(~pl.col("number").is_in(list(alignment.files)).fill_null(False)).select("image_id")
    for batch in rest.collect_batches(chunk_size=VECTORS_PER_BATCH, maintain_order=True):
        if batch.height:
            yield _errors(batch, NO_FILE)


def _of_file(path: Path, rows: pl.DataFrame, problem: str | None) -> Iterator[pl.DataFrame]:
    for batch in rows.iter_slices(VECTORS_PER_BATCH):
        if problem:
            yield _errors(batch.with_columns(file=pl.lit(path.name)), BAD_FILE)
        else:
            # Opened anew for each batch: pages of a mapped file stay in memory until it is let go.
            vectors = _open(path)[batch["position"].to_numpy()]
            yield _frame(batch.with_columns(file=pl.lit(path.name)), vectors)


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


def _placed(rows: pl.LazyFrame, layout: Layout) -> pl.LazyFrame:
    """Of each row: image_id, number (of its file) and position in it; null for a shard of neither layout."""
    digits = pl.col("record_file").str.extract(r"(\d+)\.parquet$").str.len_bytes()
    shard, row, per_file = pl.col("shard_number").cast(pl.Int64), pl.col("row_in_shard"), layout.shards_per_file
    before = shard % per_file * layout.rows_per_small_shard
    return rows.select(
        "image_id",
        number=pl.when(digits == 2).then(shard).when(digits == 3).then(shard // per_file),
        position=pl.when(digits == 2).then(row).when(digits == 3).then(before + row),
    )


def _problem(file: Path, number: int, shards: Mapping[str, int], *, is_last: bool, layout: Layout) -> str | None:
    """Why the file's vectors cannot be those of its shards' rows; null = their numbers fit."""
    try:
        held = len(_open(file))
    except DamagedExport as error:
        return str(error)
    by_digits: dict[int, dict[int, int]] = {2: {}, 3: {}}
    for name, rows in shards.items():
        if (found := re.search(r"(?<!\d)(\d{2,3})\.parquet$", name)) is not None:
            by_digits[len(found[1])][int(found[1])] = rows
    rows_of_one = by_digits[2].get(number, held)
    if rows_of_one != held:
        return f"{file}: {held:,} vectors, but the shard of that number has {rows_of_one:,} rows"
    return _problem_of_small_shards(file, number, held, by_digits[3], is_last=is_last, layout=layout)


def _problem_of_small_shards(
    file: Path, number: int, held: int, shards: Mapping[int, int], *, is_last: bool, layout: Layout
) -> str | None:
    """The same for a file of several shards: each but the very last is full, and together they are the file."""
    full, newest = layout.rows_per_small_shard, max(shards, default=0)
    own = {shard: rows for shard, rows in shards.items() if shard // layout.shards_per_file == number}
    for shard, rows in sorted(own.items()):
        if rows != full and (shard != newest or rows > full):
            return f"{file}: shard {shard:03} has {rows:,} rows, expected {full:,}; which vectors are its is unknown"
    if not own or held == layout.rows_per_file:
        return None
    together = newest % layout.shards_per_file * full + shards[newest]
    if is_last and newest in own and held == together:
        return None
    return f"{file}: {held:,} vectors, expected {layout.rows_per_file:,}: those of {layout.shards_per_file} shards"


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


def _errors(rows: pl.DataFrame, error: str) -> pl.DataFrame:
    """Rows without a vector."""
    known = [rows[name] if name in rows.columns else pl.lit(None, dtype).alias(name) for name, dtype in _PLACE.items()]
    nothing = {"embedding": pl.lit(None, _VECTOR), "norm": pl.lit(None, pl.Float32)}
    return rows.select(*known, error=pl.lit(error), **nothing).select(*EMBEDDINGS)


_PLACE = {name: EMBEDDINGS[name] for name in ("image_id", "file", "position")}


def _frame(rows: pl.DataFrame, vectors: npt.NDArray[np.float32]) -> pl.DataFrame:
    """Rows (image_id, file, position) with their vectors, scaled to length 1."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    is_finite, is_good = np.isfinite(norms), (norms >= _SHORTEST) & (norms <= _LONGEST)
    scale = np.where(is_good, norms, 1.0).astype(np.float32)
    unit = np.where(is_good[:, None], vectors, np.float32(0)) / scale[:, None]
    norm = np.where(is_finite & (norms < np.finfo(np.float32).max), norms, np.nan).astype(np.float32)
    good, finite = pl.Series(is_good), pl.Series(is_finite)
    return rows.select(
        *_PLACE,
        error=pl.when(~finite).then(pl.lit(NOT_FINITE)).when(~good).then(pl.lit(BAD_NORM)),
        embedding=pl.when(good).then(pl.Series(unit.astype(np.float16), dtype=_VECTOR)),
        norm=pl.Series(norm).fill_nan(None),
    ).select(*EMBEDDINGS)
