import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from dataset_assets.domain.images import UnreadableImage, read
from dataset_assets.domain.training import Prepared, TrainingRecipe, parse_colour, prepare
from dataset_assets_tests.domain.pictures import animated, chunk, drawing, encoded, exif, icc_profile, line_art, png

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


@pytest.mark.parametrize(
    ("line", "background"),
    [
        ((0, 0, 0), "#ffffff"),
        ((255, 255, 255), "#000000"),
        ((120, 120, 120), "#ffffff"),
        ((135, 135, 135), "#000000"),
    ],
)
def test_line_art_stays_visible(line: tuple[int, int, int], background: str) -> None:
    prepared = prepare(encoded(line_art(line, size=1600, width=3), "png"), PNG)
    assert prepared.background == background
    darkest, brightest = shown(prepared).convert("L").getextrema()
    assert brightest - darkest > 100  # type: ignore[operator]


def test_a_bright_drawing_keeps_its_black_outline() -> None:
    image = Image.new("RGBA", (1500, 1500))
    ImageDraw.Draw(image).ellipse((100, 100, 1400, 1400), fill=(255, 230, 120, 255), outline=(0, 0, 0, 255), width=9)
    prepared = prepare(encoded(image, "png"), PNG)
    across = np.asarray(shown(prepared).convert("L"))[256]
    assert prepared.background == "#ffffff"
    assert across[:256].min() < 40  # the outline, between white paper and yellow


def test_edges_on_transparency_have_no_fringe() -> None:
    """White lines over hidden black: shrunk on transparency, they are as bright as when shrunk on black."""
    prepared = prepare(encoded(line_art((255, 255, 255), size=1600, width=9), "png"), PNG)
    expected = line_art((255, 255, 255), size=1600, width=9)
    flat = Image.alpha_composite(Image.new("RGBA", expected.size, (0, 0, 0, 255)), expected).convert("RGB")
    reference = np.asarray(flat.resize((512, 512), Image.Resampling.LANCZOS), float)
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


def shown_with(image: Image.Image, **how: object) -> tuple[Prepared, Image.Image]:
    prepared = prepare(encoded(image, "png"), TrainingRecipe(format="png", **how))  # type: ignore[arg-type]
    return prepared, shown(prepared)


def test_pad_puts_the_image_in_the_middle_of_a_white_box() -> None:
    prepared, image = shown_with(drawing(600, 400), max_side=300, fit="pad")
    assert image.size == (300, 300)
    assert (prepared.offset_x, prepared.offset_y) == (0, 50)
    assert (prepared.scale_x, prepared.scale_y) == (0.5, 0.5)
    assert image.getpixel((0, 49)) == (255, 255, 255)
    assert image.getpixel((299, 51)) != (255, 255, 255)


def test_padding_has_the_colour_that_is_asked_for_or_that_of_the_background() -> None:
    art = line_art((255, 255, 255)).crop((0, 0, 64, 32))
    assert shown_with(art, max_side=100, fit="pad")[1].getpixel((0, 0)) == (0, 0, 0)
    assert shown_with(art, max_side=100, fit="pad", padding="#102030")[1].getpixel((0, 0)) == (16, 32, 48)
    opaque_at_its_edge = drawing().convert("RGBA")
    opaque_at_its_edge.putpixel((30, 20), (255, 255, 255, 100))
    prepared, image = shown_with(opaque_at_its_edge, max_side=100, fit="pad")
    assert (prepared.background, image.getpixel((0, 0))) == ("#000000", (255, 255, 255))
    assert shown_with(drawing(), max_side=100, fit="pad", padding="black")[1].getpixel((0, 0)) == (0, 0, 0)


def test_crop_cuts_the_middle_and_says_from_where() -> None:
    whole = shown_with(drawing(600, 400), size=(450, 300))[1]
    prepared, image = shown_with(drawing(600, 400), max_side=300, fit="crop")
    assert (image.size, prepared.offset_x, prepared.offset_y) == ((300, 300), -75, 0)
    assert image.tobytes() == whole.crop((75, 0, 375, 300)).tobytes()


def test_outside_leaves_no_side_too_short_and_keep_touches_no_pixel() -> None:
    assert shown_with(drawing(600, 400), max_side=200, fit="outside")[1].size == (300, 200)
    assert shown_with(drawing(600, 400), fit="keep")[1].tobytes() == drawing(600, 400).tobytes()


def test_a_small_image_is_enlarged_when_asked() -> None:
    prepared, image = shown_with(drawing(), max_side=120, enlarge=True)
    assert (image.size, prepared.scale_x) == ((120, 80), 2.0)


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("file_format", ["png", "jpeg"])
@pytest.mark.parametrize("fit", ["inside", "outside", "pad", "crop"])
def test_a_box_drawn_on_the_upright_original_is_found_by_scale_and_offset(
    turn: int, file_format: str, fit: str
) -> None:
    """A red square is where the row's numbers say it is, however the file is stored."""
    upright = Image.new("RGB", (1200, 700), (255, 255, 255))
    upright.paste((255, 0, 0), (500, 300, 700, 420))
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = upright.transpose(turns[turn]) if turn in turns else upright
    data = encoded(stored, file_format, exif=exif(turn))
    prepared = prepare(data, TrainingRecipe(size=(320, 280), fit=fit, format="png"))  # type: ignore[arg-type]
    red = np.asarray(shown(prepared), int)
    rows, columns = np.nonzero((red[..., 0] - red[..., 1]) > 128)
    across, down = prepared.scale_x, prepared.scale_y
    assert abs(columns.min() - (500 * across + prepared.offset_x)) <= 1
    assert abs(columns.max() + 1 - (700 * across + prepared.offset_x)) <= 1
    assert abs(rows.min() - (300 * down + prepared.offset_y)) <= 1
    assert abs(rows.max() + 1 - (420 * down + prepared.offset_y)) <= 1


def test_a_background_that_is_asked_for_is_used() -> None:
    prepared, image = shown_with(line_art((255, 255, 255)), background="#336699")
    assert (prepared.background, image.getpixel((0, 0))) == ("#336699", (0x33, 0x66, 0x99))


def test_an_image_larger_than_the_format_holds_is_a_reason_and_no_crash() -> None:
    with pytest.raises(UnreadableImage, match="webp holds 16383"):
        prepare(encoded(Image.new("L", (17_000, 1)), "png"), TrainingRecipe(fit="keep", format="webp"))


@pytest.mark.parametrize("text", ["pink", "#12345", "#12345g", "fff", ""])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no colour"):
        parse_colour(text)


FILES = {
    "rgb": encoded(drawing(900, 600), "png"),
    "rgba": encoded(line_art((0, 0, 0), size=700), "png"),
    "opaque rgba": encoded(drawing(900, 600).convert("RGBA"), "png"),
    "grey": encoded(drawing(900, 600).convert("L"), "png"),
    "grey with alpha": encoded(line_art((90, 90, 90), size=700).convert("LA"), "png"),
    "palette": encoded(drawing(900, 600).quantize(16), "png"),
    "palette with alpha": encoded(drawing(900, 600).quantize(4), "png", transparency=bytes([255, 128, 0, 255])),
    "keyed": encoded(drawing(900, 600), "png", transparency=(250, 240, 200)),
    "16 bits": png((3, 1), 16, 0, b"\0" + b"\0\0" + b"\x80\x12" + b"\xff\xff"),
    "profile": encoded(drawing(900, 600), "png", icc_profile=icc_profile(2.2)),
    "rotated": encoded(drawing(900, 600), "png", exif=exif(6)),
    "rotated after its pixels": encoded(drawing(900, 600), "png")[:-12]
    + chunk(b"eXIf", exif(6)[6:])
    + chunk(b"IEND", b""),
    "interlaced later": encoded(drawing(900, 600), "png", compress_level=1),
    "animated": animated("png"),
    "jpeg": encoded(drawing(1900, 1300), "jpeg", quality=90, exif=exif(6)),
    "grey jpeg": encoded(drawing(900, 600).convert("L"), "jpeg"),
    "progressive jpeg": encoded(drawing(1900, 1300), "jpeg", progressive=True),
    "cmyk jpeg": encoded(drawing(900, 600).convert("CMYK"), "jpeg"),
    "webp": encoded(line_art((0, 0, 0), size=700), "webp", lossless=True),
    "gif": encoded(drawing(900, 600), "gif"),
    "bmp": encoded(drawing(900, 600), "bmp"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fit", ["inside", "keep"])
def test_an_image_comes_out_the_same_when_it_was_decoded_before(name: str, fit: str) -> None:
    recipe = TrainingRecipe(max_side=300, fit=fit)  # type: ignore[arg-type]
    decoded = read(FILES[name])
    before = (decoded.image.tobytes(), dict(decoded.image.info))
    assert prepare(FILES[name], recipe, decoded=decoded) == prepare(FILES[name], recipe)
    assert (decoded.image.tobytes(), dict(decoded.image.info)) == before, "what was decoded is not ours to change"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.integers(8, 3000), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_comes_out_the_same_when_it_was_decoded_before(name: str, at: int, damage: bytes) -> None:
    sound = FILES[name]
    data = sound[: at % len(sound)] + damage + sound[at % len(sound) + len(damage) :]
    recipe = TrainingRecipe(max_side=200)
    try:
        decoded = read(data)
    except UnreadableImage:
        return
    assert prepare(data, recipe, decoded=decoded) == prepare(data, recipe)


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
