"""Which CLIP model the settings name: its configuration and its weights, found and judged without importing torch."""

import difflib
import functools
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dataset_assets.models import clip_hub
from dataset_assets.models.clip_hub import CONFIG_NAME
from dataset_assets.models.weight_files import (
    WEIGHT_SUFFIXES,
    ModelError,
    read_json,
    require_readable,
    sha256,
    stamps,
    weight_file,
)

LOCAL, HUB = "local-dir:", "hf-hub:"
MAX_DIMENSION = 65_536


class UnknownDimension(ModelError):
    """A model of Hugging Face that is not on this machine yet; building its embedder fetches it."""


@dataclass(frozen=True)
class ClipSettings:
    """The model behind `clip_embeddings`.

    `model` is an architecture of open_clip, `local-dir:<folder>` or `hf-hub:<owner>/<name>[@<revision>]`. `pretrained`
    is a tag of open_clip or a weight file; a folder or a repository brings its own weights, and a tag beside it says
    nothing. Relative paths start from `folder`. `precision: auto` is bf16 where the processor is made for it; vectors
    of different machines then agree to a cosine of 0.999, not to the bit. `block` is where dataset.yaml says all this,
    for messages.
    """

    model: str
    pretrained: str | None
    device: Literal["auto", "cpu", "cuda"]
    batch_size: int
    random_weights: bool
    folder: Path
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    block: str = "clip"


@dataclass(frozen=True)
class ModelFiles:
    """A model as found. Either `tag` or `weights_file` is given: a tag's weights are fetched by open_clip."""

    name: str
    config: Mapping[str, Any]
    config_file: Path
    tag: str | None
    weights_file: Path | None
    is_random: bool = False
    block: str = "clip"

    @property
    def shown_name(self) -> str:
        """The name as it stands in tables; it says when the weights are random."""
        return f"{self.name} (random weights)" if self.is_random else self.name

    @property
    def dimension(self) -> int:
        found = self.config.get("embed_dim")
        if type(found) is not int or not 1 <= found <= MAX_DIMENSION:
            raise ModelError(f"{self.config_file}: embed_dim is {found!r}, expected 1 to {MAX_DIMENSION}")
        return found


def embedding_dim(settings: ClipSettings) -> int:
    """The length of the model's vectors, read from its configuration.

    Raises: ModelError; UnknownDimension for a model of Hugging Face that is not on this machine yet.
    """
    return find(settings).dimension


def recipe(settings: ClipSettings) -> dict[str, str | int]:
    """What decides the numbers in a vector, besides the image: equal parts, equal vectors.

    The configuration's hash covers architecture and preprocessing; a tag stands for its weights, a file for its bytes.
    The device is left out: CPU and GPU agree to a cosine of 0.9999 at equal precision.
    Raises: as `embedding_dim`.
    """
    files = find(settings)
    return {
        "model": files.shown_name,
        "weights": f"sha256:{sha256(files.weights_file)}" if files.weights_file else f"tag:{files.tag}",
        "config": f"sha256:{sha256(files.config_file)}",
        "open_clip": minor_version("open_clip_torch"),
        "torch": minor_version("torch"),
        "pillow": minor_version("pillow"),
        "precision": settings.precision,
        "batch_size": settings.batch_size,
        "random_weights": int(files.is_random),
    }


def stamp(settings: ClipSettings) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of a model's own files, as far as they are local: cheap, and hashes nothing."""
    if settings.model.startswith(HUB):
        return []
    try:
        found = find(settings)
        in_folder = [found.config_file] if found.config_file.name == CONFIG_NAME else []
        return stamps([*in_folder, found.weights_file] if found.weights_file else [])
    except (ModelError, OSError):
        return []  # whoever loads it will say why


def find(settings: ClipSettings) -> ModelFiles:
    """Find the model's files, and refuse what would give wrong or meaningless vectors. Fetches nothing.

    Raises: ModelError saying what was found and what to write instead.
    """
    files = _named_by(settings)
    if files.is_random and not settings.random_weights:
        raise ModelError(
            f"{files.block}.model: the weights of {files.name} are random, so what it says means nothing; "
            f"to use it all the same, as a test may, set {files.block}.random_weights: true"
        )
    if settings.random_weights and not files.is_random:
        raise ModelError(
            f"{files.block}.random_weights: true, but {files.name} is not marked as random "
            f'("weights": "random" in its {CONFIG_NAME}); leave random_weights out'
        )
    if files.weights_file:
        require_readable(files.weights_file, files.block)
        _require_no_download(files)
    _require_quick_gelu(files)
    return files


def download(settings: ClipSettings) -> None:
    """Fetch a model of Hugging Face, unless this machine has it: what is here is kept, so no model changes unasked.

    Does nothing for the other models: a folder is here, and open_clip fetches its own tags.
    Raises: ModelError when it cannot be fetched.
    """
    if not settings.model.startswith(HUB):
        return
    try:
        _snapshot(settings)
    except UnknownDimension:
        try:
            clip_hub.fetch(*repository(settings.model))
        except OSError as error:
            raise ModelError(f"{settings.block}.model: {settings.model} cannot be fetched: {error}") from None


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known name that was probably meant."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def quick_gelu_error(files: ModelFiles, weights_use_it: bool) -> ModelError:
    """The error for weights whose activation function is not the architecture's."""
    name = files.config_file.stem
    other = f"{name}-quickgelu" if weights_use_it else name.removesuffix("-quickgelu")
    fits = f"set {files.block}.model: {other}" if other in _architectures() else 'set "quick_gelu" in its model_cfg'
    was, has = ("with", "without") if weights_use_it else ("without", "with")
    return ModelError(
        f"{files.block}.model: the weights of {files.name} were trained {was} QuickGELU and the architecture is {has} "
        f"it, so all that it says would be slightly wrong, and nothing would say so; {fits}"
    )


def _named_by(settings: ClipSettings) -> ModelFiles:
    if not settings.model.startswith((LOCAL, HUB)):
        return _of_architecture(settings)
    if settings.pretrained and _is_path(settings.pretrained):
        raise ModelError(
            f"{settings.block}.pretrained: {settings.pretrained} is a file, but {settings.model} brings its own "
            "weights; leave one of the two out"
        )
    if settings.model.startswith(HUB):
        return _in_folder(_snapshot(settings), settings.model.removeprefix(HUB), settings.block)
    folder = _resolve(settings, settings.model.removeprefix(LOCAL))
    return _in_folder(folder, folder.name, settings.block)


def _of_architecture(settings: ClipSettings) -> ModelFiles:
    """A model of open_clip's own list, with a tag's weights or a file's."""
    name, known, block = settings.model.replace("/", "-"), _architectures(), settings.block
    if name not in known:
        raise ModelError(f"{block}.model: open_clip knows no model {settings.model!r}{suggest(name, known)}")
    config = read_json(known[name])
    if not settings.pretrained:
        raise ModelError(
            f"{block}.pretrained: missing; {name} needs a tag of open_clip, such as openai, or a weight file"
        )
    if _is_path(settings.pretrained):
        file = _resolve(settings, settings.pretrained)
        return ModelFiles(f"{name}/{file.name}", config, known[name], None, file, block=block)
    tag = settings.pretrained.lower().replace("-", "_")  # as open_clip spells them
    return ModelFiles(f"{name}/{tag}", config, known[name], tag, None, block=block)


def _in_folder(folder: Path, name: str, block: str) -> ModelFiles:
    """A model that stands in a folder: configuration and weights."""
    file = folder / CONFIG_NAME
    if not folder.is_dir():
        raise ModelError(f"{block}.model: {folder} is no folder; expected one with {CONFIG_NAME} and a weight file")
    content = read_json(file)
    config = content.get("model_cfg")
    if not isinstance(config, dict):
        raise ModelError(f"{file}: has no model_cfg; expected a configuration as open_clip writes it")
    is_random = content.get("weights") == "random"
    return ModelFiles(name, config, file, None, weight_file(folder, block), is_random, block)


def _require_no_download(files: ModelFiles) -> None:
    """Refuse a configuration of local weights that would fetch further parts at load time."""
    text, vision = files.config.get("text_cfg"), files.config.get("vision_cfg")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        raise ModelError(f"{files.config_file}: expected text_cfg and vision_cfg in its model_cfg")
    wanted = text.get("hf_model_name") or (":" in (tower := str(vision.get("timm_model_name", ""))) and tower)
    if wanted:
        raise ModelError(
            f"{files.config_file}: a tower would be fetched from the network ({wanted}); "
            "expected a model whose parts are all in its weight file"
        )


def _require_quick_gelu(files: ModelFiles) -> None:
    """Refuse OpenAI's weights in the architecture without QuickGELU, which open_clip would load with a mere warning.

    Files are judged by their name. Other tags are compared with open_clip's own table when they are loaded.
    """
    hint = files.name.rpartition("/")[2].lower()
    uses_it = hint == "openai" if files.tag else "openai" in hint or "quickgelu" in hint
    if uses_it and not files.config.get("quick_gelu", False):
        raise quick_gelu_error(files, weights_use_it=True)


def _is_path(pretrained: str) -> bool:
    return "/" in pretrained or os.sep in pretrained or pretrained.endswith(WEIGHT_SUFFIXES)


def _resolve(settings: ClipSettings, path: str) -> Path:
    return Path(os.path.abspath(settings.folder / Path(path).expanduser()))


@functools.cache
def _architectures() -> dict[str, Path]:
    """open_clip's own models by name, each with its configuration file."""
    package = importlib.util.find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        raise ModelError("open_clip is not installed; run `pip install open_clip_torch`")
    folder = Path(package.submodule_search_locations[0]) / "model_configs"
    return {file.stem: file for file in sorted(folder.glob("*.json"))}


def minor_version(distribution: str) -> str:
    """Major and minor version of an installed distribution."""
    return ".".join(importlib.metadata.version(distribution).split(".")[:2])


def repository(model: str) -> tuple[str, str | None]:
    """Name and revision of `hf-hub:<owner>/<name>[@<revision>]`."""
    name, _, revision = model.removeprefix(HUB).partition("@")
    return name, revision or None


def _snapshot(settings: ClipSettings) -> Path:
    """The folder of a Hugging Face model in this machine's cache."""
    model, block = settings.model, settings.block
    try:
        folder = clip_hub.cached_folder(*repository(model))
    except ValueError as error:
        raise ModelError(f"{block}.model: {model}: {error}") from None
    if folder is None:
        raise UnknownDimension(
            f"{block}.model: {model} is not on this machine yet; it is fetched when it is first built"
        )
    return folder
