"""Pictures as files: each format that an image board holds, and each way in which its files go wrong."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
TURN_RIGHT = 6  # what a viewer has to do with the stored pixels


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    into = BytesIO()
    picture.save(into, form, **options)
    return into.getvalue()


def _jpeg(picture: Image.Image) -> bytes:
    return _saved(picture, "JPEG", quality=90)


def _rough_jpeg(picture: Image.Image) -> bytes:
    return _saved(picture, "JPEG", quality=38)


def _progressive_jpeg(picture: Image.Image) -> bytes:
    return _saved(picture, "JPEG", quality=92, progressive=True)


def _cmyk_jpeg(picture: Image.Image) -> bytes:
    return _saved(picture.convert("CMYK"), "JPEG", quality=92)


def _turned_jpeg(picture: Image.Image) -> bytes:
    """Stored on its side, with the EXIF entry that sets it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURN_RIGHT
    return _saved(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)


def _png(picture: Image.Image) -> bytes:
    return _saved(picture, "PNG", compress_level=3)


def _indexed_png(picture: Image.Image) -> bytes:
    """48 colours, the see-through ones in a tRNS chunk."""
    return _saved(picture.quantize(48, Image.Quantize.FASTOCTREE), "PNG")


def _webp(picture: Image.Image) -> bytes:
    return _saved(picture, "WEBP", quality=85, method=2)


def _gif(picture: Image.Image) -> bytes:
    return _saved(picture.quantize(64, Image.Quantize.MEDIANCUT), "GIF")


# Extension and encoder.
ENCODINGS: Mapping[str, tuple[str, Callable[[Image.Image], bytes]]] = {
    "jpeg": ("jpg", _jpeg),
    "rough_jpeg": ("jpg", _rough_jpeg),
    "progressive_jpeg": ("jpg", _progressive_jpeg),
    "cmyk_jpeg": ("jpg", _cmyk_jpeg),
    "turned_jpeg": ("jpg", _turned_jpeg),
    "png": ("png", _png),
    "indexed_png": ("png", _indexed_png),
    "webp": ("webp", _webp),
    "gif": ("gif", _gif),
    "misnamed_jpeg": ("png", _jpeg),
}


def animated_gif(frames: Sequence[Image.Image]) -> bytes:
    """Frames of 120 milliseconds, for ever."""
    indexed = [frame.quantize(48, Image.Quantize.MEDIANCUT) for frame in frames]
    return _saved(indexed[0], "GIF", save_all=True, append_images=indexed[1:], duration=120, loop=0)


def optimised_png(png: bytes) -> bytes:
    """The same pixels in fewer bytes."""
    with Image.open(BytesIO(png)) as picture:
        return _saved(picture, "PNG", compress_level=9)


def truncated(data: bytes) -> bytes:
    """What a broken download leaves."""
    return data[: len(data) * 3 // 5]


def video() -> bytes:
    """The boxes of an MP4 file, with no film in them."""
    kind = b"ftypmp42" + (0).to_bytes(4, "big") + b"mp42isom"
    return b"".join((len(body) + 4).to_bytes(4, "big") + body for body in (kind, b"free", b"mdat" + bytes(64)))
