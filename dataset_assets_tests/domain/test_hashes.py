import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.domain.hashes import hamming, perceptual_hash, pixel_hash
from dataset_assets.domain.images import decode
from dataset_assets_tests.domain.pictures import REAL_FILES, drawing, encoded, exif, icc_profile, line_art, png

DUPES = REAL_FILES / "images_danbooru" / "dupes"


def of(data: bytes) -> str:
    return pixel_hash(decode(data))


def test_png_levels_palettes_and_formats_agree() -> None:
    few_colours = drawing().quantize(8)
    pictures = [
        encoded(few_colours, "png", compress_level=0),
        encoded(few_colours, "png", compress_level=9),
        encoded(few_colours.convert("RGB"), "png"),
        encoded(few_colours.convert("RGBA"), "png"),
        encoded(few_colours, "gif"),
        encoded(few_colours, "gif", interlace=0),
        encoded(few_colours, "bmp"),
        encoded(few_colours.convert("RGB"), "webp", lossless=True),
    ]
    assert len({of(data) for data in pictures}) == 1


def test_grey_at_every_depth_and_as_rgb_agrees() -> None:
    rows = {1: b"\0\x40", 2: b"\0\x30", 4: b"\0\x0f", 8: b"\0\0\xff", 16: b"\0\0\0\xff\xff"}
    hashes = {of(png((2, 1), bits, 0, row)) for bits, row in rows.items()}
    assert hashes == {of(png((2, 1), 8, 2, b"\0\0\0\0\xff\xff\xff"))}


def test_the_hash_is_the_one_that_the_docstring_describes() -> None:
    pixels = drawing().convert("RGBA").tobytes()
    assert pixel_hash(drawing()) == hashlib.sha256(b"RGBA 60x40\n" + pixels).hexdigest()


def test_an_image_of_several_bands_hashes_as_a_whole() -> None:
    large = drawing(700, 500)
    assert pixel_hash(large) == hashlib.sha256(b"RGBA 700x500\n" + large.convert("RGBA").tobytes()).hexdigest()


def test_progressive_and_optimized_jpegs_agree() -> None:
    assert len({of(encoded(drawing(), "jpeg", progressive=p, optimize=o)) for p in (0, 1) for o in (0, 1)}) == 1


def test_colours_under_full_transparency_do_not_count() -> None:
    art = line_art((200, 0, 0))
    other = Image.composite(art, Image.new("RGBA", art.size, (9, 9, 9, 0)), art.getchannel("A"))
    assert art.tobytes() != other.tobytes()
    assert pixel_hash(art) == pixel_hash(other)
    assert pixel_hash(art) != pixel_hash(art.convert("RGB"))


def test_a_colour_key_and_alpha_agree() -> None:
    key = decode(encoded(Image.new("L", (3, 2), 7), "png", transparency=7))
    assert pixel_hash(key) == pixel_hash(Image.new("RGBA", (3, 2), (0, 0, 0, 0)))


def test_said_to_be_rotated_and_rotated_agree() -> None:
    turned = encoded(drawing().transpose(Image.Transpose.ROTATE_90), "png", exif=exif(6))
    assert of(turned) == of(encoded(drawing(), "png"))


def test_the_profile_is_no_part_of_it() -> None:
    assert of(encoded(drawing(), "png", icc_profile=icc_profile(2.2))) == of(encoded(drawing(), "png"))


def test_shape_and_single_pixels_count() -> None:
    image = Image.new("RGB", (4, 3))
    changed = image.copy()
    changed.putpixel((3, 2), (0, 0, 1))
    assert len({pixel_hash(image), pixel_hash(changed), pixel_hash(Image.new("RGB", (3, 4)))}) == 3


def test_cmyk_is_told_from_the_rgb_it_converts_to() -> None:
    cmyk = drawing().convert("CMYK")
    assert pixel_hash(cmyk) != pixel_hash(cmyk.convert("RGB"))


# One picture in many files. JPEGs that share their coefficients are equal under whatever profile; those of the drawing
# with transparency are equal whether palette, RGBA or with EXIF; a background in place of transparency makes another.
SAME_PIXELS = [
    {"baseline.jpg", "progressive.jpg", "adobergb.jpg", "srgb.jpg", "rgb-gray.jpg"},
    {".png", "no-exif.png", ".gif"},
    {"whitebg-noalpha.png", "whitebg-noalpha.gif"},
]


@pytest.mark.skipif(not DUPES.is_dir(), reason="the real files are not here")
def test_real_duplicates_fall_into_the_groups_that_look_alike_pixel_by_pixel() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(DUPES.glob("countergirl*")):
        found.setdefault(of(path.read_bytes()), set()).add(path.name.removeprefix("countergirl").removeprefix("-"))
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, SAME_PIXELS))
    assert len({of(path.read_bytes()) for path in DUPES.glob("black-*.png")}) == 2


def jpeg_again(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "jpeg", quality=quality)))


def test_a_perceptual_hash_survives_what_uploads_do() -> None:
    original = drawing(640, 480)
    base = perceptual_hash(original)
    assert hamming(base, perceptual_hash(original.resize((200, 150), Image.Resampling.LANCZOS))) <= 4
    assert hamming(base, perceptual_hash(jpeg_again(original, 60))) <= 4
    assert hamming(base, perceptual_hash(original.quantize(64))) <= 4
    assert hamming(base, perceptual_hash(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) > 10


def test_a_perceptual_hash_is_of_the_upright_image() -> None:
    turned = decode(encoded(drawing(640, 480).transpose(Image.Transpose.ROTATE_90), "png", exif=exif(6)))
    assert hamming(perceptual_hash(turned), perceptual_hash(drawing(640, 480))) <= 1


def test_black_and_white_line_art_are_hashed_on_their_backgrounds() -> None:
    black, white = (perceptual_hash(line_art(line, 256)) for line in ((0, 0, 0), (255, 255, 255)))
    assert black != 0
    assert hamming(black, white) > 10  # each is the other's negative


def test_bits_stand_in_reading_order() -> None:
    cells = np.zeros((8, 9), np.uint8)
    cells[0, 1:] = 200
    rising_first = Image.fromarray(cells.repeat(16, axis=0).repeat(16, axis=1))
    assert perceptual_hash(rising_first) >> 63 == 1
    assert perceptual_hash(Image.new("RGB", (20, 20), (1, 2, 3))) == 0


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_hamming_is_a_distance(a: int, b: int, c: int) -> None:
    assert hamming(a, a) == 0
    assert hamming(a, b) == hamming(b, a)
    assert hamming(a, c) <= hamming(a, b) + hamming(b, c) <= 128
