"""What a CLIP model sees of an image, in Pillow alone: processes that only decode need no torch.

A model's own transform turns each image into numbers of float32 by itself; that took six times the processor's time of
all that Pillow does. Here images stay bytes until a whole batch is turned into numbers, where the model runs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

# A strip of 1 x 16384 pixels with its short side brought to 224 would be 800 million pixels.
MAX_RESIZED_PIXELS = 50_000_000
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
PROBE_SIZES = ((64, 48), (301, 157), (157, 301), (9, 7), (7, 900), (449, 450))  # enlarged, shrunk, a strip


@dataclass(frozen=True)
class Preprocessing:
    """open_clip's transform for evaluation, cut in two: `__call__` for one image, `numbers` for a batch."""

    size: int
    keeps_ratio: bool  # the short side is brought to `size` and the middle kept; else both sides are
    resampling: Image.Resampling
    longest: float  # sides' ratio beyond which an image is cut to its `middle`
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Preprocessing | None":
        """That of an open_clip model's `preprocess_cfg`; null = it asks for something that is not done here."""
        sides = np.unique(config["size"])  # a number, or height and width
        modes = {"shortest": True, "squash": False}
        has_colours = all(isinstance(config[name], list | tuple) for name in ("mean", "std"))
        is_known = config["resize_mode"] in modes and config["interpolation"] in RESAMPLING
        if len(sides) != 1 or not has_colours or not is_known:
            return None
        keeps_ratio, resampling = modes[config["resize_mode"]], RESAMPLING[config["interpolation"]]
        mean, std = tuple(config["mean"]), tuple(config["std"])
        return cls(int(sides[0]), keeps_ratio, resampling, longest_ratio(config), mean, std)

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An image's bytes: (size, size, 3) uint8. Transparency is dropped, not blended."""
        side = self.size
        if not self.keeps_ratio:
            return np.asarray(image.resize((side, side), self.resampling).convert("RGB"))
        image = middle(image, self.longest)
        width, height = image.size
        longer = int(side * max(width, height) / min(width, height))
        fitted = (side, longer) if width <= height else (longer, side)
        scaled = image if image.size == fitted else image.resize(fitted, self.resampling)
        left, top = (round((whole - side) / 2) for whole in fitted)
        return np.asarray(scaled.crop((left, top, left + side, top + side)).convert("RGB"))

    def numbers(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """A batch as the model wants it: of (n, size, size, 3) uint8, (n, 3, size, size) float32, on its device."""
        import torch

        mean, std = (torch.tensor(row, device=pixels.device).view(1, 3, 1, 1) for row in (self.mean, self.std))
        return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255).sub_(mean).div_(std)

    def agrees_with(
        self, transform: "Callable[[Image.Image], torch.Tensor]", pictures: Iterable[Image.Image] | None = None
    ) -> bool:
        """Whether a model's own transform makes the very same numbers, bit by bit, of pictures of all shapes.

        `pictures`: those that the model is shown; null = of any shape and mode.
        """
        import torch

        return all(
            torch.equal(self.numbers(torch.from_numpy(self(picture).copy()).unsqueeze(0))[0], transform(picture))
            for picture in (probe_pictures() if pictures is None else pictures)
        )


def probe_pictures() -> Iterator[Image.Image]:
    """Pictures of noise, in the shapes and modes that training images have."""
    rng = np.random.default_rng(0)
    for width, height in PROBE_SIZES:
        yield Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        yield Image.fromarray(rng.integers(0, 256, (height, width), np.uint8))
        yield Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8))


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


def longest_ratio(preprocess: Mapping[str, Any]) -> float:
    """Sides' ratio beyond which an image is cut to its `middle` before a model's transform resizes it."""
    if preprocess["resize_mode"] != "shortest":
        return float("inf")
    side = int(np.max(preprocess["size"]))  # a number, or height and width
    return max(1.0, MAX_RESIZED_PIXELS / side**2)
