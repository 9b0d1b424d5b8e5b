"""What an image file's container says of its frames and its end, read without decoding a pixel."""

import zlib
from typing import NamedTuple

from dataset_assets.domain.segments import Segment, jpeg_segments, png_chunks, png_of
from dataset_assets.domain.trailing import boxes_end, gif_blocks


class Frames(NamedTuple):
    """Frames found, and whether the file ends within the last of them."""

    number: int
    cut_short: bool


def gif_frames(data: bytes, at_most: int) -> Frames:
    """Frames of a GIF, block by block; counting stops one past `at_most`."""
    count = end = 0
    for introducer, block_end in gif_blocks(data):
        count, end = count + (introducer == 0x2C), block_end
        if count > at_most:
            break
    return Frames(count, end > len(data))


def png_frames(data: bytes, at_most: int) -> Frames:
    """Frames of a PNG, by those that are there: what the animation's header claims is often wrong.

    A default image that is no part of the animation is no frame of it, though decoders show it first.
    """
    end, count, animated, pixels = 0, 0, False, False
    for name, _, chunk_end in png_chunks(data):
        end, pixels = chunk_end, pixels or name == b"IDAT"
        animated = animated or (name == b"acTL" and not pixels)
        count += name == b"fcTL" and animated
        if count > at_most:
            break
    return Frames(max(count, 1), animated and end + 4 > len(data))


def ends_early(file_format: str, data: bytes) -> bool:
    """Whether a WebP or AVIF is shorter than it says; other formats do not say."""
    if file_format == "webp":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return file_format == "avif" and boxes_end(data) > len(data)


# Markers that begin a picture, of whatever coding: not tables (c4, cc) and what is reserved (c8).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_AVIF_BITS = {0: 8, 2: 10, 3: 12}  # by two flags: high bit depth, and twelve of them
_BMP_BITS = {1: 1, 4: 4, 8: 8, 16: 5, 24: 8, 32: 8}  # by the bits of a whole pixel


def channel_bits(file_format: str, data: bytes) -> int | None:
    """Bits of a stored channel, or of a palette's index; decoders widen or cut them to 8. None = it does not say."""
    if file_format == "png":
        return _byte(data, 24)
    if file_format in ("gif", "webp"):
        return 8
    if file_format == "jpeg":
        frame = next((part for part in jpeg_segments(data) if part.name[0] in _JPEG_FRAMES), None)
        return None if frame is None else _byte(data, frame.start)
    if file_format == "avif" and (at := data.find(b"av1C")) >= 0:
        return _AVIF_BITS.get(_byte(data, at + 6) >> 5 & 3)
    if file_format == "bmp":
        return _BMP_BITS.get(_byte(data, 24 if _byte(data, 14) == 12 else 28))
    return None


def _byte(data: bytes, at: int) -> int:
    return data[at] if at < len(data) else 0


_MAX_PNG_PROFILE = 1 << 20  # Pillow refuses larger ones, and the image with them


def png_without_extras(data: bytes) -> bytes:
    """A PNG without what its still pixels can do without: text, animation, and a profile that may be a bomb."""
    return png_of(data, (chunk for chunk in png_chunks(data) if _is_needed(chunk, data)))


def _is_needed(chunk: Segment, data: bytes) -> bool:
    needed = chunk.name in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
    return needed or (chunk.name == b"iCCP" and has_lawful_size(chunk.body(data)))


def has_lawful_size(profile: bytes) -> bool:
    """Whether the body of a PNG's iCCP holds a profile that inflates, and not beyond what decoders take."""
    _, _, rest = profile.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(rest[1:], _MAX_PNG_PROFILE)
    except zlib.error:
        return False
    return not inflate.unconsumed_tail
