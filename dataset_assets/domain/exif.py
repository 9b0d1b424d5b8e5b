"""EXIF blocks: which tags they hold, and the smallest one that says how a picture stands."""

import struct
from typing import Any

GPS, ORIENTATION = 0x8825, 0x0112
_RAW_PROFILE = "Raw profile type exif"  # where ImageMagick keeps EXIF in PNGs, as hexadecimal text


def block_of(info: dict[Any, Any]) -> bytes | None:
    """The EXIF of a decoded image, by Pillow's `info`; None = it has none."""
    found = info.get("exif")
    if isinstance(found, bytes) and found:
        return found
    text = info.get(_RAW_PROFILE)
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def names_a_place(info: dict[Any, Any]) -> bool:
    """Whether a decoded image says where it was taken: in its EXIF, or in its XMP."""
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return has_tag(block_of(info) or b"", GPS) or (isinstance(xmp, bytes) and b"GPSLatitude" in xmp)


def has_tag(block: bytes, wanted: int) -> bool:
    """Whether the first directory of an EXIF block has a tag. Source: TIFF 6.0, section 2."""
    tiff = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return False
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        tags = (struct.unpack_from(order + "H", tiff, directory + 2 + 12 * entry)[0] for entry in range(entries))
        return wanted in tags
    except struct.error:  # the directory points beyond the data
        return False


def orientation_alone(orientation: int) -> bytes:
    """TIFF bytes that hold an orientation and nothing else."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)
