"""Bodies and what they wear, in units of half a head's width around the head's middle."""

from collections.abc import Callable, Mapping

from dataset_assets.sample.curves import Outline, oval, points
from dataset_assets.sample.palettes import TINTS, WHITE, Colour, deeper, mix, paler
from dataset_assets.sample.pen import Pen

Painter = Callable[[Pen, Colour, Colour], None]

NECK: Outline = points("-0.25,0.7 -0.24,1.15 -0.42,1.5 0,1.85 0.42,1.5 0.24,1.15 0.25,0.7")
TORSO: Outline = points(
    "-0.36,1.3 -0.98,1.5 -1.34,1.9 -1.5,2.6 -1.62,3.6 0,3.7 1.62,3.6 1.5,2.6 1.34,1.9 0.98,1.5 0.36,1.3 0,1.42"
)


def _torso(pen: Pen, colour: Colour) -> None:
    pen.shape(TORSO, colour)
    shade = deeper(colour, 0.35)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.tint(points("0.96,2 1.06,2.7 1.05,3.7 1.5,3.7 1.2,2.9"), shade, 0.3, within=TORSO)
        side.stroke(points("0.96,2.15 1.03,2.7 1.02,3.6"), deeper(colour), 0.03)


def _neckline(pen: Pen, skin: Colour, depth: float) -> None:
    """The skin above a dress."""
    opening = ((-0.4, 1.22), (-0.34, 1.42), (0, depth), (0.34, 1.42), (0.4, 1.22), (0.24, 1.1), (-0.24, 1.1))
    pen.patch(opening, skin)
    pen.tint(points("-0.5,0.9 0.5,0.9 0.36,1.28 0,1.42 -0.36,1.28"), deeper(skin, 0.5), 0.4, within=opening)


def _serafuku(pen: Pen, skin: Colour, colour: Colour) -> None:
    _torso(pen, TINTS["white"])
    _neckline(pen, skin, 1.9)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.3,1.18 0.95,1.36 1,1.72 0.72,1.98 0,2.3 0.1,2 0.36,1.6"), colour)
        side.stroke(points("0.86,1.46 0.86,1.7 0.62,1.86 0.1,2.1"), WHITE, 0.04)
        side.shape(points("0,2.25 0.34,2.5 0.3,2.95 0.06,2.5"), TINTS["red"])
    pen.shape(oval(0, 2.27, 0.14, 0.12, 10), TINTS["red"])


def _dress(pen: Pen, skin: Colour, colour: Colour) -> None:
    _torso(pen, skin)
    bodice = points("-0.86,1.62 -0.5,2 0,1.9 0.5,2 0.86,1.62 1,2.4 1.08,3.6 0,3.75 -1.08,3.6 -1,2.4")
    pen.shape(bodice, colour)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.46,1.4 0.86,1.46 0.92,1.7 0.66,1.9 0.5,1.7"), paler(colour, 0.35))
        side.stroke(points("0.5,2.3 0.58,2.8 0.54,3.5"), deeper(colour, 0.25), 0.03)
    pen.stroke(points("-0.5,2.05 0,1.97 0.5,2.05"), paler(colour, 0.6), 0.05)


def _hoodie(pen: Pen, skin: Colour, colour: Colour) -> None:
    _torso(pen, colour)
    _neckline(pen, skin, 1.62)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(
            points("0.28,1.12 0.7,1.14 1.02,1.44 0.86,1.78 0.36,1.96 0,1.98 0.02,1.68 0.34,1.5"), paler(colour, 0.14)
        )
        side.stroke(points("0.24,1.9 0.27,2.3 0.25,2.66"), WHITE, 0.06)
    pen.stroke(points("-0.8,3.5 -0.6,2.95 0.6,2.95 0.8,3.5"), deeper(colour, 0.35), 0.03)


def _kimono(pen: Pen, skin: Colour, colour: Colour) -> None:
    _torso(pen, colour)
    _neckline(pen, skin, 1.86)
    lapel = points("-0.3,1.1 -0.62,1.18 -0.5,1.7 0.2,2.8 0.6,2.8 0.05,2 -0.26,1.5")
    pen.moved(0, 0, mirrored=True).shape(lapel, paler(colour, 0.6))
    pen.shape(lapel, paler(colour, 0.75))
    pen.outline(points("-1.1,2.75 1.1,2.75 1.14,3.9 -1.14,3.9"), mix(colour, TINTS["yellow"], 0.75))
    for place in points("-0.75,2.15 0.8,2.3 -0.6,2.5 0.6,1.72 -1.25,2.7 1.3,2.9 -1.3,3.3"):
        for x, y in (place + points("0,-1 0.95,-0.31 0.59,0.81 -0.59,0.81 -0.95,-0.31") * 0.07).tolist():
            pen.dot(x, y, 0.055, 0.055, paler(colour, 0.7))


def _sweater(pen: Pen, skin: Colour, colour: Colour) -> None:
    _torso(pen, colour)
    collar = points("-0.36,1.02 -0.42,1.42 0,1.56 0.42,1.42 0.36,1.02 0,1.16")
    pen.shape(collar, paler(colour, 0.12))
    for x in (-0.24, -0.08, 0.08, 0.24):
        pen.stroke(((x, 1.14), (x * 1.1, 1.48)), deeper(colour, 0.25), 0.025)
    for y in (2.0, 2.35, 2.7, 3.05):
        pen.stroke(((-0.8, y), (-0.4, y + 0.08), (0, y), (0.4, y + 0.08), (0.8, y)), paler(colour, 0.4), 0.05)


def _shirt(pen: Pen, skin: Colour, colour: Colour) -> None:
    _torso(pen, TINTS["white"])
    _neckline(pen, skin, 1.62)
    pen.shape(points("-0.11,1.6 0.11,1.6 0.2,3.3 0,3.55 -0.2,3.3"), colour)
    pen.shape(points("-0.15,1.52 0.15,1.52 0.1,1.78 -0.1,1.78"), colour)
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.26,1.12 0.56,1.36 0.42,1.86 0.02,1.56"), TINTS["white"])


# Garment and its tags; `{}` is the colour's name.
GARMENTS: Mapping[str, tuple[Painter, tuple[str, ...]]] = {
    "serafuku": (_serafuku, ("serafuku", "school_uniform", "{}_sailor_collar", "red_neckerchief")),
    "dress": (_dress, ("dress", "{}_dress")),
    "hoodie": (_hoodie, ("hoodie", "{}_hoodie", "drawstring")),
    "kimono": (_kimono, ("kimono", "{}_kimono", "japanese_clothes")),
    "sweater": (_sweater, ("sweater", "{}_sweater", "turtleneck")),
    "shirt": (_shirt, ("white_shirt", "collared_shirt", "necktie", "{}_necktie")),
}
SMALL_BODY_TAGS = ("dress", "{}_dress", "short_sleeves", "puffy_sleeves", "white_legwear", "shoes", "brown_footwear")


def paint_bust(pen: Pen, garment: str, skin: Colour, colour: Colour) -> None:
    """Neck, shoulders and what covers them, down past the frame."""
    pen.shape(NECK, skin)
    GARMENTS[garment][0](pen, skin, colour)


def paint_small_body(pen: Pen, skin: Colour, colour: Colour) -> None:
    """A whole body as small figures have it: a dress, arms held a little out, socks and shoes."""
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(points("0.08,2.2 0.42,2.2 0.4,2.95 0.36,3.2 0.12,3.2 0.1,2.9"), skin)
        side.shape(points("0.09,2.85 0.41,2.85 0.38,3.22 0.11,3.22"), WHITE)
        side.shape(points("0.07,3.18 0.26,3.08 0.46,3.16 0.56,3.36 0.3,3.42 0.06,3.38"), TINTS["brown"])
        side.shape(points("0.4,1.28 0.62,1.3 1.02,1.9 0.98,2.06 0.84,2.04 0.44,1.66"), skin)
        side.shape(points("0.3,1.2 0.56,1.18 0.84,1.52 0.62,1.76 0.38,1.6"), paler(colour, 0.3))
    skirt = points(
        "-0.3,1.12 0,1.2 0.3,1.12 0.5,1.5 0.56,1.85 0.95,2.5 0.5,2.62 0,2.66 -0.5,2.62 -0.95,2.5 -0.56,1.85 -0.5,1.5"
    )
    pen.shape(skirt, colour)
    pen.tint(points("-0.6,1 0.6,1 0.5,1.4 -0.5,1.4"), deeper(colour, 0.5), 0.35, within=skirt)
    pen.stroke(points("-0.86,2.42 -0.4,2.52 0,2.55 0.4,2.52 0.86,2.42"), paler(colour, 0.6), 0.06)
    pen.stroke(points("-0.53,1.82 0,1.92 0.53,1.82"), paler(colour, 0.7), 0.09)
    for x, y in points("-0.3,2 0.3,2 -0.02,2.05"):
        pen.stroke(((x, y), (x * 1.6, 2.45)), deeper(colour, 0.25), 0.025)
