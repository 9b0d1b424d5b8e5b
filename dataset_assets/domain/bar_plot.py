"""Upright bars, one upon another: how many there are of each class, by group."""

import math
from collections.abc import Mapping, Sequence

from dataset_assets.domain.drawing import GRID, INK, PALE, Bar, Shape, Words, png, svg
from dataset_assets.domain.trend_plot import PALETTE

WIDTH, HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 44, 34
_MOST_LABELS, _LETTER, _THICKEST, _OTHERS = 16, 6.6, 72, "others"


def bar_plot(title: str, labels: Sequence[str], groups: Mapping[str, Sequence[int]]) -> list[Shape]:
    """Shapes of a plot of WIDTH x HEIGHT pixels.

    labels: below the bars. groups: numbers for each label; of more groups than there are colours, the last are one.
    """
    stacked = _few(groups)
    tallest = max((sum(parts) for parts in zip(*stacked.values(), strict=True)), default=0)
    ticks = _ticks(tallest)
    across, down = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1), (HEIGHT - _TOP - _BOTTOM) / ticks[-1]
    bottom, thick = HEIGHT - _BOTTOM, min(across * 0.76, _THICKEST)
    shapes: list[Shape] = [Words(8, 14, title)]
    for tick in ticks:
        shapes.append(Bar(_LEFT, bottom - tick * down, WIDTH - _LEFT - _RIGHT, 1, GRID if tick else PALE))
        shapes.append(Words(_LEFT - 8, bottom - tick * down, _number(tick), PALE, "end"))
    every = max(math.ceil(len(labels) / _MOST_LABELS), math.ceil(_widest(labels) * _LETTER / max(across, 1)))
    for at, label in enumerate(labels):
        x, height = _LEFT + at * across, 0.0
        for colour, numbers in zip(PALETTE, stacked.values(), strict=False):
            height += numbers[at] * down
            shapes.append(Bar(x + (across - thick) / 2, bottom - height, thick, numbers[at] * down, colour))
        if at % every == 0:
            shapes.append(Words(x + across / 2, bottom + 14, label, INK, "middle"))
    return shapes + (_legend(list(stacked)) if len(stacked) > 1 else [])


def picture(shapes: Sequence[Shape]) -> bytes:
    """A plot as a PNG."""
    return png(shapes, WIDTH, HEIGHT)


def markup(shapes: Sequence[Shape]) -> str:
    """A plot as SVG, to stand within a page."""
    return svg(shapes, WIDTH, HEIGHT).decode()


def _few(groups: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    names = list(groups)
    if len(names) <= len(PALETTE):
        return dict(groups)
    first = {name: groups[name] for name in names[: len(PALETTE) - 1]}
    rest = [groups[name] for name in names[len(PALETTE) - 1 :]]
    return {**first, _OTHERS: [sum(parts) for parts in zip(*rest, strict=True)]}


def _widest(labels: Sequence[str]) -> int:
    return max(map(len, labels), default=0) + 1


def _ticks(largest: int) -> list[int]:
    """Round whole numbers from 0 to at least the largest."""
    step = 1
    while largest > 5 * step:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, step * max(math.ceil(largest / step), 1) + 1, step))


def _number(value: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if value >= unit:
            return f"{value / (1000 if name == 'k' else unit):g}{name}"
    return f"{value:,}"


def _legend(names: Sequence[str]) -> list[Shape]:
    shapes: list[Shape] = []
    x = float(_LEFT)
    for name, colour in zip(names, PALETTE, strict=False):
        shapes += [Bar(x, 27, 10, 10, colour), Words(x + 15, 32, name[:24])]
        x += 34 + 7 * len(name[:24])
    return shapes
