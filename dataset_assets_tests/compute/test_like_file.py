"""A file from outside, prepared in a worker."""

import io
import os
import zlib
from pathlib import Path

import pytest
from PIL import Image

from dataset_assets.compute.like_file import UnusablePicture, prepared
from dataset_assets.domain.training import TrainingRecipe, prepare
from dataset_assets_tests.mirror import picture

RECIPE = TrainingRecipe(max_side=64, format="png")


def test_a_file_is_prepared_as_training_images_are(tmp_path: Path) -> None:
    file = tmp_path / "any.png"
    file.write_bytes(picture(7, (200, 100)))

    assert prepared(file, RECIPE) == prepare(file.read_bytes(), RECIPE).bytes


def bomb() -> bytes:
    """A PNG that says it has 60,000 x 60,000 pixels."""
    with io.BytesIO() as buffer:
        Image.new("1", (8, 8)).save(buffer, "PNG")
        data = bytearray(buffer.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("data", [b"", b"not an image", picture(1)[:200], bomb()])
def test_a_hostile_file_is_told_and_not_taken(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "hostile.png"
    file.write_bytes(data)

    with pytest.raises(UnusablePicture, match=r"hostile.png: \w+: "):
        prepared(file, RECIPE)


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for name in ("pipe", "missing.png", "."):
        with pytest.raises(UnusablePicture, match="no such file"):
            prepared(tmp_path / name, RECIPE)
