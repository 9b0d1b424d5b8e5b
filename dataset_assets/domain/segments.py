"""The parts that PNG and JPEG files are made of: read in order, left out, put back. Pixels are not decoded."""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_START_OF_SCAN, _START, _END = 0xDA, 0xD8, 0xD9
# A marker among compressed data: 0xff, and then neither a stuffed 0 nor a restart.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_WITHOUT_LENGTH = (0x01, _START)

# What decides how a PNG's pixels look, its animation, and their shape; the rest speaks about the picture.
_SHOWN_BY = frozenset(b"IHDR PLTE IDAT IEND tRNS iCCP sRGB gAMA cHRM cICP mDCV cLLI sBIT pHYs acTL fcTL fdAT".split())


class Segment(NamedTuple):
    """A PNG chunk by its four letters, or a JPEG segment by its marker's second byte; and where its body lies."""

    name: bytes
    start: int  # of the body
    end: int

    def body(self, data: bytes) -> bytes:
        return data[self.start : self.end]


def png_chunks(data: bytes) -> Iterator[Segment]:
    """The chunks of a PNG up to IEND; the last may reach beyond the data."""
    at = len(PNG_MAGIC)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield Segment(name, at + 8, at + 8 + length)
        if name == b"IEND":
            return
        at += 12 + length


def png_chunk(name: bytes, body: bytes) -> bytes:
    """A chunk's bytes, with its length and checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(data: bytes, chunks: Iterable[Segment], before_pixels: bytes = b"") -> bytes:
    """A PNG of some of another's chunks; `before_pixels` are chunks that go before the first IDAT."""
    parts, added = [PNG_MAGIC], before_pixels
    for chunk in chunks:
        if chunk.name == b"IDAT":
            parts.append(added)
            added = b""
        parts.append(data[chunk.start - 8 : chunk.end + 4])
    return b"".join(parts)


def shows(chunk: Segment) -> bool:
    """Whether a PNG's chunk has a part in what is seen."""
    return chunk.name in _SHOWN_BY


def jpeg_segments(data: bytes, at: int = 0) -> Iterator[Segment]:
    """The segments of a JPEG that begins at `at`, up to its end marker; compressed data is passed over."""
    at += 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = found[0][-1:], found.end()
        if marker[0] == _END:
            yield Segment(marker, at, at)
            return
        if marker[0] not in _WITHOUT_LENGTH:
            length = max(2, int.from_bytes(data[at : at + 2], "big"))
            yield Segment(marker, at + 2, at + length)
            at += length


def jpeg_without(data: bytes, left_out: Iterable[Segment], added: bytes = b"") -> bytes:
    """A JPEG without some of its segments; what is added stands behind the JFIF header, or first."""
    cuts = sorted((segment.start - 4, segment.end) for segment in left_out)
    parts, at = [], 0
    for start, end in cuts:
        parts.append(data[at:start])
        at = end
    rest = b"".join([*parts, data[at:]])
    first = next(jpeg_segments(rest), None)
    behind = first.end if first is not None and first.name[0] == _APP0 else 2
    return rest[:behind] + added + rest[behind:]


def exif_segment(tiff: bytes) -> bytes:
    """A JPEG's EXIF segment of these TIFF bytes."""
    body = b"Exif\0\0" + tiff
    return bytes((0xFF, _APP1)) + struct.pack(">H", len(body) + 2) + body


def is_profile(segment: Segment, data: bytes) -> bool:
    """Whether a JPEG's segment is part of its ICC profile."""
    return segment.name[0] == _APP2 and data.startswith(b"ICC_PROFILE\0", segment.start)


def has_more_pictures(data: bytes) -> bool:
    """Whether a JPEG says that it is one of several pictures of the file (MPO, gain maps)."""
    for segment in jpeg_segments(data):
        if segment.name[0] == _START_OF_SCAN:
            return False
        if segment.name[0] == _APP2 and data.startswith(b"MPF\0", segment.start):
            return True
    return False


def speaks_about(segment: Segment, data: bytes) -> bool:
    """Whether a JPEG's segment is a comment or an application's, but none that its decoder needs or the encoder writes.

    JFIF's header and Adobe's say how colours are stored.
    """
    marker = segment.name[0]
    if marker == _COMMENT:
        return True
    if marker == _APP0:
        return not data.startswith(b"JFIF\0", segment.start)
    return _APP0 < marker <= 0xEF and not (marker == _APP14 and data.startswith(b"Adobe", segment.start))
