"""Weight files: which one of a folder is meant, what is certainly none, and what their bytes hash to."""

import functools
import hashlib
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_CONFIG_BYTES = 1_000_000
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")
# In a folder open_clip takes the first of these. Source: open_clip 3.3, factory._find_checkpoint_in_dir
FOLDER_WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
FOLDER_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")


class ModelError(Exception):
    """A model that cannot be used as the settings name it; the message is for the person who edits dataset.yaml."""


def weight_file(folder: Path, block: str = "clip") -> Path:
    """The file that open_clip would load from a folder."""
    for name in FOLDER_WEIGHT_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(file for suffix in FOLDER_WEIGHT_SUFFIXES for file in folder.glob(f"*{suffix}"))
    if not found:
        raise ModelError(f"{block}.model: {folder} holds no weights; expected {FOLDER_WEIGHT_NAMES[0]}")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ModelError(f"{block}.model: {folder} holds {names}; name the one that is meant {FOLDER_WEIGHT_NAMES[0]}")
    return found[0]


def require_readable(file: Path, block: str = "clip") -> None:
    """Refuse what is certainly no weight file, in better words than a loader would find.

    Raises: ModelError. Truncation and wrong tensors are left for the loader to find.
    """
    if not file.is_file():
        raise ModelError(f"{block}.pretrained: {file}: no such file")
    if file.suffix not in WEIGHT_SUFFIXES:
        raise ModelError(f"{file}: not a weight file by its name; expected one of {', '.join(WEIGHT_SUFFIXES)}")
    with file.open("rb") as stream:
        if stream.read(32).startswith(b"version https://git-lfs"):
            raise ModelError(f"{file}: is Git LFS's note about the weights, not the weights; run `git lfs pull` there")
    if file.suffix != ".safetensors" and _is_torchscript(file):
        raise ModelError(
            f"{file}: is a TorchScript archive, which holds code as well as weights; "
            f"convert it to .safetensors, or name its weights by tag, as in {block}.pretrained: openai"
        )


def _is_torchscript(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read_json(file: Path) -> dict[str, Any]:
    """A configuration file. Raises: ModelError."""
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ModelError(f"{file}: larger than {MAX_CONFIG_BYTES:,} bytes; this is no model's configuration")
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read as a model's configuration: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected a JSON object, found {type(content).__name__}")
    return content


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of each file: cheap, and hashes nothing. Raises: OSError."""
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def sha256(file: Path) -> str:
    """A file's SHA-256, hex."""
    found = file.stat()
    return _sha256_of(file, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256_of(file: Path, size: int, modified: int) -> str:
    """Reckoned once for each size and time of change: weights are gigabytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
