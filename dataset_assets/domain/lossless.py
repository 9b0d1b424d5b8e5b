"""Make PNG and JPEG files smaller without a change in what they show, and prove it.

mozjpeg ends the process over some damaged files that decode: this is work for processes that may be lost.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import mozjpeg_lossless_optimization as mozjpeg
import numpy as np
import oxipng
from PIL import Image, PngImagePlugin

from dataset_assets.domain import colour, exif, segments
from dataset_assets.domain.containers import has_lawful_size
from dataset_assets.domain.file_kinds import sniff
from dataset_assets.domain.geometry import orientation
from dataset_assets.domain.hashes import pixel_hash
from dataset_assets.domain.images import LIMITS, Limits, Picture, UnreadableImage, read
from dataset_assets.domain.states import KeptBecause
from dataset_assets.domain.trailing import end_of_image

# What the optimizer adapts when it stores colours in another way, or writes in a form of its own.
_ADAPTED = (b"tRNS", b"PLTE", b"IDAT", b"fdAT", b"IHDR", b"IEND", b"iCCP", b"acTL", b"fcTL", b"bKGD", b"sBIT", b"hIST")


@dataclass(frozen=True)
class LosslessRecipe:
    """How files are made smaller.

    `strip` leaves text, EXIF and XMP out; the profile, what else the colours hang on and the orientation stay.
    `png_level` is oxipng's, 0 to 6: higher is smaller and slower. Without `progressive`, a baseline JPEG stays one.
    """

    metadata: Literal["keep", "strip"] = "keep"
    png_level: int = 2
    progressive: bool = True


class Unchanged(Exception):
    """A file that stays as it is, and why."""

    def __init__(self, reason: KeptBecause, detail: str | None = None) -> None:
        super().__init__(reason, detail)
        self.reason: KeptBecause = reason
        self.detail = detail


@dataclass(frozen=True)
class Smaller:
    """A file that shows what the original shows, in fewer bytes."""

    bytes: bytes
    pixel_hash: str


def optimize(data: bytes, recipe: LosslessRecipe, limits: Limits = LIMITS) -> Smaller:
    """Make a file smaller. Bytes behind the image's end are dropped; equal input and recipe give equal bytes.

    Raises: Unchanged when the file is to be kept as it is.
    """
    file_format = _require_optimizable(data)
    whole = data[: end_of_image(file_format, data)]
    original = _decoded(whole, limits, "unreadable")
    turned = orientation(original.image) or 1
    bare = whole if recipe.metadata == "keep" else _without_metadata(file_format, whole, turned)
    best = min(_recompressed(file_format, bare, recipe), bare, key=len)
    if len(best) >= len(data):
        raise Unchanged("no_gain")
    made = _decoded(best, limits, "pixels_differ")
    _require_equal_pixels(original, made, whole, best)
    _require_equal_metadata(file_format, original, made, bare, best)
    return Smaller(best, pixel_hash(made.image))


def _require_optimizable(data: bytes) -> str:
    kind = sniff(data)
    file_format = kind.format if kind else "unknown"
    if file_format not in ("png", "jpeg"):
        raise Unchanged("other_format", file_format)
    if file_format == "jpeg" and segments.has_more_pictures(data):
        raise Unchanged("several_pictures")
    if file_format == "png" and _is_deep_colour(data):
        raise Unchanged("too_deep")
    return file_format


def _is_deep_colour(png: bytes) -> bool:
    """16 bits a channel, and more channels than grey alone."""
    return png[24:25] == b"\x10" and png[25:26] != b"\0"


def _decoded(data: bytes, limits: Limits, otherwise: KeptBecause) -> Picture:
    try:
        return read(data, limits)
    except UnreadableImage as error:
        raise Unchanged(otherwise, str(error)) from None


def _without_metadata(file_format: str, data: bytes, turned: int) -> bytes:
    """The file without all that its picture does not hang on; how it stands is said again where it must be."""
    upright = turned == 1
    if file_format == "png":
        shown = (chunk for chunk in segments.png_chunks(data) if _is_shown(chunk, data))
        stands = b"" if upright else segments.png_chunk(b"eXIf", exif.orientation_alone(turned))
        return segments.png_of(data, shown, before_pixels=stands)
    left_out = [
        segment
        for segment in segments.jpeg_segments(data)
        if segments.speaks_about(segment, data) and not segments.is_profile(segment, data)
    ]
    stands = b"" if upright else segments.exif_segment(exif.orientation_alone(turned))
    return segments.jpeg_without(data, left_out, added=stands)


def _is_shown(chunk: segments.Segment, data: bytes) -> bool:
    """Whether a PNG's picture hangs on a chunk; a profile that no decoder takes has no part in it."""
    return segments.shows(chunk) and (chunk.name != b"iCCP" or has_lawful_size(chunk.body(data)))


def _recompressed(file_format: str, data: bytes, recipe: LosslessRecipe) -> bytes:
    try:
        if file_format == "png":
            return _recompressed_png(data, recipe.png_level)
        if not recipe.progressive and not _is_progressive(data):
            return data
        return bytes(mozjpeg.optimize(data, copy=mozjpeg.COPY_MARKERS.ALL))
    except (oxipng.PngError, ValueError) as error:
        raise Unchanged("not_optimizable", str(error)[:200]) from None


def _recompressed_png(data: bytes, level: int) -> bytes:
    has_profile = any(chunk.name == b"iCCP" for chunk in segments.png_chunks(data))
    return oxipng.optimize_from_memory(
        data,
        level=level,
        strip=oxipng.StripChunks.none(),
        optimize_alpha=False,  # colours under full transparency stay
        scale_16=False,
        grayscale_reduction=not has_profile,  # a profile for colours is none for greys
        interlace=oxipng.Interlacing.Off,
    )


def _is_progressive(jpeg: bytes) -> bool:
    return any(segment.name in (b"\xc2", b"\xc6", b"\xca", b"\xce") for segment in segments.jpeg_segments(jpeg))


def _require_equal_pixels(original: Picture, made: Picture, before: bytes, after: bytes) -> None:
    """Raises: Unchanged unless every frame has the same pixels, those under full transparency too."""
    if made.frames != original.frames:
        raise Unchanged("pixels_differ", f"{original.frames} frames became {made.frames}")
    if not _same_pixels(original.image, made.image):
        raise Unchanged("pixels_differ")
    if original.frames > 1:
        pairs = zip(_later_frames(before), _later_frames(after), strict=True)
        if not all(_same_pixels(one, other) for one, other in pairs):
            raise Unchanged("pixels_differ", "in a later frame")


def _same_pixels(one: Image.Image, other: Image.Image) -> bool:
    if one.size != other.size or (one.mode == "CMYK") != (other.mode == "CMYK"):
        return False
    if "I;16" in (one.mode, other.mode) and not np.array_equal(_at_16_bits(one), _at_16_bits(other)):
        return False
    bands = zip(colour.bands(one), colour.bands(other), strict=True)
    return all(_channels(band) == _channels(same) for (_, band), (_, same) in bands)


def _at_16_bits(grey: Image.Image) -> np.ndarray:
    """Grey values, 0 to 65535."""
    if grey.mode == "I;16":
        return np.asarray(grey)
    return np.asarray(grey.convert("L"), np.uint16) * 257


def _channels(plain: Image.Image) -> bytes:
    return plain.tobytes() if plain.mode == "CMYK" else plain.convert("RGBA").tobytes()


def _later_frames(png: bytes) -> Iterator[Image.Image]:
    """The frames behind the first, as they are shown."""
    with PngImagePlugin.PngImageFile(io.BytesIO(png)) as image:
        for number in range(1, image.n_frames):
            image.seek(number)
            yield image.convert("RGBA")


def _require_equal_metadata(file_format: str, original: Picture, made: Picture, before: bytes, after: bytes) -> None:
    """Raises: Unchanged unless the profile and the orientation are as they were, and all else that was to stay."""
    if made.image.info.get("icc_profile") != original.image.info.get("icc_profile"):
        raise Unchanged("metadata_differs", "the profile")
    if (orientation(made.image) or 1) != (orientation(original.image) or 1):
        raise Unchanged("metadata_differs", "the orientation")
    spoken = _png_metadata if file_format == "png" else _jpeg_metadata
    if spoken(before) != spoken(after):
        raise Unchanged("metadata_differs")


def _png_metadata(data: bytes) -> list[tuple[bytes, bytes]]:
    """What must be there as it was; of animations, their timing. The order of chunks may change."""
    found = [(chunk.name, chunk.body(data)) for chunk in segments.png_chunks(data)]
    kept = sorted(pair for pair in found if pair[0] not in _ADAPTED)
    return kept + [(name, body[4:]) for name, body in found if name == b"fcTL"]  # behind the sequence number


def _jpeg_metadata(data: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (segment.name, segment.body(data))
        for segment in segments.jpeg_segments(data)
        if segments.speaks_about(segment, data)
    ]
