import io

import numpy as np
import pytest
from PIL import Image

from dataset_assets.domain.images import UnreadableImage
from dataset_assets.domain.training import Prepared, TrainingRecipe, prepare
from dataset_assets_tests.domain.pictures import animated, drawing, encoded, exif, icc_profile, line_art, png

PNG = TrainingRecipe(format="png")
FORMATS = ("jpeg", "png", "webp")


def shown(prepared: Prepared) -> Image.Image:
    image = Image.open(io.BytesIO(prepared.bytes))
    image.load()
    assert (image.mode, image.size) == ("RGB", (prepared.width, prepared.height))
    return image


@pytest.mark.parametrize("file_format", FORMATS)
def test_equal_input_and_recipe_give_equal_bytes(file_format: str) -> None:
    data, recipe = encoded(drawing(900, 700), "png"), TrainingRecipe(format=file_format)  # type: ignore[arg-type]
    first = prepare(data, recipe)
    assert first == prepare(data, recipe)
    assert (first.width, first.height, first.upright_width, first.upright_height) == (512, 398, 900, 700)
    assert shown(first).format == file_format.upper()
    assert first.extension == {"jpeg": "jpg"}.get(file_format, file_format)


@pytest.mark.parametrize("file_format", FORMATS)
def test_nothing_but_pixels_leaves(file_format: str) -> None:
    settings = {"exif": exif(6), "icc_profile": icc_profile(2.2), "comment": b"where I live"}
    data = encoded(drawing(), "jpeg", **settings) + b"PK\x03\x04 hidden archive"
    prepared = prepare(data, TrainingRecipe(format=file_format))  # type: ignore[arg-type]
    assert not {"exif", "icc_profile", "comment", "xmp", "dpi"} & set(shown(prepared).info)
    assert not any(mark in prepared.bytes for mark in (b"Exif", b"Test space", b"where I live", b"PK\x03\x04"))


def test_jpegs_store_colour_at_half_the_resolution() -> None:
    assert Image.open(io.BytesIO(prepare(encoded(drawing(), "png"), TrainingRecipe()).bytes)).layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]


def test_quality_is_that_of_the_recipe() -> None:
    noise = encoded(Image.effect_noise((200, 200), 60), "png")
    sizes = [len(prepare(noise, TrainingRecipe(quality=quality)).bytes) for quality in (30, 80, 95)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


def test_a_small_image_is_never_enlarged() -> None:
    prepared = prepare(encoded(drawing(), "png"), PNG)
    assert shown(prepared).tobytes() == drawing().tobytes()


@pytest.mark.parametrize(("size", "fitted"), [((1, 3000), (1, 512)), ((3000, 1), (512, 1)), ((1, 1), (1, 1))])
@pytest.mark.parametrize("file_format", FORMATS)
def test_thin_images_keep_a_side(file_format: str, size: tuple[int, int], fitted: tuple[int, int]) -> None:
    prepared = prepare(encoded(Image.new("RGB", size), "png"), TrainingRecipe(format=file_format))  # type: ignore[arg-type]
    assert shown(prepared).size == fitted


def test_an_image_is_turned_upright_and_says_so() -> None:
    prepared = prepare(encoded(drawing().transpose(Image.Transpose.ROTATE_90), "png", exif=exif(6)), PNG)
    assert prepared.was_rotated
    assert (prepared.upright_width, prepared.upright_height) == (60, 40)
    assert shown(prepared).tobytes() == drawing().tobytes()
    assert not prepare(encoded(drawing(), "png", exif=exif(1)), PNG).was_rotated


def test_a_large_rotated_jpeg_stands_upright_too() -> None:
    prepared = prepare(encoded(drawing(3000, 2000), "jpeg", exif=exif(8)), PNG)
    assert (prepared.width, prepared.height) == (341, 512)
    assert (prepared.upright_width, prepared.upright_height) == (2000, 3000)


@pytest.mark.parametrize(("line", "background"), [((0, 0, 0), "#ffffff"), ((255, 255, 255), "#000000")])
def test_line_art_stays_visible(line: tuple[int, int, int], background: str) -> None:
    prepared = prepare(encoded(line_art(line, size=1600, width=3), "png"), PNG)
    assert prepared.background == background
    darkest, brightest = shown(prepared).convert("L").getextrema()
    assert brightest - darkest > 200  # type: ignore[operator]


def test_edges_on_transparency_have_no_fringe() -> None:
    """White lines over hidden black: shrunk on transparency, they are as bright as when shrunk on black."""
    prepared = prepare(encoded(line_art((255, 255, 255), size=1600, width=9), "png"), PNG)
    expected = line_art((255, 255, 255), size=1600, width=9)
    flat = Image.alpha_composite(Image.new("RGBA", expected.size, (0, 0, 0, 255)), expected).convert("RGB")
    reference = np.asarray(flat.resize((512, 512), Image.Resampling.BICUBIC), float)
    assert np.abs(np.asarray(shown(prepared), float) - reference).mean() < 1


def test_an_opaque_image_has_no_background() -> None:
    assert prepare(encoded(drawing().convert("RGBA"), "png"), PNG).background is None


def test_a_profile_is_converted_and_said() -> None:
    prepared = prepare(encoded(drawing(), "png", icc_profile=icc_profile(2.2)), PNG)
    assert prepared.was_converted
    assert shown(prepared).tobytes() != drawing().tobytes()
    assert not prepare(encoded(drawing(), "png", icc_profile=b"broken"), PNG).was_converted


def test_cmyk_and_16_bit_come_out_in_their_colours() -> None:
    cmyk = shown(prepare(encoded(drawing().convert("CMYK"), "jpeg", quality=100), PNG))
    assert np.abs(np.asarray(cmyk, float) - np.asarray(drawing(), float)).mean() < 8
    grey = shown(prepare(png((2, 1), 16, 0, b"\0" + b"\x40\0" + b"\xff\xff"), PNG))
    assert np.asarray(grey)[0, :, 0].tolist() == [0x40, 0xFF]


def test_the_first_frame_of_an_animation_is_taken() -> None:
    assert shown(prepare(animated("png"), PNG)).tobytes() == drawing().tobytes()


def test_shrinking_while_decoding_costs_no_sight() -> None:
    image = drawing(2400, 1600)
    fast = np.asarray(shown(prepare(encoded(image, "jpeg", quality=98), PNG)), float)
    slow = np.asarray(image.resize((512, 341), Image.Resampling.LANCZOS), float)
    assert 20 * np.log10(255 / np.sqrt(((fast - slow) ** 2).mean())) > 32


def test_bytes_that_do_not_decode_are_not_prepared() -> None:
    with pytest.raises(UnreadableImage, match="truncated"):
        prepare(encoded(drawing(), "jpeg")[:-50], PNG)


@pytest.mark.parametrize(
    "settings", [{"max_side": 0}, {"max_side": 16_384, "format": "webp"}, {"quality": 0}, {"quality": 101}]
)
def test_a_recipe_that_no_encoder_can_follow_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|holds"):
        TrainingRecipe(**settings)  # type: ignore[arg-type]
