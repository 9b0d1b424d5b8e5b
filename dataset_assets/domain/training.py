"""Prepare one image for training: upright, in sRGB, opaque, fitted, in one format, without metadata."""

import io
import re
from dataclasses import dataclass
from functools import partial
from typing import Literal

from PIL import Image, ImageFile

from dataset_assets.domain import colour, rasters
from dataset_assets.domain.geometry import orientation, upright
from dataset_assets.domain.images import LIMITS, Limits, Picture, UnreadableImage, read
from dataset_assets.domain.placement import Fit, Placement, Size, place

_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_LARGEST_SIDE = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}  # what the encoders can write
_NAMED_COLOURS = {"white": colour.WHITE, "black": colour.BLACK}


@dataclass(frozen=True)
class TrainingRecipe:
    """What training images are made like; `place` says what the fits are.

    `size` is the box, width and height; without it, a square of `max_side`. The quality, 1 to 100, is JPEG's and
    WebP's; PNG has none. `background` lies behind transparency, `padding` around an image that is padded: auto, white,
    black or #rrggbb. The automatic background is the one most opposite to the image; the automatic padding is the
    image's background if its edge is transparent, else white.

    Raises: ValueError when the format cannot hold such a side, the quality is none, or a colour is none.
    """

    max_side: int = 512
    size: Size | None = None
    fit: Fit = "inside"
    enlarge: bool = False
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = 95
    background: str = "auto"
    padding: str = "auto"

    def __post_init__(self) -> None:
        largest = _LARGEST_SIDE[self.format]
        if not 1 <= min(self.box) <= max(self.box) <= largest:
            asked = f"max_side {self.max_side}" if self.size is None else "size {}x{}".format(*self.size)
            raise ValueError(f"{asked}: {self.format} holds 1 to {largest}; choose less or another format")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality}: expected 1 to 100")
        parse_colour(self.background)
        parse_colour(self.padding)

    @property
    def box(self) -> Size:
        return self.size or (self.max_side, self.max_side)


@dataclass(frozen=True)
class Prepared:
    """A training image, and what was done to the original.

    The original's point (x, y), upright, is at (x * scale_x + offset_x, y * scale_y + offset_y).
    """

    bytes: bytes
    extension: str
    width: int
    height: int
    upright_width: int
    upright_height: int
    scale_x: float
    scale_y: float
    offset_x: int  # negative = cut off, positive = padding
    offset_y: int
    background: str | None  # #rrggbb put behind transparency; None = what is shown is opaque
    was_rotated: bool
    was_converted: bool  # from another colour space, by the embedded profile


def parse_colour(text: str) -> colour.Rgb | None:
    """The colour of `white`, `black` or `#rrggbb`; None = auto.

    Raises: ValueError when it is none of these.
    """
    if text == "auto" or text in _NAMED_COLOURS:
        return _NAMED_COLOURS.get(text)
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{text!r} is no colour; write auto, white, black or #rrggbb in quotes")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def prepare(data: bytes, recipe: TrainingRecipe, limits: Limits = LIMITS, decoded: Picture | None = None) -> Prepared:
    """Make a training image; equal input and recipe give equal bytes.

    `decoded` is the same file, decoded whole, where someone has it: it is used if that changes nothing.
    Raises: images.UnreadableImage, also when the result is larger than the format holds.
    """
    # A JPEG's decoder can do some of the shrinking, and what was mended lacks its profile.
    if decoded is None or decoded.is_mended or decoded.format == "jpeg":
        decoded = read(data, limits, quickly=partial(_quickly, recipe))
    placed, turned = _placed(decoded.image, (decoded.width, decoded.height), recipe)
    _require_encodable(placed, recipe, decoded)
    shown = _cropped(upright(_scaled(decoded.image, placed, turned)), placed)
    in_srgb, was_converted = colour.to_srgb(shown)
    opaque, background = colour.flatten(in_srgb, parse_colour(recipe.background))
    around = background if background and colour.edge_is_clear(in_srgb) else colour.WHITE
    finished = _padded(opaque, placed, parse_colour(recipe.padding) or around)
    return Prepared(
        bytes=_encode(finished, recipe),
        extension=_EXTENSIONS[recipe.format],
        width=finished.width,
        height=finished.height,
        upright_width=placed.original[0],
        upright_height=placed.original[1],
        scale_x=placed.scale[0],
        scale_y=placed.scale[1],
        offset_x=placed.offset[0],
        offset_y=placed.offset[1],
        background="#{:02x}{:02x}{:02x}".format(*background) if background else None,
        was_rotated=turned > 1,
        was_converted=was_converted,
    )


def _placed(image: Image.Image, stored: Size, recipe: TrainingRecipe) -> tuple[Placement, int]:
    """Where an image of this stored size goes, and its EXIF orientation; 1 = it stands upright."""
    turned = orientation(image) or 1
    return place(_turn(stored, turned), recipe.box, recipe.fit, recipe.enlarge), turned


def _turn(size: Size, turned: int) -> Size:
    """A size as stored for the upright one, and the other way round."""
    return (size[1], size[0]) if turned > 4 else size


def _quickly(recipe: TrainingRecipe, image: ImageFile.ImageFile, data: bytes) -> Image.Image | None:
    """An ordinary file, decoded and scaled without Pillow; None = it is not ordinary."""
    placed, turned = _placed(image, image.size, recipe)
    raster = rasters.decoded(image, data, reduction=1 / max(placed.scale))
    if raster is None:
        return None
    scaled = rasters.resampled(raster, _turn(placed.size, turned))
    scaled.info = image.info.copy()
    return scaled


def _scaled(image: Image.Image, placed: Placement, turned: int) -> Image.Image:
    scaled = rasters.resampled(image, _turn(placed.size, turned))
    scaled = scaled.copy() if scaled is image else scaled
    scaled.info = {name: image.info[name] for name in ("icc_profile", "exif") if name in image.info}
    return scaled


def _cropped(image: Image.Image, placed: Placement) -> Image.Image:
    (left, top), (width, height) = placed.crop, placed.kept
    return image if placed.kept == placed.size else image.crop((left, top, left + width, top + height))


def _padded(image: Image.Image, placed: Placement, padding: colour.Rgb) -> Image.Image:
    if placed.canvas == placed.kept:
        return image
    canvas = Image.new("RGB", placed.canvas, padding)
    canvas.paste(image, placed.paste)
    return canvas


def _require_encodable(placed: Placement, recipe: TrainingRecipe, picture: Picture) -> None:
    largest = _LARGEST_SIDE[recipe.format]
    if max(placed.canvas) > largest:
        found = "it would be {}x{}".format(*placed.canvas)
        raise UnreadableImage("too_many_pixels", f"{found}; {recipe.format} holds {largest} a side", picture.format)


def _encode(image: Image.Image, recipe: TrainingRecipe) -> bytes:
    """The file's bytes: every setting that shapes them is named here, and pixels are all that it holds.

    Huffman tables made for each JPEG would save 4 % of its size, and cost a tenth of the whole preparation.
    """
    file = io.BytesIO()
    if recipe.format == "jpeg":
        image.save(file, "JPEG", quality=recipe.quality, subsampling="4:2:0", optimize=False, progressive=False)
    elif recipe.format == "webp":
        image.save(file, "WEBP", quality=recipe.quality, method=4, lossless=False)
    else:
        image.save(file, "PNG", compress_level=6)
    return file.getvalue()
