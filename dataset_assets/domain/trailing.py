"""What lies behind the end of an image in its file: other programs may take it for an archive, a film, a page."""

from collections import deque
from collections.abc import Iterator

from dataset_assets.domain.segments import Segment, has_more_pictures, jpeg_segments, png_chunks

# Top-level boxes of an AVIF; what follows under another name is none of the image's.
_BOXES = frozenset(b"ftyp meta mdat moov free skip wide uuid styp sidx moof mfra pdin".split())


def end_of_image(file_format: str, data: bytes) -> int | None:
    """Where the image's own bytes end; None = its format does not say, or the file ends before.

    A JPEG that says that more pictures follow (MPO) ends with the last of them.
    """
    ends = {"png": _png_end, "jpeg": _jpeg_end, "gif": _gif_end, "webp": _webp_end, "avif": boxes_end}
    end = ends[file_format](data) if file_format in ends else None
    return end if end is not None and end <= len(data) else None


def _png_end(data: bytes) -> int | None:
    last = _last(png_chunks(data))
    return last.end + 4 if last is not None and last.name == b"IEND" else None


def _jpeg_end(data: bytes) -> int | None:
    end = _end_of_picture(data, 0)
    if end is None or not has_more_pictures(data):
        return end
    while (following := data.find(b"\xff\xd8\xff", end)) >= 0 and not data[end:following].strip(b"\0"):
        next_end = _end_of_picture(data, following)
        if next_end is None:
            return end
        end = next_end
    return end


def _end_of_picture(data: bytes, start: int) -> int | None:
    last = _last(jpeg_segments(data, start))
    return last.end if last is not None and last.name == b"\xd9" else None


def _last(parts: Iterator[Segment]) -> Segment | None:
    newest = deque(parts, maxlen=1)
    return newest[0] if newest else None


def _gif_end(data: bytes) -> int | None:
    end = None
    for introducer, end in gif_blocks(data):
        if introducer == 0x3B:
            return end
    return None


def gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """The blocks of a GIF: what introduces each, and where it ends, maybe beyond the data; the trailer is the last.

    What no viewer reads ends it too, and is not told.
    """
    at = 13 + _colour_table(data, 10)
    while at < len(data):
        introducer = data[at]
        if introducer == 0x2C:  # image
            at = _after_sub_blocks(data, at + 11 + _colour_table(data, at + 9))
        elif introducer == 0x21:  # extension
            at = _after_sub_blocks(data, at + 2)
        elif introducer in (0, 0x3B):  # stray terminators between blocks are common
            at += 1
        else:
            return
        yield introducer, at
        if introducer == 0x3B:
            return


def _colour_table(data: bytes, flags_at: int) -> int:
    """Bytes of the colour table that a flags byte announces."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks ends; past the end of the data when its terminator is missing."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _webp_end(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "little")
    return 8 + size + (size % 2 if 8 + size < len(data) else 0)  # the last padding may be missing


def boxes_end(data: bytes) -> int:
    """Where the last of an AVIF's own boxes ends, by its own account."""
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] in _BOXES and (at == 0 or data[at + 4 : at + 8] != b"ftyp"):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # the size is in the eight bytes that follow
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0 = to the end of the file; less is no box
            return len(data)
        at += size
    return at
