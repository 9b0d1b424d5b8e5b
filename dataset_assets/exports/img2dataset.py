"""img2dataset: shards as img2dataset 1.47 writes them with `output_format: webdataset`.

A shard is `NNNNN.tar` of `KEY.<ext>`, `KEY.txt` and `KEY.json`, `NNNNN.parquet` with a row for each image, and
`NNNNN_stats.json`; a split is a folder of its own. Every row is a success: what could not be fetched is no member.
Source: https://github.com/rom1504/img2dataset, img2dataset/writer.py, downloader.py and logger.py.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl

from dataset_assets.exports.descriptions import (
    as_json,
    described,
    first_caption,
    require_file_word,
    safe_batches,
)
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.samples import with_bytes, write_samples
from dataset_assets.exports.shards import Shard, dealt, plan
from dataset_assets.exports.target import Target, Written, key_of

FOLDER = "img2dataset"
ROWS_PER_SHARD = 10_000  # its number_sample_per_shard
_LAYOUT = 1  # counted up when the same members would give other bytes
_SHARD_DIGITS, _ROW_DIGITS = 5, 4
# What img2dataset has under a name of its own, or under the same name with a meaning of its own.
_SAID_AS_THERE = {"width", "height", "original_width", "original_height", "sha256", "original_sha256", "file_url"}


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write the shards, split by split. Raises: MemberLost; NotAllowed; MembersChanged."""
    for split, own in members.splits():
        folder = FOLDER if split is None else f"{FOLDER}/{require_file_word(split)}"
        shards = list(plan(_rows(own), settings.shard_bytes, ROWS_PER_SHARD))
        for shard, frames in dealt(_rows(own), shards):
            yield from _write_shard(own, target, f"{folder}/{shard.number:0{_SHARD_DIGITS}d}", shard, pl.concat(frames))


def _write_shard(members: Members, target: Target, name: str, shard: Shard, rows: pl.DataFrame) -> Iterator[Written]:
    key, rows = key_of(FOLDER, _LAYOUT, shard.key), _with_keys(rows, shard.number)
    image = ("image_id", "path", pl.col("file_sha256").alias("sha256"), "size", "extension")
    samples = rows.select(*image, "key", "caption", as_json(_columns(rows)))
    yield target.file(f"{name}.tar", key, shard.rows, partial(write_samples, members, [samples]))
    yield target.file(f"{name}.parquet", key, 0, partial(_write_table, rows.select(_columns(rows))))
    yield target.put(f"{name}_stats.json", _stats(shard.rows))


def _rows(members: Members) -> Iterator[pl.DataFrame]:
    """The columns of the shards' tables, with a key that is none yet; and `path`, `json` and `bytes`."""
    for batch in safe_batches(members):
        rows = batch.select(*_meta(), "path")
        yield with_bytes(rows.with_columns(as_json(_columns(rows))))


def _meta() -> list[pl.Expr]:
    """In the order of img2dataset: what was given to it, then what it found.

    exif is null: it is not looked for here. sha256 is that of what `url` gave, as there.
    """
    return [
        pl.col("file_url").alias("url"),
        first_caption(),
        *(column for column in described() if column.meta.output_name() not in _SAID_AS_THERE),
        pl.col("sha256").alias("file_sha256"),
        pl.lit("0" * (_SHARD_DIGITS + _ROW_DIGITS)).alias("key"),
        pl.lit("success").alias("status"),
        pl.lit(None, pl.String).alias("error_message"),
        *(pl.col(name) for name in ("width", "height", "original_width", "original_height")),
        pl.lit(None, pl.String).alias("exif"),
        pl.col("original_sha256").alias("sha256"),
    ]


def _columns(rows: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(name) for name in rows.columns if name not in ("path", "json", "bytes")]


def _with_keys(rows: pl.DataFrame, shard: int) -> pl.DataFrame:
    """Rows of a shard with img2dataset's keys, which number them through all shards."""
    first = shard * 10**_ROW_DIGITS
    keys = pl.int_range(first, first + pl.len()).cast(pl.String).str.zfill(_SHARD_DIGITS + _ROW_DIGITS)
    return rows.with_columns(keys.alias("key"))


def _write_table(rows: pl.DataFrame, file: Path) -> None:
    rows.rechunk().write_parquet(file, compression="zstd", compression_level=1, row_group_size=ROWS_PER_SHARD)


def _stats(rows: int) -> bytes:
    """A shard's statistics. Its times are 0: a clock would make equal members give other bytes."""
    counts = {"count": rows, "successes": rows, "failed_to_download": 0, "failed_to_resize": 0}
    times = {"duration": 0.0, "start_time": 0.0, "end_time": 0.0}
    return json.dumps({**counts, **times, "status_dict": {"success": rows}}, indent=4).encode()
