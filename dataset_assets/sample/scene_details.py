"""What stands in the sky of a landscape and on its ground."""

from collections.abc import Callable, Mapping
from math import pi, tau
from random import Random

import numpy as np

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.curves import Point, box, joined, oval, points, smooth, turned
from dataset_assets.sample.grounds import HORIZON, pine
from dataset_assets.sample.palettes import WHITE, Colour, Mood, deeper, mix, paler
from dataset_assets.sample.pen import Pen

Painter = Callable[[Canvas, Mood, Random], None]


def _sun(canvas: Canvas, mood: Mood, chance: Random) -> None:
    x, y = canvas.width * chance.uniform(0.3, 0.7), canvas.height * chance.uniform(0.24, 0.42)
    size = min(canvas.width, canvas.height) * 0.085
    canvas.haze(x, y, size * 6, size * 6, mood.light, 0.6)
    canvas.disc(x, y, size, size, mood.light)


def _full_moon(canvas: Canvas, mood: Mood, chance: Random) -> None:
    x, y = canvas.width * chance.uniform(0.22, 0.78), canvas.height * chance.uniform(0.18, 0.32)
    size = min(canvas.width, canvas.height) * chance.uniform(0.09, 0.15)
    canvas.haze(x, y, size * 4.5, size * 4.5, mood.light, 0.55)
    canvas.disc(x, y, size, size, mood.light)
    for dx, dy, crater in ((-0.35, -0.2, 0.2), (0.3, 0.25, 0.26), (0.1, -0.5, 0.13), (-0.3, 0.45, 0.12)):
        canvas.disc(x + dx * size, y + dy * size, crater * size, crater * size, mix(mood.light, mood.sky[1], 0.14))


def _crescent_moon(canvas: Canvas, mood: Mood, chance: Random) -> None:
    x, y = canvas.width * chance.uniform(0.22, 0.78), canvas.height * chance.uniform(0.16, 0.3)
    size = min(canvas.width, canvas.height) * 0.09
    canvas.haze(x, y, size * 4, size * 4, mood.light, 0.4)
    turn = np.linspace(-0.5 * pi, 0.5 * pi, 24)
    outer = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    inner = outer[::-1] * (0.45, 1)
    canvas.fill(turned(np.concatenate([outer, inner]), 0.5) * size + (x, y), mood.light)


def _stars(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for _ in range(110):
        x, y = chance.random() * canvas.width, canvas.height * (HORIZON - 0.02) * chance.random() ** 1.3
        size = chance.choice((0.7, 0.9, 1.3))
        canvas.disc(x, y, size, size, mix(WHITE, mood.sky[2], chance.uniform(0, 0.55)))
    for _ in range(7):
        x, y = chance.random() * canvas.width, canvas.height * 0.5 * chance.random()
        sparkle(canvas, x, y, chance.uniform(5, 9), WHITE)


def sparkle(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    """A star of four rays."""
    rays = points("1,0 0.16,0.16 0,1 -0.16,0.16 -1,0 -0.16,-0.16 0,-1 0.16,-0.16")
    canvas.fill(rays * size + (x, y), colour)


def _clouds(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for place in range(4):
        x = canvas.width * (place + chance.uniform(0.1, 0.9)) / 4
        y, size = canvas.height * chance.uniform(0.12, 0.42), canvas.height * chance.uniform(0.035, 0.075)
        _cloud(canvas, (x, y), size, mix(mood.cloud, mood.sky[1], chance.uniform(0, 0.25)), chance)


def _cloud(canvas: Canvas, at: Point, size: float, colour: Colour, chance: Random) -> None:
    x, y = at
    for dx, tall in points("-1.9,0.5 -1,0.85 0.1,1.1 1.2,0.8 2,0.45").tolist():
        tall *= size * chance.uniform(0.85, 1.15)
        canvas.disc(x + dx * size, y - tall * 0.35, tall, tall, colour)
    canvas.disc(x, y + size * 0.32, size * 3, size * 0.45, colour)


def _birds(canvas: Canvas, mood: Mood, chance: Random) -> None:
    x, y = canvas.width * chance.uniform(0.2, 0.6), canvas.height * chance.uniform(0.15, 0.3)
    for _ in range(6):
        x, y = x + canvas.width * chance.uniform(0.03, 0.06), y + canvas.height * chance.uniform(-0.03, 0.03)
        wing = canvas.height * chance.uniform(0.012, 0.02)
        wings = joined(points("-1.5,-0.6 -0.7,-0.7 0,0"), points("0,0 0.7,-0.7 1.5,-0.6"))
        canvas.line(wings * wing + (x, y), mix(mood.land[-1], mood.sky[0], 0.2), 1.3)


def _tree(canvas: Canvas, mood: Mood, chance: Random) -> None:
    side = chance.choice((0.16, 0.84))
    pen = Pen(canvas, canvas.width * side, canvas.height * 0.97, canvas.height * 0.42)
    bark = mix(mood.land[3], (88, 58, 60), 0.5)
    pen.patch(points("-0.07,0.1 -0.035,-0.5 -0.16,-0.85 -0.02,-0.7 0.12,-0.9 0.05,-0.5 0.08,0.1"), bark)
    for dx, dy in points("-0.1,-0.8 0.14,-0.78 -0.26,-0.86 0.28,-0.9 0,-1.12").tolist():
        pen.dot(dx, dy, 0.25, 0.23, deeper(mood.accent, 0.2))
    for dx, dy in points("-0.3,-0.93 0.24,-0.99 -0.05,-1.2").tolist():
        pen.dot(dx, dy, 0.17, 0.14, mood.accent)
    for _ in range(14):
        pen.dot(chance.uniform(-0.4, 0.4), chance.uniform(-1.3, -0.75), 0.025, 0.025, paler(mood.accent, 0.5))


def _house(canvas: Canvas, mood: Mood, chance: Random) -> None:
    pen = Pen(canvas, canvas.width * chance.uniform(0.3, 0.7), canvas.height * 0.84, canvas.height * 0.09)
    wall = mix((250, 240, 226), mood.land[1], 0.25)
    pen.outline(points("-0.8,0 -0.8,-0.8 0.8,-0.8 0.8,0"), wall, deeper(wall))
    pen.outline(points("-1.05,-0.75 -0.6,-1.5 0.6,-1.5 1.05,-0.75"), mix(mood.accent, mood.land[3], 0.25))
    pen.outline(points("0.3,-1.35 0.3,-1.8 0.52,-1.8 0.52,-1.35"), wall)
    pen.outline(points("-0.15,0 -0.15,-0.5 0.2,-0.5 0.2,0"), mix(mood.land[3], (120, 80, 70), 0.5))
    for x in (-0.6, 0.4):
        pen.outline(box(x, -0.6, x + 0.26, -0.3), mood.light)


def _boat(canvas: Canvas, mood: Mood, chance: Random) -> None:
    pen = Pen(canvas, canvas.width * chance.uniform(0.3, 0.7), canvas.height * 0.76, canvas.height * 0.1)
    canvas.veil(pen.place(oval(0, 0.12, 1.1, 0.12)), deeper(mood.sea[-1]), 0.45)
    pen.outline(points("0.05,-0.2 0.05,-1.7 0.85,-0.3"), mix(WHITE, mood.sky[-1], 0.3))
    pen.outline(points("-0.05,-0.2 -0.05,-1.5 -0.6,-0.3"), mood.accent)
    pen.shape(points("-0.95,-0.15 0,-0.1 0.95,-0.15 0.7,0.14 0,0.2 -0.7,0.14"), mix((150, 96, 80), mood.land[-1], 0.3))


def _lighthouse(canvas: Canvas, mood: Mood, chance: Random) -> None:
    side = chance.choice((0.14, 0.86))
    pen = Pen(canvas, canvas.width * side, canvas.height * (HORIZON + 0.1), canvas.height * 0.26)
    [(x, y)] = pen.place([(0, -1.26)]).tolist()
    end = x + canvas.width * (0.9 if side < 0.5 else -0.9)
    canvas.veil([(x, y), (end, y - canvas.height * 0.16), (end, y + canvas.height * 0.05)], mood.light, 0.3)
    rock = mix(mood.land[2], mood.land[3], 0.4)
    pen.patch(points("-1,0.1 -0.6,-0.14 -0.2,-0.2 0.3,-0.18 0.8,-0.04 1.1,0.12"), rock)
    for layer in range(5):
        low, high = -0.12 - 0.21 * layer, -0.33 - 0.21 * layer
        wide, narrow = 0.17 - 0.018 * layer, 0.17 - 0.018 * (layer + 1)
        tone = mood.accent if layer % 2 else mix(WHITE, mood.sky[-1], 0.25)
        canvas.fill(pen.place([(-wide, low), (wide, low), (narrow, high), (-narrow, high)]), tone)
    canvas.fill(pen.place(points("-0.07,-1.17 0.07,-1.17 0.07,-1.33 -0.07,-1.33")), mood.light)
    canvas.fill(pen.place(points("-0.11,-1.33 0,-1.48 0.11,-1.33")), mood.land[3])
    pen.glow(0, -1.25, 0.3, mood.light, 0.7)


def _pines(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for left, right in ((0.0, 0.26), (0.78, 1.0)):
        for _ in range(4):
            foot = (canvas.width * chance.uniform(left, right), canvas.height * chance.uniform(0.94, 1.02))
            tall = canvas.height * chance.uniform(0.22, 0.4)
            needles = mix(mood.pine, mood.land[2], chance.uniform(0, 0.3))
            pine(canvas, foot, tall, needles)


def _petals(canvas: Canvas, mood: Mood, chance: Random) -> None:
    scatter_petals(canvas, mix(mood.accent, WHITE, 0.25), chance)


def scatter_petals(canvas: Canvas, colour: Colour, chance: Random, count: int = 34) -> None:
    """Petals in the wind."""
    for _ in range(count):
        x, y, turn = chance.random() * canvas.width, chance.random() * canvas.height, chance.uniform(0, tau)
        size = canvas.height * chance.uniform(0.006, 0.013)
        petal = smooth(turned(points("-1.2,0 0,-0.75 1.1,-0.3 0.8,0 1.1,0.3 0,0.75"), turn))
        canvas.fill(petal * size + (x, y), mix(colour, WHITE, chance.uniform(0, 0.35)))


def _snowfall(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for _ in range(150):
        size = canvas.height * chance.choice((0.0025, 0.004, 0.006))
        canvas.disc(chance.random() * canvas.width, chance.random() * canvas.height, size, size, WHITE)


def _fireflies(canvas: Canvas, mood: Mood, chance: Random) -> None:
    for _ in range(22):
        x, y = chance.random() * canvas.width, canvas.height * chance.uniform(0.55, 0.97)
        canvas.haze(x, y, 9, 9, (255, 240, 140), 0.85)
        canvas.disc(x, y, 1.4, 1.4, (255, 252, 214))


# Painter, tags, and whether it is painted before the ground. Painted in this order.
DETAILS: Mapping[str, tuple[Painter, tuple[str, ...], bool]] = {
    "stars": (_stars, ("star_(sky)", "starry_sky"), True),
    "sun": (_sun, ("sun",), True),
    "full_moon": (_full_moon, ("moon", "full_moon"), True),
    "crescent_moon": (_crescent_moon, ("moon", "crescent_moon"), True),
    "clouds": (_clouds, ("cloud",), True),
    "birds": (_birds, ("bird", "flock"), True),
    "lighthouse": (_lighthouse, ("lighthouse",), False),
    "boat": (_boat, ("boat", "watercraft", "sailboat"), False),
    "house": (_house, ("house",), False),
    "tree": (_tree, ("tree",), False),
    "pines": (_pines, ("tree", "pine_tree"), False),
    "petals": (_petals, ("petals", "falling_petals"), False),
    "snowfall": (_snowfall, ("snow", "snowing"), False),
    "fireflies": (_fireflies, ("fireflies",), False),
}
