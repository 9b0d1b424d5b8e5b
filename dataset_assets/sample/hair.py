"""Hair, behind the head and before it, in units of half a head's width around the head's middle."""

from collections.abc import Callable, Mapping
from itertools import pairwise

from dataset_assets.sample.curves import Outline, joined, points, smooth, symmetric
from dataset_assets.sample.palettes import Colour, deeper, paler
from dataset_assets.sample.pen import Pen

CROWN: Outline = points("-1.1,0.1 -1.13,-0.35 -0.95,-0.92 -0.5,-1.28 0,-1.38 0.5,-1.28 0.95,-0.92 1.13,-0.35 1.1,0.1")

# Tips and notches of the fringe from right to left; tips at odd places.
FRINGES: dict[str, Outline] = {
    "blunt_bangs": points(
        "0.84,-0.3 0.72,0.06 0.5,-0.06 0.4,0.1 0.2,-0.03 0.05,0.12 -0.14,-0.03 -0.35,0.1 -0.52,-0.06 "
        "-0.72,0.06 -0.84,-0.3"
    ),
    "swept_bangs": points(
        "0.84,-0.25 0.8,0.16 0.52,-0.28 0.46,0.06 0.12,-0.4 -0.02,-0.06 -0.32,-0.62 -0.66,0.02 -0.84,-0.25"
    ),
    "parted_bangs": points("0.84,-0.2 0.76,0.2 0.5,-0.3 0.36,-0.02 0,-0.82 -0.36,-0.02 -0.5,-0.3 -0.76,0.2 -0.84,-0.2"),
    "hair_between_eyes": points(
        "0.84,-0.25 0.74,0.12 0.46,-0.2 0.36,0.04 0.2,-0.28 0.02,0.36 -0.16,-0.28 -0.42,0.06 -0.56,-0.2 "
        "-0.78,0.14 -0.84,-0.25"
    ),
}
LENGTHS: dict[str, Outline] = {
    "short_hair": symmetric(points("-0.4,-1.2 -1.12,-0.4 -1.22,0.45 -1.05,1.02 -0.55,1.18")),
    "medium_hair": symmetric(points("-0.4,-1.2 -1.14,-0.4 -1.24,0.6 -1.3,1.35 -0.95,1.72 -0.5,1.66")),
    "long_hair": symmetric(points("-0.4,-1.2 -1.16,-0.4 -1.26,0.6 -1.42,1.5 -1.5,2.3 -1.25,2.85 -0.9,2.62 -0.5,2.8")),
}
CROPPED = symmetric(points("-0.4,-1.2 -1.1,-0.4 -1.06,0.3 -0.9,0.66 -0.4,0.7"))
# From left to right; joined by straight lines.
SPIKES: Outline = points(
    "-1.1,0.1 -1.22,-0.2 -1.1,-0.3 -1.28,-0.72 -1,-0.74 -1.04,-1.2 -0.68,-1.1 -0.52,-1.52 -0.2,-1.26 "
    "0.1,-1.58 0.32,-1.24 0.72,-1.42 0.76,-1.04 1.12,-1.02 1.02,-0.66 1.26,-0.5 1.1,-0.26 1.2,-0.1 "
    "1.1,0.1"
)


def _twintails(pen: Pen, colour: Colour) -> None:
    tail = points("1,-0.62 1.55,-0.55 1.95,0.3 1.98,1.4 1.7,2.45 1.62,1.9 1.4,2.2 1.42,1.2 1.3,0.3")
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        side.shape(tail, colour)
        side.tint(points("1,-0.5 1.36,0.3 1.5,1.3 1.45,2.3 1.1,1.5"), deeper(colour), 0.5, within=tail)
        side.stroke(points("1.62,-0.1 1.76,0.7 1.72,1.5"), deeper(colour, 0.3), 0.025)


def _ponytail(pen: Pen, colour: Colour) -> None:
    tail = points("0.3,-1.1 0.9,-1.6 1.6,-1.2 1.9,-0.2 1.82,0.9 1.5,1.75 1.45,1.2 1.2,1.4 1.3,0.4 1.1,-0.5")
    pen.shape(tail, colour)
    pen.tint(points("0.6,-0.9 1.35,-0.4 1.5,0.6 1.42,1.5 1,1"), deeper(colour), 0.5, within=tail)


def _double_bun(pen: Pen, colour: Colour) -> None:
    for side in (pen, pen.moved(0, 0, mirrored=True)):
        bun = points("0.42,-1.3 0.55,-1.68 0.95,-1.76 1.2,-1.45 1.12,-1.05 0.75,-0.95")
        side.shape(bun, colour)
        side.tint(points("0.4,-1 0.8,-1.2 1.2,-1.3 1.2,-0.9 0.7,-0.8"), deeper(colour), 0.5, within=bun)
        side.stroke(points("0.66,-1.3 0.84,-1.5 1.02,-1.36 0.9,-1.22"), deeper(colour, 0.35), 0.025)


TIED: Mapping[str, Callable[[Pen, Colour], None]] = {
    "twintails": _twintails,
    "ponytail": _ponytail,
    "double_bun": _double_bun,
}


def paint_behind(pen: Pen, colour: Colour, length: str, tied: str | None, cropped: bool) -> None:
    """The hair behind head and shoulders; what is in tails does not hang loose."""
    if tied:
        TIED[tied](pen, colour)
    loose = CROPPED if cropped else LENGTHS["short_hair" if tied in ("twintails", "ponytail") else length]
    pen.shape(loose, colour)
    pen.tint(loose * (0.86, 0.99) + (0, 0.12), deeper(colour), 0.62, within=loose)


def paint_front(pen: Pen, colour: Colour, fringe: str, cropped: bool) -> None:
    """The crown, the fringe and the locks beside the face; cropped hair has no locks."""
    edge = _front_outline(FRINGES[fringe], cropped)
    pen.outline(edge, colour)
    line = deeper(colour, 0.3)
    for x, y in FRINGES[fringe][2:-1:2]:
        pen.stroke(((x, y), (x * 0.86, y - 0.22), (x * 0.55, y - 0.5)), line, 0.024)
    _shine(pen, colour)


def _front_outline(fringe: Outline, cropped: bool) -> Outline:
    bottom, inner = (0.36, 0.3) if cropped else (1.0, 0.6)
    right = ((1.1, 0.1), (1.09, bottom * 0.6), (0.96, bottom))
    inside = ((0.96, bottom), (0.86, inner * 0.5), fringe[0])
    teeth = [(one, ((one[0] + other[0]) / 2 + 0.03, (one[1] + other[1]) / 2), other) for one, other in pairwise(fringe)]
    left = [tuple((-x, y) for x, y in reversed(stroke)) for stroke in (inside, right)]
    crown = pairwise(SPIKES) if cropped else (CROWN,)
    return joined(*crown, right, inside, *teeth, *left)


def _shine(pen: Pen, colour: Colour) -> None:
    """The band of light that drawn hair has."""
    upper = points("-0.86,-0.62 -0.45,-0.86 0,-0.93 0.45,-0.86 0.86,-0.62")
    lower = points("0.8,-0.5 0.62,-0.52 0.5,-0.66 0.3,-0.6 0.1,-0.76 -0.1,-0.64 -0.34,-0.74 -0.5,-0.58 -0.8,-0.5")
    if not pen.ink:
        pen.canvas.veil(pen.place([*smooth(upper, closed=False), *lower]), paler(colour, 0.75), 0.5)


def paint_ahoge(pen: Pen, colour: Colour) -> None:
    """The one hair that stands up."""
    pen.shape(points("-0.06,-1.34 0,-1.7 0.36,-1.9 0.62,-1.74 0.34,-1.72 0.14,-1.58 0.1,-1.34"), colour)
