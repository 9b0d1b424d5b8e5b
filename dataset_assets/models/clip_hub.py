"""Models of Hugging Face: what is in this machine's cache, and what has to be fetched."""

from dataclasses import dataclass
from pathlib import Path

CONFIG_NAME = "open_clip_config.json"


@dataclass(frozen=True)
class Parts:
    """What makes a repository a model: all that is `needed`, the first of `weights` that it has, any of `besides`."""

    needed: tuple[str, ...]
    weights: tuple[str, ...]
    besides: tuple[str, ...] = ()


# The two that open_clip looks for in a repository.
OF_OPEN_CLIP = Parts((CONFIG_NAME,), ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))


def cached_folder(name: str, revision: str | None, parts: Parts = OF_OPEN_CLIP) -> Path | None:
    """The cached repository, when it holds what is needed and weights; looks at no network.

    Raises: ValueError when the name cannot be that of a repository.
    """
    from huggingface_hub import try_to_load_from_cache

    needed = [try_to_load_from_cache(name, file, revision=revision) for file in parts.needed]
    weights = [try_to_load_from_cache(name, file, revision=revision) for file in parts.weights]
    if not all(isinstance(file, str) for file in needed) or not any(isinstance(file, str) for file in weights):
        return None
    return Path(str(needed[0])).parent


def fetch(name: str, revision: str | None, parts: Parts = OF_OPEN_CLIP) -> None:
    """Fetch a repository's model into the cache.

    Raises: OSError when Hugging Face does not hand it out, or there is no network.
    """
    from huggingface_hub import hf_hub_download

    for file in parts.needed:
        hf_hub_download(name, file, revision=revision)
    for file in parts.besides:
        _fetch_if_there(name, file, revision)
    *others, last = parts.weights
    if not any(_fetch_if_there(name, file, revision) for file in others):
        hf_hub_download(name, last, revision=revision)


def _fetch_if_there(name: str, file: str, revision: str | None) -> bool:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        hf_hub_download(name, file, revision=revision)
    except EntryNotFoundError:
        return False
    return True
