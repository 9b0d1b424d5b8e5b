"""A CLIP model of open_clip's format that is small, always the same, and random: it shows the way, not the meaning."""

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIG_FILE, WEIGHTS_FILE, NOTE_FILE = "open_clip_config.json", "open_clip_model.safetensors", "RANDOM_WEIGHTS.txt"
SEED = 0
VISION = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
# 64 words instead of 49,408, since no text is embedded: 0.6 MB instead of 6.6.
TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2}
DIM = 32

CONFIG: dict[str, Any] = {
    "weights": "random",
    "model_cfg": {"embed_dim": DIM, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT},
    "preprocess_cfg": {
        "size": VISION["image_size"],
        "mode": "RGB",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    },
}

NOTE = """The weights of this model are random numbers from a fixed seed. It has learnt nothing.

It is here so that the sample can be built without a download: every step runs as it does with a real model, and equal
images get equal vectors. Nothing else may be read out of its vectors. For a real model, set in dataset.yaml:

    clip: {model: ViT-L-14-quickgelu, pretrained: openai}
"""


def write_tiny_clip(folder: Path) -> None:
    """Write the model into the folder, for `local-dir:<folder>`; files that are right already are left alone."""
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / NOTE_FILE, NOTE.encode())
    _write(folder / CONFIG_FILE, (json.dumps(CONFIG, indent=2) + "\n").encode())
    _write(folder / WEIGHTS_FILE, save(weights()))


def _write(file: Path, content: bytes) -> None:
    if file.is_file() and file.read_bytes() == content:
        return
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, file)


def weights() -> dict[str, NDArray[np.float32]]:
    """Every tensor by its name in open_clip's CLIP."""
    patch, width, grid = VISION["patch_size"], VISION["width"], VISION["image_size"] // VISION["patch_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (TEXT["context_length"], TEXT["width"]),
        "text_projection": (TEXT["width"], DIM),
        "token_embedding.weight": (TEXT["vocab_size"], TEXT["width"]),
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (grid**2 + 1, width),
        "visual.proj": (width, DIM),
        "visual.conv1.weight": (width, 3, patch, patch),
        **_norm("visual.ln_pre", width),
        **_norm("visual.ln_post", width),
        **_norm("ln_final", TEXT["width"]),
    }
    for prefix, part in (("visual.transformer", VISION), ("transformer", TEXT)):
        for layer in range(part["layers"]):
            shapes |= _block(f"{prefix}.resblocks.{layer}", part["width"])
    tensors = {name: _tensor(name, shape) for name, shape in shapes.items()}
    return tensors | {"logit_scale": np.array(math.log(1 / 0.07), np.float32)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _block(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a transformer's layer."""
    return {
        **_norm(f"{name}.ln_1", width),
        f"{name}.attn.in_proj_weight": (3 * width, width),
        f"{name}.attn.in_proj_bias": (3 * width,),
        **_linear(f"{name}.attn.out_proj", width, width),
        **_norm(f"{name}.ln_2", width),
        **_linear(f"{name}.mlp.c_fc", width, 4 * width),
        **_linear(f"{name}.mlp.c_proj", 4 * width, width),
    }


def _tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Ones for a norm, zeros for a bias, else normal numbers scaled by the inputs, from a seed of the name's own."""
    if len(shape) == 1:
        return np.full(shape, 1.0 if name.endswith("weight") else 0.0, np.float32)
    numbers = np.random.default_rng([SEED, zlib.crc32(name.encode())]).standard_normal(shape)
    return (numbers / math.sqrt(math.prod(shape[1:]))).astype(np.float32)
