"""clip-retrieval: vectors in `img_emb/*.npy` and, row for row, what is known of their images in `metadata/*.parquet`.

Read by clip-retrieval's index and back end, and by autofaiss. The vectors are those that `clip_embeddings` has, joined
by image_id; `embeddings.json` tells whose they are, and how many images have none and are left out.
Source: https://github.com/rom1504/clip-retrieval, clip_inference/writer.py; embedding_reader, numpy_reader.py.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from dataset_assets.domain.attribution import credit_columns
from dataset_assets.exports.descriptions import first_caption
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import CannotExport, Members
from dataset_assets.exports.target import Target, Written, key_of
from dataset_assets.storage.durable import scratch_file

FOLDER = "clip_retrieval"
_LAYOUT = 1  # counted up when the same members would give other bytes
_MOST_ROWS = 100_000  # of a shard: what is said of its images, and their vectors, are held while it is written
_ROWS_AT_ONCE = 10_000
_PLAIN = (
    *("image_id", "source", "year", "split", "rating", "width", "height", "title", "page_url"),
    *("sha256", "original_sha256", "original_md5"),
)


class NoVectors(CannotExport):
    """Vectors that cannot be exported: there are none, two of one image, or of two models."""


@dataclass
class _Told:
    """What `embeddings.json` says."""

    dimension: int
    vectors: int = 0
    without_vector: int = 0
    models: set[str] = field(default_factory=set)

    def as_bytes(self) -> bytes:
        said = {
            "model": next(iter(self.models), None),
            "dimension": self.dimension,
            "dtype": "float16",
            "vectors": self.vectors,
            "images_without_vector": self.without_vector,
        }
        return (json.dumps(said, indent=1) + "\n").encode()


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write the vectors and their metadata in shards of equal rows, and last what was left out.

    Raises: NoVectors.
    """
    if members.embeddings is None:
        raise NoVectors(
            "clip_retrieval: the release has no vectors; build clip_embeddings first, or leave the format out"
        )
    vectors = members.embeddings.filter(pl.col("embedding").is_not_null())
    told = _Told(_dimension(vectors))
    at_once = min(max(settings.shard_bytes // (2 * told.dimension), 1), _MOST_ROWS)
    digits = int(math.log10(max(math.ceil(members.count() / at_once), 1))) + 1  # as its writer numbers them
    number = 0
    for rows in _metadata(members, at_once):
        with scratch_file(target.scratch, ".npy") as made:
            shard = _write_vectors(rows, vectors, told, made)
            if shard.rows.height:
                yield from shard.put(target, f"{number:0{digits}d}")
                number += 1
    yield target.put(f"{FOLDER}/embeddings.json", told.as_bytes())


def _dimension(vectors: pl.LazyFrame) -> int:
    dtype = vectors.collect_schema()["embedding"]
    if not isinstance(dtype, pl.Array) or not dtype.size:
        raise NoVectors(f"embedding is {dtype}; expected an Array of Float16")
    return dtype.size


def _metadata(members: Members, at_once: int) -> Iterator[pl.DataFrame]:
    """Metadata of all members as clip-retrieval's columns, `at_once` rows at a time."""
    held = pl.DataFrame()
    for batch in members.batches():
        held = pl.concat([held, batch.select(_columns())]) if held.height else batch.select(_columns())
        while held.height >= at_once:
            yield held.head(at_once)
            held = held.slice(at_once)
    if held.height:
        yield held


def _columns() -> list[pl.Expr]:
    """image_path is what the sample is called in the release's WebDataset; it is no path, for no pixels are here."""
    return [
        pl.col("image_id").alias("image_path"),
        first_caption(),
        pl.col("file_url").alias("url"),
        *(pl.col(name) for name in _PLAIN),
        pl.col("tags").list.eval(pl.element().struct.field("tag")).list.join(", ").alias("tags"),
        *credit_columns(),
    ]


@dataclass(frozen=True)
class _Shard:
    """Images that have a vector, in order, and a file of their vectors."""

    rows: pl.DataFrame
    file: Path

    def put(self, target: Target, number: str) -> Iterator[Written]:
        """Give the shard's two files their names."""
        said = hashlib.sha256()
        for some in self.rows.iter_slices(_ROWS_AT_ONCE):
            said.update(some.write_ndjson().encode())
        key = key_of(FOLDER, _LAYOUT, said.hexdigest())
        yield target.take(f"{FOLDER}/img_emb/img_emb_{number}.npy", self.file, self.rows.height)
        yield target.file(f"{FOLDER}/metadata/metadata_{number}.parquet", key, 0, self._write_metadata)

    def _write_metadata(self, file: Path) -> None:
        self.rows.rechunk().write_parquet(file, compression="zstd", compression_level=1, row_group_size=_ROWS_AT_ONCE)


def _write_vectors(rows: pl.DataFrame, vectors: pl.LazyFrame, told: _Told, file: Path) -> _Shard:
    """Write the vectors of those images that have one. Raises: NoVectors."""
    found = np.zeros(rows.height, np.int64)
    with file.open("wb") as stream:
        stream.write(_header(0, told.dimension))
        for images, matrix in _vectors_of(rows, vectors):
            np.add.at(found, images["position"].to_numpy(), 1)
            told.models.update(images["model"].drop_nulls().unique())
            stream.write(matrix.data)
        kept = rows.filter(pl.Series(found == 1))
        stream.seek(0)
        stream.write(_header(kept.height, told.dimension))
    if found.max(initial=0) > 1 or len(told.models) > 1:
        twice = rows.filter(pl.Series(found > 1))["image_id"].head(3).to_list()
        raise NoVectors(f"expected a vector of one model for an image; found {sorted(told.models)}, several of {twice}")
    told.vectors += kept.height
    told.without_vector += rows.height - kept.height
    return _Shard(kept, file)


def _header(rows: int, dimension: int) -> bytes:
    """The header of an .npy file of float16. NumPy leaves room for any number of rows: all are equally long."""
    stream = io.BytesIO()
    said = {"descr": "<f2", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(stream, said)
    return stream.getvalue()


def _vectors_of(rows: pl.DataFrame, vectors: pl.LazyFrame) -> Iterator[tuple[pl.DataFrame, np.ndarray]]:
    """The vectors of some images in their order, some at a time.

    Yields: position (of its image's row) and model of some; their vectors, (n, dimension) float16.
    """
    placed = rows.select("source", "year", "image_id", pl.int_range(pl.len()).alias("position"))
    for cell in placed.partition_by("source", "year", maintain_order=True):
        # Tables are sorted by image_id: of most, these bounds leave no row group to be read.
        near = pl.col("image_id").is_between(pl.lit(cell["image_id"].min()), pl.lit(cell["image_id"].max()))
        found = vectors.filter(near).select("image_id", "embedding", "model")
        own = found.join(cell.lazy().select("image_id", "position"), "image_id").sort("position").collect()
        yield own.drop("embedding"), np.ascontiguousarray(own["embedding"].to_numpy(), np.dtype("<f2"))
