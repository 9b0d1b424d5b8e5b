"""What has become of images between two judgements of a subset: who was kept and is no more, and by which rule."""

from collections.abc import Iterable

import polars as pl

from dataset_assets.domain.selection import funnel

KEPT, UNLISTED = "kept", "not listed"
CHANGES = pl.Schema({"rule": pl.String, "before": pl.Int64, "now": pl.Int64, "change": pl.Int64})
MOVES = pl.Schema({"was": pl.String, "now": pl.String, "images": pl.Int64})


def moved(before: pl.LazyFrame, now: pl.LazyFrame) -> pl.LazyFrame:
    """The images whose judgement differs: image_id, was and now, each `kept`, a rule, or `not listed`.

    Both have image_id and drop_reason.
    """
    both = _side(before, "was").join(_side(now, "now"), on="image_id", how="full", coalesce=True)
    return both.with_columns(pl.col("was", "now").fill_null(UNLISTED)).filter(pl.col("was") != pl.col("now"))


def came_and_went(members: pl.LazyFrame, now: pl.LazyFrame, outside: str) -> pl.LazyFrame:
    """The same where of the one side nothing but its members is known: images that came in or went out.

    members: image_id. outside: what those that are none were, in words.
    """
    was = members.select("image_id", was=pl.lit(KEPT))
    both = was.join(_side(now, "now"), on="image_id", how="full", coalesce=True)
    named = both.with_columns(pl.col("was").fill_null(outside), pl.col("now").fill_null(UNLISTED))
    return named.filter((pl.col("was") == KEPT) != (pl.col("now") == KEPT))


def _side(judged: pl.LazyFrame, name: str) -> pl.LazyFrame:
    return judged.select("image_id", pl.col("drop_reason").fill_null(KEPT).alias(name))


def counted(moves: Iterable[pl.LazyFrame]) -> pl.DataFrame:
    """How many images moved from where to where, the most first: was, now, images."""
    parts = [part.group_by("was", "now").agg(images=pl.len().cast(pl.Int64)).collect() for part in moves]
    every = pl.concat([pl.DataFrame(schema=MOVES), *parts])
    return every.group_by("was", "now").agg(pl.col("images").sum()).sort(-pl.col("images"), "was", "now")


def changes(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """What each rule dropped then and drops now, from two funnels: rule, before, now, change.

    The first row counts the candidates, the last what is kept. A rule of one funnel alone drops 0 in the other.
    """
    dropped = [dict(one.select("rule", "dropped").slice(1).iter_rows()) for one in (before, now)]
    ends = [("candidates", one["left"][0], "kept", one["left"][-1]) for one in (before, now)]
    rows = [("candidates", ends[0][1], ends[1][1])]
    rows += [(rule, dropped[0].get(rule, 0), dropped[1].get(rule, 0)) for rule in in_order(*dropped)]
    rows += [("kept", ends[0][3], ends[1][3])]
    table = pl.DataFrame(rows, schema=["rule", "before", "now"], orient="row")
    return table.with_columns(change=pl.col("now") - pl.col("before")).cast(CHANGES)


def in_order(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """The rules of two funnels in the order of the second; those of the first alone follow what they followed."""
    ordered, last = list(now), -1
    for rule in before:
        if rule in ordered:
            last = ordered.index(rule)
        else:
            last += 1
            ordered.insert(last, rule)
    return ordered


def rules_found(rows: pl.LazyFrame, rules: Iterable[str]) -> list[str]:
    """The rules, and behind them others by which rows were dropped, as a table of another definition has."""
    reasons = rows.select(pl.col("drop_reason").unique()).collect().get_column("drop_reason").drop_nulls().sort()
    return list(dict.fromkeys([*rules, *reasons]))


def funnel_as_found(rows: pl.LazyFrame, rules: Iterable[str]) -> pl.DataFrame:
    """The funnel of rows that another definition may have judged: its rules stand behind those that are known."""
    return funnel(rows, rules_found(rows, rules))
