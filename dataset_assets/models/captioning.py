"""Captions that models write: what a captioner is, and training images as rows of `model_captions`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from dataset_assets.models import blip, blip_files, clip_weights, coca
from dataset_assets.models.blip_files import BlipSettings
from dataset_assets.models.coca import CocaSettings
from dataset_assets.models.model_inputs import READ_ERRORS, Preparation, ReadShard, both_steps, numbers_of, readable

if TYPE_CHECKING:
    import torch

__all__ = ["ERRORS", "BlipSettings", "CaptionShard", "CocaSettings", "captioner_of", "download", "recipe", "stamp"]

# Why an image has no caption. bad_output: the model's numbers are NaN or infinite; empty_caption: it has no words.
ERRORS = (*READ_ERRORS, "bad_output", "empty_caption")

CaptionerSettings = CocaSettings | BlipSettings


class Captioner(Protocol):
    """A model that writes captions."""

    name: str
    weights: str  # trained, or random
    batch_size: int
    device: str
    reads_apart: bool
    preparation: Preparation

    def write(self, inputs: "Sequence[torch.Tensor]", image_ids: Sequence[str]) -> list[tuple[str, float]]:
        """A caption and its score for each input, at most a batch of them, whatever stands beside it.

        A score is the mean log-probability that the model gives each token of the caption: 0 is certainty; NaN = the
        model gave no numbers.
        """


@dataclass(frozen=True)
class CaptionShard:
    """Captions rows of `image_id` and `path`, in two steps: `reader` makes inputs, `work` makes captions of them.

    `read` gives a path's bytes, and raises FileNotFoundError when there are none.
    """

    read: Callable[[str], bytes]
    settings: CaptionerSettings

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of `model_captions` for each row, in their order; `error` is one of ERRORS, or null."""
        return both_steps(self, rows, captioner_of(self.settings).batch_size)

    def reader(self) -> ReadShard:
        """What makes the model's inputs; the model is built here, for it says how."""
        return ReadShard(self.read, captioner_of(self.settings).preparation)

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """Rows of `model_captions`, batch by batch, of the model's batch size at most."""
        captioner = captioner_of(self.settings)
        for rows in batches:
            yield _rows(captioner, rows)


def _rows(captioner: Captioner, read: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    seen = readable(read)
    written: Iterator[tuple[str, float]] = iter(())
    if seen:
        inputs = numbers_of(captioner.preparation, [row["input"] for row in seen])
        written = iter(captioner.write(list(inputs), [row["image_id"] for row in seen]))
    found = [(row["input"], None, None) if isinstance(row["input"], str) else _judged(*next(written)) for row in read]
    return [
        {
            "image_id": row["image_id"],
            "error": error,
            "caption": caption,
            "score": score,
            "caption_model": captioner.name,
            "weights": captioner.weights,
        }
        for row, (error, caption, score) in zip(read, found, strict=True)
    ]


def _judged(caption: str, score: float) -> tuple[str | None, str | None, float | None]:
    """Error, caption and score as they stand in a row."""
    if not isfinite(score):
        return "bad_output", None, None
    text = " ".join(caption.split())
    return (None, text, score) if text else ("empty_caption", None, None)


def download(settings: CaptionerSettings) -> None:
    """Fetch a model of Hugging Face, unless this machine has it. Raises: ModelError."""
    if isinstance(settings, CocaSettings):
        clip_weights.download(settings.model)
    else:
        blip_files.download(settings)


def stamp(settings: CaptionerSettings) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of a model's own files, as far as they are local: cheap, and hashes nothing."""
    return clip_weights.stamp(settings.model) if isinstance(settings, CocaSettings) else blip_files.stamp(settings)


def recipe(settings: CaptionerSettings) -> dict[str, str | int | float]:
    """What decides a caption, besides the image: equal parts, equal captions. Raises: ModelError."""
    return coca.recipe(settings) if isinstance(settings, CocaSettings) else blip_files.recipe(settings)


def captioner_of(settings: CaptionerSettings) -> Captioner:
    """This process's captioner: built once, and once more whenever the model's files have changed.

    Raises: ModelError when the model cannot be had exactly as the settings name it.
    """
    download(settings)
    return _built(settings, tuple(recipe(settings).items()))


@lru_cache(maxsize=1)
def _built(settings: CaptionerSettings, recipe_parts: tuple[tuple[str, str | int | float], ...]) -> Captioner:
    return coca.CocaCaptioner(settings) if isinstance(settings, CocaSettings) else blip.BlipCaptioner(settings)
