"""Images as CLIP vectors, by any model that open_clip can load."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dataset_assets.models import clip_weights
from dataset_assets.models.clip_loading import choose_device, choose_precision, load
from dataset_assets.models.clip_preprocessing import Preprocessing, longest_ratio, middle
from dataset_assets.models.clip_weights import ClipSettings, UnknownDimension, embedding_dim, recipe
from dataset_assets.models.finite import require_finite_output, require_finite_weights
from dataset_assets.models.image_tower import ImageTower, Launched
from dataset_assets.models.model_inputs import READ_ERRORS, ReadShard, both_steps, readable
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch

__all__ = [
    "ERRORS",
    "ClipEmbedder",
    "ClipSettings",
    "EmbedShard",
    "ModelError",
    "UnknownDimension",
    "embedder_of",
    "embedding_dim",
    "longest_ratio",
    "middle",
    "recipe",
    "unit_length",
    "usable",
]

# Why an image has no vector. bad_output: the model's numbers have no direction (zero, NaN or infinite).
ERRORS = (*READ_ERRORS, "bad_output")


def usable(vectors: np.ndarray) -> np.ndarray:
    """Which rows are vectors, as a mask: the model gave no direction for the others, and they are NaN."""
    return np.asarray(np.isfinite(vectors).all(axis=1))


def unit_length(features: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros, or with NaN or infinity in it, becomes NaN."""
    rows = features.astype(np.float64)  # in float32 the squares of large numbers overflow
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    length[length == 0] = np.nan
    return np.asarray(rows / length, np.float32)


class ClipEmbedder:
    """An open_clip model's image side, ready to embed.

    Raises on construction: ModelError when the model cannot be had exactly as the settings name it: weights that are
    missing or damaged are never replaced by random ones. Only tags and repositories of Hugging Face use the network.
    """

    def __init__(self, settings: ClipSettings) -> None:
        clip_weights.download(settings)
        files = clip_weights.find(settings)
        self.device = choose_device(settings.device, settings.block)
        self.precision = choose_precision(settings.precision, self.device)
        # On a GPU the weights stay float32, and autocast chooses what is safe in bfloat16.
        casts = self.precision == "bf16" and self.device == "cpu"
        model, self._transform = load(files, self.device, "bf16" if casts else "fp32")
        visual = model.eval().requires_grad_(False).visual  # the text side is let go
        self._longest = longest_ratio(visual.preprocess_cfg)
        own = Preprocessing.of(visual.preprocess_cfg)
        self.preprocessing = own if own and own.agrees_with(self._transform) else None
        run = tower_function(visual, self.preprocessing, self.device, self.precision)
        self._tower = ImageTower(run, files.dimension, settings.batch_size, self.device)
        self.name = files.shown_name
        self.weights = "random" if files.is_random else "trained"
        self.dim = files.dimension
        self.batch_size = settings.batch_size
        require_finite_weights(visual, self.name, settings.block)
        blank = self.embed([Image.new("RGB", (64, 64), "gray")])
        require_finite_output(bool(usable(blank).all()), self.name, settings.block)

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Embed images.

        Returns: (len(images), dim) float32, each row of length 1, so a dot product is a cosine; NaN where the model
        gave no direction (see `usable`).
        """
        vectors = [
            self.finish(self.start([self.prepare(image) for image in images[start : start + self.batch_size]]))
            for start in range(0, len(images), self.batch_size)
        ]
        return np.concatenate([np.empty((0, self.dim), np.float32), *vectors])

    @property
    def reads_apart(self) -> bool:
        """Whether its inputs can be made in other processes; its own transform is not taken there."""
        return self.preprocessing is not None

    def prepare(self, image: Image.Image) -> np.ndarray:
        """The model's input. Transparency is dropped, not blended.

        Returns: (size, size, 3) uint8, or, by the model's own transform, (3, height, width) float32.
        """
        if self.preprocessing:
            return self.preprocessing(image)
        return np.asarray(self._transform(middle(image, self._longest)))

    def start(self, inputs: Sequence[np.ndarray]) -> Launched:
        """Let the model begin on what `prepare` made; a GPU works on it while the next inputs are gathered."""
        import torch

        return self._tower.start(torch.from_numpy(np.stack(inputs)) if inputs else None)

    def finish(self, started: Launched) -> np.ndarray:
        """The vectors of inputs that were started, as `embed` returns them."""
        return unit_length(self._tower.finish(started))


def tower_function(
    visual: Any, preprocessing: Preprocessing | None, device: str, precision: str
) -> "Callable[[torch.Tensor], torch.Tensor]":
    """A model's image side as a function of what `prepare` makes, in a batch, on its device. Returns: its features."""
    import torch

    on_gpu = device != "cpu"
    dtype = torch.bfloat16 if precision == "bf16" and not on_gpu else torch.float32

    def run(inputs: "torch.Tensor") -> "torch.Tensor":
        numbers = preprocessing.numbers(inputs) if preprocessing else inputs
        with torch.autocast(device, torch.bfloat16, enabled=on_gpu and precision == "bf16"):
            features = visual(numbers.to(dtype))
        pooled: torch.Tensor = features[0] if isinstance(features, tuple) else features  # CoCa: (pooled, tokens)
        return pooled

    return run


@dataclass(frozen=True)
class EmbedShard:
    """Embeds rows of `image_id` and `path`, in two steps: `reader` makes inputs, `work` makes vectors of them.

    `read` gives a path's bytes, and raises FileNotFoundError when there are none. Picklable, and quick to pickle: each
    process builds its own model.
    """

    read: Callable[[str], bytes]
    settings: ClipSettings

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of `clip_embeddings` for each row, in their order; `error` is one of ERRORS, or null."""
        return both_steps(self, rows, self.settings.batch_size)

    def reader(self) -> ReadShard:
        """What makes the model's inputs; the model is built here, for it says how."""
        embedder = embedder_of(self.settings)
        return ReadShard(self.read, embedder.preprocessing or embedder.prepare)

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """Rows of `clip_embeddings`, batch by batch, one batch late: a GPU computes while the next is gathered.

        Raises: ModelError when a model that was sound gives no direction for any image of a batch.
        """
        embedder = embedder_of(self.settings)
        waiting: tuple[Sequence[dict[str, Any]], Launched] | None = None
        for rows in batches:
            started = embedder.start([row["input"] for row in readable(rows)])
            if waiting is not None:
                yield _rows(embedder, *waiting)
            waiting = rows, started
        if waiting is not None:
            yield _rows(embedder, *waiting)


def _rows(embedder: ClipEmbedder, read: Sequence[dict[str, Any]], started: Launched) -> list[dict[str, Any]]:
    vectors = embedder.finish(started)
    good = usable(vectors)
    if len(good) > 1 and not good.any():
        raise ModelError(
            f"{embedder.name} gave NaN, infinity or zeros for all of {len(good)} images in a row, though not for a "
            f"blank picture; try clip.precision: fp32, and another device"
        )
    halves, made = vectors.astype(np.float16), iter(range(len(vectors)))
    rows = []
    for row in read:
        error = row["input"] if isinstance(row["input"], str) else None
        place = None if error else next(made)
        if place is not None and not good[place]:
            place, error = None, "bad_output"
        rows.append(
            {
                "image_id": row["image_id"],
                "error": error,
                "embedding": None if place is None else halves[place],
                "model": embedder.name,
                "weights": embedder.weights,
                "precision": embedder.precision,
            }
        )
    return rows


def embedder_of(settings: ClipSettings) -> ClipEmbedder:
    """This process's embedder: built once, and once more whenever the model's files have changed."""
    clip_weights.download(settings)
    return _built(settings, tuple(recipe(settings).items()))


@lru_cache(maxsize=1)
def _built(settings: ClipSettings, recipe_parts: tuple[tuple[str, str | int], ...]) -> ClipEmbedder:
    return ClipEmbedder(settings)
