"""Images as tags, by SmilingWolf's taggers and others of their kind."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dataset_assets.domain.predicted_tags import RATING
from dataset_assets.models import tagger_files
from dataset_assets.models.model_inputs import READ_ERRORS, ReadShard, both_steps, readable
from dataset_assets.models.tagger_files import TaggerSettings
from dataset_assets.models.tagger_labels import Label, read_labels, require_one_per_score
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    from dataset_assets.models.tagger_onnx import OnnxTagger
    from dataset_assets.models.tagger_timm import TimmTagger

# Why an image has no tags. bad_output: the model gave something else than numbers from 0 to 1.
ERRORS = (*READ_ERRORS, "bad_output")
DECIMALS = 4  # devices differ beyond them
TOLERANCE = 1e-5


class Tagger:
    """A tagger, ready to score.

    Raises on construction: ModelError when the model cannot be had exactly as the settings name it.
    """

    def __init__(self, settings: TaggerSettings) -> None:
        files = tagger_files.find(settings)
        self.labels = read_labels(files.labels)
        self._model = _model(files, settings)
        require_one_per_score(files.labels, self.labels, self._model.width)
        self.name, self.floor = files.name, settings.floor
        self._is_rating = np.array([label.category == RATING for label in self.labels])
        self.runs_on, self.batch_size = self._model.runs_on, self._model.batch_size
        self.device, self.reads_apart = self._model.device, self._model.reads_apart
        self.prepare: Callable[[Image.Image], np.ndarray] = self._model.prepare
        blank = self.scores_of([self.prepare(Image.new("RGB", (64, 64), (255, 255, 255)))])
        if not is_usable(blank).all():
            raise ModelError(
                f"tagger.model: {self.name} gives NaN, or scores outside of 0 to 1, for a blank picture, so it would "
                "for others; copy or fetch it again"
            )

    def score(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Scores of images: (len(images), len(labels)) float32, in the order of `labels`."""
        return self.scores_of([self.prepare(image) for image in images])

    def scores_of(self, inputs: Sequence[np.ndarray]) -> npt.NDArray[np.float32]:
        """Scores of what `prepare` made."""
        parts = [
            self._model.scores(inputs[start : start + self.batch_size])
            for start in range(0, len(inputs), self.batch_size)
        ]
        return np.concatenate([np.empty((0, len(self.labels)), np.float32), *parts])

    def row(self, scores: npt.NDArray[np.float32]) -> dict[str, Any]:
        """One image's scores as columns of `predicted_tags`."""
        if not is_usable(scores[np.newaxis])[0]:
            return {"error": "bad_output"}
        rounded = np.round(scores.astype(np.float64), DECIMALS)
        places = np.flatnonzero((rounded >= self.floor) | self._is_rating)
        order = places[np.argsort(-rounded[places], kind="stable")]
        kept = [(self.labels[place], float(rounded[place])) for place in order]
        ratings = [(label, score) for label, score in kept if label.category == RATING]
        return {
            "error": None,
            "rating": ratings[0][0].name if ratings else None,
            "rating_score": ratings[0][1] if ratings else None,
            "tags": [_scored(label, score) for label, score in kept],
        }


def _scored(label: Label, score: float) -> dict[str, str | float]:
    return {"tag": label.name, "category": label.category, "score": score}


def _model(files: tagger_files.TaggerFiles, settings: TaggerSettings) -> "OnnxTagger | TimmTagger":
    if files.runtime == "onnx":
        from dataset_assets.models.tagger_onnx import OnnxTagger

        return OnnxTagger(files, settings)
    from dataset_assets.models.tagger_timm import TimmTagger

    return TimmTagger(files, settings)


def is_usable(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which rows are scores, as a mask: all of their numbers lie in 0 to 1."""
    return np.asarray(((scores >= -TOLERANCE) & (scores <= 1 + TOLERANCE)).all(axis=1))  # NaN is in no range


@dataclass(frozen=True)
class TagShard:
    """Tags rows of `image_id` and `path`, in two steps: `reader` makes inputs, `work` makes scores of them.

    `read` gives a path's bytes, and raises FileNotFoundError when there are none.
    """

    read: Callable[[str], bytes]
    settings: TaggerSettings

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of `predicted_tags` for each row, in their order; `error` is one of ERRORS, or null."""
        return both_steps(self, rows, self.settings.batch_size)

    def reader(self) -> ReadShard:
        """What makes the model's inputs; the model is built here, for it says how."""
        return ReadShard(self.read, tagger_of(self.settings).prepare)

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """Rows of `predicted_tags`, batch by batch."""
        tagger = tagger_of(self.settings)
        for rows in batches:
            yield _rows(tagger, rows)


def _rows(tagger: Tagger, read: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    scored = iter(tagger.scores_of([row["input"] for row in readable(read)]))
    common = {"model": tagger.name, "floor": tagger.floor}
    return [
        {
            "image_id": row["image_id"],
            **({"error": row["input"]} if isinstance(row["input"], str) else tagger.row(next(scored))),
            **common,
        }
        for row in read
    ]


def tagger_of(settings: TaggerSettings) -> Tagger:
    """This process's tagger: built once, and once more whenever the model's files have changed."""
    return _built(settings, tuple(tagger_files.recipe(settings).items()))


@lru_cache(maxsize=1)
def _built(settings: TaggerSettings, recipe_parts: tuple[tuple[str, str | int | float], ...]) -> Tagger:
    return Tagger(settings)
