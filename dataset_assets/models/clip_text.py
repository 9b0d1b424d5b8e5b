"""Texts as vectors of a CLIP model, in the space of its image vectors."""

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataset_assets.models import clip_weights
from dataset_assets.models.clip import unit_length, usable
from dataset_assets.models.clip_hub import CONFIG_NAME
from dataset_assets.models.clip_loading import choose_device, load
from dataset_assets.models.clip_weights import HUB, LOCAL, ClipSettings, ModelFiles
from dataset_assets.models.finite import require_finite_weights
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch

MAX_CHARACTERS = 10_000  # far more than any text tower reads


def embed_texts(settings: ClipSettings, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts, by open_clip's tokenizer and text tower in single precision: (len(texts), dim) float32.

    Each is of length 1, so that a dot product with an image's vector is their cosine. A text longer than the tower
    reads is cut by the tokenizer.
    Raises: ModelError as for the images; when the model reads no text, or gives no direction for one.
    """
    import torch

    clip_weights.download(settings)
    files = clip_weights.find(settings)
    device = choose_device(settings.device)
    model, _ = load(files, device, "fp32")
    require_finite_weights(model, files.name, settings.block)
    tokens = _tokens(settings, files, [unicodedata.normalize("NFC", text)[:MAX_CHARACTERS] for text in texts])
    _require_known_words(model, files, tokens)
    with torch.inference_mode():
        features = model.eval().encode_text(tokens.to(device))
    vectors = unit_length(features.float().cpu().numpy())
    _require_vectors(vectors, (len(texts), files.dimension), files.name)
    return vectors


def _require_vectors(vectors: np.ndarray, shape: tuple[int, int], name: str) -> None:
    """Refuse what cannot be compared with an image's vector."""
    if vectors.shape != shape:
        raise ModelError(f"{name}: gives {vectors.shape[1]} numbers for a text and {shape[1]} for an image")
    if not usable(vectors).all():
        raise ModelError(
            f"{name}: gives NaN, infinity or zeros for the text; search by likeness, or with other weights"
        )


def _tokens(settings: ClipSettings, files: ModelFiles, texts: list[str]) -> "torch.Tensor":
    import open_clip

    name = files.config_file.stem
    if files.config_file.name == CONFIG_NAME:
        name = settings.model.partition("@")[0] if settings.model.startswith(HUB) else _in_folder(files.config_file)
    try:
        tokenizer: Callable[[list[str]], torch.Tensor] = open_clip.get_tokenizer(name)
        return tokenizer(texts)
    except Exception as error:  # a tokenizer of the hub is fetched, and a folder's configuration may name anything
        raise ModelError(f"{files.name}: its tokenizer cannot be had: {type(error).__name__}: {error}") from error


def _in_folder(config_file: Path) -> str:
    return f"{LOCAL}{config_file.parent}"


def _require_known_words(model: object, files: ModelFiles, tokens: "torch.Tensor") -> None:
    """Refuse a text whose words the tower has no vectors for: it would read past the end of them."""
    tower = getattr(model, "text", model)
    words = getattr(getattr(tower, "token_embedding", None), "num_embeddings", None)
    if words is not None and int(tokens.max()) >= words:
        raise ModelError(
            f"{files.name}: knows {words} words, and the text has others; this model cannot read texts, "
            "search with one that can, or by likeness"
        )
