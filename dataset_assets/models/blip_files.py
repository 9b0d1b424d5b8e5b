"""Which BLIP model the settings name: its files, found and judged without importing transformers."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dataset_assets.models import clip_hub
from dataset_assets.models.clip_weights import HUB, LOCAL, UnknownDimension, minor_version, repository
from dataset_assets.models.weight_files import ModelError, read_json, require_readable, sha256, stamps

BLOCK = "captioner"
CODE_VERSION = 1  # changes with what the decoding writes
CONFIG_NAME = "config.json"
WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
# What decides how text becomes tokens; a repository has some of them.
TOKENIZER_NAMES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
MAX_SIDE = 2048
PARTS = clip_hub.Parts((CONFIG_NAME,), WEIGHT_NAMES, TOKENIZER_NAMES)


@dataclass(frozen=True)
class Sampling:
    """Words drawn by lot among the likeliest, each image by a seed of its own. Defaults: those of kohya's script."""

    seed: int = 42
    top_p: float = 0.9
    top_k: int = 50  # kohya's script does not say it; it is what transformers did for it


@dataclass(frozen=True)
class BlipSettings:
    """A BLIP model and how it writes; one beam is greedy. Lengths count tokens, those of the prompt included.

    `model` is `hf-hub:<owner>/<name>[@<revision>]`, or `local-dir:<folder>`, which relative to `folder` holds what
    `save_pretrained` of transformers writes. Defaults: those of kohya's `make_captions.py` with `--beam_search`.
    """

    model: str
    device: Literal["auto", "cpu", "cuda"]
    batch_size: int
    random_weights: bool
    folder: Path
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    prompt: str = "a picture of "
    beams: int = 1
    min_length: int = 5
    max_length: int = 75
    repetition_penalty: float = 1.0
    sampling: Sampling | None = None


@dataclass(frozen=True)
class BlipFiles:
    """A model as found."""

    name: str
    folder: Path
    weights_file: Path
    tokenizer_files: tuple[Path, ...]
    image_side: int
    is_random: bool

    @property
    def shown_name(self) -> str:
        """The name as it stands in tables; it says when the weights are random."""
        return f"{self.name} (random weights)" if self.is_random else self.name


def recipe(settings: BlipSettings) -> dict[str, str | int | float]:
    """What decides a caption, besides the image: equal parts, equal captions. Raises: ModelError."""
    files = find(settings)
    decoding = ("prompt", "beams", "min_length", "max_length", "repetition_penalty")
    lots = settings.sampling
    return {
        "kind": "blip",
        "model": files.shown_name,
        "weights": f"sha256:{sha256(files.weights_file)}",
        "config": f"sha256:{sha256(files.folder / CONFIG_NAME)}",
        **{file.name: f"sha256:{sha256(file)}" for file in files.tokenizer_files},
        **{name: minor_version(name) for name in ("transformers", "torch", "pillow")},
        "precision": settings.precision,
        "batch_size": settings.batch_size,
        "decoding": CODE_VERSION,
        **{name: getattr(settings, name) for name in decoding},
        "sampling": f"{lots.seed} {lots.top_p} {lots.top_k}" if lots else "none",
    }


def stamp(settings: BlipSettings) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of a model's own files, as far as they are local: cheap, and hashes nothing."""
    if settings.model.startswith(HUB):
        return []
    try:
        found = find(settings)
        return stamps([found.folder / CONFIG_NAME, found.weights_file, *found.tokenizer_files])
    except (ModelError, OSError):
        return []  # whoever loads it will say why


def find(settings: BlipSettings) -> BlipFiles:
    """Find the model's files, and refuse what would give wrong or meaningless captions. Fetches nothing.

    Raises: ModelError saying what was found and what to write instead.
    """
    _require_transformers()
    folder, name = _folder(settings)
    config = read_json(folder / CONFIG_NAME)
    _require_blip(folder, config, settings)
    side = config["vision_config"].get("image_size", 384)
    if type(side) is not int or not 1 <= side <= MAX_SIDE:
        raise ModelError(f"{folder / CONFIG_NAME}: image_size is {side!r}, expected 1 to {MAX_SIDE}")
    files = BlipFiles(
        name,
        folder,
        _weights(folder),
        tuple(folder / file for file in TOKENIZER_NAMES if (folder / file).is_file()),
        side,
        config.get("weights") == "random",
    )
    if not files.tokenizer_files:
        raise ModelError(f"{BLOCK}.model: {folder} holds no tokenizer; expected {TOKENIZER_NAMES[0]} or vocab.txt")
    if files.is_random != settings.random_weights:
        raise ModelError(_about_randomness(files))
    return files


def download(settings: BlipSettings) -> None:
    """Fetch a model of Hugging Face, unless this machine has it: what is here is kept, so no model changes unasked.

    Raises: ModelError when it cannot be fetched.
    """
    if not settings.model.startswith(HUB) or _cached(settings) is not None:
        return
    try:
        clip_hub.fetch(*repository(settings.model), PARTS)
    except OSError as error:
        raise ModelError(f"{BLOCK}.model: {settings.model} cannot be fetched: {error}") from None


def _require_transformers() -> None:
    if importlib.util.find_spec("transformers") is None:
        raise ModelError(
            f"{BLOCK}.kind: blip needs transformers, which is not installed; run `pip install 'dataset_assets[blip]'`"
        )


def _folder(settings: BlipSettings) -> tuple[Path, str]:
    """The model's folder and name."""
    model = settings.model
    if model.startswith(HUB):
        folder = _cached(settings)
        if folder is None:
            raise UnknownDimension(f"{BLOCK}.model: {model} is not on this machine yet; it is fetched when it is built")
        return folder, model.removeprefix(HUB)
    if not model.startswith(LOCAL):
        raise ModelError(f"{BLOCK}.model: {model!r} names no BLIP model; write {HUB}<owner>/<name> or {LOCAL}<folder>")
    folder = Path(os.path.abspath(settings.folder / Path(model.removeprefix(LOCAL)).expanduser()))
    if not folder.is_dir():
        raise ModelError(f"{BLOCK}.model: {folder} is no folder; expected one with {CONFIG_NAME} and a weight file")
    return folder, folder.name


def _cached(settings: BlipSettings) -> Path | None:
    try:
        return clip_hub.cached_folder(*repository(settings.model), PARTS)
    except ValueError as error:
        raise ModelError(f"{BLOCK}.model: {settings.model}: {error}") from None


def _require_blip(folder: Path, config: dict[str, Any], settings: BlipSettings) -> None:
    """Refuse another kind of model, which transformers would load with random weights and a line of its log."""
    found, text, vision = (config.get(key) for key in ("model_type", "text_config", "vision_config"))
    if found != "blip" or not isinstance(text, dict) or not isinstance(vision, dict):
        raise ModelError(f"{folder / CONFIG_NAME}: is of a model of type {found!r}, expected 'blip'")
    longest = text.get("max_position_embeddings", 512)
    if settings.max_length > longest:
        raise ModelError(
            f"{BLOCK}.max_length: {settings.max_length}, but {folder.name} writes at most {longest} tokens"
        )


def _weights(folder: Path) -> Path:
    for name in WEIGHT_NAMES:
        if (folder / name).is_file():
            require_readable(folder / name, BLOCK)
            return folder / name
    raise ModelError(f"{BLOCK}.model: {folder} holds no weights; expected {' or '.join(WEIGHT_NAMES)}")


def _about_randomness(files: BlipFiles) -> str:
    if files.is_random:
        return (
            f"{BLOCK}.model: the weights of {files.name} are random, so what it says means nothing; "
            f"to use it all the same, as a test may, set {BLOCK}.random_weights: true"
        )
    return (
        f"{BLOCK}.random_weights: true, but {files.name} is not marked as random "
        f'("weights": "random" in its {CONFIG_NAME}); leave random_weights out'
    )
