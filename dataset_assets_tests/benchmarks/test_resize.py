import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.drawn_images import line_art, photo
from benchmarks.resize import compare, likeness


def test_contenders_are_compared_on_the_images_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    line_art(rng, 300, 200, on_transparency=True).save(tmp_path / "art.png")
    photo(rng, 300, 200).save(tmp_path / "photo.jpg", quality=92)
    compare(tmp_path, {"pillow": sys.executable, "ours": sys.executable}, rounds=1, side=100, quality=95)

    said = capsys.readouterr().out.splitlines()
    assert "2 images, to 100 px" in said[0]
    assert [line.split()[0] for line in said[1:3]] == ["pillow", "ours"]
    assert all("x" in line and "PSNR" in line for line in said[1:3])


def test_likeness_tells_a_good_copy_from_a_bad_one(tmp_path: Path) -> None:
    original = photo(np.random.default_rng(2), 300, 200)
    original.save(tmp_path / "original.png")
    for quality in (95, 20):
        original.resize((150, 100), Image.Resampling.LANCZOS).save(tmp_path / f"{quality}.jpg", quality=quality)

    good, bad = (likeness(tmp_path / "original.png", tmp_path / f"{quality}.jpg") for quality in (95, 20))
    assert good > bad + 3
    assert good > 30


def test_the_same_seed_draws_the_same_image() -> None:
    drawn = [line_art(np.random.default_rng(3), 120, 80).tobytes() for _ in range(2)]

    assert drawn[0] == drawn[1]
