import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.trailing import end_of_image
from dataset_assets_tests.domain.pictures import animated, drawing, encoded, exif

FORMATS = ("jpeg", "png", "gif", "webp", "avif")


@pytest.mark.parametrize("behind", [b"", b"\0", b"PK\x03\x04", b"\xff\xd9", b"\xff\xd8\xff\xe0", b";", b"IEND"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_an_image_ends_where_its_encoder_ended_it(file_format: str, behind: bytes) -> None:
    data = encoded(drawing(), file_format)
    assert end_of_image(file_format, data + behind) == len(data)


@pytest.mark.parametrize("file_format", ["png", "gif", "webp", "avif"])
def test_an_animation_ends_behind_its_last_frame(file_format: str) -> None:
    data = animated(file_format)
    assert end_of_image(file_format, data + b"PK") == len(data)


def test_a_jpeg_of_several_pictures_ends_with_the_last() -> None:
    data = encoded(drawing(), "mpo", save_all=True, append_images=[drawing(), drawing()], exif=exif(6))
    assert end_of_image("jpeg", data + b"PK\x03\x04") == len(data)


def test_a_thumbnail_in_the_header_is_not_the_end() -> None:
    data = encoded(drawing(), "jpeg", exif=exif(6) + encoded(drawing(8, 8), "jpeg"))
    assert end_of_image("jpeg", data) == len(data)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_that_was_cut_has_no_end(file_format: str) -> None:
    data = encoded(drawing(), file_format)
    assert end_of_image(file_format, data[: len(data) * 2 // 3]) is None


def test_formats_that_do_not_say_where_they_end_have_none() -> None:
    assert end_of_image("bmp", encoded(drawing(), "bmp")) is None


@given(st.binary(max_size=300), st.sampled_from(FORMATS))
def test_any_bytes_end_within_themselves_or_nowhere(data: bytes, file_format: str) -> None:
    end = end_of_image(file_format, data)
    assert end is None or 0 <= end <= len(data)
