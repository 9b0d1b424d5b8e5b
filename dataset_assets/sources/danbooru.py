"""Mirrors in Danbooru20xx's layout: records in JSON Lines of the old or the new schema, images as `BBBB/ID.EXT`."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from dataset_assets.config import DanbooruSource
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS
from dataset_assets.sources import DamagedExport, ReadReport
from dataset_assets.sources.danbooru_fields import CATEGORIES, SNAPSHOT
from dataset_assets.sources.danbooru_files import locate_images, orphan_files
from dataset_assets.sources.danbooru_listing import locate_among, orphans_among
from dataset_assets.sources.danbooru_snapshot import write_snapshot
from dataset_assets.sources.local_files import locate_urls

__all__ = ["SNAPSHOT", "fingerprint", "image_metadata", "locate", "orphans", "read_snapshot", "tag_metadata"]

VERSION = "1"  # of what a snapshot holds
SITE, CDN = "https://danbooru.donmai.us", "https://cdn.donmai.us/original"

_RATINGS = {
    "danbooru_sqe": {"s": "general", "q": "questionable", "e": "explicit"},
    "danbooru_gsqe": {"g": "general", "s": "sensitive", "q": "questionable", "e": "explicit"},
}


def fingerprint(source: DanbooruSource) -> str:
    """Hex digest of name, size and time of each file of metadata."""
    folder = source.resolve("")
    stats = [(os.path.relpath(file, folder), file.stat()) for file in source.files(source.metadata)]
    files = "".join(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n" for name, found in stats)
    return hashlib.sha256(f"{VERSION}\n{files}".encode("utf-8", "surrogateescape")).hexdigest()


def read_snapshot(name: str, source: DanbooruSource, into: Path, say: Callable[[str], None]) -> ReadReport:
    """Read the export into the Parquet file `into`; both schemas may stand in one file.

    Of the records with one id, the first by file name and line counts.
    Raises: DamagedExport when there is no file, or one is cut off or cannot be unpacked; then `into` is as it was.
    """
    files = source.files(source.metadata)
    if not files:
        raise DamagedExport(f"no file matches {' or '.join(source.metadata)}; see `metadata`")
    return write_snapshot(name, files, into, say)


def image_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `image_metadata`, each post one image."""
    rating = pl.coalesce(
        pl.when(pl.col("rating_scale") == scale).then(pl.col("rating").replace_strict(words, default=None))
        for scale, words in _RATINGS.items()
    )
    post_id = pl.col("id").cast(pl.String)
    renamed = {
        "post_id": post_id,
        "page": pl.lit(0),
        "page_count": pl.lit(1),
        "page_url": pl.format("{}/posts/{}", pl.lit(SITE), post_id),
        "source_url": pl.when(pl.col("source") != "").then("source"),
        "width": pl.col("image_width"),
        "height": pl.col("image_height"),
        "rating": rating,
        "rating_source": pl.col("rating"),
        **dict.fromkeys(("title", "description", "file_name", "view_count"), pl.lit(None)),
        **dict.fromkeys(("is_ai_generated", "is_vanished"), pl.lit(None)),
    }
    columns = [
        renamed.get(column.name, pl.col(column.name)).cast(column.dtype).alias(column.name)
        for column in IMAGE_METADATA.columns
    ]
    return snapshot.select(columns).sort(IMAGE_METADATA.sorted_by)


def tag_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `tag_metadata`, as often as the post lists each tag."""
    other = pl.col("tags_other").struct
    known = [
        snapshot.select("image_id", tag=pl.col(f"tag_string_{category}").str.split(" "), category=pl.lit(category))
        for category in CATEGORIES.values()
    ]
    others = snapshot.select("image_id", "tags_other").explode("tags_other")
    tags = pl.concat(
        [
            *(named.explode("tag") for named in known),
            others.select("image_id", tag=other.field("name"), category=other.field("category")),
        ]
    )
    # An empty tag_string splits into one empty tag.
    return tags.filter(pl.col("tag") != "").select("tag", "image_id", "category", origin=pl.lit("source", pl.String))


def locate(source: DanbooruSource, listed: pl.DataFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Where the image of each row lies: `BBBB/ID.EXT` with the claimed extension, else with the first other one.

    Of a source that is fetched: the address of the original file.
    """
    if source.is_fetched:
        return locate_urls(listed.with_columns(file_url=_file_url()))
    if files is not None:
        return locate_among(files, listed)
    return locate_images(source.resolve(source.images), listed)


def orphans(source: DanbooruSource, snapshot: pl.LazyFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Files of the tree that are no record's image: unknown, in the wrong bucket, or not what `locate` takes."""
    if source.is_fetched:
        return REJECTED_RECORDS.empty()
    if files is not None:
        return orphans_among(files, snapshot)
    return orphan_files(source.resolve(source.images), snapshot)


def _file_url() -> pl.Expr:
    """The address in the record, which older exports give from the site's root.

    Records of the old schema name none: the site keeps files by their MD5, which only visible posts state.
    Source: `file_url` of the API, `https://cdn.donmai.us/original/4f/39/4f39497ef8fcd059984c3b1fe86cf542.png`.
    """
    given, md5 = pl.col("file_url"), pl.col("md5")
    by_md5 = pl.format("{}/{}/{}/{}.{}", pl.lit(CDN), md5.str.slice(0, 2), md5.str.slice(2, 2), md5, "file_ext")
    is_hidden = pl.col("is_banned").fill_null(False)
    return (
        pl.when(given.str.starts_with("/") & ~given.str.starts_with("//"))
        .then(pl.lit(SITE) + given)
        .when(given.is_not_null())
        .then(given)
        .when(~is_hidden & md5.str.contains("^[0-9a-f]{32}$") & pl.col("file_ext").str.contains("^[a-z0-9]{1,16}$"))
        .then(by_md5)
    )
