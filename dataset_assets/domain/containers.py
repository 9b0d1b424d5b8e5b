"""What an image file's container says of its frames and its end, read without decoding a pixel."""

import struct
import zlib
from typing import NamedTuple


class Frames(NamedTuple):
    """Frames found, and whether the file ends within the last of them."""

    number: int
    cut_short: bool


def gif_frames(data: bytes, at_most: int) -> Frames:
    """Frames of a GIF, block by block; counting stops one past `at_most`."""
    at, count = 13 + _colour_table(data, 10), 0
    while at < len(data) and count <= at_most:
        if data[at] == 0x2C:  # image
            count += 1
            at = _after_sub_blocks(data, at + 11 + _colour_table(data, at + 9))
        elif data[at] == 0x21:  # extension
            at = _after_sub_blocks(data, at + 2)
        elif data[at] == 0:  # stray terminators between blocks are common
            at += 1
        else:  # the trailer, or what no viewer reads
            break
    return Frames(count, at > len(data))


def _colour_table(data: bytes, flags_at: int) -> int:
    """Bytes of the colour table that a flags byte announces."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks ends; past the end of the data when its terminator is missing."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def png_frames(data: bytes, at_most: int) -> Frames:
    """Frames of a PNG, by those that are there: what the animation's header claims is often wrong.

    A default image that is no part of the animation is no frame of it, though decoders show it first.
    """
    at, count, animated, pixels = 8, 0, False, False
    while at + 8 <= len(data) and count <= at_most:
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IEND":
            break
        pixels = pixels or name == b"IDAT"
        animated = animated or (name == b"acTL" and not pixels)
        count += name == b"fcTL" and animated
        at += 12 + length
    return Frames(max(count, 1), animated and at > len(data))


def ends_early(file_format: str, data: bytes) -> bool:
    """Whether a WebP or AVIF is shorter than it says; other formats do not say."""
    if file_format == "webp":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return file_format == "avif" and _boxes_end(data) > len(data)


def _boxes_end(data: bytes) -> int:
    """Where the last top-level box of an ISO media file ends, by its own account."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # the size is in the eight bytes that follow
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0 = to the end of the file; less is no box
            return len(data)
        at += size
    return at


_MAX_PNG_PROFILE = 1 << 20  # Pillow refuses larger ones, and the image with them


def png_without_extras(data: bytes) -> bytes:
    """A PNG without what its still pixels can do without: text, animation, and a profile that may be a bomb."""
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if name in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND") or (name == b"iCCP" and _inflates(chunk)):
            kept.append(chunk)
        at += 12 + length
    return b"".join(kept)


def _inflates(profile_chunk: bytes) -> bool:
    """Whether a compressed colour profile is of lawful size."""
    _, _, rest = profile_chunk[8:-4].partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(rest[1:], _MAX_PNG_PROFILE)
    except zlib.error:
        return False
    return not inflate.unconsumed_tail
