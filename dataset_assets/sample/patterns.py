"""Patterns that fill a whole sheet; behind a figure they are backgrounds."""

from collections.abc import Callable, Mapping
from math import pi, sqrt, tau
from random import Random

import numpy as np

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.curves import Point, box, oval, points, smooth, turned
from dataset_assets.sample.palettes import WHITE, Colour, deeper, mix, paler

Painter = Callable[[Canvas, Colour, Random], None]


def _grid(canvas: Canvas, step: float, squash: float = 1.0) -> list[Point]:
    """Points on staggered rows, from top to bottom, past the edges."""
    rows, columns = int(canvas.height / step / squash) + 3, int(canvas.width / step) + 3
    return [
        ((column - 1 + row % 2 / 2) * step, (row - 1) * step * squash)
        for row in range(rows)
        for column in range(columns)
    ]


def _dots(canvas: Canvas, colour: Colour, chance: Random) -> None:
    step = chance.uniform(44, 64)
    for x, y in _grid(canvas, step, 0.6):
        canvas.disc(x, y, step * 0.17, step * 0.17, paler(colour, 0.65))


def _stripes(canvas: Canvas, colour: Colour, chance: Random) -> None:
    wide, lean = chance.uniform(22, 36), canvas.height * 0.5
    for stripe in range(-int(lean / wide), int(canvas.width / wide) + 2, 2):
        x = stripe * wide
        canvas.fill(
            [(x, canvas.height), (x + wide, canvas.height), (x + wide + lean, 0), (x + lean, 0)], paler(colour, 0.5)
        )


def _checks(canvas: Canvas, colour: Colour, chance: Random) -> None:
    wide = chance.uniform(36, 54)
    for row in range(int(canvas.height / wide) + 1):
        for column in range(row % 2, int(canvas.width / wide) + 1, 2):
            x, y = column * wide, row * wide
            canvas.fill(box(x, y, x + wide, y + wide), paler(colour, 0.45))


def _waves(canvas: Canvas, colour: Colour, chance: Random) -> None:
    step = chance.uniform(64, 88)
    for x, y in _grid(canvas, step, 0.26):
        for ring, tone in enumerate((colour, paler(colour, 0.75)) * 3):
            canvas.disc(x, y + step * 0.4, step * (0.5 - 0.085 * ring), step * (0.5 - 0.085 * ring), tone)


def _stars(canvas: Canvas, colour: Colour, chance: Random) -> None:
    star = turned(oval(0, 0, 1, 1, 10) * np.array([[1.0], [0.45]] * 5), -pi / 2)
    step = chance.uniform(60, 84)
    for x, y in _grid(canvas, step, 0.7):
        size, turn = step * chance.uniform(0.16, 0.26), chance.uniform(-0.3, 0.3)
        canvas.fill(turned(star, turn) * size + (x, y), paler(colour, 0.62))


def _hearts(canvas: Canvas, colour: Colour, chance: Random) -> None:
    step = chance.uniform(60, 80)
    heart = smooth(points("0,0.9 -0.9,0 -0.85,-0.6 -0.4,-0.75 -0.02,-0.35 0.02,-0.35 0.4,-0.75 0.85,-0.6 0.9,0"))
    for x, y in _grid(canvas, step, 0.65):
        canvas.fill(heart * step * 0.2 + (x, y), paler(colour, 0.62))


def _triangles(canvas: Canvas, colour: Colour, chance: Random) -> None:
    side = chance.uniform(60, 84)
    tall = side * sqrt(3) / 2
    tones = [colour, paler(colour, 0.35), paler(colour, 0.6), deeper(colour, 0.2)]
    for row in range(int(canvas.height / tall) + 1):
        for half in range(-1, int(canvas.width / side * 2) + 2):
            x, up = half * side / 2, (half + row) % 2
            low, high = ((row + 1) * tall, row * tall) if up else (row * tall, (row + 1) * tall)
            canvas.fill([(x, low), (x + side, low), (x + side / 2, high)], chance.choice(tones))


def _leaves(canvas: Canvas, colour: Colour, chance: Random) -> None:
    leaf, rib = smooth(points("0,-1 0.42,-0.35 0.34,0.4 0,0.9 -0.34,0.4 -0.42,-0.35")), points("0,-0.8 0,1.25")
    for x, y in _grid(canvas, 58, 0.72):
        turn, size = chance.uniform(0, tau), chance.uniform(20, 30)
        canvas.fill(turned(leaf, turn) * size + (x, y), mix(colour, WHITE, chance.uniform(0.25, 0.65)))
        canvas.line(turned(rib, turn) * size + (x, y), colour, 1.4)


PATTERNS: Mapping[str, tuple[Painter, tuple[str, ...]]] = {
    "dots": (_dots, ("polka_dot", "polka_dot_background")),
    "stripes": (_stripes, ("striped", "striped_background")),
    "checks": (_checks, ("checkered", "checkered_background")),
    "waves": (_waves, ("seigaiha",)),
    "stars": (_stars, ("star_(symbol)", "starry_background")),
    "hearts": (_hearts, ("heart", "heart_background")),
    "triangles": (_triangles, ("triangle", "abstract")),
    "leaves": (_leaves, ("leaf", "leaf_background")),
}


def paint_pattern(canvas: Canvas, name: str, colour: Colour, seed: int) -> None:
    """Fill the sheet."""
    canvas.gradient([colour, mix(colour, WHITE, 0.12)])
    PATTERNS[name][0](canvas, colour, Random(f"pattern {seed}"))
