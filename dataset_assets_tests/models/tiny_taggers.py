"""Tiny taggers that look at an image's colours: an ONNX graph, and one of timm's models."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROWS = (
    (9999999, "general", 9),
    (9999998, "sensitive", 9),
    (9999997, "questionable", 9),
    (9999996, "explicit", 9),
    (470575, "1girl", 0),
    (14599, "^_^", 0),
    (16867, "red_background", 0),
    (540830, "blue_sky", 0),
    (1, "hatsune_miku", 4),
)
NAMES = [name for _, name, _ in ROWS]
# For each channel, blue first: the weight of its mean (0 to 1) and the bias of the score, by tag. Others are near 0.
SEES = {
    "red_background": ((-8.0, -8.0, 12.0), -4.0),
    "blue_sky": ((12.0, -8.0, -8.0), -4.0),
    "hatsune_miku": ((8.0, 8.0, -20.0), -6.0),
    "1girl": ((1.0, 1.0, 1.0), -1.0),
    "general": ((0.0, 0.0, 0.0), 2.0),
    "explicit": ((-9.0, -9.0, 9.0), 0.0),
}


def write_labels(folder: Path, rows: Sequence[tuple[Any, ...]] = ROWS, header: str = "tag_id,name,category") -> None:
    with (folder / "selected_tags.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow([*header.split(","), "count"])
        lines.writerows([*row, 100] for row in rows)


def channel_weights() -> tuple[np.ndarray, np.ndarray]:
    weights, bias = np.zeros((3, len(NAMES)), np.float32), np.full(len(NAMES), -6.0, np.float32)
    for name, (channels, offset) in SEES.items():
        weights[:, NAMES.index(name)], bias[NAMES.index(name)] = channels, offset
    return weights, bias


def write_tiny_onnx(
    folder: Path, *, side: int = 16, batch: int | str = "batch", weights: np.ndarray | None = None
) -> Path:
    """A tagger with the inputs and outputs of v1-4 and v2: [batch, side, side, 3] of 0 to 255, blue first."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    of_channels, bias = channel_weights()
    constants = [
        numpy_helper.from_array(of_channels if weights is None else weights, "weights"),
        numpy_helper.from_array(bias, "bias"),
        numpy_helper.from_array(np.array([255.0], np.float32), "scale"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
    ]
    nodes = [
        helper.make_node("Div", ["input_1:0", "scale"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["predictions_sigmoid"]),
    ]
    image = helper.make_tensor_value_info("input_1:0", TensorProto.FLOAT, [batch, side, side, 3])
    scores = helper.make_tensor_value_info("predictions_sigmoid", TensorProto.FLOAT, [batch, len(NAMES)])
    graph = helper.make_graph(nodes, "tiny", [image], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    write_labels(folder)
    return folder


TIMM_CONFIG: dict[str, Any] = {
    "architecture": "vit_tiny_patch16_224",
    "num_classes": len(ROWS),
    "global_pool": "avg",
    "model_args": {
        **{"img_size": 32, "depth": 1, "embed_dim": 24, "num_heads": 2},
        **{"global_pool": "avg", "class_token": False, "fc_norm": False},
    },
    "pretrained_cfg": {
        "input_size": [3, 32, 32],
        "fixed_input_size": True,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": len(ROWS),
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    },
}


def write_tiny_timm(folder: Path) -> Path:
    """A tagger with the files of v3: random weights of a fixed seed."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(TIMM_CONFIG["architecture"], num_classes=len(ROWS), **TIMM_CONFIG["model_args"])
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(TIMM_CONFIG), "utf-8")
    write_labels(folder)
    return folder
