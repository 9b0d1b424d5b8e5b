"""Images as CLIP vectors, by any model that open_clip can load."""

import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dataset_assets.models import clip_weights
from dataset_assets.models.clip_loading import choose_device, choose_precision, load
from dataset_assets.models.clip_weights import ClipSettings, UnknownDimension, embedding_dim, recipe
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch

__all__ = [
    "ERRORS",
    "ClipEmbedder",
    "ClipSettings",
    "EmbedShard",
    "ImageTower",
    "ModelError",
    "UnknownDimension",
    "embedding_dim",
    "middle",
    "recipe",
    "unit_length",
    "usable",
]

# Why an image has no vector. undecodable: neither Pillow nor the model's transform could make an input of it;
# bad_output: the model's numbers have no direction (zero, NaN or infinite).
ERRORS = ("missing_file", "undecodable", "bad_output")

FORMATS = ("JPEG", "PNG", "WEBP")  # what training images are
READERS = 4  # threads are enough: Pillow decodes and resizes without Python's lock
# A strip of 1 x 16384 pixels with its short side brought to 224 would be 800 million pixels.
MAX_RESIZED_PIXELS = 50_000_000


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


def middle(image: Image.Image, ratio: float) -> Image.Image:
    """The middle of a strip whose sides differ by more than `ratio` (a model that crops sees no more of it).

    The centre stays where it was; other images come back as they are.
    """
    width, height = image.size
    if max(width, height) <= ratio * min(width, height):
        return image
    longest = int(ratio * min(width, height))
    x, y = (max(0, side - longest) // 2 for side in image.size)  # as much from either end: the centre stays
    return image.crop((x, y, width - x, height - y))


class ImageTower:
    """A model's image side, run in batches of one shape so that a row does not depend on the rows beside it.

    A GPU too small for the batch halves it, for as long as the tower lives: vectors then differ in the last bits.
    """

    def __init__(
        self, module: "Callable[[torch.Tensor], Any]", dim: int, batch_size: int, device: str, precision: str
    ) -> None:
        self._module, self._dim, self._device, self._precision = module, dim, device, precision
        self.batch_size = batch_size

    def __call__(self, inputs: "torch.Tensor") -> np.ndarray:
        """Features of (n, 3, height, width) inputs: (n, dim) float32, of any length.

        Raises: ModelError when not even one image fits into the GPU, or the features have another dimension.
        """
        import torch

        while True:
            try:
                with torch.inference_mode():
                    parts = [self._run(part) for part in torch.split(inputs, self.batch_size)]
                return np.concatenate(parts)
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise ModelError(f"clip.device: {self._device} has no memory left for a single image") from None
            self.batch_size //= 2
            torch.cuda.empty_cache()

    def _run(self, part: "torch.Tensor") -> np.ndarray:
        import torch

        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
        padded = torch.nn.functional.pad(part, (0, 0, 0, 0, 0, 0, 0, self.batch_size - len(part)))
        features = self._module(padded.to(self._device, dtype))
        features = features[0] if isinstance(features, tuple) else features  # CoCa: (pooled, tokens)
        if features.shape != (self.batch_size, self._dim):
            raise ModelError(
                f"the model gives features of shape {tuple(features.shape)}, "
                f"its configuration promises {(self.batch_size, self._dim)}"
            )
        array: np.ndarray = features[: len(part)].float().cpu().numpy()
        return array


class ClipEmbedder:
    """An open_clip model's image side, ready to embed.

    Raises on construction: ModelError when the model cannot be had exactly as the settings name it: weights that are
    missing or damaged are never replaced by random ones. Only tags and repositories of Hugging Face use the network.
    """

    def __init__(self, settings: ClipSettings) -> None:
        clip_weights.download(settings)
        files = clip_weights.find(settings)
        device = choose_device(settings.device)
        precision = choose_precision(settings.precision, device)
        model, self._transform = load(files, device, precision)
        visual = model.eval().requires_grad_(False).visual  # the text side is let go
        self._longest = _longest_ratio(visual.preprocess_cfg)
        self._tower = ImageTower(visual, files.dimension, settings.batch_size, device, precision)
        self.name = files.shown_name
        self.weights = "random" if files.is_random else "trained"
        self.dim = files.dimension
        self.batch_size = settings.batch_size

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Embed images.

        Returns: (len(images), dim) float32, each row of length 1, so a dot product is a cosine; NaN where the model
        gave no direction (see `usable`).
        """
        vectors = [
            self.embed_inputs([self.prepare(image) for image in images[start : start + self.batch_size]])
            for start in range(0, len(images), self.batch_size)
        ]
        return np.concatenate([np.empty((0, self.dim), np.float32), *vectors])

    def prepare(self, image: Image.Image) -> "torch.Tensor":
        """The model's input by its own transform: (3, height, width) float32. Transparency is dropped, not blended."""
        pixels: torch.Tensor = self._transform(middle(image, self._longest))
        return pixels

    def embed_inputs(self, inputs: "Sequence[torch.Tensor]") -> np.ndarray:
        """Embed what `prepare` made; returns what `embed` does."""
        import torch

        if not inputs:
            return np.empty((0, self.dim), np.float32)
        return unit_length(self._tower(torch.stack(list(inputs))))


@dataclass(frozen=True)
class EmbedShard:
    """Embeds rows of `image_id` and `path`; picklable, and quick to pickle: each process builds its own model.

    `read` gives a path's bytes, and raises FileNotFoundError when there are none.
    """

    read: Callable[[str], bytes]
    settings: ClipSettings

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of `clip_embeddings` for each row, in their order; `error` is one of ERRORS, or null."""
        embedder = embedder_of(self.settings)
        inputs = self._inputs(embedder, [row["path"] for row in rows])
        vectors = [vector for batch in inputs for vector in _vectors(embedder, batch)]
        return [
            {
                "image_id": row["image_id"],
                "error": vector if isinstance(vector, str) else None,
                "embedding": None if isinstance(vector, str) else vector.astype(np.float16),
                "model": embedder.name,
                "weights": embedder.weights,
            }
            for row, vector in zip(rows, vectors, strict=True)
        ]

    def _inputs(self, embedder: ClipEmbedder, paths: Sequence[str]) -> "Iterator[list[torch.Tensor | str]]":
        """The model's inputs, or errors, batch by batch; while one batch is embedded the next is read."""
        with ThreadPoolExecutor(READERS) as readers:
            ahead: deque[list[Future[torch.Tensor | str]]] = deque()
            for start in range(0, len(paths), embedder.batch_size):
                batch = paths[start : start + embedder.batch_size]
                ahead.append([readers.submit(self._input, embedder, path) for path in batch])
                if len(ahead) > 1:
                    yield [future.result() for future in ahead.popleft()]
            for futures in ahead:
                yield [future.result() for future in futures]

    def _input(self, embedder: ClipEmbedder, path: str) -> "torch.Tensor | str":
        try:
            content = self.read(path)
        except FileNotFoundError:
            return "missing_file"
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.load()
                return embedder.prepare(image)
        except Exception:  # noqa: BLE001 - hostile bytes make decoders raise anything
            return "undecodable"


def embedder_of(settings: ClipSettings) -> ClipEmbedder:
    """This process's embedder: built once, and once more whenever the model's files have changed."""
    clip_weights.download(settings)
    return _built(settings, tuple(recipe(settings).items()))


@lru_cache(maxsize=1)
def _built(settings: ClipSettings, recipe_parts: tuple[tuple[str, str | int], ...]) -> ClipEmbedder:
    return ClipEmbedder(settings)


def _vectors(embedder: ClipEmbedder, inputs: "Sequence[torch.Tensor | str]") -> "list[np.ndarray | str]":
    """A vector or an error for each input or error."""
    found = iter(embedder.embed_inputs([item for item in inputs if not isinstance(item, str)]))
    vectors = [item if isinstance(item, str) else next(found) for item in inputs]
    return [v if isinstance(v, str) or usable(v[np.newaxis])[0] else "bad_output" for v in vectors]


def _longest_ratio(preprocess: Mapping[str, Any]) -> float:
    """Sides' ratio beyond which an image is cut to its middle before it is resized."""
    if preprocess["resize_mode"] != "shortest":
        return float("inf")
    side = int(np.max(preprocess["size"]))  # a number, or height and width
    return max(1.0, MAX_RESIZED_PIXELS / side**2)
