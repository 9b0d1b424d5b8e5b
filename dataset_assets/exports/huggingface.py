"""Hugging Face: Parquet with the images in it, as `datasets` and the hub's viewer read it.

`huggingface/data/<split>-00000-of-00003.parquet`: `image` as bytes and path, and the fields of RECORD. The footer's
`huggingface` says what the columns are, so that `datasets` decodes the images without being told to.
"""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from dataset_assets.exports.descriptions import as_json, safe_batches
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.images import read_all
from dataset_assets.exports.members import Members
from dataset_assets.exports.records import RECORD, record_columns
from dataset_assets.exports.shards import dealt, plan
from dataset_assets.exports.target import Target, Written, key_of

LAYOUT = 1  # another number when the same members are written otherwise
ROWS_PER_SHARD = 20_000
# A row group is what a reader holds at once. Those of the hub's viewer have at most 100 rows of images.
ROWS_PER_GROUP = 100
BYTES_PER_GROUP = 32 << 20
COMPRESSION_LEVEL = 1  # images are compressed already

SCHEMA = pl.Schema({"image": pl.Struct({"bytes": pl.Binary, "path": pl.String}), **RECORD})
ARROW_SCHEMA, SET_ASIDE = b"ARROW:schema", b"polars:arrow"


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write a shard after another, each split by itself.

    Raises: MemberLost; NotAllowed when a member is no image; MembersChanged.
    """
    for split, part in members.named_splits():
        sizes = part.scan().select("size").collect().to_series()
        shards, first = list(plan(_frames(part), settings.shard_bytes, ROWS_PER_SHARD)), 0
        for shard, rows in dealt(_frames(part), shards):
            name = f"huggingface/data/{split}-{shard.number:05d}-of-{len(shards):05d}.parquet"
            at_once = rows_per_group(sizes[first : first + shard.rows])
            key = key_of("huggingface", LAYOUT, pl.__version__, at_once, shard.key)
            yield target.file(name, key, shard.rows, partial(_write_shard, part, rows, at_once))
            first += shard.rows


def _frames(members: Members) -> Iterator[pl.DataFrame]:
    for batch in safe_batches(members):
        said = as_json([pl.all().exclude("path")])
        yield batch.with_columns(said).with_columns(bytes=pl.col("size") + pl.col("json").str.len_bytes())


def rows_per_group(sizes: pl.Series) -> int:
    """Rows of a row group, such that the heaviest of a shard has about BYTES_PER_GROUP beside its largest image."""
    rows, limit = ROWS_PER_GROUP, BYTES_PER_GROUP + _heaviest(sizes, 1)
    while _heaviest(sizes, rows) > limit:
        rows //= 2
    return rows


def _heaviest(sizes: pl.Series, rows: int) -> int:
    """The most bytes of so many members that follow one another."""
    return int(sizes.to_frame().select(pl.all().rolling_sum(rows, min_samples=1).max()).item())


def _write_shard(members: Members, frames: Iterator[pl.DataFrame], at_once: int, file: Path) -> None:
    def given(*_: object) -> Iterator[pl.DataFrame]:
        for frame in frames:
            for group in frame.iter_slices(at_once):
                yield _with_images(members, group)

    register_io_source(given, schema=SCHEMA, is_pure=True).sink_parquet(
        file,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        statistics={"min": False, "max": False},  # they would hold whole images
        row_group_size=at_once,
        metadata={"huggingface": json.dumps({"info": {"features": features()}})},
    )
    show_features(file)


def _with_images(members: Members, rows: pl.DataFrame) -> pl.DataFrame:
    given = rows.select("image_id", "path", "sha256", "extension").to_dicts()
    images = [
        {"bytes": data, "path": f"{row['image_id']}.{row['extension']}"}
        for row, data in zip(given, read_all(members, given), strict=True)
    ]
    image = pl.Series("image", images, dtype=SCHEMA["image"])
    return rows.select(image, *record_columns())


def features() -> dict[str, Any]:
    """The columns in the words of `datasets`, in a form that its versions before 4 read too."""
    return {name: {"_type": "Image"} if name == "image" else _feature(dtype) for name, dtype in SCHEMA.items()}


def _feature(dtype: pl.DataType) -> Any:
    if isinstance(dtype, pl.Struct):
        return {field.name: _feature(field.dtype) for field in dtype.fields}  # type: ignore[arg-type]
    if isinstance(dtype, pl.List):
        inner = _feature(dtype.inner)  # type: ignore[arg-type]
        return [inner] if isinstance(dtype.inner, pl.Struct) else {"feature": inner, "_type": "Sequence"}
    return {"dtype": VALUES[dtype], "_type": "Value"}


VALUES = {
    pl.String: "string",
    pl.Int32: "int32",
    pl.Boolean: "bool",
    RECORD["created_at"]: "timestamp[us, tz=UTC]",
}


def show_features(file: Path) -> None:
    """Set aside the footer's Arrow schema, of Polars' own types and without metadata.

    While it is there, Arrow takes a file's metadata from it alone, and `datasets` finds no features.
    """
    with file.open("r+b") as stream:
        stream.seek(-8, os.SEEK_END)  # size of the footer, then PAR1
        size = int.from_bytes(stream.read(4), "little")
        start = stream.seek(-8 - size, os.SEEK_END)
        at = stream.read(size).find(ARROW_SCHEMA)
        if at >= 0:
            stream.seek(start + at)
            stream.write(SET_ASIDE)
