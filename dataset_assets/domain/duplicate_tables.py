"""The tables of near-duplicates and of what tells them, and which of its rows a subset leaves out."""

import polars as pl

from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_ID, Column, Table

_FACTS = ("image_facts.perceptual_hash", "image_facts.pixel_hash")

NEAR_DUPLICATES = Table(
    "near_duplicates",
    "decoded image, of all sources",
    (
        Column("image_id", pl.String, IMAGE_ID.description, ("image_facts.image_id",)),
        Column("duplicate_of", pl.String, "the image that it duplicates; null = it leads a group, or is alone", _FACTS),
        Column("kind", pl.String, "exact (equal pixels) or perceptual; null = it duplicates none", _FACTS),
        Column("distance", pl.Int8, "bits in which the perceptual hashes differ; 0 for exact", _FACTS),
        Column("group_id", pl.String, "the leader of its group: itself, or duplicate_of; split by this", _FACTS),
        Column("group_size", pl.Int32, "images of the group, the leader included; 1 = alone"),
        Column(
            "is_family", pl.Boolean, "it and its leader are of one post, or parent and child", ("families.root_id",)
        ),
        Column("is_sketch_pair", pl.Boolean, "one is the sketch, the other its colouring", ("sketch_pairs.sketch_id",)),
        Column("pixel_hash", pl.String, "the pixels that were judged", ("image_facts.pixel_hash",)),
    ),
)

_DECODED = ("pixel_hash", "perceptual_hash", "width", "height", "luma_mean")

PICTURE_HASHES = Table(
    "picture_hashes",
    "decoded image",
    (
        *(
            Column(c.name, c.dtype, c.description, (f"image_facts.{c.name}",))
            for c in IMAGE_FACTS.columns
            if c.name in ("image_id", *_DECODED)
        ),
        Column("root_id", pl.String, "the family of its post; null = none", ("families.root_id",)),
    ),
)


def picture_hashes_of(facts: pl.LazyFrame, families: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of PICTURE_HASHES, sizes upright, from rows of `image_facts` and of `families`."""
    lies_on_its_side = (pl.col("orientation") >= 5).fill_null(False)
    decoded = facts.filter(pl.col("error").is_null()).with_columns(
        width=pl.when(lies_on_its_side).then("height").otherwise("width"),
        height=pl.when(lies_on_its_side).then("width").otherwise("height"),
    )
    roots = families.select("image_id", "root_id").unique("image_id")
    return decoded.join(roots, on="image_id", how="left").select(PICTURE_HASHES.schema.names())


def dropped(rows: pl.LazyFrame, *, keeps_families: bool) -> pl.LazyFrame:
    """The images that a subset without duplicates leaves out, as image_id.

    A sketch stays beside its colouring, and, where families are kept, a variant beside its parent, unless the pixels
    are equal.
    """
    spared = pl.col("is_sketch_pair") | (pl.col("is_family") if keeps_families else pl.lit(False))
    is_dropped = pl.col("duplicate_of").is_not_null() & ((pl.col("kind") == "exact") | ~spared)
    return rows.filter(is_dropped).select("image_id")
