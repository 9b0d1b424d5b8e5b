"""Which tags and artists are new in a release, gone from it, or on more or fewer of its images."""

import polars as pl

SHOWN = 50  # of each of new, vanished, more and fewer
KINDS = ("tag", "artist")


def tag_counts(members: pl.LazyFrame) -> pl.DataFrame:
    """name, category and images of every tag of a release."""
    tag = pl.col("tags").explode(keep_nulls=False, empty_as_null=False)
    counted = members.select(tag).unnest("tags").group_by(name="tag")
    return counted.agg(pl.col("category").min(), images=pl.len().cast(pl.Int64)).collect(engine="streaming")


def artist_counts(members: pl.LazyFrame) -> pl.DataFrame:
    """The same of its artists, who have no category."""
    name = pl.col("artist").explode(keep_nulls=False, empty_as_null=False).alias("name")
    counted = members.select(name).group_by("name").agg(images=pl.len().cast(pl.Int64)).collect(engine="streaming")
    return counted.select("name", pl.lit(None, pl.String).alias("category"), "images")


def names_of(before: pl.DataFrame, after: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Every name of either with its change (null = as many images as before): kind, change, name, category, before,
    after; the largest differences first.
    """
    both = before.join(after, on="name", how="full", coalesce=True, suffix="_after")
    was, became = pl.col("before"), pl.col("after")
    return (
        both.select(
            "name",
            pl.coalesce("category_after", "category").alias("category"),
            pl.col("images").fill_null(0).alias("before"),
            pl.col("images_after").fill_null(0).alias("after"),
        )
        .with_columns(
            kind=pl.lit(kind),
            change=pl.when(was == 0).then(pl.lit("new")).when(became == 0).then(pl.lit("vanished"))
            .when(became > was).then(pl.lit("more")).when(became < was).then(pl.lit("fewer")),
        )
        .sort((became - was).abs(), "name", descending=[True, False])
        .select("kind", "change", "name", "category", "before", "after")
    )  # fmt: skip


def largest(names: pl.DataFrame) -> pl.DataFrame:
    """The SHOWN largest differences of each change."""
    return names.drop_nulls("change").group_by("kind", "change", maintain_order=True).head(SHOWN)


def numbers(names: pl.DataFrame) -> pl.DataFrame:
    """kind, change, names: how many names there are of each change."""
    counted = names.drop_nulls("change").group_by("kind", "change").agg(names=pl.len().cast(pl.Int64))
    return counted.sort("kind", "change")
