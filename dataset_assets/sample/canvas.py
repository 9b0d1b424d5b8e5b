"""A picture in progress: shapes, lines, soft light and gradients, drawn at twice the size and reduced at the end."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from dataset_assets.sample.curves import Outline, Points
from dataset_assets.sample.palettes import Colour

OVERSAMPLING = 2
SHARP = 0.9  # cosine of the angle from which a corner of a line is rounded
CLEAR = (0, 0, 0, 0)
EDGE = 179  # what `Image.radial_gradient` has at the middle of an edge; it is 255 only in the corners

Box = tuple[int, int, int, int]


class Canvas:
    """A sheet of `size` pixels, see-through without a paper. Positions and lengths of its methods are in pixels."""

    def __init__(self, size: tuple[int, int], paper: Colour | None) -> None:
        self.width, self.height = size
        large = (self.width * OVERSAMPLING, self.height * OVERSAMPLING)
        self._sheet = Image.new("RGB" if paper else "RGBA", large, paper or CLEAR)
        self._draw = ImageDraw.Draw(self._sheet)

    def finished(self) -> Image.Image:
        """The picture at its own size: RGB, or RGBA when there is no paper."""
        return self._sheet.reduce(OVERSAMPLING)

    def wash(self, colour: Colour) -> None:
        """One colour everywhere."""
        self._sheet.paste(colour, (0, 0, *self._sheet.size))

    def gradient(self, stops: Sequence[Colour], top: float = 0.0, bottom: float | None = None) -> None:
        """Fill the whole width between two heights with colours that flow downwards, at equal distances."""
        first, last = _large(top), _large(self.height if bottom is None else bottom)
        column = _column(stops, max(last - first, 1))
        stripe = Image.fromarray(column).resize((self._sheet.width, len(column)), Image.Resampling.NEAREST)
        self._sheet.paste(stripe, (0, first))

    def fill(self, outline: Points, colour: Colour | None) -> None:
        """A filled polygon; without a colour it is cut out of the sheet."""
        self._draw.polygon(_flat(outline), fill=colour or CLEAR)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """A line with round corners and ends."""
        large, radius = np.asarray(points) * OVERSAMPLING, max(width * OVERSAMPLING, 1.0) / 2
        steps = np.diff(large, axis=0)
        ways = steps / (np.hypot(steps[:, 0], steps[:, 1])[:, None] + 1e-9)
        self._draw.polygon(_ribbon(large, ways, radius).ravel().tolist(), fill=colour)
        if radius > 1:
            for x, y in large[_corners(ways)].tolist():
                self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def disc(self, x: float, y: float, across: float, down: float, colour: Colour | None) -> None:
        """An ellipse with these half-axes."""
        edges = [OVERSAMPLING * edge for edge in (x - across, y - down, x + across, y + down)]
        self._draw.ellipse(edges, fill=colour or CLEAR)

    def veil(self, outline: Points, colour: Colour, strength: float, within: Points | None = None) -> None:
        """A polygon of see-through colour (strength 0 to 1), cut at the outline `within`."""
        box = self._box([outline] if within is None else [outline, within])
        if box is None:
            return
        mask = _mask(outline, box, round(255 * strength))
        if within is not None:
            mask = ImageChops.darker(mask, _mask(within, box, 255))
        self._sheet.paste(colour, box, mask)

    def haze(self, x: float, y: float, across: float, down: float, colour: Colour, strength: float) -> None:
        """Light that fades from a centre to nothing at the half-axes."""
        size = (max(1, _large(2 * across)), max(1, _large(2 * down)))
        fade = Image.radial_gradient("L").point(
            [round(255 * strength * max(0, 1 - v / EDGE) ** 1.5) for v in range(256)]
        )
        mask = fade.resize(size, Image.Resampling.BILINEAR)
        self._sheet.paste(colour, (_large(x - across), _large(y - down)), mask)

    def mirror(self, line: float, bottom: float, colour: Colour, strength: float) -> None:
        """Show what lies above a height upside down below it, under see-through colour."""
        edge, end = _large(line), _large(bottom)
        above = self._sheet.crop((0, max(0, 2 * edge - end), self._sheet.width, edge))
        image = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        self._sheet.paste(Image.blend(image, Image.new(image.mode, image.size, colour), strength), (0, edge))

    def _box(self, outlines: Sequence[Points]) -> Box | None:
        """The part of the sheet that all outlines may touch."""
        corners = [(np.min(outline, axis=0), np.max(outline, axis=0)) for outline in outlines]
        left, top = (int(v) for v in np.max([low for low, _ in corners], axis=0) * OVERSAMPLING - 1)
        right, bottom = (int(v) for v in np.min([high for _, high in corners], axis=0) * OVERSAMPLING + 2)
        left, top = max(0, left), max(0, top)
        right, bottom = min(self._sheet.width, right), min(self._sheet.height, bottom)
        return (left, top, right, bottom) if right > left and bottom > top else None


def _large(length: float) -> int:
    return round(length * OVERSAMPLING)


def _flat(outline: Points) -> list[float]:
    flat: list[float] = (np.asarray(outline) * OVERSAMPLING).ravel().tolist()
    return flat


def _column(stops: Sequence[Colour], height: int) -> NDArray[np.uint8]:
    """Shape (height, 1, 3)."""
    at = np.linspace(0, len(stops) - 1, height)
    bands = [np.interp(at, range(len(stops)), [stop[band] for stop in stops]) for band in range(3)]
    return np.rint(np.stack(bands, axis=-1)).astype(np.uint8)[:, None, :]


def _ribbon(points: Outline, ways: Outline, radius: float) -> Outline:
    """The outline of a line; `ways` are its pieces' directions."""
    along = np.concatenate([ways[:1], ways[1:] + ways[:-1], ways[-1:]])
    sideways = np.stack([-along[:, 1], along[:, 0]], axis=1)
    sideways *= radius / (np.hypot(sideways[:, 0], sideways[:, 1])[:, None] + 1e-9)
    return np.concatenate([points + sideways, (points - sideways)[::-1]])


def _corners(ways: Outline) -> NDArray[np.bool_]:
    """Where a line ends or turns sharply."""
    return np.concatenate([[True], (ways[1:] * ways[:-1]).sum(axis=1) < SHARP, [True]])


def _mask(outline: Points, box: Box, strength: int) -> Image.Image:
    mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
    local = np.asarray(outline) * OVERSAMPLING - box[:2]
    ImageDraw.Draw(mask).polygon(local.ravel().tolist(), fill=strength)
    return mask
