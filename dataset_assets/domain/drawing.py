"""Bars, lines and words on paper, as PNG or as SVG: what small plots are made of."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

PAPER, INK, PALE, GRID = "#ffffff", "#333333", "#8a8a8a", "#e2e2e2"
TEXT_SIZE = 12
_DRAWN_AT = 2  # times the size, and then reduced: Pillow draws without smoothing
_ANCHORS = {"start": "lm", "middle": "mm", "end": "rm"}


@dataclass(frozen=True)
class Bar:
    """A filled rectangle, in pixels from the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True)
class Words:
    """A line of text; `y` is its middle, `anchor` (start, middle, end) what of it is at `x`."""

    x: float
    y: float
    text: str
    colour: str = INK
    anchor: str = "start"


Shape = Bar | Words


def png(shapes: Sequence[Shape], width: int, height: int) -> bytes:
    """The shapes, one upon another, as a PNG."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width * _DRAWN_AT, height * _DRAWN_AT), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT_SIZE * _DRAWN_AT)
    for shape in shapes:
        if isinstance(shape, Words):
            at = shape.x * _DRAWN_AT, shape.y * _DRAWN_AT
            draw.text(at, shape.text, shape.colour, font, _ANCHORS[shape.anchor])
        elif shape.width > 0 and shape.height > 0:
            right, bottom = shape.x + shape.width, shape.y + shape.height
            corners = [round(one * _DRAWN_AT) for one in (shape.x, shape.y, right, bottom)]
            draw.rectangle([corners[0], corners[1], max(corners[0], corners[2] - 1), corners[3] - 1], shape.colour)
    with io.BytesIO() as buffer:
        image.reduce(_DRAWN_AT).quantize(64).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def svg(shapes: Sequence[Shape], width: int, height: int) -> bytes:
    """The same as SVG, with words that can be selected."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [f'{head} font-family="sans-serif" font-size="{TEXT_SIZE}">']
    lines.append(f'<rect width="{width}" height="{height}" fill="{PAPER}"/>')
    lines += [_svg(shape) for shape in shapes]
    return ("\n".join([*lines, "</svg>"]) + "\n").encode()


def _svg(shape: Shape) -> str:
    if isinstance(shape, Bar):
        place = f'x="{shape.x:g}" y="{shape.y:g}" width="{max(shape.width, 0):g}" height="{max(shape.height, 0):g}"'
        return f"<rect {place} fill={quoteattr(shape.colour)}/>"
    place = f'x="{shape.x:g}" y="{shape.y:g}" text-anchor="{shape.anchor}" dominant-baseline="central"'
    text = "".join(character if character.isprintable() else " " for character in shape.text)
    return f"<text {place} fill={quoteattr(shape.colour)}>{escape(text)}</text>"
