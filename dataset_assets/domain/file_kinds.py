"""What a file is, told by its first bytes: names and extensions of scraped files are often wrong."""

import re
from dataclasses import dataclass
from typing import Literal

Family = Literal["image", "video", "audio", "flash", "archive", "document"]

# How much of a file `sniff` looks at; more is ignored. Text formats may open with long comments.
SNIFF_BYTES = 1024

_OTHER_EXTENSIONS = {
    "jpeg": {"jpeg", "jpe", "jfif"},
    "png": {"apng"},
    "tiff": {"tiff"},
    "bmp": {"dib"},
    "jp2": {"j2k", "jpx"},
    "heic": {"heif"},
    "mp4": {"m4v"},
    "mpg": {"mpeg"},
    "wmv": {"asf"},
    "html": {"htm"},
    "zip": {"cbz"},
    "ugoira": {"ugoira"},
}


@dataclass(frozen=True)
class Kind:
    """A file format: its name, the extension its files get (lower case, no dot), and what sort of thing it holds."""

    format: str
    extension: str
    family: Family

    def fits(self, extension: str) -> bool:
        """Whether files of this kind are also called so: a JPEG may end in `jpg`, `.JPEG`, `jfif`."""
        claimed = extension.lower().removeprefix(".")
        return claimed == self.extension or claimed in _OTHER_EXTENSIONS.get(self.format, ())


def _kinds(family: Family, *names: str) -> dict[str, Kind]:
    """Kinds by format; `jpeg:jpg` where the extension is not the format's own name."""
    pairs = [name.partition(":") for name in names]
    return {name: Kind(name, extension or name, family) for name, _, extension in pairs}


KINDS: dict[str, Kind] = (
    _kinds("image", "jpeg:jpg", "png", "gif", "webp", "avif", "bmp", "tiff:tif", "ico", "psd", "jxl", "jp2", "heic")
    | _kinds("image", "svg", "qoi", "dds", "xcf", "pnm:ppm")
    | _kinds("video", "mp4", "mov", "webm", "mkv", "avi", "mpg", "wmv", "flv", "ogv")
    | _kinds("audio", "mp3", "ogg", "m4a", "flac", "wav")
    | _kinds("flash", "swf")
    | _kinds("archive", "zip", "ugoira:zip", "rar", "7z", "gz", "bz2", "xz", "zst", "tar")
    | _kinds("document", "pdf", "html", "eps")
)

# Beginnings that settle it alone; where several bytes can vary, see the functions below.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
    (b"8BPS", "psd"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"qoif", "qoi"),
    (b"DDS ", "dds"),
    (b"gimp xcf", "xcf"),
    (b"\0\0\x01\xba", "mpg"),
    (b"\0\0\x01\xb3", "mpg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"),
    (b"FLV\x01", "flv"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"Rar!\x1a\x07", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b\x08", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"%PDF-", "pdf"),
    (b"%!PS", "eps"),
    (b"\xc5\xd0\xd3\xc6", "eps"),
)

# Pixiv's animations: a zip whose first member, named behind a header of 30 bytes, is frame 0.
_UGOIRA_FRAME = re.compile(rb"0{4,6}\.(?:jpe?g|png|gif)")

_RIFF = {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)


def sniff(head: bytes) -> Kind | None:
    """The kind of a file by its first bytes, `SNIFF_BYTES` of them or the whole; None = no kind that is known."""
    head = head[:SNIFF_BYTES]
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return KINDS["ugoira" if name == "zip" and _UGOIRA_FRAME.match(head, 30) else name]
    name = _container(head) or _by_header(head) or _text(head)
    return KINDS[name] if name else None


def _container(head: bytes) -> str:
    """Formats that share a wrapper and say inside which of them they are."""
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "mkv"
    if head.startswith(b"OggS"):
        return "ogv" if b"\x80theora" in head else "ogg"
    return ""


def _iso_media(head: bytes) -> str:
    """AVIF, HEIC, MP4 and kin: the brands in the first box, the major one first."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    if brands[0] in (b"M4A ", b"M4B "):
        return "m4a"
    if brands[0] == b"qt  ":
        return "mov"
    if brands[0] in (b"mif1", b"msf1", b"miaf", *_AVIF_BRANDS, *_HEIC_BRANDS):
        return next((name for brand in brands if (name := _still_brand(brand))), "heic")
    return "mp4"


def _still_brand(brand: bytes) -> str:
    return "avif" if brand in _AVIF_BRANDS else "heic" if brand in _HEIC_BRANDS else ""


def _by_header(head: bytes) -> str:
    """Formats whose magic is too short to trust without a look at the fields that follow."""
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if head[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and head[4:5] > b"\0" and head[5:6] == b"\0":
        return "ico"
    if head[:3] in (b"FWS", b"CWS", b"ZWS") and b"\x01" <= head[3:4] <= b"\x3c":
        return "swf"
    if head[257:262] == b"ustar":
        return "tar"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace() and head[3:4] in b"#0123456789 \t\n\r":
        return "pnm"
    return "mp3" if _is_mp3_frame(head) else ""


def _is_mp3_frame(head: bytes) -> bool:
    """An MPEG audio frame of layer III, with a bit rate and a sampling rate that exist."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer == 1 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


def _text(head: bytes) -> str:
    """SVG and HTML, after a byte order mark, an XML prolog and comments."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text.startswith(b"<"):
        return ""
    if b"<svg" in text and text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg")):
        return "svg"
    return "html" if any(tag in text for tag in (b"<!doctype html", b"<html", b"<head", b"<body")) else ""
