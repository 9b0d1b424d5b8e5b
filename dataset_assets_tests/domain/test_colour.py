import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from dataset_assets.domain.colour import (
    BLACK,
    WHITE,
    Rgb,
    flatten,
    has_alpha,
    opposite_background,
    profile,
    to_srgb,
    unpack,
)
from dataset_assets.domain.images import decode
from dataset_assets_tests.domain.pictures import chunk, drawing, encoded, icc_profile, line_art, png

KEY = {
    bits: chunk(b"tRNS", value.to_bytes(2, "big")) for bits, value in ((1, 1), (2, 3), (4, 15), (8, 255), (16, 43981))
}
BLACK_THEN_KEYED = {1: b"\0\x40", 2: b"\0\x30", 4: b"\0\x0f", 8: b"\0\0\xff", 16: b"\0\0\0\xab\xcd"}


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    return [tuple(pixel) for pixel in np.asarray(image.convert("RGBA")).reshape(-1, 4).tolist()]


@pytest.mark.parametrize("bits", KEY)
def test_the_transparent_grey_of_a_png_is_transparent_at_every_depth(bits: int) -> None:
    unpacked = unpack(decode(png((2, 1), bits, 0, BLACK_THEN_KEYED[bits], extra=KEY[bits])))
    assert unpacked.mode == "LA"
    assert [alpha for *_, alpha in pixels(unpacked)] == [255, 0]


def test_the_transparent_colour_of_a_16_bit_png_is_transparent() -> None:
    rows = b"\0" + b"\0" * 6 + b"\xab\xcd" * 3
    image = decode(png((2, 1), 16, 2, rows, extra=chunk(b"tRNS", b"\xab\xcd" * 3)))
    assert [alpha for *_, alpha in pixels(unpack(image))] == [255, 0]


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    image = decode(png((3, 1), 16, 0, b"\0" + b"\0\0" + b"\x80\x12" + b"\xff\xff"))
    assert image.mode == "I;16"
    assert pixels(unpack(image)) == [(0, 0, 0, 255), (128, 128, 128, 255), (255, 255, 255, 255)]


def test_a_palette_with_alpha_becomes_rgba() -> None:
    palette = drawing().quantize(4)
    image = decode(encoded(palette, "png", transparency=bytes([255, 128, 0, 255])))
    assert image.mode == "P"
    assert unpack(image).mode == "RGBA"
    assert {alpha for *_, alpha in pixels(unpack(image))} == {255, 128, 0}


@pytest.mark.parametrize(
    ("mode", "unpacked"),
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("CMYK", "CMYK")],
)
def test_every_mode_has_a_plain_form(mode: str, unpacked: str) -> None:
    assert unpack(drawing().convert(mode)).mode == unpacked
    assert to_srgb(drawing().convert(mode))[0].mode == ("RGBA" if unpacked in ("LA", "RGBA") else "RGB")


def test_alpha_means_a_pixel_less_than_opaque() -> None:
    opaque = drawing().convert("RGBA")
    assert not has_alpha(opaque)
    opaque.putpixel((59, 39), (1, 2, 3, 254))
    assert has_alpha(opaque)


def test_a_transparent_palette_entry_that_no_pixel_uses_is_no_alpha() -> None:
    palette = chunk(b"PLTE", b"\x09\x09\x09\xc8\xc8\xc8") + chunk(b"tRNS", b"\xff\0")
    image = decode(png((2, 1), 8, 3, b"\0\0\0", extra=palette))
    assert image.info["transparency"] == 1
    assert not has_alpha(image)


def test_a_profile_is_applied_once_and_leaves_alpha_alone() -> None:
    image = drawing().convert("RGBA")
    image.putpixel((0, 0), (200, 30, 40, 77))
    wide = decode(encoded(image, "png", icc_profile=icc_profile(2.2)))
    converted, was_converted = to_srgb(wide)
    assert was_converted
    assert converted.getpixel((1, 0))[0] > 225  # type: ignore[index]  # Adobe RGB's reds are stronger
    assert converted.getpixel((0, 0))[3] == 77  # type: ignore[index]
    assert to_srgb(converted)[1] is False
    assert profile(wide) == ("Test space", False)


def test_an_srgb_profile_is_told_by_what_it_does_and_not_applied() -> None:
    image = drawing()
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert profile(image) == ("sRGB built-in", True)
    assert to_srgb(image)[1] is False


def test_a_grey_profile_is_applied_to_grey_with_alpha() -> None:
    image = Image.new("LA", (2, 1), (100, 255))
    image.info["icc_profile"] = icc_profile(1.0, primaries=False)
    converted, was_converted = to_srgb(image)
    assert was_converted
    assert pixels(converted)[0] == (168, 168, 168, 255)  # linear 100/255, in sRGB's curve


@pytest.mark.parametrize(
    ("mode", "embedded"),
    [
        ("RGB", b"no profile"),
        ("RGB", icc_profile(2.2)[:200]),
        ("RGB", icc_profile(2.2).replace(b"RGB ", b"Luv ")),
        ("RGB", icc_profile(1.0, primaries=False)),
        ("CMYK", icc_profile(2.2)),
        ("RGB", icc_profile(2.2) + b"\0" * 5_000_000),
    ],
)
def test_a_profile_that_cannot_be_applied_leaves_the_colours(mode: str, embedded: bytes) -> None:
    image = drawing().convert(mode)
    expected = pixels(image)
    image.info["icc_profile"] = embedded
    converted, was_converted = to_srgb(image)
    assert not was_converted
    assert pixels(converted) == expected
    assert profile(image) is not None


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_profile_breaks_anything(garbage: bytes, at: int) -> None:
    sound = icc_profile(2.2)
    image = Image.new("RGB", (1, 1))
    image.info["icc_profile"] = sound[:at] + garbage + sound[at + len(garbage) :]
    assert to_srgb(image)[0].mode == "RGB"
    profile(image)


@pytest.mark.parametrize(
    ("line", "background"),
    [(BLACK, WHITE), (WHITE, BLACK), ((128, 128, 128), BLACK), ((127, 127, 127), WHITE), ((255, 0, 0), WHITE)],
)
def test_line_art_is_put_on_the_background_most_opposite_to_it(line: Rgb, background: Rgb) -> None:
    art = line_art(line)
    assert opposite_background(art) == background
    flat, used = flatten(art)
    assert used == background
    assert flat.getpixel((0, 0)) == background
    assert line in {pixel[:3] for pixel in pixels(flat)}


@pytest.mark.parametrize(
    ("outline", "filling", "background"),
    [
        (BLACK, (255, 240, 120), WHITE),
        ((30, 20, 25), WHITE, WHITE),
        (WHITE, (20, 20, 60), BLACK),
        ((90, 50, 20), (250, 220, 180), WHITE),
        ((255, 240, 120), (255, 240, 120), BLACK),
    ],
)
@pytest.mark.parametrize("size", [200, 1500])
def test_the_outline_of_a_drawing_is_not_lost_on_its_background(
    outline: Rgb, filling: Rgb, background: Rgb, size: int
) -> None:
    """What lies beside transparency decides, though what it encloses is fifty times as much."""
    image = Image.new("RGBA", (size, size))
    box, width = (size // 10, size // 10, size - size // 10, size - size // 10), max(2, size // 150)
    ImageDraw.Draw(image).ellipse(box, fill=(*filling, 255), outline=(*outline, 255), width=width)
    assert opposite_background(image.reduce(max(2, width // 2))) == background
    assert opposite_background(image) == background


def test_the_edge_of_the_sheet_is_no_outline() -> None:
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 255))
    image.paste((255, 255, 255, 255), (4, 0, 96, 60))
    image.paste((0, 0, 0, 0), (0, 60, 100, 100))
    assert opposite_background(image) == BLACK  # white meets the transparency, the black border the sheet's edge


def test_thin_lines_on_a_large_canvas_are_not_missed() -> None:
    assert opposite_background(line_art(WHITE, size=3000, width=1)) == BLACK


def test_half_transparent_pixels_count_by_half() -> None:
    image = Image.new("RGBA", (2, 1), (255, 255, 255, 100))
    image.putpixel((0, 0), (0, 0, 0, 200))
    assert opposite_background(image) == WHITE


@pytest.mark.parametrize("image", [drawing().convert("RGBA"), Image.new("RGBA", (3, 3), (255, 255, 255, 0))])
def test_opaque_and_empty_images_get_white(image: Image.Image) -> None:
    assert opposite_background(image) == WHITE


def test_an_opaque_image_needs_no_background() -> None:
    flat, background = flatten(drawing().convert("RGBA"))
    assert background is None
    assert flat.tobytes() == drawing().tobytes()
