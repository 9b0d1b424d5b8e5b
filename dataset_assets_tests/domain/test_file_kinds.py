import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.file_kinds import KINDS, sniff
from dataset_assets_tests.domain.pictures import drawing, encoded

HEADS = {
    "mp4": b"\0\0\0\x1cftypisom\0\0\2\0isomiso2avc1mp41",
    "mov": b"\0\0\0\x14ftypqt  \0\0\2\0qt  ",
    "m4a": b"\0\0\0\x14ftypM4A \0\0\2\0M4A ",
    "heic": b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf",
    "avif": b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf",
    "webm": b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x84webm",
    "mkv": b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23\x42\x82\x88matroska",
    "avi": b"RIFF\x10\0\0\0AVI LIST",
    "mpg": b"\0\0\x01\xba\x44\0\4\0",
    "wmv": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9",
    "mp3": b"\xff\xfb\x90\x64\0\0",
    "ogg": b"OggS\0\2\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis",
    "swf": b"CWS\x08\x10\0\0\0",
    "zip": b"PK\x03\x04\x14\0",
    "ugoira": b"PK\x03\x04\x14".ljust(30, b"\0") + b"000000.jpg\xff\xd8\xff",
    "rar": b"Rar!\x1a\x07\x01\0",
    "7z": b"7z\xbc\xaf\x27\x1c\0\4",
    "gz": b"\x1f\x8b\x08\0",
    "tar": b"name".ljust(257, b"\0") + b"ustar\0",
    "pdf": b"%PDF-1.7\n",
    "html": b"\n<!DOCTYPE HTML><html><body>404",
    "svg": b'\xef\xbb\xbf<?xml version="1.0"?><!-- Inkscape --><svg xmlns="http://www.w3.org/2000/svg">',
    "ico": b"\0\0\x01\0\x01\0\x10\x10",
    "psd": b"8BPS\0\x01",
    "jxl": b"\xff\x0a\xfa\x1f",
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
    "tiff": b"II*\0\x08\0\0\0",
}


@pytest.mark.parametrize("name", HEADS)
def test_a_kind_is_told_by_its_first_bytes(name: str) -> None:
    assert sniff(HEADS[name]) == KINDS[name]


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "avif", "bmp", "tiff", "ico"])
def test_what_an_encoder_writes_is_told(name: str) -> None:
    assert sniff(encoded(drawing(), name)) == KINDS[name]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"BM and more text",
        b"\xff\xfe<\0h\0t\0m\0l\0",
        b"plain text",
        b"MZ\x90\0",
        b"P3 people",
        b"FWS\xff",
    ],
)
def test_nothing_is_guessed(data: bytes) -> None:
    assert sniff(data) is None


def test_a_jpeg_may_end_in_jpeg_or_jfif_but_not_in_png() -> None:
    assert [KINDS["jpeg"].fits(extension) for extension in ("jpg", ".JPEG", "jfif", "png", "")] == [True] * 3 + [
        False
    ] * 2


@given(st.binary(max_size=300))
def test_any_bytes_are_of_one_kind_or_none(data: bytes) -> None:
    assert sniff(data) is None or sniff(data) in KINDS.values()
