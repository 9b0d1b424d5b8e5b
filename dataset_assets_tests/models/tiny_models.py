"""Tiny CLIP and CoCa models of equal bytes on every machine, in folders that `local-dir:` loads without a network."""

import json
import math
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

TINY_CLIP: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
TINY_COCA: dict[str, Any] = {
    "embed_dim": 32,
    "custom_text": True,
    "vision_cfg": {
        **TINY_CLIP["vision_cfg"],
        "attentional_pool": True,
        "attn_pooler_queries": 8,
        "attn_pooler_heads": 2,
        "output_tokens": True,
    },
    "text_cfg": {**TINY_CLIP["text_cfg"], "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {**TINY_CLIP["text_cfg"], "attn_pooler_heads": 2},
}


def make_local_dir(
    folder: Path, model_cfg: dict[str, Any], *, seed: int = 0, random: bool = True, gain: float = 1.0
) -> Path:
    """Write an open_clip model with random weights; `random` is whether its configuration says so."""
    import open_clip
    from open_clip.transform import PreprocessCfg
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    preprocess = {**asdict(PreprocessCfg()), "size": model_cfg["vision_cfg"]["image_size"]}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess, **({"weights": "random"} if random else {})}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    fill(model, seed, gain)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def fill(model: Any, seed: int, gain: float = 1.0) -> None:
    """Weights from each parameter's name: torch's generator, and tensors that open_clip leaves unset, play no part.

    The larger `gain`, the more do a model's words depend on what it sees and has said.
    """
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # norms and biases
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif parameter.ndim > 1:
                rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
                values = rng.standard_normal(tuple(parameter.shape)) * gain / math.sqrt(parameter[0].numel())
                parameter.copy_(torch.from_numpy(values))


BLIP_WORDS = ("a", "picture", "of", "girl", "cat", "with", "hair", "red", "blue", "sky", "and", "two", "##s", "house")
TINY_BLIP_TEXT: dict[str, Any] = {
    **{"hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
    **{"num_attention_heads": 2, "max_position_embeddings": 64, "projection_dim": 32, "is_decoder": True},
    **{"pad_token_id": 0, "sep_token_id": 2, "eos_token_id": 2},
}
TINY_BLIP_VISION: dict[str, Any] = {
    **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"image_size": 32, "patch_size": 8, "projection_dim": 32},
}


def make_blip_dir(folder: Path, *, seed: int = 0, random: bool = True, gain: float = 1.0) -> Path:
    """Write a BLIP captioner with random weights, as transformers would save a trained one."""
    from safetensors.torch import load_file, save_file
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    folder.mkdir(parents=True)
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", *BLIP_WORDS]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), bos_token="[DEC]", extra_special_tokens=["[ENC]"])
    tokenizer.save_pretrained(folder)
    text = {**TINY_BLIP_TEXT, "vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id}
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=TINY_BLIP_VISION))
    fill(model, seed, gain)
    model.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    marked = {**config, **({"weights": "random"} if random else {})}
    (folder / "config.json").write_text(json.dumps(marked, indent=2), "utf-8")
    return folder
