import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from dataset_assets.domain.images import read
from dataset_assets.domain.rasters import JPEG_SPARE, decoded, resampled
from dataset_assets_tests.domain.pictures import chunk, drawing, encoded, exif, line_art


def opened(data: bytes) -> ImageFile.ImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, ImageFile.ImageFile)
    return image


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
    return float(20 * np.log10(255 / np.sqrt((difference**2).mean())))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_png_has_the_pixels_that_pillow_finds(mode: str) -> None:
    data = encoded(line_art((200, 30, 40), size=300).convert(mode), "png")
    raster = decoded(opened(data), data, reduction=1)
    assert raster is not None
    assert (raster.mode, bytes(raster.pixels)) == (mode, read(data).image.tobytes())


@pytest.mark.parametrize(
    ("reduction", "size"),
    [(1.0, (1600, 1200)), (3.4, (1600, 1200)), (2 * JPEG_SPARE, (800, 600)), (16.0, (200, 150))],
)
def test_a_jpeg_is_decoded_smaller_where_enough_is_left_for_the_filter(reduction: float, size: tuple[int, int]) -> None:
    data = encoded(drawing(1600, 1200), "jpeg")
    raster = decoded(opened(data), data, reduction)
    assert raster is not None
    assert raster.size == size


REFUSED = {
    "cmyk": encoded(drawing().convert("CMYK"), "jpeg"),
    "palette": encoded(drawing().quantize(4), "png"),
    "two levels": encoded(drawing().convert("1"), "png"),
    "keyed": encoded(drawing(), "png", transparency=(250, 240, 200)),
    "16 bits": encoded(drawing().convert("L").convert("I;16"), "png"),
    "gif": encoded(drawing(), "gif"),
    "exif at the end": encoded(drawing(), "png")[:-12] + chunk(b"eXIf", exif(6)[6:]) + chunk(b"IEND", b""),
    "more at the end": encoded(drawing(), "png") + b"more",
    "cut short": encoded(drawing(), "jpeg")[:-40],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_ordinary_or_not_whole_is_left_to_pillow(name: str) -> None:
    assert decoded(opened(REFUSED[name]), REFUSED[name], reduction=1) is None


def test_a_png_with_a_flipped_bit_in_its_pixels_is_left_to_pillow() -> None:
    data = bytearray(encoded(drawing(300, 200), "png"))
    data[data.index(b"IDAT") + 40] ^= 4
    assert decoded(opened(bytes(data)), bytes(data), reduction=1) is None


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "P", "1"])
@pytest.mark.parametrize("size", [(131, 87), (1, 1), (400, 1), (1200, 800)])
def test_every_mode_is_resampled_to_the_very_size(mode: str, size: tuple[int, int]) -> None:
    image = drawing(600, 400).convert(mode)
    made = resampled(image, size)
    assert made.size == size
    assert made.mode == {"P": "RGB", "1": "L"}.get(mode, mode)


def test_resampling_is_as_good_as_pillows_lanczos() -> None:
    image = drawing(1500, 1000)
    assert psnr(resampled(image, (512, 341)), image.resize((512, 341), Image.Resampling.LANCZOS)) > 40


def test_what_has_the_size_stays_as_it_is() -> None:
    art = line_art((200, 0, 0))
    assert resampled(art, art.size).tobytes() == art.tobytes()


def test_colours_hidden_under_transparency_do_not_bleed_into_edges() -> None:
    small = np.asarray(resampled(line_art((255, 255, 255), size=500, width=9), (173, 173)))
    visible = small[small[..., 3] > 16]  # fainter pixels have too few levels to hold a colour
    assert visible[:, :3].min() >= 240


def test_an_image_too_large_to_be_copied_is_averaged_first(monkeypatch: pytest.MonkeyPatch) -> None:
    image = drawing(2400, 1600).convert("RGBA")
    exact = resampled(image, (300, 200))
    monkeypatch.setattr("dataset_assets.domain.rasters._LARGE", 1_000_000)
    assert psnr(resampled(image, (300, 200)), exact) > 30
    assert resampled(image, (3000, 2000)).size == (3000, 2000)
