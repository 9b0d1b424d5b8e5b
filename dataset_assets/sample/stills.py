"""Animals and things, each in units of its own around the middle of its foot, (0, 0), upwards negative."""

from collections.abc import Callable, Mapping
from math import cos, pi, sin, tau

from dataset_assets.sample.curves import oval, points, round_trip
from dataset_assets.sample.palettes import INK, TINTS, WHITE, Colour, deeper, mix, paler
from dataset_assets.sample.pen import Pen

Painter = Callable[[Pen, Colour], None]


def _cat(pen: Pen, fur: Colour) -> None:
    tail = points("0.5,-0.1 0.95,-0.2 1.1,-0.7 0.9,-1.05")
    pen.stroke(tail, deeper(fur), 0.27)
    pen.stroke(tail, fur, 0.2)
    pen.shape(points("-0.5,0 -0.55,-0.5 -0.3,-1.1 0.3,-1.1 0.6,-0.5 0.6,0 0,0.05"), fur)
    pen.patch(oval(0, -0.55, 0.26, 0.36), paler(fur, 0.6))
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.08,0.06 0.06,-0.14 0.24,-0.2 0.4,-0.1 0.38,0.06"), paler(fur, 0.6))
        side.shape(points("0.12,-1.72 0.42,-2.12 0.58,-2.16 0.64,-1.75 0.6,-1.4"), fur)
        side.patch(points("0.3,-1.72 0.46,-1.98 0.54,-1.98 0.56,-1.7"), (246, 180, 184))
    pen.shape(points("-0.72,-1.3 -0.6,-1.72 0,-1.86 0.6,-1.72 0.72,-1.3 0.45,-0.98 0,-0.92 -0.45,-0.98"), fur)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.dot(0.3, -1.38, 0.105, 0.13, INK)
        side.dot(0.33, -1.43, 0.04, 0.045, WHITE)
        side.stroke(((0.5, -1.22), (0.88, -1.28)), deeper(fur, 0.3), 0.025)
        side.stroke(((0.5, -1.14), (0.88, -1.1)), deeper(fur, 0.3), 0.025)
        side.glow(0.46, -1.16, 0.18, (246, 128, 128), 0.5)
    pen.dot(0, -1.24, 0.05, 0.035, (206, 110, 116))
    pen.stroke(points("-0.13,-1.15 -0.06,-1.1 0,-1.18 0.06,-1.1 0.13,-1.15"), INK, 0.035)


def _rabbit(pen: Pen, fur: Colour) -> None:
    pen.dot(0.62, -0.22, 0.2, 0.2, WHITE)
    pen.shape(points("-0.5,0 -0.56,-0.5 -0.3,-0.95 0.3,-0.95 0.6,-0.5 0.56,0 0,0.05"), fur)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.05,-1.5 0.06,-2.1 0.24,-2.5 0.42,-2.4 0.44,-1.9 0.34,-1.45"), fur)
        side.patch(points("0.15,-1.6 0.17,-2.05 0.27,-2.3 0.34,-2.1 0.3,-1.6"), (248, 190, 198))
        side.shape(points("0.04,0.06 0.06,-0.12 0.26,-0.18 0.44,-0.06 0.4,0.06"), paler(fur, 0.4))
    pen.shape(points("-0.62,-1.15 -0.5,-1.52 0,-1.66 0.5,-1.52 0.62,-1.15 0.4,-0.84 0,-0.78 -0.4,-0.84"), fur)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.dot(0.28, -1.2, 0.08, 0.11, INK)
        side.dot(0.31, -1.24, 0.03, 0.035, WHITE)
        side.glow(0.42, -1.02, 0.17, (246, 128, 128), 0.55)
    pen.stroke(points("-0.1,-1.02 0,-1.06 0.1,-1.02"), (206, 110, 116), 0.04)
    pen.stroke(((0, -1.06), (0, -0.98)), INK, 0.03)


def _bird(pen: Pen, feathers: Colour) -> None:
    pen.stroke(points("-3,0.1 -1,0.02 1,0.1 3,-0.1"), (134, 98, 84), 0.16)
    for x, y in points("-1.7,-0.16 1.5,-0.18 2.2,0.14"):
        pen.shape(((x - 0.3, y), (x, y - 0.16), (x + 0.34, y), (x, y + 0.14)), TINTS["green"])
    pen.shape(points("0.5,-0.4 1.3,-0.5 1.5,-0.3 1.3,-0.14 0.5,-0.1"), deeper(feathers, 0.2))
    pen.shape(points("-0.75,-0.6 -0.6,-1.2 0,-1.42 0.6,-1.1 0.8,-0.5 0.4,0 -0.4,0"), feathers)
    pen.patch(points("-0.7,-0.6 -0.5,-0.8 -0.1,-0.6 0.1,-0.1 -0.35,-0.02"), paler(feathers, 0.75))
    pen.shape(points("0.05,-0.75 0.5,-0.8 0.8,-0.35 0.4,-0.25 0.1,-0.4"), deeper(feathers, 0.25))
    pen.dot(-0.3, -0.98, 0.09, 0.1, INK)
    pen.dot(-0.33, -1.02, 0.035, 0.035, WHITE)
    pen.shape(points("-0.66,-0.96 -0.98,-0.84 -0.64,-0.76"), TINTS["orange"])
    pen.glow(-0.4, -0.78, 0.16, (246, 128, 128), 0.6)


def _whale(pen: Pen, skin: Colour) -> None:
    body = points("-1.5,-0.6 -1.2,-1.2 -0.3,-1.4 0.7,-1.1 1.3,-0.7 1.75,-0.95 1.5,-0.4 0.8,-0.1 -0.4,0.02 -1.2,-0.12")
    pen.shape(points("1.4,-0.62 1.6,-1.2 2.1,-1.35 2,-0.95 2.3,-0.7 1.9,-0.5"), skin)
    pen.shape(body, skin)
    pen.tint(points("-1.6,-0.5 -0.6,-0.42 0.4,-0.5 1,-0.3 0.4,0.2 -1.4,0.2"), paler(skin, 0.75), 0.9, within=body)
    for x in (-1.0, -0.7, -0.4, -0.1):
        pen.stroke(((x, -0.3), (x + 0.12, -0.06)), deeper(skin, 0.25), 0.025)
    pen.shape(points("-0.25,-0.45 0.2,-0.5 0.35,0.1 0.1,0.22"), deeper(skin, 0.12))
    pen.dot(-0.95, -0.66, 0.07, 0.085, INK)
    pen.dot(-0.97, -0.69, 0.027, 0.03, WHITE)
    pen.glow(-0.8, -0.5, 0.18, (246, 128, 128), 0.5)


def _fish(pen: Pen, scales: Colour) -> None:
    pen.shape(points("0.5,-0.5 1.15,-0.95 1.05,-0.5 1.15,-0.05"), deeper(scales, 0.15))
    pen.shape(points("-0.2,-0.85 0.1,-1.15 0.5,-0.8"), deeper(scales, 0.15))
    pen.shape(points("-0.9,-0.45 -0.5,-0.85 0.1,-0.9 0.65,-0.5 0.1,-0.1 -0.5,-0.12"), scales)
    for x in (-0.2, 0.1):
        pen.stroke(((x, -0.82), (x + 0.12, -0.5), (x, -0.18)), paler(scales, 0.7), 0.09)
    pen.dot(-0.55, -0.55, 0.09, 0.1, WHITE)
    pen.dot(-0.57, -0.55, 0.05, 0.06, INK)


def _teacup(pen: Pen, china: Colour) -> None:
    pen.shape(oval(0, -0.02, 1.35, 0.2), paler(china, 0.6))
    handle = round_trip(oval(0.86, -0.62, 0.34, 0.28, 16))
    pen.stroke(handle, deeper(china), 0.2)
    pen.stroke(handle, china, 0.13)
    pen.shape(points("-0.9,-1.05 0.9,-1.05 0.8,-0.5 0.42,-0.08 -0.42,-0.08 -0.8,-0.5"), china)
    pen.shape(oval(0, -1.05, 0.92, 0.2), paler(china, 0.6))
    pen.patch(oval(0, -1.03, 0.78, 0.14), (190, 116, 72))
    for x in (-0.3, 0.05, 0.4):
        pen.stroke(((x, -1.35), (x - 0.1, -1.6), (x + 0.1, -1.85), (x, -2.1)), paler(china, 0.8), 0.06)
    for turn in range(5):
        pen.dot(-0.1 + 0.13 * cos(turn * tau / 5), -0.58 + 0.13 * sin(turn * tau / 5), 0.09, 0.09, paler(china, 0.7))
    pen.dot(-0.1, -0.58, 0.07, 0.07, TINTS["yellow"])


def _cake(pen: Pen, cream: Colour) -> None:
    pen.shape(oval(0, 0.0, 1.45, 0.22), WHITE, deeper(TINTS["grey"], 0.3))
    sponge = (248, 220, 164)
    pen.outline(points("-1,-0.05 -1,-0.95 1,-0.95 1,-0.05"), sponge)
    pen.canvas.fill(pen.place(points("-0.98,-0.38 0.98,-0.38 0.98,-0.54 -0.98,-0.54")), cream)
    drops = [(0.94 - step * 0.235, -0.62 if step % 2 else -0.84) for step in range(9)]
    pen.shape(((-1.06, -1.05), (1.06, -1.05), (1.06, -0.8), *drops, (-1.06, -0.8)), cream)
    pen.shape(oval(0, -1.05, 1.06, 0.2), paler(cream, 0.4))
    for x in (-0.62, 0, 0.62):
        berry = pen.moved(x, 0)
        berry.shape(points("-0.2,-1.14 -0.16,-1.4 0,-1.5 0.16,-1.4 0.2,-1.14 0,-1.02"), TINTS["red"])
        berry.patch(points("-0.14,-1.42 0,-1.6 0.14,-1.42 0,-1.36"), TINTS["green"])


def _bouquet(pen: Pen, petals: Colour) -> None:
    vase = mix(petals, TINTS["blue"], 0.7)
    for x in (-0.75, -0.4, 0, 0.4, 0.75):
        pen.stroke(((x * 0.2, -0.7), (x * 0.7, -1.2), (x, -1.7 + abs(x) * 0.3)), TINTS["green"], 0.07)
        pen.shape(((x * 0.5, -1.15), (x * 0.9 + 0.2, -1.4), (x * 0.8 + 0.28, -1.12)), TINTS["green"])
    pen.shape(points("-0.32,-0.95 0.32,-0.95 0.26,-0.75 0.55,-0.35 0.4,0 -0.4,0 -0.55,-0.35 -0.26,-0.75"), vase)
    for place, x in enumerate((-0.75, 0.75, -0.4, 0.4, 0)):
        y, tone = -1.75 + abs(x) * 0.3, mix(petals, (WHITE, TINTS["yellow"], petals)[place % 3], 0.35)
        for turn in range(6):
            angle = turn * pi / 3 + x
            pen.shape(oval(x + 0.2 * cos(angle), y + 0.2 * sin(angle), 0.16, 0.16, 12), tone)
        pen.dot(x, y, 0.12, 0.12, (250, 206, 110))


# Painter, tags, width and height in its own units.
STILLS: Mapping[str, tuple[Painter, tuple[str, ...], float, float]] = {
    "cat": (_cat, ("animal", "cat", "sitting", "looking_at_viewer"), 2.2, 2.3),
    "rabbit": (_rabbit, ("animal", "rabbit", "sitting"), 1.7, 2.6),
    "bird": (_bird, ("animal", "bird", "branch", "leaf"), 4.4, 2.0),
    "whale": (_whale, ("animal", "whale"), 4.6, 1.9),
    "fish": (_fish, ("animal", "fish"), 2.8, 1.6),
    "teacup": (_teacup, ("still_life", "cup", "teacup", "saucer", "tea", "steam"), 3.0, 2.4),
    "cake": (_cake, ("still_life", "food", "cake", "strawberry", "fruit", "plate"), 3.2, 1.9),
    "bouquet": (_bouquet, ("still_life", "flower", "vase", "leaf"), 2.6, 2.3),
}
