"""Prepare one image for training: upright, in sRGB, opaque, not too large, in one format, without metadata."""

import io
import math
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from dataset_assets.domain import colour
from dataset_assets.domain.geometry import orientation, shrink, upright
from dataset_assets.domain.images import LIMITS, Limits, read

_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_LARGEST_SIDE = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}  # what the encoders can write

# A JPEG's decoder may shrink it to this many times the size. At 1.0 it would shrink more of them, and blur line art.
_JPEG_SPARE = 1.5


@dataclass(frozen=True)
class TrainingRecipe:
    """What training images are made like. The quality, 1 to 100, is JPEG's and WebP's; PNG has none.

    Raises: ValueError when the format cannot hold such a side, or the quality is none.
    """

    max_side: int = 512
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = 95

    def __post_init__(self) -> None:
        largest = _LARGEST_SIDE[self.format]
        if not 1 <= self.max_side <= largest:
            raise ValueError(
                f"max_side {self.max_side}: {self.format} holds 1 to {largest}; choose less or another format"
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality}: expected 1 to 100")


@dataclass(frozen=True)
class Prepared:
    """A training image, and what was done to the original."""

    bytes: bytes
    extension: str
    width: int
    height: int
    upright_width: int
    upright_height: int
    background: str | None  # #rrggbb put behind transparency; None = the original is opaque
    was_rotated: bool
    was_converted: bool  # from another colour space, by the embedded profile


def prepare(data: bytes, recipe: TrainingRecipe, limits: Limits = LIMITS) -> Prepared:
    """Make a training image; equal input and recipe give equal bytes.

    Raises: images.UnreadableImage.
    """
    picture = read(data, limits, at_least=math.ceil(recipe.max_side * _JPEG_SPARE))
    turned = orientation(picture.image) or 1
    small = upright(shrink(picture.image, recipe.max_side))
    in_srgb, was_converted = colour.to_srgb(small)
    opaque, background = colour.flatten(in_srgb)
    width, height = picture.width, picture.height
    return Prepared(
        bytes=_encode(opaque, recipe),
        extension=_EXTENSIONS[recipe.format],
        width=opaque.width,
        height=opaque.height,
        upright_width=height if turned > 4 else width,
        upright_height=width if turned > 4 else height,
        background="#{:02x}{:02x}{:02x}".format(*background) if background else None,
        was_rotated=turned > 1,
        was_converted=was_converted,
    )


def _encode(image: Image.Image, recipe: TrainingRecipe) -> bytes:
    """The file's bytes: every setting that shapes them is named here, and pixels are all that it holds."""
    file = io.BytesIO()
    if recipe.format == "jpeg":
        image.save(file, "JPEG", quality=recipe.quality, subsampling="4:2:0", optimize=True, progressive=False)
    elif recipe.format == "webp":
        image.save(file, "WEBP", quality=recipe.quality, method=4, lossless=False)
    else:
        image.save(file, "PNG", compress_level=6)
    return file.getvalue()
