"""Things worn on the head, in units of half a head's width around the head's middle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi, sin

from dataset_assets.sample.curves import oval, points, round_trip
from dataset_assets.sample.palettes import INK, TINTS, WHITE, Colour, deeper, mix, paler
from dataset_assets.sample.pen import Pen

Painter = Callable[[Pen, Colour, Colour], None]  # pen, the thing's colour, the hair's colour


def _straw_hat(pen: Pen, colour: Colour, hair: Colour) -> None:
    straw = (246, 216, 150)
    pen.shape(points("-1.75,-0.72 -1.2,-1.02 0,-1.16 1.2,-1.02 1.75,-0.72 1.2,-0.62 0,-0.74 -1.2,-0.62"), straw)
    pen.shape(points("-0.98,-0.92 -0.9,-1.5 -0.5,-1.86 0,-1.92 0.5,-1.86 0.9,-1.5 0.98,-0.92 0,-1.06"), straw)
    pen.shape(points("-0.99,-0.9 -0.96,-1.2 0,-1.36 0.96,-1.2 0.99,-0.9 0,-1.04"), colour)
    for y in (-1.5, -1.66):
        pen.stroke(((-0.7, y + 0.06), (0, y), (0.7, y + 0.06)), deeper(straw, 0.2), 0.02)


def _witch_hat(pen: Pen, colour: Colour, hair: Colour) -> None:
    pen.shape(points("-0.92,-0.9 -0.72,-1.4 -0.35,-2 0.2,-2.4 0.9,-2.42 0.5,-2.16 0.62,-1.6 0.92,-0.9 0,-1.1"), colour)
    pen.shape(points("-1.85,-0.66 -1.1,-1.02 0,-1.14 1.1,-1.02 1.85,-0.66 1.1,-0.6 0,-0.7 -1.1,-0.6"), colour)
    pen.shape(points("-0.92,-0.95 -0.8,-1.25 0,-1.38 0.8,-1.25 0.92,-0.95 0,-1.1"), TINTS["yellow"])


def _beret(pen: Pen, colour: Colour, hair: Colour) -> None:
    pen.shape(points("-1,-0.8 -1.32,-1.2 -0.85,-1.62 0.1,-1.72 0.86,-1.5 1.05,-1 0.9,-0.82 0,-1.04"), colour)
    pen.stroke(points("-0.92,-0.86 0,-1.1 0.88,-0.88"), deeper(colour, 0.35), 0.06)
    pen.stroke(((-0.1, -1.7), (-0.16, -1.88)), deeper(colour, 0.3), 0.08)


def _cat_ears(pen: Pen, colour: Colour, hair: Colour) -> None:
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.34,-1.16 0.56,-1.7 0.92,-1.98 1.06,-1.5 1.02,-0.86 0.7,-0.95"), hair)
        side.patch(points("0.56,-1.2 0.7,-1.58 0.88,-1.74 0.92,-1.4 0.88,-1.06"), (250, 190, 190))


def _rabbit_ears(pen: Pen, colour: Colour, hair: Colour) -> None:
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.22,-1.22 0.24,-2 0.46,-2.55 0.74,-2.5 0.82,-1.9 0.68,-1.08 0.45,-1.12"), WHITE)
        side.patch(points("0.38,-1.4 0.4,-2 0.54,-2.34 0.66,-2.2 0.66,-1.8 0.58,-1.4"), (250, 196, 204))


def _ribbon(pen: Pen, colour: Colour, hair: Colour) -> None:
    bow = pen.moved(0.72, -1.06)
    for side in (bow, bow.moved(0, 0, mirrored=True)):
        side.shape(points("0.05,0.02 0.2,-0.24 0.56,-0.32 0.62,0.06 0.5,0.3 0.18,0.16"), colour)
        side.stroke(((0.14, 0.0), (0.34, -0.04)), deeper(colour, 0.35), 0.03)
        side.shape(points("0.04,0.08 0.2,0.18 0.36,0.58 0.12,0.5"), colour)
    bow.shape(oval(0, 0.03, 0.12, 0.13, 10), paler(colour, 0.15))


def _flower(pen: Pen, colour: Colour, hair: Colour) -> None:
    for turn in range(5):
        angle = turn * 2 * pi / 5 - pi / 2
        pen.shape(oval(-0.78 + 0.2 * cos(angle), -0.72 + 0.2 * sin(angle), 0.17, 0.17, 12), paler(colour, 0.25))
    pen.dot(-0.78, -0.72, 0.11, 0.11, TINTS["yellow"])


def _glasses(pen: Pen, colour: Colour, hair: Colour) -> None:
    rim = mix(colour, INK, 0.45)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        ring = oval(0.44, 0.33, 0.33, 0.32, 24)
        side.tint(ring, WHITE, 0.2)
        side.stroke(round_trip(ring), rim, 0.045)
        side.stroke(((0.76, 0.28), (0.92, 0.2)), rim, 0.045)
    pen.stroke(points("-0.12,0.3 0,0.25 0.12,0.3"), rim, 0.045)


def _headphones(pen: Pen, colour: Colour, hair: Colour) -> None:
    band = points("-1.2,0.1 -1.24,-0.5 -0.9,-1.14 0,-1.5 0.9,-1.14 1.24,-0.5 1.2,0.1")
    pen.stroke(band, deeper(colour, 0.5), 0.17)
    pen.stroke(band, colour, 0.11)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.98,-0.2 1.2,-0.36 1.42,-0.16 1.42,0.36 1.2,0.56 0.98,0.4"), colour)
        side.patch(oval(1.24, 0.1, 0.1, 0.26, 14), paler(colour, 0.5))


def _halo(pen: Pen, colour: Colour, hair: Colour) -> None:
    ring = oval(0, -1.82, 0.8, 0.2, 30)
    pen.glow(0, -1.82, 1.1, (255, 240, 170), 0.55)
    pen.stroke(round_trip(ring), (250, 214, 110), 0.1)
    pen.stroke(round_trip(ring), (255, 246, 200), 0.045)


@dataclass(frozen=True)
class Accessory:
    """How to paint a thing, how far up it goes, and its tags; `{}` is its colour's name."""

    paint: Painter
    headroom: float
    tags: tuple[str, ...]


ACCESSORIES: Mapping[str, Accessory] = {
    "straw_hat": Accessory(_straw_hat, 2.1, ("hat", "straw_hat", "hat_ribbon", "{}_ribbon")),
    "witch_hat": Accessory(_witch_hat, 2.6, ("hat", "witch_hat", "{}_headwear")),
    "beret": Accessory(_beret, 2.05, ("hat", "beret", "{}_headwear")),
    "cat_ears": Accessory(_cat_ears, 2.15, ("animal_ears", "cat_ears")),
    "rabbit_ears": Accessory(_rabbit_ears, 2.7, ("animal_ears", "rabbit_ears")),
    "halo": Accessory(_halo, 2.2, ("halo",)),
    "headphones": Accessory(_headphones, 1.75, ("headphones",)),
    "hair_ribbon": Accessory(_ribbon, 1.75, ("hair_ribbon", "ribbon", "{}_ribbon")),
    "hair_flower": Accessory(_flower, 1.75, ("hair_flower", "hair_ornament", "flower", "{}_flower")),
    "glasses": Accessory(_glasses, 1.75, ("glasses",)),
}
