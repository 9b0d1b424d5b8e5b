"""The grounds of landscapes, from the horizon to the viewer's feet."""

from collections.abc import Callable, Mapping
from math import cos, sin, tau
from random import Random

import numpy as np

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.curves import Outline, Point, box, points
from dataset_assets.sample.palettes import WHITE, Colour, Mood, deeper, mix, paler

HORIZON = 0.62  # of the height

Painter = Callable[[Canvas, Mood, Random], None]


def ridge(canvas: Canvas, chance: Random, height: float, swing: float, jagged: bool = False) -> Outline:
    """The outline of a chain of hills; `height` and `swing` are shares of the canvas."""
    across = np.linspace(-0.02, 1.02, 19 if jagged else 40)
    rise = np.zeros_like(across)
    for wave in (1.0, 2.3) if jagged else (1.0, 2.3, 4.1):
        rise += np.sin(across * wave * tau * 0.6 + chance.uniform(0, tau)) / (wave + 0.6)
    if jagged:
        rise += [chance.uniform(0.2, 0.75) * (1 if step % 2 else -1) for step in range(len(across))]
    top = np.stack([across * canvas.width, (height - rise * swing) * canvas.height], axis=1)
    floor = np.array([[canvas.width * 1.02, canvas.height * 1.02], [-canvas.width * 0.02, canvas.height * 1.02]])
    return np.concatenate([top, floor])


def _hills(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for layer, colour in enumerate(mood.land):
        canvas.fill(ridge(canvas, chance, HORIZON - 0.08 + 0.11 * layer, 0.045 + 0.008 * layer), colour)


def _mountains(canvas: Canvas, mood: Mood, chance: Random) -> None:
    far = ridge(canvas, chance, HORIZON - 0.18, 0.12, jagged=True)
    canvas.fill(far, mood.land[0])
    _snow_caps(canvas, far, mix(mood.cloud, mood.land[0], 0.25))
    canvas.fill(ridge(canvas, chance, HORIZON - 0.04, 0.07, jagged=True), mood.land[1])
    canvas.haze(
        canvas.width / 2, canvas.height * (HORIZON + 0.06), canvas.width, canvas.height * 0.1, mood.sky[-1], 0.6
    )
    for layer in (2, 3):
        canvas.fill(ridge(canvas, chance, HORIZON + 0.09 * (layer - 1), 0.04), mood.land[layer])


def _snow_caps(canvas: Canvas, mountains: Outline, colour: Colour) -> None:
    """White on each peak, down to an uneven line."""
    tops = mountains[:-2]
    for before, peak, after in zip(tops[:-2], tops[1:-1], tops[2:], strict=True):
        if peak[1] < min(before[1], after[1]) - canvas.height * 0.02:
            left, right = peak + (before - peak) * 0.42, peak + (after - peak) * 0.42
            middle = (left + right) / 2 + (0, canvas.height * 0.012)
            dent = np.array([0, canvas.height * 0.018])
            line = [right, (right + middle) / 2 - dent, middle, (left + middle) / 2 - dent, left]
            canvas.fill(np.array([peak, *line]), colour)


def _sea(canvas: Canvas, mood: Mood, chance: Random) -> None:
    line = canvas.height * HORIZON
    canvas.gradient(mood.sea, line)
    for _ in range(46):
        depth = chance.random() ** 1.5
        x, y = chance.uniform(0, 1) * canvas.width, line + 4 + depth * (canvas.height - line)
        length = (12 + 60 * depth) * canvas.width / 640
        canvas.line([(x - length, y), (x + length, y)], paler(_at(mood.sea, depth), 0.25), 0.8 + depth)
    _beach(canvas, mood, chance)


def _beach(canvas: Canvas, mood: Mood, chance: Random) -> None:
    sand = mix(mix(mood.light, (240, 210, 160), 0.6), mood.land[-1], 0.15)
    shore = ridge(canvas, chance, 0.95, 0.03)
    canvas.fill(shore - (0, canvas.height * 0.018), paler(mood.sea[1], 0.75))
    canvas.fill(shore, sand)


def _lake(canvas: Canvas, mood: Mood, chance: Random) -> None:
    line = canvas.height * 0.64
    far = ridge(canvas, chance, 0.47, 0.1, jagged=True)
    canvas.fill(far, mood.land[0])
    _snow_caps(canvas, far, mix(mood.cloud, mood.land[0], 0.25))
    canvas.fill(ridge(canvas, chance, 0.575, 0.03), mood.land[1])
    canvas.fill(ridge(canvas, chance, 0.62, 0.015), mood.land[2])
    canvas.mirror(line, canvas.height, mood.sea[1], 0.35)
    for _ in range(26):
        depth = chance.random()
        x, y, length = chance.random() * canvas.width, line + depth * (canvas.height - line), 16 + 50 * depth
        canvas.line([(x - length, y), (x + length, y)], mix(mood.sea[0], WHITE, 0.3), 0.8)


def _city(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for layer, land in enumerate(mood.land[:3]):
        x, colour = -canvas.width * 0.02, mix(land, mood.sky[0], 0.4)
        while x < canvas.width:
            wide = canvas.width * chance.uniform(0.05, 0.1)
            top = canvas.height * (HORIZON - 0.22 + 0.14 * layer + chance.uniform(-0.12, 0.1))
            canvas.fill(box(x, top, x + wide, canvas.height), colour)
            if layer:
                _windows(canvas, (x, top, wide), mood.light if layer > 1 else mix(mood.light, colour, 0.45), chance)
            x += wide * chance.uniform(0.92, 1.15)
    canvas.fill(ridge(canvas, chance, 0.97, 0.01), mood.land[3])


def _windows(canvas: Canvas, house: tuple[float, float, float], light: Colour, chance: Random) -> None:
    left, top, wide = house
    across, step = wide / 5, wide / 4.2
    for row in range(int((canvas.height - top) / step) - 1):
        for column in range(3):
            if chance.random() < 0.42:
                x, y = left + wide * (0.2 + 0.3 * column) - across / 4, top + step * (row + 0.6)
                canvas.fill(box(x, y, x + across / 1.6, y + step / 2), light)


def _forest(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for layer, colour in enumerate(mood.land):
        base = HORIZON + 0.1 * layer
        for tree in range(26 - 5 * layer):
            x = (tree + chance.uniform(0.1, 0.9)) / (26 - 5 * layer) * canvas.width
            tall = canvas.height * chance.uniform(0.1, 0.15) * (1 + 0.45 * layer)
            needles = mix(colour, mood.pine, chance.uniform(0.2, 0.9))
            pine(canvas, (x, canvas.height * (base + 0.02)), tall, needles)
        canvas.fill(ridge(canvas, chance, base, 0.015), colour)


def pine(canvas: Canvas, foot: Point, tall: float, colour: Colour) -> None:
    """A fir of three tiers."""
    tiers = points("0,0 1,1 0.3,0.94 -0.3,0.94 -1,1")
    for tier in range(3):
        top = foot[1] - tall * (1 - 0.24 * tier)
        canvas.fill(tiers * (tall * (0.14 + 0.07 * tier), tall / 2) + (foot[0], top), colour)
    trunk = points("-0.03,-0.1 0.03,-0.1 0.03,0.01 -0.03,0.01")
    canvas.fill(trunk * tall + foot, deeper(colour, 0.3))


def _field(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for layer in (0, 1, 2):
        canvas.fill(ridge(canvas, chance, HORIZON - 0.04 + 0.07 * layer, 0.035), mood.land[layer])
    for flower in range(150):
        depth = (flower / 150) ** 1.2
        x, y = chance.random() * canvas.width, canvas.height * (HORIZON + 0.13 + 0.28 * depth)
        size = canvas.height * (0.004 + 0.016 * depth)
        _blossom(canvas, (x, y), size, chance.choice((mood.accent, paler(mood.accent), mood.light)), mood.land[3])


def _blossom(canvas: Canvas, at: Point, size: float, colour: Colour, stem: Colour) -> None:
    x, y = at
    canvas.line([(x, y), (x, y + size * 3)], stem, max(0.6, size * 0.3))
    for petal in range(5):
        turn = petal * tau / 5
        canvas.disc(x + size * 0.7 * cos(turn), y + size * 0.7 * sin(turn), size * 0.55, size * 0.55, colour)
    canvas.disc(x, y, size * 0.4, size * 0.4, (255, 224, 120))


def _at(colours: tuple[Colour, ...], share: float) -> Colour:
    """The colour at a share of the way through a gradient."""
    place = min(max(share, 0), 0.999) * (len(colours) - 1)
    return mix(colours[int(place)], colours[int(place) + 1], place % 1)


GROUNDS: Mapping[str, tuple[Painter, tuple[str, ...]]] = {
    "hills": (_hills, ("hill",)),
    "mountains": (_mountains, ("mountain",)),
    "sea": (_sea, ("ocean", "beach", "water", "horizon")),
    "lake": (_lake, ("lake", "mountain", "water", "reflection")),
    "city": (_city, ("city", "building", "cityscape")),
    "forest": (_forest, ("forest", "tree", "nature")),
    "field": (_field, ("field", "flower_field", "flower")),
}
