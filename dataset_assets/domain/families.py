"""Families of posts: a parent and its children, as posts name one another."""

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, Column, Table

FAMILIES = Table(
    "families",
    "post that has a parent or children",
    (
        Column(IMAGE_ID.name, IMAGE_ID.dtype, IMAGE_ID.description, ("image_metadata.image_id",)),
        Column("post_id", pl.String, "the post", ("image_metadata.post_id",)),
        Column("parent_id", pl.String, "the post that it is a child of; null = none", ("image_metadata.parent_id",)),
        Column("root_id", pl.String, "the first ancestor, listed or not: the family's name; in a circle its lowest id"),
        Column("depth", pl.Int32, "steps up to the root; 0 = the root; null = the ancestors go round in a circle"),
        Column("children", pl.Int32, "posts of the source that name it as parent"),
        Column("family_size", pl.Int32, "posts of the source under the same root"),
        Column(
            "problem",
            pl.String,
            "self_parent, cycle (its ancestors go round), parent_missing (the source lists no such post), "
            "children_missing (it says that it has some, and none names it), children_denied; null = none",
        ),
    ),
    sorted_by=("root_id", "depth", "image_id"),
)


class Place(NamedTuple):
    """Where a post stands in its family; depth None = its ancestors go round in a circle."""

    root: str
    depth: int | None


def families(images: pl.LazyFrame) -> pl.DataFrame:
    """Rows of FAMILIES from rows of `image_metadata` of a whole source."""
    posts = images.filter(pl.col("page") == 0).select("image_id", "post_id", "parent_id", "has_children")
    children = posts.filter(pl.col("parent_id").is_not_null(), pl.col("parent_id") != pl.col("post_id"))
    counted = children.group_by(post_id="parent_id").agg(children=pl.len().cast(pl.Int32))
    is_member = pl.any_horizontal(
        pl.col("parent_id", "children").is_not_null(), pl.col("has_children").fill_null(False)
    )
    members = posts.join(counted, on="post_id", how="left").filter(is_member).collect()
    named = members.join(_places(members), on="post_id", how="left")
    listed = named.get_column("post_id").implode()
    return named.with_columns(
        children=pl.col("children").fill_null(0),
        family_size=pl.len().over("root_id").cast(pl.Int32),
        problem=_problem(pl.col("parent_id").is_in(listed)),
    ).select(FAMILIES.schema.names())


def _places(members: pl.DataFrame) -> pl.DataFrame:
    """post_id, root_id and depth of each post."""
    named = members.filter(pl.col("parent_id").is_not_null()).select("post_id", "parent_id")
    places = find_places(dict(named.sort("post_id").iter_rows()))
    rows = [
        (post, places[post].root, places[post].depth) if post in places else (post, post, 0)
        for post in members["post_id"]
    ]
    return pl.DataFrame(rows, {"post_id": pl.String, "root_id": pl.String, "depth": pl.Int32}, orient="row")


def _problem(is_parent_listed: pl.Expr) -> pl.Expr:
    """What is wrong, the worst first."""
    has_parent, has_children = pl.col("parent_id").is_not_null(), pl.col("children").fill_null(0) > 0
    return (
        pl.when(has_parent & (pl.col("parent_id") == pl.col("post_id")))
        .then(pl.lit("self_parent"))
        .when(pl.col("depth").is_null())
        .then(pl.lit("cycle"))
        .when(has_parent & ~is_parent_listed)
        .then(pl.lit("parent_missing"))
        .when(pl.col("has_children") & ~has_children)
        .then(pl.lit("children_missing"))
        .when(~pl.col("has_children") & has_children)
        .then(pl.lit("children_denied"))
    )


def find_places(parents: Mapping[str, str]) -> dict[str, Place]:
    """The place of each post that names a parent, each step taken once however long a line of ancestors is.

    A post that names itself is a root.
    """
    places: dict[str, Place] = {}
    for post in parents:
        line: dict[str, None] = {}  # from the post upwards, in order
        while post in parents and post not in places and post not in line and parents[post] != post:
            line[post] = None
            post = parents[post]
        if post in line:
            _close_circle(list(line), post, places)
        else:
            _descend(list(line), places.get(post, Place(post, 0)), places)
            if parents.get(post) == post:
                places[post] = Place(post, 0)
    return places


def _descend(line: list[str], top: Place, places: dict[str, Place]) -> None:
    """Give a line of posts their places below one that has its own."""
    for steps, post in enumerate(reversed(line), 1):
        places[post] = Place(top.root, None if top.depth is None else top.depth + steps)


def _close_circle(line: list[str], met_again: str, places: dict[str, Place]) -> None:
    """Give places to a line of posts that runs into itself; the circle is named by its lowest id."""
    circle = line[line.index(met_again) :]
    lowest = min(circle, key=lambda post: (len(post), post))
    for post in line:
        places[post] = Place(lowest, None)
