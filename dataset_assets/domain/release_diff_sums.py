"""Sums over the images of two releases: small tables of a piece of them, added up."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dataset_assets.domain.member_changes import ALL_CHANGES, CHANGES

ASPECTS = ("source", "year", "rating", "split", "license")
EXAMPLES = 20  # of each change
_NAMES_SHOWN, _TEXT_SHOWN = 6, 200

# The sums by name, and the columns that each is kept apart by; the others are numbers.
SUMS: dict[str, tuple[str, ...]] = {
    "totals": ("what",),
    "changes": ("change",),
    "by": ("aspect", "value"),
    "moves": ("aspect", "before", "after"),
}
Sums = dict[str, pl.DataFrame]


def sums_of(rows: pl.DataFrame) -> Sums:
    """The sums of some rows as `member_changes.joined` makes them."""
    return {"totals": _totals(rows), "changes": _changes(rows), "by": _by(rows), "moves": _moves(rows)}


def added_up(parts: Sequence[Sums]) -> Sums:
    """One of several."""
    return {
        name: pl.concat([part[name] for part in parts]).group_by(keys, maintain_order=True).sum()
        for name, keys in SUMS.items()
    }


def _totals(rows: pl.DataFrame) -> pl.DataFrame:
    sides = [
        rows.filter(pl.col(f"is_{side}")).select(
            images=pl.len(),
            bytes=pl.col(f"size{end}").sum(),
            original_bytes=pl.col(f"original_size{end}").sum(),
            tags=pl.col(f"tags{end}").list.len().sum(),
            captions=pl.col(f"captions{end}").list.len().sum(),
            captioned_images=(pl.col(f"captions{end}").list.len() > 0).sum(),
        )
        for side, end in (("before", ""), ("after", "_after"))
    ]
    columns = {name: [int(side.item(0, name) or 0) for side in sides] for name in sides[0].columns}
    return pl.DataFrame(
        [{"what": name, "before": before, "after": after} for name, (before, after) in columns.items()],
        schema={"what": pl.String, "before": pl.Int64, "after": pl.Int64},
    )


def _changes(rows: pl.DataFrame) -> pl.DataFrame:
    counts = rows.select(pl.col(f"has_{change}").sum().alias(change) for change in ALL_CHANGES).row(0)
    return pl.DataFrame(
        {"change": list(ALL_CHANGES), "images": [int(count) for count in counts]},
        schema={"change": pl.String, "images": pl.Int64},
    )


def _by(rows: pl.DataFrame) -> pl.DataFrame:
    """By aspect and value: images before and after; a changed one stands with what it is afterwards."""
    parts = []
    for aspect in ASPECTS:
        was = rows.filter("is_before").group_by(value=pl.col(aspect).cast(pl.String))
        became = rows.filter("is_after").group_by(value=pl.col(f"{aspect}_after").cast(pl.String))
        changed = pl.any_horizontal(f"has_{change}" for change in CHANGES)
        parts += [
            _counted(aspect, was.agg(before=pl.len(), removed=pl.col("has_removed").sum())),
            _counted(aspect, became.agg(after=pl.len(), added=pl.col("has_added").sum(), changed=changed.sum())),
        ]
    return pl.concat(parts).group_by(SUMS["by"], maintain_order=True).sum()


def _counted(aspect: str, groups: pl.DataFrame) -> pl.DataFrame:
    names = ("before", "after", "added", "removed", "changed")
    return groups.select(
        pl.lit(aspect).alias("aspect"),
        "value",
        *(pl.col(name).cast(pl.Int64) if name in groups.columns else pl.lit(0, pl.Int64).alias(name) for name in names),
    )


def _moves(rows: pl.DataFrame) -> pl.DataFrame:
    """Images that went from one value to another."""
    stays = rows.filter(pl.col("is_before") & pl.col("is_after"))
    parts = [
        stays.filter(pl.col(aspect).ne_missing(pl.col(f"{aspect}_after")))
        .group_by(before=pl.col(aspect).cast(pl.String), after=pl.col(f"{aspect}_after").cast(pl.String))
        .agg(images=pl.len().cast(pl.Int64))
        .select(pl.lit(aspect).alias("aspect"), "before", "after", "images")
        for aspect in ASPECTS
    ]
    return pl.concat(parts)


def examples_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The first images of each change but `unchanged` and `removed`: change, image_id, detail, page_url."""
    parts = []
    for change in ALL_CHANGES:
        if change not in ("unchanged", "removed"):
            first = rows.filter(f"has_{change}").head(EXAMPLES)
            url = pl.coalesce("page_url_after", "page_url").alias("page_url")
            details = pl.Series("detail", [_detail(change, row) for row in first.iter_rows(named=True)], pl.String)
            parts.append(first.select(pl.lit(change).alias("change"), "image_id", details, url))
    return pl.concat(parts)


def _detail(change: str, row: Mapping[str, Any]) -> str | None:
    was, became = row.get(change), row.get(f"{change}_after")
    if change == "tags":
        return _names_changed(*([item["tag"] for item in items or ()] for items in (was, became)))
    if change == "artist":
        return _names_changed(was or (), became or ())
    if change in ("rating", "split", "year", "license"):
        return f"{_or_none(was)} -> {_or_none(became)}"
    return None


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)[:_TEXT_SHOWN]


def _names_changed(was: Sequence[str], became: Sequence[str]) -> str:
    gained = [f"+{name}" for name in became if name not in set(was)]
    lost = [f"-{name}" for name in was if name not in set(became)]
    both = [name[:_TEXT_SHOWN] for name in (gained + lost)]
    more = f" and {len(both) - _NAMES_SHOWN} more" if len(both) > _NAMES_SHOWN else ""
    return (", ".join(both[:_NAMES_SHOWN]) or "other categories") + more


def first_examples(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """At most EXAMPLES of each change (and of removed ones of each reason), in the order they came."""
    keys = ["change", pl.when(pl.col("change") == "removed").then("detail").alias("reason")]
    return pl.concat(parts).group_by(keys, maintain_order=True).head(EXAMPLES).drop("reason")
