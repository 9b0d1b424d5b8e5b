import pickle
import struct
import subprocess
import sys
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from dataset_assets.domain.images import DECODABLE, DECODE_ERRORS, Limits, UnreadableImage, decode, read
from dataset_assets_tests.domain.pictures import animated, chunk, drawing, encoded, icc_profile, png


def failure(data: bytes, limits: Limits | None = None) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        read(data, limits or Limits())
    assert caught.value.reason in DECODE_ERRORS
    return caught.value


@pytest.mark.parametrize("file_format", DECODABLE)
def test_every_allowed_format_decodes(file_format: str) -> None:
    picture = read(encoded(drawing(), file_format))
    assert (picture.format, picture.width, picture.height, picture.frames) == (file_format, 60, 40, 1)
    difference = np.asarray(picture.image.convert("RGB"), float) - np.asarray(drawing(), float)
    assert np.abs(difference).mean() < 12


@pytest.mark.parametrize("data", [b"", b"\x89", b"plain text", b"\0" * 1000, b"\x89PNG"])
def test_bytes_of_no_kind_are_not_an_image(data: bytes) -> None:
    assert failure(data).reason == "not_an_image"


@pytest.mark.parametrize("file_format", ["tiff", "ico", "ppm"])
def test_other_image_formats_are_not_allowed(file_format: str) -> None:
    assert failure(encoded(drawing(), file_format)).reason == "format_not_allowed"


def test_an_html_page_is_not_allowed() -> None:
    error = failure(b"<!DOCTYPE html><html><body>404 Not Found</body></html>")
    assert (error.reason, error.format) == ("format_not_allowed", "html")


@pytest.mark.parametrize("percent", [30, 50, 75, 90, 99])
@pytest.mark.parametrize("file_format", DECODABLE)
def test_truncated_file_is_truncated(file_format: str, percent: int) -> None:
    noise = Image.effect_noise((120, 80), 60).convert("RGB")
    whole = encoded(noise, file_format)
    assert failure(whole[: len(whole) * percent // 100]).reason == "truncated"


@pytest.mark.parametrize("lossless", [True, False])
def test_truncated_progressive_and_lossless_files_are_truncated(lossless: bool) -> None:
    noise = Image.effect_noise((120, 80), 60).convert("RGB")
    settings = {"lossless": True} if lossless else {"progressive": True}
    whole = encoded(noise, "webp" if lossless else "jpeg", **settings)
    assert failure(whole[: len(whole) * 3 // 4]).reason == "truncated"


def test_a_png_without_its_last_chunk_is_whole() -> None:
    assert decode(encoded(drawing(), "png")[:-12]).tobytes() == drawing().tobytes()


def test_truncated_files_stay_unreadable_where_another_library_allows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = encoded(drawing(), "jpeg")
    assert failure(whole[:-40]).reason == "truncated"
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_broken_pixel_data_is_corrupt() -> None:
    broken = png((2, 2), 8, 0, b"").replace(zlib.compress(b""), b"\xff" * len(zlib.compress(b"")))
    error = failure(broken)
    assert (error.reason, error.format, error.size) == ("corrupt", "png", (2, 2))


def test_a_png_without_pixels_is_corrupt() -> None:
    bare = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) + chunk(b"IEND", b"")
    assert failure(bare).reason == "corrupt"


def test_a_variant_that_the_decoder_lacks_is_an_unsupported_mode() -> None:
    twelve_bit = bytearray(encoded(drawing(), "jpeg"))
    twelve_bit[twelve_bit.find(b"\xff\xc0") + 4] = 12
    assert failure(bytes(twelve_bit)).reason == "unsupported_mode"


def test_a_bitmap_of_an_unknown_depth_is_an_unsupported_mode() -> None:
    odd = bytearray(encoded(drawing(), "bmp"))
    odd[28] = 77
    assert failure(bytes(odd)).reason == "unsupported_mode"


def patched_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encoded(drawing(), "jpeg"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif(width: int, height: int, frames: int, disposal: int = 0) -> bytes:
    control = b"\x21\xf9\x04" + bytes([disposal << 2]) + b"\0\0\0\0"
    frame = control + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * frames + b";"


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header + b"\0" * 8


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of 34 bytes."""
    body = b"VP8L" + struct.pack("<I", 14) + b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + b"\0" * 9
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


BOMBS = {
    "png": png((50_000, 50_000), 1, 0, b"\0" * 100_000),
    "png_header": png((2**31 - 1, 2**31 - 1), 8, 6, b""),
    "gif": gif(65_535, 65_535, 1),
    "gif_disposed": gif(65_535, 65_535, 2, disposal=2),
    "jpeg": patched_jpeg(65_500, 65_500),
    "bmp": bmp(60_000, 30_000),
    "webp": webp(16_383, 16_383),
}


@pytest.mark.parametrize("name", BOMBS)
def test_pixel_bombs_are_refused_by_their_header(name: str) -> None:
    started = time.perf_counter()
    assert failure(BOMBS[name]).reason == "too_many_pixels"
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("name", ["webp", "gif_disposed"])
def test_decoders_that_allocate_when_they_open_are_stopped_before(name: str) -> None:
    assert failure(BOMBS[name]).detail.startswith("DecompressionBombError")


def test_the_limit_of_pixels_is_exact() -> None:
    for file_format in DECODABLE:
        data = encoded(drawing(), file_format)
        assert decode(data, Limits(max_pixels=2400)).size == (60, 40)
        assert failure(data, Limits(max_pixels=2399)).reason == "too_many_pixels"


def test_pillows_own_limit_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    failure(BOMBS["png"])
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("file_format", ["gif", "png", "webp", "avif"])
def test_frames_are_counted_and_only_the_first_is_decoded(file_format: str) -> None:
    picture = read(animated(file_format))
    assert picture.frames == 3
    assert np.abs(np.asarray(picture.image.convert("RGB"), float) - np.asarray(drawing(), float)).mean() < 12


@pytest.mark.parametrize("file_format", ["gif", "png", "webp", "avif"])
def test_too_many_frames_are_refused(file_format: str) -> None:
    data = animated(file_format, frames=5)
    assert read(data, Limits(max_frames_pixels=5 * 2400)).frames == 5
    assert failure(data, Limits(max_frames_pixels=5 * 2400 - 1)).reason == "too_many_frames"


def test_a_thousand_large_frames_are_refused_at_once() -> None:
    started = time.perf_counter()
    assert failure(gif(4000, 4000, 1000)).reason == "too_many_frames"
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("file_format", ["gif", "png", "webp", "avif"])
def test_an_animation_that_ends_early_is_truncated(file_format: str) -> None:
    whole = animated(file_format)
    assert failure(whole[: len(whole) * 4 // 5]).reason == "truncated"


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encoded(drawing(), "jpeg", progressive=True)
    last_scan = data[data.rfind(b"\xff\xda") : -2]
    assert failure(data[:-2] + last_scan * 1000 + b"\xff\xd9").reason == "too_many_scans"


@pytest.mark.parametrize(
    "metadata",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * 20_000_000, 9)),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(b"A" * 20_000_000, 9)),
        b"".join(chunk(b"zTXt", b"C%d\0\0" % n + zlib.compress(b"A" * 1_000_000, 9)) for n in range(70)),
        chunk(b"zTXt", b"Comment\0\x07"),
        chunk(b"acTL", b"\0\0"),
        chunk(b"tEXt", b"broken")[:-1] + b"\0",
    ],
)
def test_pixels_are_read_without_the_metadata_that_fails(metadata: bytes) -> None:
    before = png((2, 1), 8, 0, b"\0\x10\xf0", extra=metadata)
    behind = png((2, 1), 8, 0, b"\0\x10\xf0", after=metadata)
    assert decode(before).tobytes() == decode(behind).tobytes() == b"\x10\xf0"


@pytest.mark.parametrize("file_format", ["jpeg", "png", "webp"])
def test_bytes_after_the_end_do_no_harm(file_format: str) -> None:
    data = encoded(drawing(), file_format)
    assert decode(data + b"PK\x03\x04" + b"\xff" * 500).tobytes() == decode(data).tobytes()


def test_no_warning_escapes() -> None:
    twice = chunk(b"acTL", struct.pack(">II", 1, 0))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        decode(png((1, 1), 8, 0, b"\0\0", extra=twice + twice, after=twice))
    assert seen == []


def test_details_are_short_and_name_no_addresses() -> None:
    error = failure(encoded(drawing(), "png")[:200])
    assert "0x" not in error.detail
    assert len(error.detail) <= 500
    assert error.detail in str(error)


def test_an_error_survives_the_way_between_processes() -> None:
    error = failure(encoded(drawing(), "png")[:200])
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reason, copy.detail, copy.format, copy.size) == (error.reason, error.detail, "png", (60, 40))


def test_a_jpeg_may_come_smaller_but_not_too_small() -> None:
    data = encoded(drawing(1600, 1200), "jpeg")
    picture = read(data, at_least=300)
    assert picture.image.size == (400, 300)
    assert (picture.width, picture.height) == (1600, 1200)
    assert read(data).image.size == (1600, 1200)


def test_running_out_of_memory_is_an_error_of_the_image() -> None:
    code = """
import resource, sys
from dataset_assets.domain.images import UnreadableImage, read
data = sys.stdin.buffer.read()
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 60_000_000,) * 2)
try:
    read(data)
except UnreadableImage as error:
    print(error.reason)
"""
    data = png((14_000, 14_000), 1, 0, b"\0" * (1751 * 14_000))
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.strip() == b"out_of_memory"


def test_a_profile_reaches_the_decoded_image() -> None:
    assert decode(encoded(drawing(), "png", icc_profile=icc_profile(2.2))).info["icc_profile"] == icc_profile(2.2)
