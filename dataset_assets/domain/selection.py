"""Which images are kept: ordered rules, the first broken one being the reason why an image is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from dataset_assets.domain.blocked import REASON
from dataset_assets.domain.image_scores import Score, column_of
from dataset_assets.domain.selection_columns import COLUMNS, PUBLIC_COLUMNS, candidates
from dataset_assets.domain.selection_where import WhereError, where_expression

__all__ = [
    "COLUMNS",
    "PUBLIC_COLUMNS",
    "Rule",
    "WhereError",
    "candidates",
    "drop_reason",
    "funnel",
    "mark_listed",
    "subset_rules",
    "where_expression",
]


@dataclass(frozen=True)
class Rule:
    """What keeps an image, under the name that stands as reason where it does not. Null is not kept."""

    name: str
    keeps: pl.Expr


def drop_reason(rules: Sequence[Rule]) -> pl.Expr:
    """The name of the first rule that a row breaks; null = it breaks none and is kept."""
    # As long as the rows, so that rules without a column in them, which are one value long, are spread over all.
    reason: pl.Expr = pl.repeat(None, pl.len(), dtype=pl.String)
    for rule in reversed(rules):
        reason = pl.when(rule.keeps.fill_null(False)).then(reason).otherwise(pl.lit(rule.name))
    return reason.alias("drop_reason")


def mark_listed(candidates: pl.LazyFrame, column: str, post_ids: pl.LazyFrame) -> pl.LazyFrame:
    """Candidates with a column that says whether their post is among `post_ids`, in their own order."""
    listed = post_ids.select("post_id").unique().with_columns(pl.lit(True).alias(column))
    marked = candidates.join(listed, on="post_id", how="left", maintain_order="left")
    return marked.with_columns(pl.col(column).fill_null(False))


def funnel(rows: pl.DataFrame | pl.LazyFrame, rules: Sequence[str]) -> pl.DataFrame:
    """How many rows each rule dropped and how many it left, in order; the first row counts the candidates.

    Returns: rule, dropped, left.
    Raises: ValueError when a row's drop_reason is none of the rules, since it would be counted nowhere.
    """
    counted: dict[str | None, int] = dict(rows.lazy().group_by("drop_reason").len().collect().iter_rows())
    steps = [("candidates", 0, sum(counted.values()))]
    counted.pop(None, None)
    if unknown := sorted(counted.keys() - {None, *rules}, key=str):
        raise ValueError(f"drop_reason {unknown[0]!r} is no rule; the rules are {', '.join(rules)}")
    for rule in rules:
        dropped = counted.get(rule, 0)
        steps.append((rule, dropped, steps[-1][2] - dropped))
    return pl.DataFrame(steps, schema={"rule": pl.String, "dropped": pl.Int64, "left": pl.Int64}, orient="row")


def subset_rules(
    *,
    is_source_wanted: bool = True,
    is_license_enough: bool = True,
    excludes_listed: bool = False,
    only_listed: bool = False,
    keeps_without_file: bool = False,
    min_side: int | None = None,
    max_aspect: float | None = None,
    scores: Mapping[Score, float] | None = None,
    asks_tags: bool = False,
    where: str | None = None,
    drops_duplicates: bool = False,
) -> list[Rule]:
    """A subset's rules for the candidates of one source, in the order in which they are asked.

    `is_source_wanted`, `is_license_enough`: whether the subset takes the source, and its licence.
    `excludes_listed`, `only_listed`: whether posts of some id lists are left out, and whether all but those of some
    are; the columns `is_excluded` and `is_listed` say which these are, see `mark_listed`.
    `keeps_without_file`: whether images stay of which no file has come yet; withheld ones never do.
    `min_side`, `max_aspect`: of the image as decoded: pixels of its shorter side, and the longer by the shorter.
    `scores`: the least of each score; an image without one is dropped.
    `asks_tags`: whether the subset has a tag query; its answer stands in the column `matches`, as `tag_query.matches`
    gives it.
    `where`: a condition for `where_expression`.
    `drops_duplicates`: whether those are left out of which the column `is_duplicate` says so.
    Raises: WhereError when the condition is refused.
    """
    states = ("stored", "pending") if keeps_without_file else ("stored",)
    rules = [
        Rule("source", pl.lit(is_source_wanted)),
        Rule("license", pl.lit(is_license_enough)),
        *([Rule("exclude", ~pl.col("is_excluded"))] if excludes_listed else []),
        *([Rule("only", pl.col("is_listed"))] if only_listed else []),
        Rule("takedown", pl.col("reason").ne_missing(REASON)),
        Rule("not_stored", pl.col("state").is_in(states)),
        Rule("undecodable", pl.col("is_decoded") | (pl.col("state") == "pending")),
    ]
    shorter, longer = pl.min_horizontal("width", "height"), pl.max_horizontal("width", "height")
    if min_side is not None:
        rules.append(Rule("min_side", shorter >= min_side))
    if max_aspect is not None:
        rules.append(Rule("max_aspect", longer <= max_aspect * shorter))
    if scores:
        enough = [pl.col(column_of(score)) >= least for score, least in scores.items()]
        rules.append(Rule("scores", pl.all_horizontal(enough)))
    if asks_tags:
        rules.append(Rule("tags", pl.col("matches")))
    if where is not None:
        rules.append(Rule("where", where_expression(where)))
    if drops_duplicates:
        rules.append(Rule("duplicates", ~pl.col("is_duplicate")))
    return rules
