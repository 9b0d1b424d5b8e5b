"""Heads and faces, in units of half a head's width around the head's middle."""

from dataset_assets.sample.curves import Outline, oval, points
from dataset_assets.sample.palettes import INK, WHITE, Colour, deeper, mix, paler
from dataset_assets.sample.pen import Pen

FACE: Outline = points(
    "-0.9,-0.35 -0.91,0.12 -0.82,0.52 -0.52,0.86 -0.15,1.05 0.15,1.05 0.52,0.86 0.82,0.52 0.91,0.12 "
    "0.9,-0.35 0.55,-0.95 0,-1.08 -0.55,-0.95"
)
EYE_AT = (0.43, 0.3)
BLUSH: Colour = (246, 128, 128)
LIPS: Colour = (206, 92, 98)

# What a mouth is called; ":3" is a cat's.
MOUTHS: dict[str, tuple[str, ...]] = {
    "smile": ("smile", "closed_mouth"),
    "laugh": ("smile", "open_mouth"),
    "frown": ("frown", "closed_mouth"),
    "surprise": ("open_mouth",),
    "cat": (":3", "closed_mouth"),
    "plain": ("closed_mouth", "expressionless"),
}


def paint_head(pen: Pen, skin: Colour, ears: bool) -> None:
    """The bare head, with the shadow that a fringe throws; ears where no hair hides them."""
    for side in (pen, pen.moved(0, 0, mirrored=True)) if ears else ():
        side.shape(points("0.86,0.12 1.04,0.08 1.1,0.28 1,0.52 0.84,0.5"), skin)
        side.stroke(points("0.95,0.2 1.02,0.26 0.95,0.4"), deeper(skin, 0.35), 0.025)
    pen.shape(FACE, skin)
    brow = points("-0.95,-1.1 0.95,-1.1 0.95,0.3 0.78,0.16 0.4,0.14 0.05,0.22 -0.4,0.14 -0.78,0.16 -0.95,0.3")
    pen.tint(brow, deeper(skin, 0.5), 0.3, within=FACE)


def paint_face(
    pen: Pen,
    eyes: tuple[Colour, Colour],
    closed: tuple[bool, bool],
    mouth: str,
    blush: bool,
    hair: Colour,
    narrow: bool,
) -> None:
    """Eyes (left, right as seen), brows, mouth and blush."""
    if blush:
        for side in (-1, 1):
            pen.glow(side * 0.56, 0.62, 0.3, BLUSH, 0.6)
    for side, colour, shut in ((-1, eyes[0], closed[0]), (1, eyes[1], closed[1])):
        eye = pen.moved(side * EYE_AT[0], EYE_AT[1], scale=0.86 if narrow else 1.0, mirrored=side < 0)
        if shut:
            _closed_eye(eye)
        else:
            _open_eye(eye, colour, side)
        tilt = {"frown": 0.06, "surprise": -0.06}.get(mouth, 0.0)
        eye.stroke(((-0.2, -0.46 + tilt), (0.04, -0.53 - tilt / 2), (0.25, -0.46 - tilt)), deeper(hair, 0.5), 0.035)
    pen.stroke(((-0.015, 0.56), (0.02, 0.59)), (214, 140, 122), 0.03)
    _mouth(pen, mouth)


def _open_eye(eye: Pen, colour: Colour, side: int) -> None:
    dark = deeper(colour, 0.72)
    white = points("-0.21,-0.1 -0.1,-0.27 0.12,-0.29 0.25,-0.12 0.22,0.13 0.08,0.27 -0.1,0.25 -0.2,0.1")
    iris = oval(0.015, 0.0, 0.19, 0.265, 20)
    eye.patch(white, (255, 253, 252))
    eye.dot(0.015, 0.0, 0.19, 0.265, dark)
    eye.dot(0.015, 0.02, 0.165, 0.235, colour)
    eye.tint(points("-0.3,-0.4 0.3,-0.4 0.3,-0.06 0,0 -0.3,-0.06"), dark, 0.75, within=iris)
    eye.tint(oval(0.015, 0.17, 0.12, 0.075, 12), paler(colour, 0.65), 0.85)
    if not eye.ink:
        eye.dot(0.015, 0.0, 0.075, 0.115, deeper(colour, 0.9))
    # The light comes from the left on both eyes.
    glint = -0.07 if side > 0 else 0.1
    eye.dot(glint, -0.12, 0.075, 0.09, WHITE)
    eye.dot(-glint * 0.9, 0.13, 0.04, 0.045, WHITE)
    eye.patch(
        points("-0.26,-0.04 -0.15,-0.26 0.06,-0.345 0.26,-0.22 0.37,-0.13 0.29,-0.06 0.2,-0.16 0.05,-0.255 -0.12,-0.2"),
        INK,
    )
    eye.stroke(points("-0.1,0.285 0.06,0.3 0.18,0.22"), mix(INK, (200, 120, 110), 0.4), 0.025)


def _closed_eye(eye: Pen) -> None:
    eye.stroke(points("-0.24,0.02 -0.1,0.13 0.08,0.14 0.26,0"), INK, 0.06)
    eye.stroke(((0.2, 0.06), (0.33, 0.03)), INK, 0.035)


def _mouth(pen: Pen, mouth: str) -> None:
    if mouth == "laugh":
        opened = points("-0.16,0.72 0,0.745 0.16,0.72 0.11,0.86 0,0.9 -0.11,0.86")
        pen.shape(opened, (178, 62, 74), deeper(LIPS, 0.4))
        pen.tint(oval(0, 0.88, 0.09, 0.06, 12), (246, 140, 140), 1.0, within=opened)
    elif mouth == "surprise":
        pen.shape(oval(0, 0.79, 0.07, 0.08, 10), (178, 62, 74), deeper(LIPS, 0.4))
    else:
        lines: dict[str, Outline] = {
            "smile": points("-0.15,0.75 0,0.81 0.15,0.75"),
            "frown": points("-0.12,0.81 0,0.755 0.12,0.81"),
            "cat": points("-0.16,0.74 -0.08,0.8 0,0.75 0.08,0.8 0.16,0.74"),
            "plain": points("-0.09,0.78 0,0.785 0.09,0.78"),
        }
        pen.stroke(lines[mouth], deeper(LIPS, 0.35), 0.034)
