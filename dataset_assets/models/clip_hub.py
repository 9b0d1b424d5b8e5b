"""Models of Hugging Face: what is in this machine's cache, and what has to be fetched."""

from pathlib import Path

CONFIG_NAME = "open_clip_config.json"
# The two that open_clip looks for in a repository.
WEIGHT_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def cached_folder(name: str, revision: str | None) -> Path | None:
    """The cached repository, when it holds a configuration and weights; looks at no network.

    Raises: ValueError when the name cannot be that of a repository.
    """
    from huggingface_hub import try_to_load_from_cache

    config, *weights = [try_to_load_from_cache(name, file, revision=revision) for file in (CONFIG_NAME, *WEIGHT_NAMES)]
    if not isinstance(config, str) or not any(isinstance(file, str) for file in weights):
        return None
    return Path(config).parent


def fetch(name: str, revision: str | None) -> None:
    """Fetch a repository's configuration and weights into the cache.

    Raises: OSError when Hugging Face does not hand them out, or there is no network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    safe, other = WEIGHT_NAMES
    hf_hub_download(name, CONFIG_NAME, revision=revision)
    try:
        hf_hub_download(name, safe, revision=revision)
    except EntryNotFoundError:
        hf_hub_download(name, other, revision=revision)
