"""Judge one image: everything that `image_facts` says of it, or why it could not be decoded."""

import numpy as np
from PIL import Image

from dataset_assets.domain import colour, exif, hashes
from dataset_assets.domain.containers import channel_bits
from dataset_assets.domain.file_kinds import SNIFF_BYTES, sniff
from dataset_assets.domain.geometry import OVERVIEW_SIDE, fit_within, orientation, overview
from dataset_assets.domain.images import LIMITS, Limits, Picture, UnreadableImage, read
from dataset_assets.domain.trailing import end_of_image

# The columns of `image_facts` that this module fills, in the table's order.
COLUMNS = (
    "error",
    "error_detail",
    "format",
    "mode",
    "bits",
    "width",
    "height",
    "frames",
    "is_animated",
    "has_alpha",
    "orientation",
    "icc_profile",
    "is_srgb",
    "has_exif",
    "has_gps",
    "trailing_bytes",
    "trailing_format",
    "pixel_hash",
    "perceptual_hash",
    "luma_mean",
    "luma_spread",
    "white_share",
    "black_share",
    "dominant_share",
    "colours",
    "is_blank",
    "is_too_white",
    "is_too_black",
)

_NEAR = 8  # of 255, in every channel: JPEG's noise on a flat colour
_FAINT = 12  # of 255, in every channel: what a black line of one pixel still is in the mean of a block of 20
_BLANK_SHARE = 0.001


def judge(data: bytes, limits: Limits = LIMITS) -> dict[str, object]:
    """The facts of one image, a value for each of COLUMNS; the file is decoded once.

    When it cannot be decoded, `error` is one of `images.DECODE_ERRORS`, and all but format and size are null.
    """
    return judged(data, limits)[0]


def judged(data: bytes, limits: Limits = LIMITS) -> tuple[dict[str, object], Picture | None]:
    """The facts of one image, and what was decoded for them; None = it cannot be."""
    facts: dict[str, object] = dict.fromkeys(COLUMNS)
    try:
        picture = read(data, limits)
    except UnreadableImage as error:
        width, height = error.size or (None, None)
        known = {"format": error.format, "width": width, "height": height}
        return facts | {"error": error.reason, "error_detail": error.detail} | known, None
    return facts | facts_of(picture, data), picture


def facts_of(picture: Picture, data: bytes) -> dict[str, object]:
    """The facts of a file that was decoded whole."""
    return {
        "format": picture.format,
        "mode": picture.image.mode,
        "bits": channel_bits(picture.format, data),
        "width": picture.width,
        "height": picture.height,
        "frames": picture.frames,
        "is_animated": picture.frames > 1,
        "orientation": orientation(picture.image),
        **_colour_facts(picture.image),
        **_hidden_facts(picture, data),
        **_visible_facts(picture.image),
    }


def _colour_facts(image: Image.Image) -> dict[str, object]:
    found = colour.profile(image)
    return {
        "has_alpha": colour.has_alpha(image),
        "icc_profile": (found.description or "unreadable") if found else None,
        "is_srgb": found.is_srgb if found else image.mode != "CMYK",
    }


def _hidden_facts(picture: Picture, data: bytes) -> dict[str, object]:
    """What the file says or carries beside its picture."""
    end = end_of_image(picture.format, data)
    behind = b"" if end is None else data[end : end + SNIFF_BYTES]
    kind = sniff(behind)
    return {
        "has_exif": exif.block_of(picture.image.info) is not None,
        "has_gps": exif.names_a_place(picture.image.info),
        "trailing_bytes": None if end is None else len(data) - end,
        "trailing_format": kind.format if kind else None,
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
        **_too_much_facts(averaged),
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


def _too_much_facts(image: Image.Image) -> dict[str, object]:
    """Whether all but one pixel in a thousand are so near to white, or to black, that nobody sees a drawing.

    How much of it is white says nothing: clean line art is white by 99 in a hundred, and its lines are dark.
    """
    channels = _channels(image)
    return {
        "is_too_white": bool((channels.min(axis=0) < 255 - _FAINT).mean() <= _BLANK_SHARE),
        "is_too_black": bool((channels.max(axis=0) > _FAINT).mean() <= _BLANK_SHARE),
    }
