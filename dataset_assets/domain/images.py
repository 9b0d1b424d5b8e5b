"""Decode images of unknown origin: within limits, whole or not at all, and with one reason when not.

Pillow keeps its limits and the process its warning filters in globals; both are set while a decoder runs, so threads
take turns here. Work that is to be killed when it takes too long belongs in worker processes.
"""

import io
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dataset_assets.domain import containers
from dataset_assets.domain.file_kinds import Kind, sniff
from dataset_assets.domain.geometry import fit_within

__all__ = [
    "DECODABLE",
    "DECODE_ERRORS",
    "LIMITS",
    "Kind",
    "Limits",
    "Picture",
    "UnreadableImage",
    "decode",
    "read",
    "sniff",
]

DECODE_ERRORS = (
    "not_an_image",  # no kind that is known
    "format_not_allowed",  # known, and not one of DECODABLE
    "too_many_pixels",
    "too_many_frames",
    "too_many_scans",
    "truncated",
    "corrupt",
    "unsupported_mode",  # a sound file of a variant that the decoder lacks
    "out_of_memory",
)

# The decoder of each allowed format, called by name: `Image.open` would try others, and make an MPO of a JPEG.
_DECODERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "gif": GifImageFile,
    "webp": WebPImageFile,
    "avif": AvifImageFile,
    "bmp": BmpImageFile,
}
DECODABLE = tuple(_DECODERS)

# What makes an image of an opened file in a way of its own; None = it does not take this one.
QuickDecoder = Callable[[ImageFile.ImageFile, bytes], Image.Image | None]

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")  # all that these decoders give, as of Pillow 13
_PILLOW_GLOBALS = threading.Lock()


@dataclass(frozen=True)
class Limits:
    """How much an image may ask for.

    Pixels: lawful illustrations of 105 and 168 million exist; ten times fewer trip Pillow's own warning. 200 million
    decode to 0.8 GB. Frames are not decoded but the first; their limit is for those who will.
    """

    max_pixels: int = 200_000_000
    max_frames_pixels: int = 500_000_000
    max_scans: int = 200  # of a progressive JPEG; encoders write about ten, and each costs a pass over all pixels


LIMITS = Limits()


class UnreadableImage(ValueError):
    """Bytes that do not decode, with a reason from DECODE_ERRORS, and what their header said before it went wrong."""

    def __init__(
        self, reason: str, detail: str, file_format: str | None = None, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(reason, detail, file_format, size)
        self.reason = reason
        self.detail = detail
        self.format = file_format
        self.size = size

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class Picture:
    """A decoded file: its first frame as stored (not upright, in its own colours), and what its header says."""

    image: Image.Image
    format: str
    width: int
    height: int
    frames: int
    is_mended: bool = False  # read without what made the file unreadable, and so without its profile and EXIF


def decode(data: bytes, limits: Limits = LIMITS) -> Image.Image:
    """The first frame, every pixel of it.

    Raises: UnreadableImage.
    """
    return read(data, limits).image


def read(
    data: bytes, limits: Limits = LIMITS, at_least: int | None = None, quickly: QuickDecoder | None = None
) -> Picture:
    """Decode a file. With `at_least`, a JPEG may come out smaller, its longer side not below that: far cheaper.

    `quickly` is asked first, once the file is known to be within its limits, and may make an image of any size of it.
    A PNG that only its text, profile or animation makes unreadable is read without them, as a still image.
    Raises: UnreadableImage.
    """
    kind = sniff(data)
    if kind is None:
        beginning = f"{len(data)} bytes that begin with {data[:16].hex(' ')}"
        raise UnreadableImage("not_an_image", beginning if data else "the file is empty")
    if kind.format not in _DECODERS:
        raise UnreadableImage("format_not_allowed", f"{kind.format}; allowed: {', '.join(DECODABLE)}", kind.format)
    with _pillow_bound_to(limits.max_pixels):
        try:
            return _read(kind.format, data, limits, at_least, quickly)
        except UnreadableImage as error:
            if kind.format != "png" or error.reason != "corrupt":
                raise
            with suppress(UnreadableImage):
                mended = _read("png", containers.png_without_extras(data), limits, at_least)
                return replace(mended, is_mended=True)
            raise


@contextmanager
def _pillow_bound_to(max_pixels: int) -> Iterator[None]:
    """Make decoders refuse what is larger before they allocate it, fail on short files, and print nothing."""
    with _PILLOW_GLOBALS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS = max_pixels // 2  # it warns there, and raises at twice as many
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _read(
    file_format: str, data: bytes, limits: Limits, at_least: int | None, quickly: QuickDecoder | None = None
) -> Picture:
    size = None
    try:
        image = _DECODERS[file_format](io.BytesIO(data))
        size = image.size
        frames = _require_within(limits, image, file_format, data)
        if frames == 1 and quickly is not None and (made := quickly(image, data)) is not None:
            return Picture(made, file_format, *size, frames)
        _scale_colour_key(image)
        if at_least is not None:
            image.draft(None, fit_within(size, at_least))
        image.load()
        if image.mode not in _MODES:
            raise UnreadableImage("unsupported_mode", f"{image.mode}; supported: {', '.join(_MODES)}")
    except UnreadableImage as error:
        raise UnreadableImage(error.reason, error.detail, file_format, size) from None
    except Exception as error:  # decoders of hostile bytes raise whatever they like
        raise UnreadableImage(_reason(error, file_format, data), _detail(error), file_format, size) from error
    return Picture(image, file_format, *size, frames)


def _require_within(limits: Limits, image: ImageFile.ImageFile, file_format: str, data: bytes) -> int:
    """The number of frames, once it is clear that the decoder may go on.

    Raises: UnreadableImage.
    """
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise UnreadableImage("too_many_pixels", f"{image.width}x{image.height}; at most {limits.max_pixels} pixels")
    if image.info.get("progressive") and (scans := data.count(b"\xff\xda")) > limits.max_scans:
        raise UnreadableImage("too_many_scans", f"{scans} scans; at most {limits.max_scans}")
    count, cut_short = _frames(image, file_format, data, at_most=max(1, limits.max_frames_pixels // pixels))
    if count > 1 and count * pixels > limits.max_frames_pixels:
        found = f"{count} frames or more of {image.width}x{image.height}"
        raise UnreadableImage("too_many_frames", f"{found}; at most {limits.max_frames_pixels} pixels together")
    if count > 1 and cut_short:
        raise UnreadableImage("truncated", f"the file ends within frame {count}")
    return count


def _frames(image: ImageFile.ImageFile, file_format: str, data: bytes, at_most: int) -> containers.Frames:
    if file_format == "gif":
        return containers.gif_frames(data, at_most)
    if file_format == "png":
        return containers.png_frames(data, at_most)
    if file_format in ("webp", "avif"):
        return containers.Frames(image.n_frames, containers.ends_early(file_format, data))  # type: ignore[attr-defined]
    return containers.Frames(1, False)


def _scale_colour_key(image: ImageFile.ImageFile) -> None:
    """Bring a PNG's transparent colour to the scale of the pixels, which Pillow widens to 8 bits or cuts to them."""
    key, raw_mode = image.info.get("transparency"), image.tile[0].args if image.tile else None
    if isinstance(key, int) and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw_mode == "L;2" else 17)
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(channel >> 8 for channel in key)


def _reason(error: Exception, file_format: str, data: bytes) -> str:
    """The decoder's complaint as one of DECODE_ERRORS."""
    text = str(error).lower()
    if isinstance(error, Image.DecompressionBombError):
        return "too_many_pixels"
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if "unsupported" in text or "cannot handle" in text:
        return "unsupported_mode"
    read_past_the_end = isinstance(error.__cause__ or error, (EOFError, IndexError, struct.error))
    says_so = isinstance(error, OSError) and "truncated" in text
    cut_short = read_past_the_end or says_so or containers.ends_early(file_format, data)
    return "truncated" if cut_short else "corrupt"


def _detail(error: Exception) -> str:
    """The decoder's words on one line, without addresses of objects, at most 500 characters."""
    text = re.sub(r" at 0x[0-9a-f]+", "", f"{type(error).__name__}: {error}")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
