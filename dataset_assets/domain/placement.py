"""Where an image goes within its training image: how it is scaled, what is cut off, what is padded.

Of the original's point (x, y), upright, a training image shows (x * scale_x + offset_x, y * scale_y + offset_y): a
negative offset is cut off, a positive one is padding.
"""

from dataclasses import dataclass
from typing import Literal

Size = tuple[int, int]
Fit = Literal["inside", "outside", "pad", "crop", "keep"]

LARGEST_ENLARGED_SIDE = 16_384  # of a thin image, which is enlarged less


@dataclass(frozen=True)
class Placement:
    """An upright image of size `original`, scaled to `size`, of which `kept` lies at `paste` on a `canvas`. Pixels."""

    original: Size
    size: Size
    crop: Size  # left and top of what is kept of the scaled image
    kept: Size
    canvas: Size
    paste: Size

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the training image for one of the original, across and down."""
        return self.size[0] / self.original[0], self.size[1] / self.original[1]

    @property
    def offset(self) -> Size:
        """Where the original's left top corner lies in the training image."""
        return self.paste[0] - self.crop[0], self.paste[1] - self.crop[1]


def place(original: Size, box: Size, fit: Fit, enlarge: bool = False) -> Placement:
    """Fit an upright image into (or around) a box.

    `inside`: no side longer than the box's. `outside`: no side shorter, so that it can be cropped later. `pad`: inside,
    and padded to the whole box. `crop`: outside, and cut to the box, around the middle. `keep`: as it is.
    Images are made larger only if `enlarge` is set; without, `crop` of a small image is smaller than the box, and of
    the box's shape.
    """
    size = _scaled(original, box, fit, enlarge)
    kept = _largest_of_shape(size, box) if fit == "crop" else size
    canvas = box if fit == "pad" else kept
    crop = ((size[0] - kept[0]) // 2, (size[1] - kept[1]) // 2)
    paste = ((canvas[0] - kept[0]) // 2, (canvas[1] - kept[1]) // 2)
    return Placement(original, size, crop, kept, canvas, paste)


def _scaled(original: Size, box: Size, fit: Fit, enlarge: bool) -> Size:
    """The whole image's size after scaling: a side that sets the scale is the box's to the pixel, and none is 0."""
    if fit == "keep":
        return original
    (width, height), (across, down) = original, box
    is_wider = width * down > across * height  # than the box
    by_width = is_wider == (fit in ("inside", "pad"))
    side, wanted = (width, across) if by_width else (height, down)
    if side <= wanted and not enlarge:
        return original
    scale = wanted / side
    if scale > 1 and max(original) * scale > LARGEST_ENLARGED_SIDE:
        scale = max(1.0, LARGEST_ENLARGED_SIDE / max(original))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _largest_of_shape(size: Size, box: Size) -> Size:
    """The largest part of an image that has the box's shape and is no larger than it."""
    share = min(1.0, size[0] / box[0], size[1] / box[1])
    return max(1, min(size[0], round(box[0] * share))), max(1, min(size[1], round(box[1] * share)))
