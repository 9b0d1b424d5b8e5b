"""The funnels of subsets as their tables stand, and what has changed in them."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from dataset_assets.assets.curation import definition_of, kept_definition, rules_of
from dataset_assets.config import DatasetConfig
from dataset_assets.domain import funnel_changes, schemas
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Before, Cell, Tables

Group = Literal["year", "source", "rating"]
GROUPS: tuple[Group, ...] = ("year", "source", "rating")
BEFORE = "before"
NO_GROUP = "-"  # such as the rating of an image without one

SHOWN_CELLS = 8
FOLLOWING = ("redistributable", "licenses")
Redefined = tuple[str, str, str]  # a key of a definition, what it was, what it is
_Compared = tuple[pl.DataFrame, pl.DataFrame, list[pl.LazyFrame], pl.DataFrame]


class NotBuilt(Exception):
    """A subset without a table, or nothing to compare it with."""


@dataclass(frozen=True)
class Change:
    """What has become of a subset's images since another judgement.

    compared_with: in words, a line for each judgement. sides: what the two are called. definition: the keys that
    differ. rules: as of `funnel_changes.changes`; null = the other side has no rules. moves: was, now, images. ids:
    scans of image_id, was and now, one of each year. before: the other side's funnel, where it has one.
    """

    compared_with: list[str]
    sides: tuple[str, str]
    definition: list[Redefined]
    rules: pl.DataFrame | None
    moves: pl.DataFrame
    ids: list[pl.LazyFrame]
    before: pl.DataFrame | None


def rule_names(config: DatasetConfig, name: str) -> list[str]:
    """A subset's rules by name, in their order."""
    return list(dict.fromkeys(rule.name for source in config.sources for rule in rules_of(config, name, source)))


def rows_of(config: DatasetConfig, name: str) -> pl.LazyFrame:
    """A subset's rows of all years, with source and year. Raises: NotBuilt."""
    rows = Tables(config.root_path).scan_all(f"subset/{name}", declared_cells(config, f"subset/{name}"))
    if rows is None:
        raise NotBuilt(f"subset {name} is not built yet; build it with `dataset-assets rebuild`")
    return rows


def funnel(config: DatasetConfig, name: str) -> pl.DataFrame:
    """What each rule of a subset dropped over all years, and what was left after it. Raises: NotBuilt."""
    return funnel_changes.funnel_as_found(rows_of(config, name).select("drop_reason"), rule_names(config, name))


def parts(config: DatasetConfig, name: str) -> dict[str, int]:
    """How many images are in each part of a subset, in the order of dataset.yaml; none where it has no parts."""
    rows = rows_of(config, name)
    if "split" not in rows.collect_schema():
        return {}
    counted = dict(rows.drop_nulls("split").group_by("split").len().collect().iter_rows())
    declared = config.subsets[name].splits
    return {part: counted.get(part, 0) for part in [*declared, *sorted(counted.keys() - declared.keys())]}


def by_group(config: DatasetConfig, name: str, group: Group) -> pl.DataFrame:
    """A row for each year, source or rating: group, candidates, what each rule dropped, kept. Raises: NotBuilt."""
    rows = rows_of(config, name).select("image_id", "source", "year", "drop_reason")
    if group == "rating":
        tables, listed = Tables(config.root_path), schemas.IMAGE_METADATA.name
        images = tables.scan_all(listed, declared_cells(config, listed))
        if images is None:
            raise NotBuilt(f"{listed} is not built yet; build it with `dataset-assets rebuild`")
        rows = rows.join(images.select("image_id", "rating"), on="image_id", how="left")
    rules = funnel_changes.rules_found(rows, rule_names(config, name))
    dropped = [(pl.col("drop_reason") == rule).sum().cast(pl.Int64).alias(rule) for rule in rules]
    kept = pl.col("drop_reason").is_null().sum().cast(pl.Int64).alias("kept")
    groups = rows.group_by(pl.col(group).cast(pl.String).fill_null(NO_GROUP).alias("group"))
    return groups.agg(pl.len().cast(pl.Int64).alias("candidates"), *dropped, kept).sort("group").collect()


def changed(config: DatasetConfig, name: str, other: str) -> Change:
    """What has changed since `before`, another subset, or a release, by its name in this order.

    Raises: NotBuilt; KeyError when there is nothing of that name.
    """
    tables = Tables(config.root_path)
    cells = declared_cells(config, f"subset/{name}")
    if not cells:
        rows_of(config, name)
    if other == BEFORE:
        return _since_before(config, tables, name, cells)
    if other in config.subsets:
        cells = sorted({*cells, *declared_cells(config, f"subset/{other}")})
        rows_of(config, other)
        sides = [(_now(tables, other, cell), _now(tables, name, cell)) for cell in cells]
        told = _told_apart(definition_of(config, other), definition_of(config, name))
        return Change([f"the subset {other}"], (other, name), told, *_compared(config, name, sides))
    return _since_release(config, tables, name, other, cells)


def _since_before(config: DatasetConfig, tables: Tables, name: str, cells: Sequence[Cell]) -> Change:
    earlier = {cell: before for cell in cells if (before := tables.before(f"subset/{name}", cell)) is not None}
    if not earlier:
        raise NotBuilt(
            f"subset {name} has not changed: neither since it was built, nor by the definition that it has now"
        )
    sides = []
    for cell in cells:
        now = _now(tables, name, cell)
        sides.append((earlier[cell].rows.select("image_id", "drop_reason") if cell in earlier else now, now))
    told = _redefined(config, name, earlier)
    return Change(_judgements(config, name, earlier), ("was", "now"), told, *_compared(config, name, sides))


def _since_release(config: DatasetConfig, tables: Tables, name: str, release: str, cells: Sequence[Cell]) -> Change:
    root, file = opened(tables.root), f"releases/{release}/members.parquet"
    if root.size(file) is None:
        raise KeyError(release)
    members = pl.scan_parquet(root.file(file), hive_partitioning=False).select("image_id", "source", "year")
    present = members.select("source", "year").unique().collect()
    every = sorted({*cells, *(Cell(source, year) for source, year in present.iter_rows())})
    moves = [
        funnel_changes.came_and_went(
            members.filter(source=cell.source, year=cell.year),
            _now(tables, name, cell) if cell in cells else _nothing(name),
            f"not in {release}",
        )
        for cell in every
    ]
    return Change([f"the release {release}"], ("was", "now"), [], None, funnel_changes.counted(moves), moves, None)


def _now(tables: Tables, name: str, cell: Cell) -> pl.LazyFrame:
    """A subset's rows of a year as they are; none where it is not built."""
    return tables.scan(schemas.subset(name), cell).select("image_id", "drop_reason")


def _nothing(name: str) -> pl.LazyFrame:
    """A subset's rows of a year that dataset.yaml has no more."""
    return schemas.subset(name).empty().lazy().select("image_id", "drop_reason")


def _compared(config: DatasetConfig, name: str, sides: Sequence[tuple[pl.LazyFrame, pl.LazyFrame]]) -> _Compared:
    """What differs between two judgements, given year by year: memory holds one at a time."""
    rules = rule_names(config, name)
    before, now = (
        funnel_changes.funnel_as_found(pl.concat(side[which].select("drop_reason") for side in sides), rules)
        for which in (0, 1)
    )
    moves = [funnel_changes.moved(*side) for side in sides]
    return funnel_changes.changes(before, now), funnel_changes.counted(moves), moves, before


def _judgements(config: DatasetConfig, name: str, earlier: Mapping[Cell, Before]) -> list[str]:
    """Which years are compared with what: years that changed at another time, or for another cause, stand apart."""
    tables, told = Tables(config.root_path), defaultdict(list)
    for cell, before in earlier.items():
        commit = tables.commit_of(f"subset/{name}", cell)
        is_same = commit is not None and commit.recipe == before.commit.recipe
        told["the same definition, of other images or tags" if is_same else "the definition of then"].append(cell)
    return [f"{_named(cells)} as before {_span(earlier, cells)}: {how}" for how, cells in sorted(told.items())]


def _named(cells: Sequence[Cell]) -> str:
    return " ".join(map(str, cells)) if len(cells) <= SHOWN_CELLS else f"{len(cells)} years"


def _span(earlier: Mapping[Cell, Before], cells: Sequence[Cell]) -> str:
    times = sorted({f"{datetime.fromisoformat(earlier[cell].replaced_at):%Y-%m-%d %H:%M}" for cell in cells})
    return f"{times[0]} UTC" if len(times) == 1 else f"{times[0]} to {times[-1]} UTC"


def _redefined(config: DatasetConfig, name: str, earlier: Mapping[Cell, Before]) -> list[Redefined]:
    """The keys of the definition that are not what they were when the newest of the former tables was made."""
    newest = max(earlier.values(), key=lambda before: before.replaced_at)
    try:
        kept = opened(config.root_path).get(kept_definition(name, newest.commit.recipe))
    except FileNotFoundError:
        return []
    return _told_apart(json.loads(kept), json.loads(json.dumps(definition_of(config, name))))


def _told_apart(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Redefined]:
    # Which sources a licence rules out follows from it, unless that alone has changed.
    keys = [key for key in dict.fromkeys([*then, *now]) if key not in FOLLOWING or (key in then and key in now)]
    return [(key, _said(then.get(key)), _said(now.get(key))) for key in keys if then.get(key) != now.get(key)]


def _said(value: object) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
