"""Models built by open_clip, exactly as named or not at all."""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from dataset_assets.models import clip_weights
from dataset_assets.models.clip_hub import CONFIG_NAME
from dataset_assets.models.clip_weights import LOCAL, ModelFiles
from dataset_assets.models.weight_files import ModelError


def load(files: ModelFiles, device: str, precision: str) -> tuple[Any, Callable[[Image.Image], Any]]:
    """The model and its transform.

    Raises: ModelError for whatever the loaders meet; a file is read by safetensors or by torch's weights-only reader.
    """
    import open_clip

    if files.tag:
        _require_fitting_tag(files, open_clip.get_pretrained_cfg(files.config_file.stem, files.tag))
    in_folder = files.config_file.name == CONFIG_NAME
    name = f"{LOCAL}{files.config_file.parent}" if in_folder else files.config_file.stem
    weights = None if in_folder else files.tag or str(files.weights_file)
    try:
        with _quiet_open_clip():
            loaded: tuple[Any, Callable[[Image.Image], Any]] = open_clip.create_model_from_pretrained(
                name, weights, precision=precision, device=device
            )
    except Exception as error:  # noqa: BLE001 - damaged or hostile files make the loaders raise anything
        raise ModelError(_what_went_wrong(files, error)) from None  # a run shows the innermost error: this one
    return loaded


def _what_went_wrong(files: ModelFiles, error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):  # torch's own words advise to run the file's code
        return (
            f"{files.weights_file}: is damaged, or holds more than weights, and such objects can run code when "
            "they are read; expected a file of weights alone, best as .safetensors"
        )
    found = f"{type(error).__name__}: {str(error)[:500]}"
    if files.weights_file:
        return f"{files.weights_file}: cannot be loaded as {files.name}; copy or fetch it again; {found}"
    return f"{files.name}: cannot be fetched or loaded; fetch it once where there is a network; {found}"


def _require_fitting_tag(files: ModelFiles, tag: Mapping[str, Any]) -> None:
    """Before gigabytes are fetched: refuse a tag that open_clip does not have, or of another activation function."""
    import open_clip

    name = files.config_file.stem
    if not tag:
        known = open_clip.list_pretrained_tags_by_model(name)
        raise ModelError(
            f"{files.block}.pretrained: open_clip has no weights {files.tag!r} for {name}"
            f"{clip_weights.suggest(str(files.tag), known)}; known are {', '.join(known) or 'none'}"
        )
    uses_it = bool(tag.get("quick_gelu", False))
    if uses_it != bool(files.config.get("quick_gelu", False)):
        raise clip_weights.quick_gelu_error(files, weights_use_it=uses_it)


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """Keep open_clip from logging each step to the root logger, which would set that logger up to print."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    root.addFilter(_is_not_of_open_clip)
    try:
        yield
    finally:
        root.removeFilter(_is_not_of_open_clip)
        root.removeHandler(silent)


def _is_not_of_open_clip(record: logging.LogRecord) -> bool:
    return "open_clip" not in Path(record.pathname).parts


def choose_device(wanted: str, block: str = "clip") -> str:
    """`cpu` or `cuda`. Raises: ModelError when a GPU is asked for and there is none."""
    import torch

    if wanted != "cpu" and torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise ModelError(
            f"{block}.device: cuda, but torch {torch.__version__} finds no GPU here; "
            f"set {block}.device: cpu, or auto to take what there is"
        )
    return "cpu"


def choose_precision(wanted: str, device: str) -> str:
    """bf16 or fp32. Weights are cast: autocast on a CPU is slower than fp32, and bf16 without AMX slower still."""
    import torch

    if wanted != "auto":
        return wanted
    suits = torch.cuda.is_bf16_supported() if device == "cuda" else torch.cpu.get_capabilities().get("amx_bf16", False)
    return "bf16" if suits else "fp32"
