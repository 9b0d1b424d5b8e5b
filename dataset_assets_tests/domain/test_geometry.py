import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.domain import colour
from dataset_assets.domain.geometry import fit_within, orientation, overview, shrink, upright
from dataset_assets.domain.images import decode
from dataset_assets_tests.domain.pictures import drawing, encoded, exif, line_art

# How a viewer would have had to turn the upright picture to store it under each orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored_as(turn: int, file_format: str, order: str = "<") -> bytes:
    transposition = STORED[turn]
    pixels = drawing() if transposition is None else drawing().transpose(transposition)
    settings = {"lossless": True} if file_format == "webp" else {}
    return encoded(pixels, file_format, exif=exif(turn, order), **settings)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("file_format", ["png", "webp"])
@pytest.mark.parametrize("turn", STORED)
def test_all_eight_orientations_are_one_picture_upright(turn: int, file_format: str, order: str) -> None:
    image = decode(stored_as(turn, file_format, order))
    assert orientation(image) == turn
    assert upright(image).convert("RGB").tobytes() == drawing().tobytes()


@pytest.mark.parametrize("turn", STORED)
def test_orientation_of_a_jpeg_is_read(turn: int) -> None:
    image = decode(stored_as(turn, "jpeg"))
    assert orientation(image) == turn
    assert upright(image).size == drawing().size


def test_turning_twice_does_no_harm() -> None:
    once = upright(decode(stored_as(6, "png")))
    assert upright(once).tobytes() == once.tobytes()


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0XX*\0\x08\0\0\0",
        exif(1)[:-9],
        exif(0),
        exif(9),
        exif(65535, ">"),
    ],
)
def test_meaningless_exif_turns_nothing(block: bytes) -> None:
    image = drawing()
    image.info["exif"] = block
    assert orientation(image) is None
    assert upright(image) is image


@given(st.binary(max_size=60))
def test_any_exif_gives_an_orientation_or_none(block: bytes) -> None:
    image = Image.new("L", (2, 1))
    image.info["exif"] = b"Exif\0\0II*\0" + block
    assert orientation(image) in (None, 1, 2, 3, 4, 5, 6, 7, 8)


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.integers(1, 20_000))
def test_a_fitted_size_is_no_larger_and_never_empty(width: int, height: int, max_side: int) -> None:
    fitted = fit_within((width, height), max_side)
    assert fitted[0] in range(1, width + 1)
    assert fitted[1] in range(1, height + 1)
    assert max(fitted) == min(max(width, height), max_side)


@pytest.mark.parametrize(
    ("size", "expected"), [((1, 3000), (1, 512)), ((3000, 1), (512, 1)), ((1000, 500), (512, 256))]
)
def test_thin_and_wide_images_shrink(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink(Image.new("RGB", size), 512).size == expected


def test_a_small_image_stays_as_it_is() -> None:
    art = line_art((200, 0, 0))
    assert shrink(art, 64).tobytes() == art.tobytes()


@pytest.mark.parametrize("max_side", [97, 250, 400])
def test_colours_hidden_under_transparency_do_not_bleed_into_edges(max_side: int) -> None:
    small = np.asarray(shrink(line_art((255, 255, 255), size=500, width=9), max_side))
    visible = small[small[..., 3] > 16]  # fainter pixels have too few levels to hold a colour
    assert visible[:, :3].min() >= 240


def test_shrinking_in_bands_is_shrinking_whole() -> None:
    image = drawing(1501, 1102)  # no multiple of the block, so that the last blocks are smaller
    whole = image.reduce(3).resize((250, 184), Image.Resampling.BICUBIC, (0, 0, 1501 / 3, 1102 / 3))
    assert shrink(image, 250).tobytes() == whole.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_shrinks(mode: str) -> None:
    image = (
        Image.new("L", (700, 300), 255).convert("I").convert(mode)
        if mode == "I;16"
        else drawing(700, 300).convert(mode)
    )
    assert shrink(image, 100).size == (100, 43)


def test_an_overview_is_upright_opaque_and_keeps_a_trace_of_thin_lines() -> None:
    image = line_art((255, 255, 255), size=2000, width=1)
    image.info["exif"] = exif(6)
    small, background = overview(image)
    assert (small.mode, small.size, background) == ("RGB", (256, 256), colour.BLACK)
    assert small.convert("L").getextrema()[1] > 20
