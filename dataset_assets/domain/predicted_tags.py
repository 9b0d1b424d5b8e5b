"""Tags as a tagger sees them: scores are kept, and what counts as a tag is decided when they are read."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, INPUT_KEY, RECIPE, Column, Table

# Categories of `selected_tags.csv`, Danbooru's numbers; 9 is the taggers' own. Source: SmilingWolf's model cards.
CATEGORIES = {0: "general", 1: "artist", 3: "copyright", 4: "character", 5: "meta", 9: "rating"}
RATING = "rating"
# Emoticons whose underscore is drawn, not a blank. Source: the taggers' own demo.
KAOMOJI = frozenset(
    """0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||""".split()  # noqa: SIM905 - a list of words is read as one
)
SCORED = pl.Struct({"tag": pl.String, "category": pl.String, "score": pl.Float32})

# One row per image, so that rows are carried over image by image and a failure has its row. The tags above a low floor
# stand in it as a list: some 60 of ten thousand, where a full vector of scores would be 40 kB an image.
PREDICTED_TAGS = Table(
    "predicted_tags",
    "training image",
    (
        Column("image_id", pl.String, IMAGE_ID.description, ("training_images.image_id",)),
        Column("error", pl.String, "why there are no tags, from a closed list; null = tagged"),
        Column("rating", pl.String, "most likely rating, in the model's words; null = the model knows none"),
        Column("rating_score", pl.Float32, "score of that rating, 0 to 1"),
        Column(
            "tags", pl.List(SCORED), "tags above the floor, highest score first, and all ratings; names as Danbooru's"
        ),
        Column("model", pl.String, "the tagger"),
        Column("floor", pl.Float32, "least score that is kept"),
        Column("input_key", pl.String, INPUT_KEY.description, ("training_images.sha256",)),
        RECIPE,
    ),
)


@dataclass(frozen=True)
class TrainedOn:
    """Which posts of Danbooru a tagger has learnt from: those of some buckets (id modulo 1000) up to a newest id.

    last_id: null = unknown, so any id may be one of them.
    """

    buckets: int = 900
    last_id: int | None = None


# Source: the model cards' "last image id"; all are trained on `id % 1000` of 0 to 899.
KNOWN_TRAINING = {
    "SmilingWolf/wd-v1-4-vit-tagger-v2": TrainedOn(last_id=5_944_504),
    "SmilingWolf/wd-v1-4-convnext-tagger-v2": TrainedOn(last_id=5_944_504),
    "SmilingWolf/wd-v1-4-convnextv2-tagger-v2": TrainedOn(last_id=5_944_504),
    "SmilingWolf/wd-v1-4-swinv2-tagger-v2": TrainedOn(last_id=5_944_504),
    "SmilingWolf/wd-v1-4-moat-tagger-v2": TrainedOn(last_id=5_944_504),
    "SmilingWolf/wd-vit-tagger-v3": TrainedOn(last_id=7_220_105),
    "SmilingWolf/wd-convnext-tagger-v3": TrainedOn(last_id=7_220_105),
    "SmilingWolf/wd-swinv2-tagger-v3": TrainedOn(last_id=7_220_105),
    "SmilingWolf/wd-vit-large-tagger-v3": TrainedOn(last_id=7_220_105),
    "SmilingWolf/wd-eva02-large-tagger-v3": TrainedOn(last_id=7_220_105),
}


def trained_on(model: str) -> TrainedOn:
    """What is known of a tagger's training, by its name at Hugging Face; a revision behind `@` does not matter."""
    return KNOWN_TRAINING.get(model.partition("@")[0], TrainedOn())


def is_in_sample(image_id: pl.Expr, trained: TrainedOn, *, is_danbooru: bool) -> pl.Expr:
    """Whether the tagger has learnt from the image, so that its word on it measures nothing.

    Null where nobody knows: an image of another site may stand at Danbooru too.
    """
    if not is_danbooru:
        return pl.lit(None, pl.Boolean)
    post_id = image_id.str.extract(r"-(\d+)-\d+$", 1).cast(pl.Int64, strict=False)
    learnt = post_id % 1000 < trained.buckets
    return learnt if trained.last_id is None else learnt & (post_id <= trained.last_id)


def scores(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `predicted_tags` as one row per image and tag: image_id, tag, category, score."""
    tagged = rows.filter(pl.col("error").is_null()).select("image_id", "tags")
    return tagged.explode("tags", empty_as_null=False).select("image_id", pl.col("tags").struct.unnest())


def confident(found: pl.LazyFrame, thresholds: Mapping[str, float]) -> pl.LazyFrame:
    """Those of `scores` that reach their category's threshold; a category without one, such as rating, is left out."""
    least = pl.col("category").replace_strict(thresholds, default=None, return_dtype=pl.Float64)
    return found.filter(pl.col("score") >= least.cast(pl.Float32))


def pretty(tag: str) -> str:
    """A tag as captions have it: blanks for underscores, except in emoticons."""
    return tag if tag in KAOMOJI or len(tag) <= 3 else tag.replace("_", " ")
