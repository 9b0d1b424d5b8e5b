import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.domain.containers import ends_early, gif_frames, png_frames, png_without_extras
from dataset_assets.domain.images import decode
from dataset_assets_tests.domain.pictures import animated, chunk, drawing, encoded, icc_profile, png

COUNT = {"gif": gif_frames, "png": png_frames}


@pytest.mark.parametrize("file_format", COUNT)
def test_frames_are_counted(file_format: str) -> None:
    assert COUNT[file_format](animated(file_format, frames=4), 1000) == (4, False)
    assert COUNT[file_format](encoded(drawing(), file_format), 1000) == (1, False)


@pytest.mark.parametrize("file_format", COUNT)
def test_counting_stops_one_past_the_cap(file_format: str) -> None:
    assert COUNT[file_format](animated(file_format, frames=9), 4).number == 5


@pytest.mark.parametrize("file_format", COUNT)
def test_a_file_that_ends_within_a_frame_is_told(file_format: str) -> None:
    whole = animated(file_format, frames=3)
    number, cut_short = COUNT[file_format](whole[: len(whole) * 4 // 5], 1000)
    assert cut_short
    assert number in (2, 3)


def test_a_gif_without_its_trailer_is_whole() -> None:
    assert gif_frames(animated("gif")[:-1], 1000) == (3, False)


def test_stray_terminators_between_frames_are_passed_over() -> None:
    one = encoded(Image.new("P", (1, 1)), "gif")
    start = 13 + (3 << (one[10] & 7) + 1)
    assert gif_frames(one[:-1] + b"\0\0" + one[start:], 1000) == (2, False)


def test_an_animation_that_begins_after_the_pixels_is_none() -> None:
    late = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"\0" * 26) * 2
    assert png_frames(png((1, 1), 8, 0, b"\0\0", after=late), 1000) == (1, False)


def test_what_an_animation_header_claims_is_not_believed() -> None:
    claimed = png((1, 1), 8, 0, b"\0\0", extra=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    assert png_frames(claimed, 1000) == (1, False)


def test_300_000_frames_are_not_walked() -> None:
    one = encoded(Image.new("P", (1, 1)), "gif")
    start = 13 + (3 << (one[10] & 7) + 1)
    bomb = one[:start] + one[start:-1] * 300_000 + b";"
    started = time.perf_counter()
    assert gif_frames(bomb, 10_000).number == 10_001
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("file_format", ["webp", "avif"])
def test_a_container_shorter_than_it_says_ends_early(file_format: str) -> None:
    whole = encoded(drawing(), file_format)
    assert not ends_early(file_format, whole)
    assert not ends_early(file_format, whole + b"more")
    assert ends_early(file_format, whole[:-1])


def test_a_png_without_extras_keeps_its_pixels_and_a_lawful_profile() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * 9_000_000))
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"A" * 9_000_000))
    lawful = chunk(b"iCCP", b"x\0\0" + zlib.compress(icc_profile(2.2)))
    bare = png((1, 1), 8, 0, b"\0\x50")
    assert png_without_extras(png((1, 1), 8, 0, b"\0\x50", extra=text + bomb)) == bare
    assert decode(png_without_extras(png((1, 1), 8, 0, b"\0\x50", extra=text + lawful))).info["icc_profile"]


@given(st.binary(max_size=200), st.sampled_from(["gif", "png"]))
def test_any_bytes_have_a_number_of_frames(data: bytes, file_format: str) -> None:
    assert 0 <= COUNT[file_format](data, 100).number <= 101
    png_without_extras(data)
    ends_early("avif", data)
