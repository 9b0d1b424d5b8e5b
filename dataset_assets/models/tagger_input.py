"""Images as the taggers were trained to see them: on white, in a white square.

Source: SmilingWolf's demo (wd-tagger) and wdv3-timm.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from dataset_assets.models.model_inputs import Preparation

if TYPE_CHECKING:
    import torch

WHITE = (255, 255, 255)
# A strip of 1 x 16384 pixels would need a square of 268 million; it is shrunk first, which changes no ordinary image.
MAX_SQUARE = 4096


def white_square(image: Image.Image) -> Image.Image:
    """The image upon white, in the middle of a white square of its longer side, at most 4096 pixels; RGB."""
    opaque = _on_white(image)
    longest = max(opaque.size)
    if longest > MAX_SQUARE:
        width, height = (max(1, round(side * MAX_SQUARE / longest)) for side in opaque.size)
        opaque, longest = opaque.resize((width, height), Image.Resampling.BICUBIC), MAX_SQUARE
    square = Image.new("RGB", (longest, longest), WHITE)
    square.paste(opaque, ((longest - opaque.width) // 2, (longest - opaque.height) // 2))
    return square


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, (*WHITE, 255))
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def bgr_pixels(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """What the ONNX taggers take, but for the type: (side, side, 3) uint8, blue first."""
    square = white_square(image)
    if square.width != side:
        square = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square)[:, :, ::-1])


@dataclass(frozen=True)
class OnWhite:
    """A preparation that is shown the image in its white square. Picklable where the preparation is."""

    preparation: Preparation

    def __call__(self, image: Image.Image) -> np.ndarray:
        return self.preparation(white_square(image))

    def numbers(self, pixels: "torch.Tensor") -> "torch.Tensor":
        return self.preparation.numbers(pixels)
