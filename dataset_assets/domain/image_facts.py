"""Judge one image: everything that `image_facts` says of it, or why it could not be decoded."""

import numpy as np
from PIL import Image

from dataset_assets.domain import colour, hashes
from dataset_assets.domain.geometry import OVERVIEW_SIDE, fit_within, orientation, overview
from dataset_assets.domain.images import LIMITS, Limits, UnreadableImage, read

# The columns of `image_facts` that this module fills, in the table's order.
COLUMNS = (
    "error",
    "error_detail",
    "format",
    "mode",
    "width",
    "height",
    "frames",
    "is_animated",
    "has_alpha",
    "orientation",
    "icc_profile",
    "is_srgb",
    "pixel_hash",
    "perceptual_hash",
    "luma_mean",
    "luma_spread",
    "white_share",
    "black_share",
    "dominant_share",
    "colours",
    "is_blank",
)

_NEAR = 8  # of 255, in every channel: JPEG's noise on a flat colour
_BLANK_SHARE = 0.001


def judge(data: bytes, limits: Limits = LIMITS) -> dict[str, object]:
    """The facts of one image, a value for each of COLUMNS; the file is decoded once.

    When it cannot be decoded, `error` is one of `images.DECODE_ERRORS`, and all but format and size are null.
    """
    facts: dict[str, object] = dict.fromkeys(COLUMNS)
    try:
        picture = read(data, limits)
    except UnreadableImage as error:
        width, height = error.size or (None, None)
        return facts | {
            "error": error.reason,
            "error_detail": error.detail,
            "format": error.format,
            "width": width,
            "height": height,
        }
    return facts | {
        "format": picture.format,
        "mode": picture.image.mode,
        "width": picture.width,
        "height": picture.height,
        "frames": picture.frames,
        "is_animated": picture.frames > 1,
        "orientation": orientation(picture.image),
        **_colour_facts(picture.image),
        **_visible_facts(picture.image),
    }


def _colour_facts(image: Image.Image) -> dict[str, object]:
    found = colour.profile(image)
    return {
        "has_alpha": colour.has_alpha(image),
        "icc_profile": (found.description or "unreadable") if found else None,
        "is_srgb": found.is_srgb if found else image.mode != "CMYK",
    }


def _visible_facts(image: Image.Image) -> dict[str, object]:
    """What the image shows: measured upright, in sRGB, on the background it would be trained on.

    Shares, colours and luma come from at most 256x256 of the image's own pixels, so that no colour appears that it does
    not have; `is_blank` from means of blocks, so that a thin line is not missed between two samples.
    """
    averaged, background = overview(image)
    nearest = image.resize(fit_within(image.size, OVERVIEW_SIDE), Image.Resampling.NEAREST)
    channels = _channels(colour.flatten(colour.to_srgb(nearest)[0], background)[0])
    luma = colour.LUMA @ channels.astype(np.float32)
    red, green, blue = channels.astype(np.uint32)
    _, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    return {
        "pixel_hash": hashes.pixel_hash(image),
        "perceptual_hash": hashes.perceptual_hash(averaged),
        "luma_mean": float(luma.mean()),
        "luma_spread": float(luma.std()),
        "white_share": float((channels >= 255 - _NEAR).all(axis=0).mean()),
        "black_share": float((channels <= _NEAR).all(axis=0).mean()),
        "dominant_share": float(counts.max() / luma.size),
        "colours": len(counts),
        "is_blank": _is_blank(averaged),
    }


def _channels(image: Image.Image) -> np.ndarray:
    """Returns: (3, pixels) uint8."""
    return np.ascontiguousarray(np.asarray(image).reshape(-1, 3).T)


def _is_blank(image: Image.Image) -> bool:
    """Whether all but one pixel in a thousand have one colour, within JPEG's noise.

    The number of colours is no measure: clean line art has two. Nor is luma: red on an equally bright green is
    a picture.
    """
    up_to = np.cumsum(np.reshape(image.histogram(), (3, 256)), axis=1)
    median = (up_to * 2 >= up_to[:, -1:]).argmax(axis=1).astype(np.int16)
    distance = np.abs(_channels(image).astype(np.int16) - median[:, None]).max(axis=0)
    return bool((distance > _NEAR).mean() <= _BLANK_SHARE)
