"""Danbooru's own search syntax over the tables `image_metadata` and `tag_metadata`."""

from collections.abc import Iterable, Mapping

import polars as pl

from dataset_assets.domain import tag_query_metatags as metatags
from dataset_assets.domain.tag_query_nodes import And, Leaf, Meta, Node, Not, Or, Query, Tag, Wildcard
from dataset_assets.domain.tag_query_parser import TagQueryError, parse

__all__ = ["And", "Meta", "Not", "Or", "Query", "Tag", "TagQueryError", "Wildcard", "matches", "matching", "parse"]


def matching(query: Query, images: pl.LazyFrame, tags: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of `images` that the query finds, in their order.

    `images` has the columns of `image_metadata`, and perhaps more; `tags` those of `tag_metadata`.
    """
    found = matches(query, images, tags).filter("matches")
    return images.join(found, on="image_id", how="semi", maintain_order="left")


def matches(query: Query, images: pl.LazyFrame, tags: pl.LazyFrame) -> pl.LazyFrame:
    """Whether the query finds each row of `images`: image_id, matches (never null), in their order."""
    columns = {leaf: f"leaf {number}" for number, leaf in enumerate(query.tags + query.metatags)}
    counted = [meta for meta in query.metatags if meta.name in metatags.TAG_COUNTS]
    asked = [meta for meta in query.metatags if meta not in counted]
    # The images' own columns are left behind here: joins have the engine copy what they carry, lists above all.
    rows = images.select("image_id", *(_answer(meta).alias(columns[meta]) for meta in asked))
    if query.tags:
        rows = _beside(rows, _memberships({term: columns[term] for term in query.tags}, tags))
    if counted:
        rows = _beside(rows, tag_counts(sorted({meta.name for meta in counted}), tags))
        rows = rows.with_columns(_answer(meta).alias(columns[meta]) for meta in counted)
    return rows.select("image_id", _condition(query.root, columns).alias("matches"))


def _answer(meta: Meta) -> pl.Expr:
    return metatags.condition(meta.name, meta.value)


def _beside(rows: pl.LazyFrame, answers: pl.LazyFrame) -> pl.LazyFrame:
    return rows.join(answers, on="image_id", how="left", maintain_order="left")


def _memberships(terms: Mapping[Tag | Wildcard, str], tags: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each image that has any of the tags, with a Boolean column for each term."""
    names = [term.name for term in terms if isinstance(term, Tag)]
    patterns = [_is_tag(term) for term in terms if isinstance(term, Wildcard)]
    needed = tags.filter(pl.any_horizontal(pl.col("tag").is_in(names), *patterns))
    return needed.group_by("image_id").agg(_is_tag(term).any().alias(column) for term, column in terms.items())


def _is_tag(term: Tag | Wildcard) -> pl.Expr:
    if isinstance(term, Tag):
        found = pl.col("tag") == term.name
    else:
        found = pl.col("tag").str.contains(metatags.text_pattern(term.pattern))
    return found if term.category is None else found & (pl.col("category") == term.category)


def tag_counts(names: Iterable[str], tags: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each image that has tags: image_id, and the column of each of these metatags of TAG_COUNTS."""
    return tags.group_by("image_id").agg(
        (pl.len() if category is None else (pl.col("category") == category).sum()).alias(
            metatags.tag_count_column(name)
        )
        for name in names
        for category in [metatags.TAG_COUNTS[name]]
    )


def _condition(node: Node, columns: Mapping[Leaf, str]) -> pl.Expr:
    """A Boolean that is never null; joined flat, since a chain of a thousand terms would exhaust the engine's stack."""
    match node:
        case And(terms):
            return pl.all_horizontal(pl.lit(True), *(_condition(term, columns) for term in terms))
        case Or(terms):
            return pl.any_horizontal(*(_condition(term, columns) for term in terms))
        case Not(term):
            return ~_condition(term, columns)
    return pl.col(columns[node]).fill_null(False)
