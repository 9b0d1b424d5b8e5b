"""PD12M: Parquet shards of public-domain images, with a caption, size, MD5 and licence of each.

It states no date and no rating, and has no tags. Its captions were written by a model, not by the artist: they are no
description, and come with the other captions. Images are those of a folder that somebody has fetched, or are fetched.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from dataset_assets.config import Pd12mSource
from dataset_assets.domain.identity import image_id
from dataset_assets.domain.schemas import IMAGE_ID, IMAGE_METADATA, TAG_METADATA, Column, Table
from dataset_assets.sources import ReadReport
from dataset_assets.sources.local_files import LOCATED, fingerprint_of, locate_images, locate_urls, orphan_images
from dataset_assets.sources.pd12m_shards import write_snapshot

SNAPSHOT = Table(
    "source_snapshot",
    "row of a shard",
    (
        IMAGE_ID,
        Column("year", pl.Int32, "year of the collection; PD12M states none"),
        Column("record_file", pl.String, "the shard"),
        Column("record_line", pl.Int64, "1-based row in the shard"),
        Column("id", pl.String, "UUID of the image, as published"),
        Column("url", pl.String, "the hosted file"),
        Column("caption", pl.String, "what a captioning model said of the image"),
        Column("width", pl.Int32, "width in pixels"),
        Column("height", pl.Int32, "height in pixels"),
        Column("mime_type", pl.String, "MIME type of the hosted file"),
        Column("hash", pl.String, "MD5 of the hosted file; not unique (md5_hash in the first layout)"),
        Column("license", pl.String, "URL of the image's licence (license_type in the first layout)"),
        Column("source", pl.String, "institution that holds the original; only in the newest layout"),
        Column("s3_key", pl.String, "key of the hosted file in its bucket; only in the first layout"),
        Column("license_name", pl.String, "cc0_1_0, pdm_1_0 or unknown: the licence that the URL is of"),
        Column("shard_number", pl.Int32, "number in the shard's name; null = it has none"),
        Column("row_in_shard", pl.Int64, "0-based row in the shard, which aligns the embeddings"),
    ),
    sorted_by=("year", "image_id"),
)

FILE_STEM = "([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"

_EXTENSIONS = {
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/tiff": "tiff",
    "image/bmp": "bmp",
}


def fingerprint(source: Pd12mSource) -> str:
    """Hex digest of name, size and time of each shard."""
    return fingerprint_of(source.files(source.metadata))


def read_snapshot(name: str, source: Pd12mSource, into: Path, say: Callable[[str], None]) -> ReadReport:
    """Read the shards into the Parquet file `into`. Of rows with one id the first counts, by file name and row.

    Raises: DamagedExport when a shard is damaged or none of PD12M's; OSError when it cannot be opened.
    """
    image_id(name, "1")  # a source's name that cannot be one fails before the work, not after it
    return ReadReport(*write_snapshot(name, source.collected, source.files(source.metadata), into, say))


def image_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `image_metadata`. The rating is null: PD12M was filtered for safety by its makers, not rated."""
    md5 = pl.col("hash").str.strip_chars().str.to_lowercase()
    of_url = pl.col("url").str.extract(r"\.([A-Za-z0-9]{1,5})(?:[?#].*)?$").str.to_lowercase()
    of_mime_type = pl.col("mime_type").str.to_lowercase().replace_strict(_EXTENSIONS, default=None)
    columns = {
        "image_id": pl.col("image_id"),
        "post_id": pl.col("id").str.to_lowercase(),
        "page": pl.lit(0),
        "page_count": pl.lit(1),
        "file_url": pl.col("url"),
        "file_ext": pl.coalesce(of_url, of_mime_type),
        "md5": pl.when(md5.str.contains("^[0-9a-f]{32}$")).then(md5),
        "width": pl.col("width"),
        "height": pl.col("height"),
    }
    return snapshot.select(
        columns.get(column.name, pl.lit(None)).cast(column.dtype).alias(column.name)
        for column in IMAGE_METADATA.columns
    )


def tag_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """No rows: PD12M has captions, and no tags."""
    return TAG_METADATA.empty().lazy()


def captions(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """The captions that are published in the records: image_id, caption, file (the shard)."""
    caption = pl.col("caption").str.strip_chars()
    return snapshot.select("image_id", caption=caption, file="record_file").filter(pl.col("caption") != "")


def locate(source: Pd12mSource, listed: pl.DataFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Where each listed image lies below `images`: `<id>.<ext>`, in any folder; or its address, to fetch it.

    In a bucket, that is the key by which it is published: twelve million keys are not listed to find it.
    """
    if source.in_bucket:
        return locate_objects(str(source.images), listed)
    if source.is_fetched:
        return locate_urls(listed)
    return locate_images(_image_folder(source), listed, FILE_STEM)


def orphans(source: Pd12mSource, snapshot: pl.LazyFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Images that no row names, and second files for one."""
    post_ids = snapshot.select(pl.col("id").str.to_lowercase()).collect()["id"]
    return orphan_images(_image_folder(source), post_ids, FILE_STEM)


def locate_objects(prefix: str, listed: pl.DataFrame) -> pl.DataFrame:
    """The object of each listed image below `s3://bucket/prefix`: named as its `file_url` ends, else `<id>.<ext>`."""
    of_url = pl.col("file_url").str.extract(r"/([0-9A-Za-z._-]{1,255})(?:[?#].*)?$")
    name = pl.coalesce(of_url, pl.format("{}.{}", "post_id", "file_ext"))
    unknown = (pl.lit(None, LOCATED[key]).alias(key) for key in ("size", "mtime_ns"))
    return listed.select("image_id", pl.format("{}/{}", pl.lit(prefix.rstrip("/")), name).alias("location"), *unknown)


def _image_folder(source: Pd12mSource) -> Path | None:
    if source.images is None or source.is_fetched or source.in_bucket:
        return None
    return source.resolve(source.images)
