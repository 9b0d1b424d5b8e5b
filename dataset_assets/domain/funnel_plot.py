"""A subset's funnel as a picture: how many images each rule takes, and how many it leaves."""

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from dataset_assets.domain.drawing import GRID, INK, PALE, Bar, Shape, Words, png, svg
from dataset_assets.domain.trend_plot import PALETTE

Form = Literal["png", "svg"]
WIDTH = 720
MOST_GROUPS = 60
LEFT_COLOUR, DROPPED_COLOUR, BEFORE_COLOUR = "#0072b2", "#e69f00", "#b0b0b0"
_LABELS, _NUMBERS, _TOP, _PITCH, _THICK = 110, 170, 40, 24, 15
_LEGEND_PITCH = 18


def funnel_plot(funnel: pl.DataFrame, title: str, form: Form = "png", before: pl.DataFrame | None = None) -> bytes:
    """Draw a bar for each rule: what it leaves, and beside it what it drops.

    funnel: rule, dropped, left, as `selection.funnel` makes it. before: the same of an earlier funnel, which is drawn
    as a thin bar beneath. Returns: a picture of WIDTH pixels across, below 60 kB.
    """
    earlier = {} if before is None else dict(before.select("rule", "left").iter_rows())
    largest = max([1, *funnel["left"], *funnel["dropped"], *earlier.values()])
    scale = (WIDTH - _LABELS - _NUMBERS) / largest
    shapes: list[Shape] = [Words(8, 18, title)]
    for number, (rule, dropped, left) in enumerate(funnel.select("rule", "dropped", "left").iter_rows()):
        y = _TOP + number * _PITCH
        shapes += [Words(_LABELS - 8, y + _THICK / 2, rule, anchor="end")]
        shapes += [Bar(_LABELS, y, left * scale, _THICK, LEFT_COLOUR)]
        shapes += [Bar(_LABELS + left * scale, y, dropped * scale, _THICK, DROPPED_COLOUR)]
        if rule in earlier:
            shapes += [Bar(_LABELS, y + _THICK, earlier[rule] * scale, 3, BEFORE_COLOUR)]
        shapes += [Words(WIDTH - 8, y + _THICK / 2, f"{left:,} left", anchor="end")]
        if dropped:
            shapes += [Words(WIDTH - 92, y + _THICK / 2, f"-{dropped:,}", DROPPED_COLOUR, "end")]
    height = _TOP + funnel.height * _PITCH + 8
    if before is not None:
        shapes += [Bar(_LABELS, height + 6, 24, 3, BEFORE_COLOUR), Words(_LABELS + 32, height + 8, "before", PALE)]
        height += 22
    return _drawn(shapes, height, form)


def groups_plot(groups: pl.DataFrame, title: str, form: Form = "png") -> bytes:
    """Draw a bar for each group of images: the share that is kept, and the shares that each rule drops.

    groups: group (its name), candidates, a column for each rule with what it drops, and kept.
    """
    rules = [name for name in groups.columns[2:-1] if groups[name].sum()]
    colours = dict(zip(["kept", *rules], _colours(len(rules) + 1), strict=True))
    shapes: list[Shape] = [Words(8, 18, _heading(title, groups.height))]
    x, top = 8.0, 40
    for name, colour in colours.items():
        if x + 34 + 7 * len(name) > WIDTH:
            x, top = 8.0, top + _LEGEND_PITCH
        shapes += [Bar(x, top - 5, 10, 10, colour), Words(x + 15, top, name)]
        x += 34 + 7 * len(name)
    top += _LEGEND_PITCH
    for number, row in enumerate(groups.head(MOST_GROUPS).iter_rows(named=True)):
        shapes += _stack(row, colours, top + number * _PITCH)
    return _drawn(shapes, top + min(groups.height, MOST_GROUPS) * _PITCH + 8, form)


def _stack(row: dict[str, Any], colours: dict[str, str], y: float) -> list[Shape]:
    """One bar, of what is kept and then of what is dropped, by rule."""
    scale = (WIDTH - _LABELS - _NUMBERS) / max(1, row["candidates"])
    shapes: list[Shape] = [Words(_LABELS - 8, y + _THICK / 2, str(row["group"]), anchor="end")]
    shapes += [Bar(_LABELS, y, row["candidates"] * scale, _THICK, GRID)]
    x = float(_LABELS)
    for name, colour in colours.items():
        shapes.append(Bar(x, y, row[name] * scale, _THICK, colour))
        x += row[name] * scale
    share = f"{row['kept']:,} of {row['candidates']:,}"
    return [*shapes, Words(WIDTH - 8, y + _THICK / 2, share, INK, "end")]


def _heading(title: str, groups: int) -> str:
    return title if groups <= MOST_GROUPS else f"{title}: the first {MOST_GROUPS} of {groups}"


def _colours(count: int) -> Sequence[str]:
    """So many colours; past the palette's end they repeat."""
    return [PALETTE[number % len(PALETTE)] for number in range(count)]


def _drawn(shapes: Sequence[Shape], height: int, form: Form) -> bytes:
    return (png if form == "png" else svg)(shapes, WIDTH, height)
