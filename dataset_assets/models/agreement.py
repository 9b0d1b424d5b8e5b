"""Whether a model gives the vectors that somebody published."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset_assets.models import clip_hub, clip_weights
from dataset_assets.models.clip import EmbedShard
from dataset_assets.models.clip_weights import HUB, LOCAL, ClipSettings, ModelFiles
from dataset_assets.models.model_inputs import ReadShard, both_steps
from dataset_assets.models.weight_files import ModelError


def named_model(name: str, settings: ClipSettings, block: str) -> ClipSettings:
    """The settings of a model that is named as `clip_embeddings` names its own: `ViT-L-14-quickgelu/openai`.

    `local-dir:` and `hf-hub:` work too. All else is as in `settings`.
    Raises: ModelError when the name is of no such form.
    """
    if name.startswith((LOCAL, HUB)):
        return replace(settings, model=name, pretrained=None, block=block)
    model, _, pretrained = name.partition("/")
    if not pretrained:
        raise ModelError(f"{block}: {name!r} names no model and its weights, as in ViT-L-14-quickgelu/openai")
    return replace(settings, model=model, pretrained=pretrained, block=block)


def require_here(settings: ClipSettings, dimension: int) -> None:
    """Refuse a model that would have to be fetched first, or that makes vectors of another length.

    Raises: ModelError saying which.
    """
    files = clip_weights.find(settings)
    if files.dimension != dimension:
        raise ModelError(f"{settings.block}: {files.name} makes {files.dimension} numbers, published are {dimension}")
    if files.tag and not _is_cached(files):
        raise ModelError(f"{settings.block}: the weights of {files.name} are not on this machine")


def _is_cached(files: ModelFiles) -> bool:
    """Whether a tag's weights lie where open_clip would put them."""
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    tag = open_clip.get_pretrained_cfg(files.config_file.stem, files.tag) or {}
    repository, _, file = str(tag.get("hf_hub", "")).rpartition("/")
    if repository:
        names = {file, *clip_hub.OF_OPEN_CLIP.weights} - {""}
        return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
    name = str(tag.get("url", "")).rpartition("/")[2]
    return bool(name) and (Path.home() / ".cache" / "clip" / name).is_file()


@dataclass(frozen=True)
class AgreementShard:
    """Compares rows of `image_id`, `path` and `embedding`, the published vector, with what the model gives.

    In two steps, as EmbedShard: `reader` makes inputs, `work` makes vectors of them.
    """

    read: Callable[[str], bytes]
    settings: ClipSettings

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of `embedding_agreement` for each row, in their order."""
        return both_steps(self, rows, self.settings.batch_size)

    def reader(self) -> ReadShard:
        """What makes the model's inputs, and hands the published vectors on."""
        return replace(EmbedShard(self.read, self.settings).reader(), kept=("embedding",))

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """Rows of `embedding_agreement`, batch by batch, one batch late."""
        published: dict[str, Any] = {}
        for made in EmbedShard(self.read, self.settings).work(_noted(batches, published)):
            yield [_compared(own, published.pop(own["image_id"])) for own in made]


def _noted(
    batches: Iterable[Sequence[dict[str, Any]]], published: dict[str, Any]
) -> Iterator[Sequence[dict[str, Any]]]:
    """The batches, with their published vectors noted by image_id."""
    for rows in batches:
        published.update((row["image_id"], row["embedding"]) for row in rows)
        yield rows


def _compared(own: Mapping[str, Any], published: Sequence[float]) -> dict[str, Any]:
    return {
        "image_id": own["image_id"],
        "error": own["error"],
        "cosine": None if own["error"] else _cosine(own["embedding"], np.asarray(published)),
        "model": own["model"],
        "weights": own["weights"],
    }


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    first, second = one.astype(np.float64), other.astype(np.float64)
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
