"""What a source's records say that cannot be, or that contradicts something else they say."""

import polars as pl

from dataset_assets.domain.file_kinds import KINDS
from dataset_assets.domain.schemas import IMAGE_ID, Column, Table

METADATA_DOUBTS = Table(
    "metadata_doubts",
    "image and thing that its record says in contradiction",
    (
        Column(IMAGE_ID.name, IMAGE_ID.dtype, IMAGE_ID.description, ("image_metadata.image_id",)),
        Column("doubt", pl.String, "what is in doubt, from a closed list"),
        Column("detail", pl.String, "what the record says"),
    ),
    sorted_by=("doubt", "image_id"),
)

DOUBTS = (
    "highres_too_small",  # tagged highres, and claimed to be smaller
    "highres_not_tagged",  # claimed to be larger, in a source that uses the tag
    "absurdres_too_small",
    "unknown_extension",
    "unknown_rating",
    "updated_before_created",
    "no_size",
    "id_out_of_order",  # uploaded days before or after the posts whose ids are next to its own
    "repeated_md5",
)

# Sizes from which Danbooru gives the tags by itself: wide enough or tall enough.
# Source: https://danbooru.donmai.us/wiki_pages/highres and absurdres.
HIGHRES, ABSURDRES = (1600, 1200), (3200, 2400)
SIZE_TAGS = ("highres", "absurdres", "incredibly_absurdres")
CLOCKS_DIFFER = pl.duration(days=1)
SHOWN = 3


def metadata_doubts(images: pl.LazyFrame, tags: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of METADATA_DOUBTS from `image_metadata` and `tag_metadata` of a whole source."""
    doubts = [*_of_sizes(images, tags), *_of_records(images), _of_order(images), _of_md5(images)]
    return pl.concat([METADATA_DOUBTS.empty().lazy(), *doubts])


def _doubt(rows: pl.LazyFrame, name: str, detail: pl.Expr) -> pl.LazyFrame:
    return rows.select("image_id", doubt=pl.lit(name), detail=detail)


def _of_sizes(images: pl.LazyFrame, tags: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Claimed sizes that the tags for size contradict."""
    size_tags = tags.filter(pl.col("tag").is_in(SIZE_TAGS)).select("image_id", "tag", "origin")
    tagged = size_tags.group_by("image_id").agg(
        is_highres=((pl.col("tag") == "highres") & (pl.col("origin") != "implication")).any(),
        is_absurdres=(pl.col("tag") == "absurdres").any(),
    )
    sized = images.select("image_id", "width", "height").drop_nulls().join(tagged, on="image_id", how="left")
    is_tagged, is_used = pl.col("is_highres").is_not_null(), pl.col("is_highres").is_not_null().any()
    # "More than" where a tag is missed, "at least" where one is given: at the border itself either is right.
    is_large = (pl.col("width") > HIGHRES[0]) | (pl.col("height") > HIGHRES[1])
    size = pl.format("{} x {}", "width", "height")
    return [
        _doubt(sized.filter(pl.col("is_highres") & _is_below(HIGHRES)), "highres_too_small", size),
        _doubt(sized.filter(is_used & is_large & ~is_tagged), "highres_not_tagged", size),
        _doubt(sized.filter(pl.col("is_absurdres") & _is_below(ABSURDRES)), "absurdres_too_small", size),
    ]


def _is_below(size: tuple[int, int]) -> pl.Expr:
    return (pl.col("width") < size[0]) & (pl.col("height") < size[1])


def _of_records(images: pl.LazyFrame) -> list[pl.LazyFrame]:
    """What one record says wrongly by itself."""
    extensions = images.select("file_ext").drop_nulls().unique().collect().get_column("file_ext")
    unknown = [extension for extension in extensions if not any(kind.fits(extension) for kind in KINDS.values())]
    is_unrated = pl.col("rating").is_null() & pl.any_horizontal(pl.col("rating_source", "rating_scale").is_not_null())
    created, updated = pl.col("created_at"), pl.col("updated_at")
    is_nothing = pl.any_horizontal(pl.col("width", "height", "file_size") <= 0)
    sizes = [pl.col(name).cast(pl.String).fill_null("?") for name in ("width", "height", "file_size")]
    rating = pl.format("rating {}", pl.col("rating_source").fill_null("not said"))
    return [
        _doubt(
            images.filter(pl.col("file_ext").is_in(unknown)),
            "unknown_extension",
            pl.format("extension {}", pl.col("file_ext").str.slice(0, SHOWN * 10)),
        ),
        _doubt(images.filter(is_unrated), "unknown_rating", rating.str.slice(0, 100)),
        _doubt(
            images.filter(updated < created),
            "updated_before_created",
            pl.format("updated {}, created {}", updated.cast(pl.String), created.cast(pl.String)),
        ),
        _doubt(images.filter(is_nothing), "no_size", pl.format("{} x {}, {} bytes", *sizes)),
    ]


def _of_order(images: pl.LazyFrame) -> pl.LazyFrame:
    """Posts that were uploaded apart from those whose ids are next to their own, where these two are in order."""
    numbered = images.filter(pl.col("page") == 0).select(
        "image_id", "created_at", number=pl.col("post_id").cast(pl.Int64, strict=False)
    )
    posts = (
        numbered.drop_nulls()
        .sort("number")
        .with_columns(before=pl.col("created_at").shift(), after=pl.col("created_at").shift(-1))
    )
    created, before, after = pl.col("created_at"), pl.col("before"), pl.col("after")
    is_apart = (created < before - CLOCKS_DIFFER) | (created > after + CLOCKS_DIFFER)
    said = pl.format(
        "created {}, the posts before and after it {} and {}",
        *(time.cast(pl.String) for time in (created, before, after)),
    )
    return _doubt(posts.filter((before <= after) & is_apart), "id_out_of_order", said)


def _of_md5(images: pl.LazyFrame) -> pl.LazyFrame:
    """Images that claim the same MD5."""
    claimed = images.filter(pl.col("md5").is_not_null()).group_by("md5").agg(pl.col("image_id").sort())
    repeated = claimed.filter(pl.col("image_id").list.len() > 1).with_columns(
        count=pl.col("image_id").list.len(), first=pl.col("image_id").list.head(SHOWN).list.join(", ")
    )
    return _doubt(
        repeated.explode("image_id"), "repeated_md5", pl.format("{} claimed by {} images: {}", "md5", "count", "first")
    )
