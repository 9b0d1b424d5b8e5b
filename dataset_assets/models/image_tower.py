"""A model's image side, run in batches of one shape, so that a row does not depend on the rows beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Part:
    """A batch's features, in memory that the processor reads; those of a GPU are there once `done` has happened."""

    features: "torch.Tensor"
    rows: int  # of the batch that are meant
    done: "torch.cuda.Event | None" = None


@dataclass(frozen=True)
class Launched:
    """Batches that a model works on. On a GPU they are not finished yet."""

    parts: list[Part] = field(default_factory=list)


class ImageTower:
    """Runs `module`, which makes features of a batch of inputs on its device.

    A GPU too small for the batch halves it, for as long as the tower lives: vectors then differ in the last bits.
    """

    def __init__(
        self, module: "Callable[[torch.Tensor], torch.Tensor]", dim: int, batch_size: int, device: str
    ) -> None:
        self._module, self._dim, self._device = module, dim, device
        self.batch_size = batch_size

    def start(self, inputs: "torch.Tensor | None") -> Launched:
        """Hand over inputs, any number of them; on a GPU this returns before they are worked on. Null = none.

        Raises: ModelError when not even one image fits into the GPU, or the features have another dimension.
        """
        import torch

        while inputs is not None:
            try:
                with torch.inference_mode():
                    return Launched([self._run(part) for part in torch.split(inputs, self.batch_size)])
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise ModelError(f"clip.device: {self._device} has no memory left for a single image") from None
            self.batch_size //= 2
            torch.cuda.empty_cache()
        return Launched()

    def finish(self, launched: Launched) -> np.ndarray:
        """The features of what was started: (n, dim) float32, of any length."""
        for part in launched.parts:
            if part.done is not None:
                part.done.synchronize()
        parts = [part.features[: part.rows].numpy() for part in launched.parts]
        return np.concatenate([np.empty((0, self._dim), np.float32), *parts])

    def _run(self, part: "torch.Tensor") -> Part:
        import torch

        lacking = self.batch_size - len(part)
        padded = torch.nn.functional.pad(part, (0, 0, 0, 0, 0, 0, 0, lacking)) if lacking else part
        if self._device != "cpu":
            padded = padded.pin_memory()  # only such memory is copied while the GPU works
        features = self._module(padded.to(self._device, non_blocking=True)).float()
        if features.shape != (self.batch_size, self._dim):
            raise ModelError(
                f"the model gives features of shape {tuple(features.shape)}, "
                f"its configuration promises {(self.batch_size, self._dim)}"
            )
        if self._device == "cpu":
            return Part(features, len(part))
        # Asked for now: later it would wait for what the GPU is given next.
        host = torch.empty(features.shape, dtype=torch.float32, pin_memory=True)
        host.copy_(features, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves the hints out
        done.record()
        return Part(host, len(part), done)
