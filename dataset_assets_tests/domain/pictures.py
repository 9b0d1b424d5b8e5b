"""Pictures drawn in memory for tests, and files built byte by byte where no encoder would write them so."""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image, ImageDraw

REAL_FILES = Path(__file__).parents[2] / ".." / "shared" / "data"


def drawing(width: int = 60, height: int = 40) -> Image.Image:
    """An RGB picture that looks different from every side."""
    image = Image.new("RGB", (width, height), (250, 240, 200))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 3, height // 4), fill=(200, 30, 40))
    draw.line((0, height - 1, width - 1, height // 2), fill=(20, 40, 160), width=2)
    draw.ellipse((width // 2, height // 8, width - 4, height // 2), fill=(60, 160, 70))
    return image


def line_art(line: tuple[int, int, int], size: int = 64, width: int = 2) -> Image.Image:
    """Thin lines on full transparency; what is hidden under it is the opposite of the line."""
    hidden = tuple(255 - channel for channel in line)
    image = Image.new("RGBA", (size, size), (*hidden, 0))
    draw = ImageDraw.Draw(image)
    draw.line((4, 4, size - 5, size - 9), fill=(*line, 255), width=width)
    draw.rectangle((size // 3, size // 4, size - 6, size - 12), outline=(*line, 255), width=width)
    return image


def encoded(image: Image.Image, file_format: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **settings)
    return file.getvalue()


def animated(file_format: str, frames: int = 3) -> bytes:
    first = drawing()
    others = [first.rotate(90 * turn, fillcolor=(9 * turn, 0, 0)) for turn in range(1, frames)]
    return encoded(first, file_format, save_all=True, append_images=others, duration=100)


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    size: tuple[int, int], bits: int, colour_type: int, rows: bytes, extra: bytes = b"", after: bytes = b""
) -> bytes:
    """A PNG from its raw rows (each with its filter byte), with more chunks before and after the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + after + chunk(b"IEND", b"")


def exif(orientation: int, order: str = "<") -> bytes:
    """An EXIF block that holds an orientation and nothing else."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def icc_profile(gamma: float, primaries: bool = True) -> bytes:
    """A small ICC profile: RGB with Adobe RGB's primaries, or grey without, and a pure power as its curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"desc": _icc_text("Test space"), b"wtpt": _icc_point(0.9642, 1.0, 0.8249)}
    if primaries:
        tags |= {b"rXYZ": _icc_point(0.6097, 0.3111, 0.0195), b"gXYZ": _icc_point(0.2053, 0.6257, 0.0609)}
        tags |= {b"bXYZ": _icc_point(0.1492, 0.0632, 0.7446), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    else:
        tags |= {b"kTRC": curve}
    at, table, bodies = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", at + len(bodies), len(body))
        bodies += body
    space = b"RGB " if primaries else b"GRAY"
    head = b"\0" * 8 + b"\x02\x10\0\0" + b"mntr" + space + b"XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 28
    head += struct.pack(">iii", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    profile = head.ljust(128, b"\0") + table + bodies
    return struct.pack(">I", len(profile)) + profile[4:]


def _icc_point(*xyz: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in xyz))


def _icc_text(text: str) -> bytes:
    ascii_part = struct.pack(">I", len(text) + 1) + text.encode() + b"\0"
    body = b"desc\0\0\0\0" + ascii_part + b"\0" * 78
    return body + b"\0" * (-len(body) % 4)
