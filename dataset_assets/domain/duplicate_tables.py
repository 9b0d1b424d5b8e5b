"""The tables of near-duplicates and of what tells them, and which of its rows a subset leaves out."""

import hashlib

import polars as pl

from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_ID, Column, Table

_FACTS = ("image_facts.perceptual_hash", "image_facts.pixel_hash")

NEAR_DUPLICATES = Table(
    "near_duplicates",
    "decoded image, of all sources",
    (
        Column("image_id", pl.String, IMAGE_ID.description, ("image_facts.image_id",)),
        Column("duplicate_of", pl.String, "the image that it duplicates; null = it leads a group, or is alone", _FACTS),
        Column("kind", pl.String, "exact (equal pixels), perceptual or semantic; null = it duplicates none", _FACTS),
        Column(
            "distance", pl.Int8, "bits in which the perceptual hashes differ; 0 for exact, null for semantic", _FACTS
        ),
        Column("cosine", pl.Float32, "of the two vectors; null = not semantic", ("clip_embeddings.embedding",)),
        Column("group_id", pl.String, "the leader of its group: itself, or duplicate_of; split by this", _FACTS),
        Column("group_size", pl.Int32, "images of the group, the leader included; 1 = alone"),
        Column(
            "split_key", pl.Int64, "hash of the leader, 0 to 4294967295: the same for a whole group, whatever comes"
        ),
        Column(
            "is_family", pl.Boolean, "it and its leader are of one post, or parent and child", ("families.root_id",)
        ),
        Column("is_sketch_pair", pl.Boolean, "one is the sketch, the other its colouring", ("sketch_pairs.sketch_id",)),
        Column("pixel_hash", pl.String, "of the pixels that were judged, as in picture_hashes", _FACTS),
    ),
)

_DECODED = ("perceptual_hash", "width", "height", "luma_mean")

PICTURE_HASHES = Table(
    "picture_hashes",
    "decoded image",
    (
        *(
            Column(c.name, c.dtype, c.description, (f"image_facts.{c.name}",))
            for c in IMAGE_FACTS.columns
            if c.name in ("image_id", *_DECODED)
        ),
        Column(
            "pixel_hash",
            pl.String,
            "what equal pictures have in common: the hash of their pixels, with the profile where that is not sRGB; of "
            "an animation, of which that hash knows one frame, the hash of the file",
            ("image_facts.pixel_hash", "image_facts.icc_profile", "image_facts.sha256"),
        ),
        Column("root_id", pl.String, "the family of its post; null = none", ("families.root_id",)),
        Column(
            "vector_key",
            pl.String,
            "what its vector was made of and by; null = it has none, or vectors are not compared",
            ("clip_embeddings.input_key", "clip_embeddings.recipe"),
        ),
    ),
)


def split_keys(group_ids: pl.Series) -> pl.Series:
    """A number for each group, 0 to 4294967295, evenly spread and always the same."""
    keys = [int.from_bytes(hashlib.sha256(one.encode()).digest()[:4], "big") for one in group_ids]
    return pl.Series("split_key", keys, dtype=pl.Int64)


def picture_hashes_of(
    facts: pl.LazyFrame, families: pl.LazyFrame, embeddings: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """Rows of PICTURE_HASHES, sizes upright, of `image_facts`, `families` and, where compared, `clip_embeddings`."""
    lies_on_its_side = (pl.col("orientation") >= 5).fill_null(False)
    profile = pl.col("icc_profile").fill_null("another colour space")
    pixels = (
        pl.when("is_animated")
        .then(pl.format("file {}", "sha256"))
        .when("is_srgb")
        .then("pixel_hash")
        .otherwise(pl.format("{} in {}", "pixel_hash", profile))
    )
    decoded = facts.filter(pl.col("error").is_null()).with_columns(
        width=pl.when(lies_on_its_side).then("height").otherwise("width"),
        height=pl.when(lies_on_its_side).then("width").otherwise("height"),
        pixel_hash=pl.when(pl.col("pixel_hash").is_not_null()).then(pixels),
    )
    roots = families.select("image_id", "root_id").unique("image_id")
    nothing = pl.LazyFrame(schema={"image_id": pl.String, "vector_key": pl.String})
    vectors = nothing if embeddings is None else _vector_keys(embeddings)
    joined = decoded.join(roots, on="image_id", how="left").join(vectors, on="image_id", how="left")
    return joined.select(PICTURE_HASHES.schema.names())


def _vector_keys(embeddings: pl.LazyFrame) -> pl.LazyFrame:
    made = embeddings.filter(pl.col("error").is_null())
    return made.select("image_id", vector_key=pl.format("{} {}", "input_key", "recipe"))


def dropped(rows: pl.LazyFrame, *, keeps_families: bool) -> pl.LazyFrame:
    """The images that a subset without duplicates leaves out, as image_id.

    A sketch stays beside its colouring, and, where families are kept, a variant beside its parent, unless the pixels
    are equal.
    """
    spared = pl.col("is_sketch_pair") | (pl.col("is_family") if keeps_families else pl.lit(False))
    is_dropped = pl.col("duplicate_of").is_not_null() & ((pl.col("kind") == "exact") | ~spared)
    return rows.filter(is_dropped).select("image_id")
