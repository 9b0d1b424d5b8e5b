"""The tags of a source: how many images have each, and how that has changed over the years."""

from collections.abc import Sequence

import polars as pl

from dataset_assets.domain.schemas import Column, Table
from dataset_assets.domain.tag_relations import main_categories

_OF_YEAR = pl.Struct({"year": pl.Int32, "images": pl.Int64})

TAG_VOCABULARY = Table(
    "tag_vocabulary",
    "tag",
    (
        Column("tag", pl.String, "the tag's name", ("tag_metadata.tag",)),
        Column("category", pl.String, "the category that it has most often", ("tag_metadata.category",)),
        Column("images", pl.Int64, "images that have it", ("tag_metadata.image_id",)),
        Column("years", pl.List(_OF_YEAR), "images by year, in order; no year without any", ("tag_metadata.image_id",)),
        Column("first_year", pl.Int32, "first year with an image that has it"),
        Column("last_year", pl.Int32, "last year with an image that has it"),
    ),
    sorted_by=("tag",),
)


def count_by_year(tags: pl.LazyFrame) -> pl.LazyFrame:
    """Count the images of each tag.

    tags: rows of TAG_METADATA, each image and tag once, with the image's `year`; one without a year is counted in
    `images` alone. Returns: rows of TAG_VOCABULARY, in no order.
    """
    counts = tags.group_by("tag", year=pl.col("year").cast(pl.Int32)).agg(images=pl.len().cast(pl.Int64))
    has_year = pl.col("year").is_not_null()
    of_tag = counts.group_by("tag").agg(
        pl.col("images").sum(),
        years=pl.struct("year", "images").filter(has_year).sort_by(pl.col("year").filter(has_year)),
        first_year=pl.col("year").min(),
        last_year=pl.col("year").max(),
    )
    return of_tag.join(main_categories(tags), on="tag", how="left").select(TAG_VOCABULARY.schema.names())


def most_frequent(vocabulary: pl.DataFrame, category: str | None, n: int) -> pl.DataFrame:
    """The n tags of a category (None = of any) that most images have, in falling order, then by name."""
    chosen = vocabulary if category is None else vocabulary.filter(pl.col("category") == category)
    return chosen.sort("images", "tag", descending=[True, False]).head(n)


def trend(vocabulary: pl.DataFrame, tags: Sequence[str], images_by_year: pl.DataFrame | None = None) -> pl.DataFrame:
    """How many images of each year have each of some tags.

    images_by_year: year, images of the source in that year, tagged or not.
    Returns: tag, year, images, share; by tag as given, then by year. Each tag has a row for each year from the first to
    the last of the vocabulary, also where it has no images. share: of the year's images, 0 to 1; null where their
    number is not given.
    """
    years = pl.int_range(pl.col("first_year").min(), pl.col("last_year").max() + 1, dtype=pl.Int32)
    span = vocabulary.select("first_year", "last_year").drop_nulls()
    all_years = span.select(year=years) if span.height else pl.DataFrame(schema={"year": pl.Int32})
    wanted = pl.DataFrame({"tag": list(dict.fromkeys(tags))}, schema={"tag": pl.String})
    found = vocabulary.join(wanted, on="tag", how="semi").select("tag", "years").explode("years").unnest("years")
    rows = wanted.join(all_years, how="cross").join(found, on=["tag", "year"], how="left", maintain_order="left")
    return _with_share(rows.with_columns(pl.col("images").fill_null(0)), images_by_year)


def _with_share(rows: pl.DataFrame, images_by_year: pl.DataFrame | None) -> pl.DataFrame:
    if images_by_year is None:
        return rows.with_columns(share=pl.lit(None, pl.Float64))
    of_all = images_by_year.select(pl.col("year").cast(pl.Int32), all_images="images")
    share = pl.when(pl.col("all_images") > 0).then(pl.col("images") / pl.col("all_images"))
    joined = rows.join(of_all, on="year", how="left", maintain_order="left")
    return joined.with_columns(share=share).drop("all_images")
