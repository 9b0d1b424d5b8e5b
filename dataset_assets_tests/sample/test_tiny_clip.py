import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_assets.sample.tiny_clip import CONFIG_FILE, NOTE_FILE, WEIGHTS_FILE, weights, write_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "models" / "tiny-clip-random"
    write_tiny_clip(folder)
    return folder


def test_model_is_small(folder: Path) -> None:
    assert (folder / WEIGHTS_FILE).stat().st_size < 1_000_000


def test_two_writes_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    write_tiny_clip(tmp_path)
    for name in (CONFIG_FILE, WEIGHTS_FILE, NOTE_FILE):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_model_says_that_it_is_random(folder: Path) -> None:
    assert json.loads((folder / CONFIG_FILE).read_text())["weights"] == "random"
    assert "random" in (folder / NOTE_FILE).read_text()


def test_damaged_weights_are_written_anew(tmp_path: Path) -> None:
    write_tiny_clip(tmp_path)
    whole = (tmp_path / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(whole[:1000])
    write_tiny_clip(tmp_path)
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == whole
    assert not list(tmp_path.glob(".*"))


def test_weights_are_of_the_scale_that_training_begins_with() -> None:
    for name, tensor in weights().items():
        assert tensor.dtype == np.float32
        assert np.isfinite(tensor).all()
        if tensor.ndim > 1:
            assert tensor.std() == pytest.approx(1 / math.sqrt(math.prod(tensor.shape[1:])), rel=0.1), name


def test_open_clip_loads_every_weight_and_tells_colours_apart(folder: Path) -> None:
    import open_clip
    import torch

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    state = model.state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in weights().items()
    }
    assert all(np.array_equal(state[name].numpy(), tensor) for name, tensor in weights().items())
    colours = ("#e03030", "#d83838", "#30c040")
    pictures = torch.stack([preprocess(Image.new("RGB", (64, 48), colour)) for colour in colours])
    with torch.inference_mode():
        vectors = model.eval().encode_image(pictures, normalize=True).numpy()
    assert vectors.shape == (3, 32)
    assert vectors[0] @ vectors[1] > 0.99 > vectors[0] @ vectors[2]
