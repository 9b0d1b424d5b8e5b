"""The table `optimized_images`."""

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, RECIPE, Column, Table

OPTIMIZED_IMAGES = Table(
    "optimized_images",
    "stored raw image, recompressed without loss or kept as it is",
    (
        Column(IMAGE_ID.name, IMAGE_ID.dtype, IMAGE_ID.description, ("raw_images.image_id",)),
        Column("error", pl.String, "why there is no file at all, from a closed list; null = there is one"),
        Column("error_detail", pl.String, "what was found, at most 500 characters"),
        Column("kept_because", pl.String, "why the original stands unchanged, from a closed list; null = recompressed"),
        Column("detail", pl.String, "more on that, at most 500 characters"),
        Column("format", pl.String, "what the bytes are", ("raw_images.format",)),
        Column("path", pl.String, "the file, relative to the root; of a kept original, its path in raw_images"),
        Column("sha256", pl.String, "SHA-256 of the file"),
        Column("size", pl.Int64, "bytes"),
        Column("original_md5", pl.String, "MD5 of the original", ("raw_images.md5",)),
        Column("original_size", pl.Int64, "bytes of the original", ("raw_images.size",)),
        Column("trailing_bytes", pl.Int64, "bytes behind the image's end that were left out; null = kept as it is"),
        Column("pixel_hash", pl.String, "hash of the file's pixels, as in image_facts; null = they do not decode"),
        Column("input_key", pl.String, "SHA-256 of the original", ("raw_images.sha256",)),
        RECIPE,
    ),
)
