"""Preprocessing in Pillow alone, against open_clip's own transform, bit by bit."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.models.clip_preprocessing import Preprocessing, probe_pictures

CONFIGS: list[dict[str, Any]] = [
    {},
    {"size": 31},
    {"size": (32, 32), "resize_mode": "squash"},
    {"interpolation": "bilinear", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
]
UNKNOWN: list[dict[str, Any]] = [
    {"resize_mode": "longest"},
    {"size": (32, 48)},
    {"interpolation": "random"},
    {"mean": 0.5},
]


def both(config: dict[str, Any]) -> tuple[Preprocessing | None, Callable[[Image.Image], Any]]:
    """Ours and open_clip's, of one configuration."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    whole = PreprocessCfg(**{"size": 32, **config})
    return Preprocessing.of(asdict(whole)), image_transform_v2(whole, is_train=False)


@pytest.mark.parametrize("config", CONFIGS)
def test_numbers_are_those_of_open_clip(config: dict[str, Any]) -> None:
    own, transform = both(config)
    assert own is not None
    assert own.agrees_with(transform)


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 200), height=st.integers(1, 200), mode=st.sampled_from(["RGB", "L", "RGBA", "CMYK", "1"]))
def test_every_size_and_mode_gives_the_numbers_of_open_clip(width: int, height: int, mode: str) -> None:
    import torch

    own, transform = both({})
    assert own is not None
    noise = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(noise).convert(mode)
    made = own.numbers(torch.from_numpy(own(image).copy()).unsqueeze(0))[0]
    assert torch.equal(made, transform(image))


@pytest.mark.parametrize("config", UNKNOWN)
def test_what_is_not_done_here_is_left_to_the_model(config: dict[str, Any]) -> None:
    assert both(config)[0] is None


@pytest.mark.parametrize(
    "change",
    [{"resampling": Image.Resampling.LANCZOS}, {"mean": (0.5, 0.5, 0.5)}, {"size": 33}, {"keeps_ratio": False}],
)
def test_other_numbers_are_noticed(change: dict[str, Any]) -> None:
    own, transform = both({})
    assert own is not None
    assert not replace(own, **change).agrees_with(transform)


def test_probes_are_the_same_each_time() -> None:
    assert [image.tobytes() for image in probe_pictures()] == [image.tobytes() for image in probe_pictures()]


def test_a_process_that_only_decodes_needs_no_torch() -> None:
    own, _ = both({})
    code = (
        "import pickle, sys; from PIL import Image; import dataset_assets.models.clip;"
        f"made = pickle.loads({pickle.dumps(own)!r})(Image.new('RGB', (50, 40)));"
        "assert made.shape == (32, 32, 3); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
