"""Texts as vectors: open_clip's own numbers, and every text that a model cannot read."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset_assets.models.clip_text import embed_texts
from dataset_assets.models.clip_weights import ClipSettings
from dataset_assets.models.weight_files import ModelError
from dataset_assets.sample.tiny_clip import write_tiny_clip
from dataset_assets_tests.models.tiny_models import TINY_CLIP, make_local_dir


def settings(folder: Path, *, random_weights: bool = True) -> ClipSettings:
    return ClipSettings("local-dir:tiny", None, "cpu", 8, random_weights, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_local_dir(folder / "tiny", TINY_CLIP)
    return folder


def test_vectors_are_those_of_open_clip_and_of_length_one(folder: Path) -> None:
    import open_clip
    import torch

    texts = ["a girl with a hat", "夜の街", "x" * 20_000]
    vectors = embed_texts(settings(folder), texts)

    model = open_clip.create_model_from_pretrained(f"local-dir:{folder / 'tiny'}", return_transform=False).eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folder / 'tiny'}")([text[:10_000] for text in texts])
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True).numpy()
    assert np.allclose(vectors, expected, atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(embed_texts(settings(folder), texts[:1]), embed_texts(settings(folder), texts[:1]))


def test_a_model_that_knows_no_such_words_says_so(tmp_path: Path) -> None:
    write_tiny_clip(tmp_path / "tiny")

    with pytest.raises(ModelError, match="knows 64 words"):
        embed_texts(settings(tmp_path), ["a girl"])


@pytest.mark.parametrize(
    ("tensor", "value", "words"),
    [
        ("text_projection", math.nan, r"weights of tiny hold NaN or infinity \(text_projection\)"),
        ("token_embedding.weight", math.inf, r"hold NaN or infinity \(token_embedding\.weight\)"),
        ("text_projection", 0.0, "gives NaN, infinity or zeros for the text"),
    ],
)
def test_a_text_side_without_sense_is_an_error(
    folder: Path, tmp_path: Path, tensor: str, value: float, words: str
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder / "tiny", tmp_path / "tiny")
    weights = tmp_path / "tiny" / "open_clip_model.safetensors"
    tensors = load_file(weights)
    tensors[tensor].view(-1)[-1 if value else slice(None)] = value  # a single number spoils the weights
    save_file(tensors, weights)

    with pytest.raises(ModelError, match=words):
        embed_texts(settings(tmp_path), ["a girl"])


def test_random_weights_are_refused_unless_asked_for(folder: Path) -> None:
    with pytest.raises(ModelError, match="random"):
        embed_texts(settings(folder, random_weights=False), ["a girl"])
