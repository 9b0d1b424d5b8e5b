"""Which tagger the settings name: its files, found and judged without loading the model."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dataset_assets.models.weight_files import ModelError, read_json, require_readable, sha256, stamps

LABELS, ONNX, TIMM_CONFIG, TIMM_WEIGHTS = "selected_tags.csv", "model.onnx", "config.json", "model.safetensors"
# What each way of running a model reads, besides the labels.
READ_BY = {"onnx": (ONNX,), "timm": (TIMM_CONFIG, TIMM_WEIGHTS)}
Runtime = Literal["onnx", "timm"]


@dataclass(frozen=True)
class TaggerSettings:
    """The model behind `predicted_tags`.

    `model` is a folder (relative ones start from `folder`) or a repository of Hugging Face,
    `<owner>/<name>[@<revision>]`, of `selected_tags.csv` beside `model.onnx`, or beside timm's `config.json` and
    `model.safetensors`.
    `runtime: auto` takes ONNX where both are there and onnxruntime is installed. `provider` is onnxruntime's own name
    of what executes the model; without one, `device` decides.
    """

    model: str
    floor: float
    batch_size: int
    device: Literal["auto", "cpu", "cuda"]
    folder: Path
    runtime: Literal["auto", "onnx", "timm"] = "auto"
    provider: str | None = None


@dataclass(frozen=True)
class TaggerFiles:
    """A tagger as found."""

    name: str
    folder: Path
    runtime: Runtime

    @property
    def labels(self) -> Path:
        return self.folder / LABELS

    @property
    def onnx(self) -> Path:
        return self.folder / ONNX

    @property
    def weights(self) -> Path:
        return self.folder / TIMM_WEIGHTS

    def config(self) -> dict[str, Any]:
        """timm's `config.json`. Raises: ModelError."""
        return read_json(self.folder / TIMM_CONFIG)


def find(settings: TaggerSettings) -> TaggerFiles:
    """Find the model's files, fetching those of a repository that are not on this machine yet.

    Raises: ModelError saying what was found and what to write instead.
    """
    folder = _local_folder(settings)
    if not folder.is_dir():
        folder = _fetched(settings)
    runtime = _runtime(settings, folder)
    for name in (LABELS, *READ_BY[runtime]):
        if not (folder / name).is_file():
            raise ModelError(f"tagger.model: {folder} has no {name}; a tagger is {LABELS} and {_or_the_other()}")
    if runtime == "timm":
        require_readable(folder / TIMM_WEIGHTS, "tagger")
    return TaggerFiles(settings.model, folder, runtime)


def stamp(settings: TaggerSettings) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of a tagger's own files, as far as they are local: cheap, and hashes nothing."""
    if not _local_folder(settings).is_dir():
        return []
    try:
        files = find(settings)
        return stamps(files.folder / name for name in (LABELS, *READ_BY[files.runtime]))
    except (ModelError, OSError):
        return []  # whoever loads it will say why


def _local_folder(settings: TaggerSettings) -> Path:
    return (settings.folder / Path(settings.model).expanduser()).absolute()


def _or_the_other() -> str:
    return f"{ONNX}, or {TIMM_CONFIG} and {TIMM_WEIGHTS}"


def _runtime(settings: TaggerSettings, folder: Path) -> Runtime:
    """How the model is run; a runtime that is missing is never replaced unasked."""
    if settings.runtime == "timm":
        return "timm"
    has_library = importlib.util.find_spec("onnxruntime") is not None
    has_timm_files = all((folder / name).is_file() for name in READ_BY["timm"])
    if settings.runtime == "onnx" or (folder / ONNX).is_file():
        if has_library:
            return "onnx"
        if settings.runtime == "auto" and has_timm_files:
            return "timm"
        raise ModelError(
            "tagger.runtime: onnxruntime is not installed; `pip install 'dataset_assets[tagger]'`, or [tagger-gpu] "
            "for a GPU; a model that also has timm's files runs without it, with tagger.runtime: timm"
        )
    return "timm" if has_timm_files else "onnx"


def _fetched(settings: TaggerSettings) -> Path:
    """The folder of a repository of Hugging Face in this machine's cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    name, _, revision = settings.model.partition("@")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelError(
            f"tagger.model: {settings.folder / settings.model} is no folder, and {settings.model} no repository of "
            "Hugging Face; expected one such as SmilingWolf/wd-v1-4-vit-tagger-v2"
        )
    uses_onnx = settings.runtime != "timm" and importlib.util.find_spec("onnxruntime") is not None
    wanted = (LABELS, *READ_BY["onnx" if uses_onnx or settings.runtime == "onnx" else "timm"])
    try:
        files = [
            _cached(name, file, revision or None) or hf_hub_download(name, file, revision=revision or None)
            for file in wanted
        ]
    except (OSError, HFValidationError, EntryNotFoundError) as error:
        found = f"{type(error).__name__}: {str(error)[:500]}"
        raise ModelError(f"tagger.model: {settings.model} cannot be fetched; {found}") from None
    return Path(files[0]).parent


def _cached(name: str, file: str, revision: str | None) -> str | None:
    """A file of this machine's cache: what is here is kept, so that no model changes unasked."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file, revision=revision)
    return found if isinstance(found, str) else None


def recipe(settings: TaggerSettings) -> dict[str, str | int | float]:
    """What decides the scores of an image: equal parts, equal rows. Devices agree to the third decimal.

    Raises: ModelError.
    """
    files = find(settings)
    names = READ_BY[files.runtime]
    library = {"onnx": "onnxruntime", "timm": "timm"}[files.runtime]
    return {
        "model": files.name,
        **{name: f"sha256:{sha256(files.folder / name)}" for name in (LABELS, *names)},
        "runtime": f"{library} {_minor(library)}",
        "pillow": _minor("pillow"),
        "floor": settings.floor,
        "batch_size": settings.batch_size,
    }


def _minor(library: str) -> str:
    names = [library, f"{library}-gpu"]
    for name in names:
        try:
            return ".".join(importlib.metadata.version(name).split(".")[:2])
        except importlib.metadata.PackageNotFoundError:
            continue
    raise ModelError(f"tagger: {library} is not installed")
