from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.segments import (
    has_more_pictures,
    jpeg_segments,
    jpeg_without,
    png_chunk,
    png_chunks,
    png_of,
    speaks_about,
)
from dataset_assets_tests.domain.pictures import chunk, drawing, encoded, exif, icc_profile, png


def test_a_png_is_its_chunks_and_nothing_behind_the_last() -> None:
    data = encoded(drawing(), "png", exif=exif(6), icc_profile=icc_profile(2.2))

    assert png_of(data + b"more", png_chunks(data + b"more")) == data
    assert [part.name for part in png_chunks(data)][:1] == [b"IHDR"]
    assert png_chunk(b"IEND", b"") == chunk(b"IEND", b"")


def test_chunks_are_put_before_the_pixels_once() -> None:
    two_idats = png((1, 1), 8, 0, b"\0\0", after=chunk(b"IDAT", b""))
    made = png_of(two_idats, png_chunks(two_idats), before_pixels=chunk(b"eXIf", b"II*\0"))

    assert [part.name for part in png_chunks(made)] == [b"IHDR", b"eXIf", b"IDAT", b"IDAT", b"IEND"]


def test_a_chunk_that_reaches_beyond_the_file_is_told_by_its_end() -> None:
    data = png((1, 1), 8, 0, b"\0\0")[:-20]
    assert list(png_chunks(data))[-1].end > len(data)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_segments_of_a_jpeg_end_with_its_end(progressive: bool) -> None:
    data = encoded(drawing(300, 200), "jpeg", progressive=progressive, exif=exif(6), comment=b"\xff\xd9 no end")
    found = list(jpeg_segments(data + b"\xff\xd8\xff"))

    assert (found[-1].name, found[-1].end) == (b"\xd9", len(data))
    assert sum(part.name == b"\xda" for part in found) == (1 if not progressive else data.count(b"\xff\xda"))


def test_what_is_left_out_of_a_jpeg_is_gone_and_the_rest_is_as_it_was() -> None:
    bare = encoded(drawing(), "jpeg")
    spoken = encoded(drawing(), "jpeg", exif=exif(6), comment=b"drawn by nobody")
    left_out = [part for part in jpeg_segments(spoken) if speaks_about(part, spoken)]

    assert len(left_out) == 2
    assert jpeg_without(spoken, left_out) == bare
    assert jpeg_without(bare, [], added=b"\xff\xfe\0\x04hi")[20:26] == b"\xff\xfe\0\x04hi"  # behind SOI and JFIF


def test_headers_that_say_how_colours_are_stored_are_no_metadata() -> None:
    cmyk = encoded(drawing().convert("CMYK"), "jpeg")
    assert not [part for part in jpeg_segments(cmyk) if speaks_about(part, cmyk)]


def test_a_jpeg_of_several_pictures_says_so_in_its_header_alone() -> None:
    assert has_more_pictures(encoded(drawing(), "mpo", save_all=True, append_images=[drawing()]))
    assert not has_more_pictures(encoded(drawing(), "jpeg") + b"\xff\xe2\0\x08MPF\0")


@given(st.binary(max_size=300))
def test_any_bytes_have_parts_in_order(data: bytes) -> None:
    for parts in (list(png_chunks(data)), list(jpeg_segments(data))):
        assert all(one.end <= other.start for one, other in pairwise(parts))
