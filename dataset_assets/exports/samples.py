"""Samples: an image, its caption and what else is known of it, as three members of a tar that share a key."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from dataset_assets.exports.members import Members
from dataset_assets.exports.read_ahead import read_ahead
from dataset_assets.exports.tar_files import TarWriter, bytes_in_tar

BUFFER_BYTES = 1 << 20


def with_bytes(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the `bytes` that an image of `size`, its `caption` and its `json` take in a tar."""
    sizes = (pl.col("size"), pl.col("caption").str.len_bytes(), pl.col("json").str.len_bytes())
    return rows.with_columns(pl.sum_horizontal(bytes_in_tar(size) for size in sizes).alias("bytes"))


def write_samples(members: Members, frames: Iterable[pl.DataFrame], file: Path) -> None:
    """Write a tar of samples, of which memory holds a few images at a time.

    frames: `image_id`, `path`, `sha256` and `size` of the images; the `key` and `extension` of their names; `caption`
    and `json`. Raises: MemberLost; NotAllowed.
    """
    rows = (row for frame in frames for row in frame.iter_rows(named=True))
    with file.open("wb", buffering=BUFFER_BYTES) as stream, TarWriter(stream) as tar:
        for row, image in read_ahead(members, rows):
            tar.add(row["key"], row["extension"], image)
            tar.add(row["key"], "txt", row["caption"].encode())
            tar.add(row["key"], "json", row["json"].encode())
