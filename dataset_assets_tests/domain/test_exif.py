import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.domain.exif import GPS, ORIENTATION, block_of, has_tag, names_a_place, orientation_alone
from dataset_assets.domain.geometry import orientation
from dataset_assets.domain.images import decode
from dataset_assets_tests.domain.pictures import drawing, encoded, exif


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tag_is_found_in_either_byte_order(order: str) -> None:
    assert has_tag(exif(6, order), ORIENTATION)
    assert not has_tag(exif(6, order), GPS)


@pytest.mark.parametrize("turned", range(1, 9))
def test_the_smallest_block_says_how_the_picture_stands(turned: int) -> None:
    data = encoded(drawing(), "jpeg", exif=b"Exif\0\0" + orientation_alone(turned))
    assert orientation(decode(data)) == turned


def test_a_place_is_found_where_pillow_writes_one() -> None:
    block = Image.Exif()
    block[GPS] = {1: "N"}
    assert names_a_place(decode(encoded(drawing(), "webp", exif=block.tobytes())).info)


def test_text_that_is_no_hexadecimal_is_a_block_that_says_nothing() -> None:
    info = {"Raw profile type exif": "\nexif\n   4\nzz"}
    assert block_of(info) == b""
    assert not names_a_place(info)
    assert block_of({}) is None


@given(st.binary(max_size=100))
def test_any_bytes_have_a_tag_or_not(block: bytes) -> None:
    assert has_tag(b"II*\0" + block, GPS) in (True, False)
