"""What leaves with an image: one row has all that any format of a release says of it."""

import polars as pl

from dataset_assets.domain.schemas import (
    IMAGE_FACTS,
    IMAGE_ID,
    IMAGE_METADATA,
    TRAINING_IMAGES,
    Column,
    Table,
)

CAPTION = pl.Struct({"origin": pl.String, "caption": pl.String})
TAG = pl.Struct({"tag": pl.String, "category": pl.String})
# In which the site shows them, and in which they are written out. Other categories follow by name.
CATEGORY_ORDER = ("artist", "copyright", "character", "general", "meta")
# What of a listed image is handed on as its source states it.
STATED = (
    *("post_id", "page", "created_at", "title", "uploader_id", "uploader_name", "page_url", "source_url", "file_url"),
    *("rating", "score", "fav_count", "parent_id", "pixiv_id", "is_ai_generated"),
    *("page_count", "description", "rating_source", "view_count"),
)
# Where a point of the upright original is in the file: x * scale_x + offset_x. Null = the file is the original.
PLACED = ("scale_x", "scale_y", "offset_x", "offset_y")


def _from(table: Table, *names: str) -> tuple[Column, ...]:
    return tuple(
        Column(c.name, c.dtype, c.description, (f"{table.name}.{c.name}",)) for c in table.columns if c.name in names
    )


# Sorted by source, year and image_id: a release is read and written in this order, and never held.
MEMBERS = Table(
    "release_members",
    "image of a release",
    (
        Column("image_id", pl.String, IMAGE_ID.description, ("image_metadata.image_id",)),
        Column("source", pl.String, "the source, as dataset.yaml names it"),
        Column("year", pl.Int32, "the year that the source states, or that of the collection"),
        Column("split", pl.String, "part of the release, such as train; null = it has no parts"),
        Column("path", pl.String, "the file that leaves: below the root, or where a mirror has it"),
        Column("sha256", pl.String, "SHA-256 of that file"),
        Column("size", pl.Int64, "bytes of that file"),
        Column("extension", pl.String, "its true extension: jpg, png, webp, gif, ..."),
        Column("width", pl.Int32, "pixels across, as it is shown upright"),
        Column("height", pl.Int32, "pixels down, as it is shown upright"),
        *_from(TRAINING_IMAGES, *PLACED),
        Column("original_sha256", pl.String, "SHA-256 of the raw file", ("raw_images.sha256",)),
        Column("original_md5", pl.String, "MD5 of the raw file", ("raw_images.md5",)),
        Column("original_size", pl.Int64, "bytes of the raw file", ("raw_images.size",)),
        Column("original_extension", pl.String, "true extension of the raw file", ("raw_images.extension",)),
        Column("original_width", pl.Int32, "pixels across of the original, upright", ("image_facts.width",)),
        Column("original_height", pl.Int32, "pixels down of the original, upright", ("image_facts.height",)),
        *_from(IMAGE_FACTS, "pixel_hash"),
        *_from(IMAGE_METADATA, *STATED),
        Column("artist", pl.List(pl.String), "who made it: artist tags, else the uploader; empty = not known"),
        Column("license", pl.String, "name of the source's licence, as dataset.yaml states it"),
        Column("license_basis", pl.String, "who says so"),
        Column("may_redistribute", pl.Boolean, "whether its pixels may be passed on"),
        Column("captions", pl.List(CAPTION), "captions, the preferred origin first; empty = none"),
        Column("tags", pl.List(TAG), "tags in order of category and name; empty = none"),
        Column("caption_model", pl.String, "what wrote the first caption; null = published, or unknown"),
    ),
    sorted_by=("source", "year", "image_id"),
)
