"""Colours of decoded images: plain 8-bit channels, sRGB by the embedded profile, a background behind transparency."""

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

Rgb = tuple[int, int, int]

BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)

_BAND_PIXELS = 65_536  # 256 kB, which stays in a processor's cache: four times faster than bands of a million

# ITU-R 601, as Pillow's own conversion to "L".
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# The largest lawful profiles are CMYK tables of under 3 MB.
MAX_PROFILE_BYTES = 4_000_000

# A pixel beside one of less alpha than this is on the rim of a drawing.
_SEE_THROUGH = 128
_RIM_WEIGHT = 0.9

# sRGB profiles differ among themselves by 1 in 255; the next colour space by 50 and more.
_SRGB_TOLERANCE = 2


def unpack(image: Image.Image) -> Image.Image:
    """The same colours as L, LA, RGB, RGBA or CMYK: 8 bits a channel, no palette, no colour key.

    16-bit grey keeps its high byte, as Pillow does for 16-bit RGB. Colours are not converted.
    """
    keyed = "transparency" in image.info
    if image.mode in ("LA", "RGBA", "CMYK") or (image.mode in ("L", "RGB") and not keyed):
        return image
    if image.mode == "I;16":
        return _from_16_bits(image, image.info.get("transparency"))
    if image.mode in ("1", "L"):
        return image.convert("LA" if keyed else "L")
    return image.convert("RGBA" if keyed else "RGB")


def _from_16_bits(image: Image.Image, key: object) -> Image.Image:
    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    grey.info.update({name: value for name, value in image.info.items() if name != "transparency"})
    return grey


def bands(image: Image.Image, multiple_of: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """An image from top to bottom, unpacked, in bands of rows: a large one is never copied whole.

    Yields: (first row, band); the height of each band but the last is a multiple of `multiple_of`.
    """
    rows = multiple_of * max(1, _BAND_PIXELS // (image.width * multiple_of))
    for top in range(0, image.height, rows):
        yield top, unpack(image.crop((0, top, image.width, min(top + rows, image.height))))


def has_alpha(image: Image.Image) -> bool:
    """Whether any pixel is less than opaque."""
    if image.mode not in ("LA", "RGBA") and "transparency" not in image.info:
        return False
    return any(_is_see_through(band) for _, band in bands(image))


def _is_see_through(plain: Image.Image) -> bool:
    return plain.mode in ("LA", "RGBA") and plain.getchannel("A").getextrema()[0] != 255


class Profile(NamedTuple):
    """What an embedded ICC profile is. An unreadable one has an empty description, and is not sRGB."""

    description: str
    is_srgb: bool


def profile(image: Image.Image) -> Profile | None:
    """The embedded profile of an image; None = it has none."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return None
    return _profile(embedded) if len(embedded) <= MAX_PROFILE_BYTES else Profile("", False)


@lru_cache(maxsize=16)
def _profile(embedded: bytes) -> Profile:
    try:
        text = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(embedded)))
        return Profile(_printable(text) or "unnamed", _changes_nothing(embedded))
    except Exception:  # noqa: BLE001 - the profile is anyone's bytes, and its parser raises what it likes
        return Profile("", False)


def _printable(text: str) -> str:
    """Text on one line, at most 200 characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _changes_nothing(embedded: bytes) -> bool:
    """Whether converting to sRGB leaves every corner and grey of the colour space where it is."""
    transform = _transform(embedded)
    if transform is None or transform.input_mode == "CMYK":
        return False
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    if transform.input_mode == "L":
        probe = Image.fromarray(steps[None, :])
    else:
        probe = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3))
    before, after = (np.asarray(colours, np.int16) for colours in (probe.convert("RGB"), transform.apply(probe)))
    return bool(np.abs(after - before).max() <= _SRGB_TOLERANCE)


@lru_cache(maxsize=16)
def _transform(embedded: bytes) -> ImageCms.ImageCmsTransform | None:
    """Conversion to sRGB, relative colorimetric with black point compensation; None = not for these colours.

    Raises: whatever the parser does about a broken profile.
    """
    mode = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}.get(embedded[16:20])
    if mode is None:
        return None
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(embedded)),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def to_srgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """An image as RGB or RGBA in sRGB, and whether its profile was applied.

    A profile that is broken, or for other channels than the image has, is passed over: the colours stay as they are.
    The result carries no metadata.
    """
    plain = unpack(image)
    found = profile(image)
    converted = None if found is None or found.is_srgb else _convert(plain, image.info["icc_profile"])
    result = plain.convert("RGBA" if plain.mode in ("LA", "RGBA") else "RGB") if converted is None else converted
    result.info = {}
    return result, converted is not None


def _convert(plain: Image.Image, embedded: bytes) -> Image.Image | None:
    """Colours through the profile, transparency untouched; None = the profile cannot be applied."""
    if len(embedded) > MAX_PROFILE_BYTES:
        return None
    try:
        transform = _transform(embedded)
        if transform is None or (transform.input_mode == "CMYK") != (plain.mode == "CMYK"):
            return None
        if transform.input_mode == "L" and plain.mode not in ("L", "LA"):
            return None
        converted = transform.apply(plain.convert(transform.input_mode))
    except Exception:  # noqa: BLE001 - the profile is anyone's bytes, and its parser raises what it likes
        return None
    if plain.mode in ("LA", "RGBA"):
        converted.putalpha(plain.getchannel("A"))
    return converted


def opposite_background(image: Image.Image) -> Rgb:
    """Black or white, whichever is further from what can be seen: the luma of each pixel, weighted by its alpha.

    What lies beside transparency weighs nine tenths, for it is what would be lost: a bright drawing with a black
    outline keeps it on white, although white is less opposite to the drawing as a whole.
    Middling, opaque and empty images get white. Black or white keeps any drawing visible, where a literal complement
    would put grey behind grey. Source: Danbooru2021, "Transparent background images".
    """
    small = _thumbnail(image.convert("RGBA"))
    pixels = np.asarray(small, np.float32)
    alpha = pixels[..., 3]
    if alpha.max() == 0 or alpha.min() == 255:
        return WHITE
    luma = pixels[..., :3] @ LUMA
    brightness = _mean(luma, alpha)
    rim = np.where(_grown(alpha < _SEE_THROUGH), alpha, 0)
    if rim.any():
        brightness += _RIM_WEIGHT * (_mean(luma, rim) - brightness)
    return BLACK if brightness > 127.5 else WHITE


def _grown(mask: np.ndarray) -> np.ndarray:
    """A mask and its neighbours on all eight sides."""
    for axis in (0, 1):
        there, back = np.roll(mask, 1, axis), np.roll(mask, -1, axis)
        np.moveaxis(there, axis, 0)[0] = np.moveaxis(back, axis, 0)[-1] = False  # edges are no neighbours
        mask = mask | there | back
    return mask


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum())


def _thumbnail(rgba: Image.Image, side: int = 1024) -> Image.Image:
    """The image in small, each pixel the mean of those it stands for, so that thin lines count."""
    factor = -(-max(rgba.size) // side)
    return rgba.reduce(factor) if factor > 1 else rgba


def edge_is_clear(image: Image.Image) -> bool:
    """Whether the edge of an RGB or RGBA image is transparent for the most part: what lies behind goes on beyond it."""
    if image.mode != "RGBA":
        return False
    alpha = np.asarray(image.getchannel("A"))
    return float(np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]).mean()) < _SEE_THROUGH


def flatten(image: Image.Image, background: Rgb | None = None) -> tuple[Image.Image, Rgb | None]:
    """An RGB or RGBA image as RGB, and the colour that was put behind it; None = it is opaque.

    Without a `background`, the most opposite one is put there.
    """
    if not has_alpha(image):
        return image.convert("RGB"), None
    background = background or opposite_background(image)
    behind = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB"), background
