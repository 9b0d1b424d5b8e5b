"""Aliases and implications of tags: what follows from them, and what they make of the tags of images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

import polars as pl

from dataset_assets.domain.schemas import TAG_METADATA, TIME, Column, Table

ALIAS, IMPLICATION = "alias", "implication"
_PLURALS = {ALIAS: "aliases", IMPLICATION: "implications"}

TAG_RELATIONS = Table(
    "tag_relations",
    "active alias or implication",
    (
        Column("kind", pl.String, "alias = the antecedent is another name; implication = the consequent is also true"),
        Column("antecedent", pl.String, "the tag that is renamed, or that implies"),
        Column("consequent", pl.String, "the tag's proper name, or what is implied"),
        Column("created_at", TIME, "when it was requested; null when the source does not say"),
        Column("id", pl.Int64, "the source's own number of it; aliases and implications are numbered apart"),
    ),
    sorted_by=("kind", "antecedent", "consequent", "id"),  # the id last: the same pair may stand under two of them
)

# Where a row of `tag_metadata` comes from; of a pair that has several origins, the first of these counts.
ORIGINS = ("source", "alias", "implication")

# Why a relation has no effect.
IGNORED_REASONS = ("to_itself", "newer_alias")

_IGNORED = pl.Schema([*TAG_RELATIONS.schema.items(), ("reason", pl.String)])
_ALIASES = pl.Schema({"antecedent": pl.String, "consequent": pl.String})
_IMPLICATIONS = pl.Schema({"tag": pl.String, "implied": pl.String})

_NO_CATEGORY = "\U0010ffff"  # sorts after every category


class TagCycle(ValueError):
    """Relations that lead from a tag back to itself; `cycle` begins and ends with that tag."""

    def __init__(self, kind: str, cycle: Sequence[str]) -> None:
        super().__init__(
            f"tag_relations: {_PLURALS[kind]} form a cycle: {' -> '.join(cycle)}; expected that none leads back to its "
            f"tag; take one of these {_PLURALS[kind]} out of the dump"
        )
        self.kind, self.cycle = kind, tuple(cycle)


@dataclass(frozen=True)
class Closure:
    """All that follows from a set of relations.

    aliases: antecedent, consequent; no consequent is itself aliased. implications: tag, implied; all pairs, however far
    apart, and none of them aliased. ignored: rows of TAG_RELATIONS without effect, with a reason of IGNORED_REASONS.
    """

    aliases: pl.DataFrame
    implications: pl.DataFrame
    ignored: pl.DataFrame


def as_of(relations: pl.DataFrame, time: datetime) -> pl.DataFrame:
    """The relations that were there before a time, of those in force today; one without a created_at is left out."""
    return relations.filter(pl.col("created_at") < time)


def close(relations: pl.DataFrame) -> Closure:
    """Follow aliases to their ends, then implications between the tags' proper names.

    Of several aliases of one tag the newest counts, then the one whose consequent is first by name.
    Raises: TagCycle.
    """
    is_alias, to_itself = pl.col("kind") == ALIAS, pl.col("antecedent") == pl.col("consequent")
    aliases, outdated = _one_alias_each(relations.filter(is_alias & ~to_itself))
    proper_names = _ends(aliases)
    implications = relations.filter(~is_alias).with_columns(
        implied_by=pl.col("antecedent").replace(proper_names), implied=pl.col("consequent").replace(proper_names)
    )
    is_empty = pl.col("implied_by") == pl.col("implied")
    ignored = [
        relations.filter(is_alias & to_itself).with_columns(reason=pl.lit("to_itself")),
        outdated.with_columns(reason=pl.lit("newer_alias")),
        implications.filter(is_empty).drop("implied_by", "implied").with_columns(reason=pl.lit("to_itself")),
    ]
    edges = implications.filter(~is_empty).select("implied_by", "implied").unique()
    return Closure(
        _pairs(proper_names.items(), _ALIASES),
        _pairs(_all_implied(edges.iter_rows()), _IMPLICATIONS),
        pl.concat([rows.select(_IGNORED.names()) for rows in ignored]).sort(TAG_RELATIONS.sorted_by, nulls_last=True),
    )


def _one_alias_each(aliases: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The aliases that count, and those that a newer one of the same tag has replaced."""
    by_age = aliases.sort(
        "antecedent", "created_at", "consequent", descending=[False, True, False], nulls_last=[False, True, False]
    )
    counts = pl.col("consequent") == pl.col("consequent").first().over("antecedent")
    return by_age.filter(counts), by_age.filter(~counts)


def _pairs(pairs: Iterable[tuple[str, str]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(list(pairs), schema=schema, orient="row").sort(schema.names())


def _ends(aliases: pl.DataFrame) -> dict[str, str]:
    """Each aliased tag's proper name, at the end of its chain of aliases."""
    following: dict[str, str] = dict(aliases.select("antecedent", "consequent").iter_rows())
    ends: dict[str, str] = {}
    for tag in _from_the_end(ALIAS, {tag: {name} for tag, name in following.items()}):
        if tag in following:
            name = following[tag]
            ends[tag] = ends.get(name, name)
    return ends


def _all_implied(implications: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    direct: dict[str, set[str]] = {}
    for tag, implied in implications:
        direct.setdefault(tag, set()).add(implied)
    reached: dict[str, set[str]] = {}
    for tag in _from_the_end(IMPLICATION, direct):
        implied_tags = direct.get(tag, set())
        reached[tag] = implied_tags.union(*(reached[implied] for implied in implied_tags))
    return [(tag, implied) for tag, all_implied in reached.items() for implied in all_implied]


def _from_the_end(kind: str, following: Mapping[str, set[str]]) -> list[str]:
    """All tags in an order in which each stands after those it leads to. Raises: TagCycle."""
    try:
        return list(TopologicalSorter({tag: sorted(following[tag]) for tag in sorted(following)}).static_order())
    except CycleError as error:
        cycle = error.args[1][:0:-1]  # it is told backwards, and its first tag again at its end
        start = cycle.index(min(cycle))
        raise TagCycle(kind, [*cycle[start:], *cycle[: start + 1]]) from None


def apply(tags: pl.LazyFrame, closure: Closure, categories: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Rename aliased tags and add implied ones.

    tags: rows of TAG_METADATA. Each image and tag stands once in the result, with the first of its ORIGINS.
    categories: tag, category of tags, for those that are renamed to or added; without it, what `tags` says of them. A
    tag that is not there keeps, renamed, its old category, and is, added, general.
    Returns: rows of TAG_METADATA, in no order.
    """
    joined = tags.join(_consequences(tags, closure, categories), on="tag", how="left", maintain_order="none")
    origin = pl.max_horizontal(_rank("origin"), _rank("because").fill_null(0))
    old_category = pl.when(pl.col("because") == IMPLICATION).then(pl.lit("general")).otherwise(pl.col("category"))
    # Rank and category as one short text, so that the least of them is found without sorting.
    claim = origin.cast(pl.String) + pl.coalesce("new_category", old_category).fill_null(_NO_CATEGORY)
    rows = joined.select(tag=pl.coalesce("target", "tag"), image_id="image_id", claim=claim)
    best = rows.group_by("tag", "image_id").agg(pl.col("claim").min())
    category, rank = pl.col("claim").str.slice(1), pl.col("claim").str.slice(0, 1)
    return best.select(
        "tag",
        "image_id",
        category=pl.when(category != _NO_CATEGORY).then(category),
        origin=rank.replace_strict({str(index): name for index, name in enumerate(ORIGINS)}, return_dtype=pl.String),
    ).select(TAG_METADATA.schema.names())


def _rank(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Enum(ORIGINS)).to_physical()


def _consequences(tags: pl.LazyFrame, closure: Closure, categories: pl.LazyFrame | None) -> pl.LazyFrame:
    if categories is None:
        changed = _targets(closure).lazy().filter(pl.col("because").is_not_null())
        categories = main_categories(tags.join(changed.select(tag="target"), on="tag", how="semi"))
    return consequences(closure, categories)


def consequences(closure: Closure, categories: pl.LazyFrame) -> pl.LazyFrame:
    """What each tag in any relation becomes: tag, target, because (null = it also stays), new_category.

    categories: tag, category; of a tag that stands there twice, the first by name.
    """
    pairs, is_change = _targets(closure).lazy(), pl.col("because").is_not_null()
    known = categories.group_by("tag").agg(pl.col("category").min())
    of_targets = known.select(target="tag", new_category="category")
    return pairs.join(of_targets, on="target", how="left").with_columns(
        new_category=pl.when(is_change).then("new_category")
    )


def _targets(closure: Closure) -> pl.DataFrame:
    aliases = closure.aliases.rename({"antecedent": "tag", "consequent": "target"})
    implications = closure.implications.rename({"implied": "target"})
    implied_by_aliases = aliases.join(implications, left_on="target", right_on="tag").select(
        "tag", target="target_right"
    )
    itself = implications.select("tag", target="tag").unique()
    return pl.concat(
        [
            itself.with_columns(because=pl.lit(None, pl.String)),
            aliases.with_columns(because=pl.lit(ALIAS)),
            pl.concat([implications, implied_by_aliases]).with_columns(because=pl.lit(IMPLICATION)),
        ]
    )


def main_categories(tags: pl.LazyFrame) -> pl.LazyFrame:
    """The category of each tag, or, if it is in several, the one that it has most often, then first by name.

    tags: rows of TAG_METADATA. Returns: tag, category, in no order.
    """
    counts = tags.group_by("tag", "category").len("images")
    in_order = pl.col("category").sort_by("images", "category", descending=[True, False], nulls_last=True)
    return counts.group_by("tag").agg(in_order.drop_nulls().first())
