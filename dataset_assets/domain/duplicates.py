"""Which images show the same: groups around a leader, of which every member is like the leader itself.

Images of equal pixels are exact duplicates. Images whose perceptual hashes differ in few bits, and whose shape and mean
brightness are about equal, are perceptual ones. A hash of few set or few unset bits says too little: blank pages, flags
and lone dots would all be one picture. Such images have exact duplicates only. Where vectors are compared, images whose
vectors are nearly one are semantic duplicates, if no nearer leader is found by looks.

A group is a star and no chain: that A is like B and B like C does not make A a duplicate of C. Images are asked in
order: those that led before, then the larger ones, then by source in the order of dataset.yaml, then by id. Each joins
the nearest leader that stands before it, or leads. So a leader stays one for as long as its image and pixels do,
whatever arrives; an image whose leader is gone is asked anew.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset_assets.domain.close_hashes import MAX_DISTANCE, close_pairs, stars
from dataset_assets.domain.close_vectors import VectorPairs
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES, split_keys
from dataset_assets.domain.hash_pairs import Looks, Pairs

LEAST_BITS = 8  # set, and unset: below, a hash says too little
SHAPE_CLASSES = 8.0  # for each doubling of width to height: one class is 9 %
LUMA_CLASS = 8.0  # steps of 256
AT_ONCE = 2_000_000  # pictures whose pairs are held in memory together
NOBODY = -1
SEMANTIC_STEPS = 56  # of likeness that are told apart among pairs that a model sees
NO_LIKES = VectorPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


class Facts(NamedTuple):
    """What the judgement reads, one row per decoded image."""

    images: pl.DataFrame  # image_id, pixel_hash, perceptual_hash, width, height, luma_mean
    families: pl.DataFrame  # image_id, root_id: of each source
    sketch_pairs: pl.DataFrame  # colored_id, sketch_id


# Pairs of the images of a series, as positions in it, that show the same by what a model sees in them.
Semantic = Callable[[pl.Series], VectorPairs]


def near_duplicates(
    facts: Facts, previous: pl.DataFrame, sources: Sequence[str], distance: int, semantic: Semantic | None = None
) -> pl.DataFrame:
    """Rows of NEAR_DUPLICATES.

    `previous` is the table as it was made before in the same way, or empty; `sources` gives their order.
    """
    images = _in_order(facts.images, previous, sources)
    pictures = _pictures(images)
    likes = NO_LIKES if semantic is None else semantic(images["image_id"].gather(pictures["rank"]))
    leaders = pl.Series(_leaders(pictures, distance, likes), dtype=pl.Int64)
    cosines = pl.DataFrame({"picture": likes.later, "leads": likes.earlier, "cosine": likes.cosine})
    pictures = pictures.with_columns(pl.col("picture").cast(pl.Int64), leads=leaders)
    named = _named(images, pictures.join(cosines, on=["picture", "leads"], how="left"), distance)
    named = named.with_columns(split_keys(named["group_id"]))
    return _with_relations(named, facts).select(NEAR_DUPLICATES.schema.names()).sort("image_id")


def _in_order(images: pl.DataFrame, previous: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """Images in the order in which they are asked, with the leader that each had, if both are still what they were."""
    before = previous.select("image_id", "pixel_hash", led_by="group_id")
    known = images.select("image_id", "pixel_hash").join(before, on=["image_id", "pixel_hash"])
    standing = known.filter(pl.col("led_by") == pl.col("image_id")).select("led_by")
    held = known.join(standing, on="led_by", how="semi").select("image_id", "led_by")
    order = pl.DataFrame(
        {"source": list(sources), "source_rank": range(len(sources))}, schema_overrides={"source": pl.String}
    )
    return (
        images.join(held, on="image_id", how="left")
        .with_columns(
            source=pl.col("image_id").str.extract(r"^([^-]*)-"), area=pl.col("width").cast(pl.Int64) * pl.col("height")
        )
        .join(order, on="source", how="left")
        .with_columns(led_before=pl.col("led_by").eq_missing(pl.col("image_id")))
        .sort(
            ~pl.col("led_before"),
            -pl.col("area"),
            pl.col("source_rank"),
            pl.col("image_id").str.len_bytes(),
            pl.col("image_id"),
            nulls_last=True,
        )
        .with_row_index("rank")
        .with_columns(_look())
    )


def _look() -> list[pl.Expr]:
    """What makes images one picture: look, or, where the hash says too little, pixels alone."""
    bits = pl.col("perceptual_hash").bitwise_count_ones()
    says_enough = bits.is_between(LEAST_BITS, 64 - LEAST_BITS).fill_null(False)
    shape = (pl.col("width") / pl.col("height")).log(2.0) * SHAPE_CLASSES
    return [
        says_enough.alias("says_enough"),
        pl.when(says_enough).then(shape.round()).otherwise(0).cast(pl.Int16).alias("shape"),
        pl.when(says_enough).then(pl.col("luma_mean") / LUMA_CLASS).otherwise(0).cast(pl.Int16).alias("luma"),
        pl.when(says_enough).then("perceptual_hash").otherwise(0).alias("look"),
        pl.when(says_enough).then(pl.lit("")).otherwise("pixel_hash").alias("pixels"),
    ]


_PICTURE = ("says_enough", "look", "shape", "luma", "pixels")


def _pictures(images: pl.DataFrame) -> pl.DataFrame:
    """One row per picture, in order: the rank of its first image, and of the image that leads it since before."""
    ranks = images.select("rank", led_by="image_id")
    grouped = images.group_by(_PICTURE).agg(pl.col("rank").min(), pl.col("led_by").drop_nulls().first())
    leaders = ranks.rename({"rank": "leader_rank"})
    return grouped.join(leaders, on="led_by", how="left").sort("rank").with_row_index("picture")


def _leaders(pictures: pl.DataFrame, distance: int, likes: VectorPairs) -> NDArray[np.int64]:
    """For each picture, the one that leads it; itself where it leads."""
    leads = _led_before(pictures)
    says_enough = pictures["says_enough"].to_numpy()
    leads = np.where(~says_enough, np.arange(len(leads)), leads)
    looks = Looks(*(pictures[name].to_numpy() for name in ("look", "shape", "luma")))
    asked = np.flatnonzero(leads == NOBODY)
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        held = np.flatnonzero((leads == np.arange(len(leads))) & says_enough)
        both = np.concatenate([held, some])
        pairs = _joined(close_pairs(looks.at(both), distance, len(held)), likes, both, len(held))
        leads[some] = both[stars(len(both), pairs)[len(held) :]]
    return leads


def _led_before(pictures: pl.DataFrame) -> NDArray[np.int64]:
    """For each picture, the one that has led it since before; NOBODY where none has."""
    ranks, leaders = pictures["rank"].to_numpy(), pictures["leader_rank"].fill_null(0).to_numpy()
    by_rank = np.full(int(max(ranks.max(), leaders.max())) + 1 if len(ranks) else 0, NOBODY, np.int64)
    by_rank[ranks] = np.arange(len(ranks))
    return np.where(pictures["leader_rank"].is_null().to_numpy(), NOBODY, by_rank[leaders])


def _joined(pairs: Pairs, likes: VectorPairs, both: NDArray[np.int64], held: int) -> Pairs:
    """Pairs by looks with those that a model sees, which count as further apart than any of them."""
    if not len(likes.later):
        return pairs
    place = np.full(int(max(likes.later.max(), both.max())) + 1, NOBODY, np.int64)
    place[both] = np.arange(len(both))
    later, earlier = place[likes.later], place[likes.earlier]
    asked = (earlier != NOBODY) & (later >= held) & (later > earlier)
    unlike = (1 - likes.cosine[asked]) / max(1e-6, 1 - float(likes.cosine.min()))
    apart = MAX_DISTANCE + 1 + np.round(unlike * SEMANTIC_STEPS)
    later, earlier = np.concatenate([pairs.later, later[asked]]), np.concatenate([pairs.earlier, earlier[asked]])
    distance = np.concatenate([pairs.distance, apart.astype(np.uint8)])
    order = np.lexsort((earlier, later))
    return Pairs(later[order].astype(np.int32), earlier[order].astype(np.int32), distance[order])


def _named(images: pl.DataFrame, pictures: pl.DataFrame, distance: int) -> pl.DataFrame:
    """Each image with the image that leads it, how it is like it, and how large the group is."""
    leading = pictures.select(leads=pl.col("picture").cast(pl.Int64), leader_rank_now="rank")
    led = pictures.select(*_PICTURE, "leads", "cosine").join(leading, on="leads")
    heads = images.select(
        leader_rank_now="rank",
        group_id="image_id",
        leader_pixels="pixel_hash",
        leader_hash="perceptual_hash",
        leader_shape="shape",
        leader_luma="luma",
    )
    joined = images.join(led, on=_PICTURE, nulls_equal=True).join(heads, on="leader_rank_now")
    is_leader, is_exact = pl.col("image_id") == pl.col("group_id"), pl.col("pixel_hash") == pl.col("leader_pixels")
    apart = (pl.col("perceptual_hash") ^ pl.col("leader_hash")).bitwise_count_ones().cast(pl.Int8)
    looks_alike = (apart <= distance) & _within_one("shape") & _within_one("luma")
    by_model = ~is_leader & ~is_exact & ~looks_alike & pl.col("cosine").is_not_null()
    kind = (
        pl.when(is_exact).then(pl.lit("exact")).when(by_model).then(pl.lit("semantic")).otherwise(pl.lit("perceptual"))
    )
    return joined.with_columns(
        duplicate_of=pl.when(~is_leader).then("group_id"),
        kind=pl.when(~is_leader).then(kind),
        distance=pl.when(~is_leader & ~by_model).then(pl.when(is_exact).then(0).otherwise(apart)).cast(pl.Int8),
        cosine=pl.when(by_model).then("cosine"),
        group_size=pl.len().over("group_id").cast(pl.Int32),
    )


def _within_one(name: str) -> pl.Expr:
    """Whether an image's class and its leader's are neighbours."""
    return (pl.col(name).cast(pl.Int32) - pl.col(f"leader_{name}").cast(pl.Int32)).abs() <= 1


def _with_relations(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Whether an image and its leader are of one post or family, or are a sketch and its colouring."""
    roots = facts.families.select("image_id", "root_id").unique("image_id")
    one_source = pl.col("source") == pl.col("duplicate_of").str.extract(r"^([^-]*)-")
    one_post = pl.col("image_id").str.extract(r"^(.*)-") == pl.col("duplicate_of").str.extract(r"^(.*)-")
    pairs = facts.sketch_pairs.select(image_id="colored_id", duplicate_of="sketch_id")
    both_ways = pl.concat([pairs, pairs.select(image_id="duplicate_of", duplicate_of="image_id")]).unique()
    joined = rows.join(roots, on="image_id", how="left").join(
        roots.select(duplicate_of="image_id", leader_root="root_id"), on="duplicate_of", how="left"
    )
    joined = joined.join(both_ways.with_columns(paired=True), on=["image_id", "duplicate_of"], how="left")
    is_family = one_post | (one_source & (pl.col("root_id") == pl.col("leader_root"))).fill_null(False)
    is_led = pl.col("duplicate_of").is_not_null()
    return joined.with_columns(
        is_family=pl.when(is_led).then(is_family),
        is_sketch_pair=pl.when(is_led).then(pl.col("paired").fill_null(False)),
    )
