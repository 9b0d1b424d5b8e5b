from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dataset_assets.sample import encoding

RAMP = Image.fromarray(np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8))
SEE_THROUGH = Image.merge("RGBA", (*RAMP.split(), RAMP.split()[0]))


def opened(name: str, picture: Image.Image = RAMP) -> Image.Image:
    return Image.open(BytesIO(encoding.ENCODINGS[name][1](picture)))


@pytest.mark.parametrize(
    ("name", "form", "mode"),
    [
        ("jpeg", "JPEG", "RGB"),
        ("progressive_jpeg", "JPEG", "RGB"),
        ("cmyk_jpeg", "JPEG", "CMYK"),
        ("misnamed_jpeg", "JPEG", "RGB"),
        ("png", "PNG", "RGB"),
        ("webp", "WEBP", "RGB"),
        ("gif", "GIF", "P"),
    ],
)
def test_file_is_of_its_format(name: str, form: str, mode: str) -> None:
    with opened(name) as picture:
        assert (picture.format, picture.mode, picture.size) == (form, mode, (64, 48))


def test_turned_jpeg_comes_upright_by_its_exif_entry() -> None:
    from PIL import ImageOps

    with opened("turned_jpeg") as picture:
        assert picture.size == (48, 64)
        upright = ImageOps.exif_transpose(picture)
    assert upright.size == (64, 48)
    assert np.abs(np.asarray(upright).astype(int) - np.asarray(RAMP)).mean() < 5


def test_indexed_png_keeps_its_transparency_in_the_palette() -> None:
    with opened("indexed_png", SEE_THROUGH) as picture:
        assert picture.mode == "P"
        assert "transparency" in picture.info
        assert np.asarray(picture.convert("RGBA"))[..., 3].min() < 40


def test_rough_jpeg_is_smaller() -> None:
    assert len(encoding.ENCODINGS["rough_jpeg"][1](RAMP)) < len(encoding.ENCODINGS["jpeg"][1](RAMP))


def test_misnamed_jpeg_is_called_png() -> None:
    assert encoding.ENCODINGS["misnamed_jpeg"][0] == "png"


def test_optimised_png_is_smaller_and_has_the_same_pixels() -> None:
    png = encoding.ENCODINGS["png"][1](RAMP)
    with Image.open(BytesIO(encoding.optimised_png(png))) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(RAMP))
    assert len(encoding.optimised_png(png)) < len(png)


def test_truncated_file_does_not_load() -> None:
    with (
        Image.open(BytesIO(encoding.truncated(encoding.ENCODINGS["jpeg"][1](RAMP.resize((600, 400)))))) as picture,
        pytest.raises(OSError, match="truncated"),
    ):
        picture.load()


def test_animated_gif_has_all_its_frames() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    with Image.open(BytesIO(encoding.animated_gif(frames))) as picture:
        assert picture.n_frames == 3


def test_video_is_made_of_whole_boxes() -> None:
    data, kinds = encoding.video(), []
    while data:
        kinds.append(data[4:8])
        data = data[int.from_bytes(data[:4], "big") :]
    assert kinds == [b"ftyp", b"free", b"mdat"]
