"""Training images as a model's inputs: read and decoded by others, in threads or processes beside the model."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

FORMATS = ("JPEG", "PNG", "WEBP")  # what training images are
# Why there is no input. undecodable: neither Pillow nor the model's transform could make one of the file.
READ_ERRORS = ("missing_file", "undecodable")
ROWS_PER_READ = 16  # enough that handing them over costs little; few enough that readers share a batch


class FedModel(Protocol):
    """A model that others make the inputs for."""

    @property
    def device(self) -> str:
        """`cpu`, or what works beside the processor."""

    @property
    def reads_apart(self) -> bool:
        """Whether its inputs can be made in other processes: quick to hand over, and without the model's library."""


class Preparation(Protocol):
    """What a model sees of an image, in two steps: `__call__` for one image, `numbers` for a batch of them."""

    def __call__(self, image: Image.Image) -> np.ndarray:
        """What is kept of an image."""

    def numbers(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """The model's input, of a batch of what was kept: (n, 3, height, width) float32."""


@dataclass(frozen=True)
class WholeTransform:
    """A model's own transform, which does all of it at once: the way where no other makes the same numbers."""

    transform: "Callable[[Image.Image], torch.Tensor]"

    def __call__(self, image: Image.Image) -> np.ndarray:
        return np.asarray(self.transform(image))

    def numbers(self, pixels: "torch.Tensor") -> "torch.Tensor":
        return pixels


def numbers_of(preparation: Preparation, inputs: Sequence[np.ndarray]) -> "torch.Tensor":
    """The model's input of what `preparation` kept of images, laid out as a transform of single images would do it.

    Returns: (n, 3, height, width) float32, on the processor, where each number is what it is on every machine.
    """
    import torch

    return preparation.numbers(torch.from_numpy(np.stack(inputs))).contiguous()


@dataclass(frozen=True)
class ReadShard:
    """Makes inputs of rows of `image_id` and `path`. Picklable, and as free of torch as `prepare` is.

    `read` gives a path's bytes, and raises FileNotFoundError when there are none. `kept`: columns that come along.
    """

    read: Callable[[str], bytes]
    prepare: Callable[[Image.Image], np.ndarray]
    kept: tuple[str, ...] = ()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Of each row: image_id, what is kept, and `input`, which is an array or one of READ_ERRORS."""
        return [
            {
                "image_id": row["image_id"],
                "input": read_input(self.read, self.prepare, row["path"]),
                **{name: row[name] for name in self.kept},
            }
            for row in rows
        ]


def read_input(
    read: Callable[[str], bytes], prepare: Callable[[Image.Image], np.ndarray], path: str
) -> np.ndarray | str:
    """An input, or one of READ_ERRORS."""
    try:
        content = read(path)
    except FileNotFoundError:
        return "missing_file"
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            return prepare(image)
    except Exception:  # noqa: BLE001 - hostile bytes make decoders raise anything
        return "undecodable"


def readable(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of a reader's rows that have an input."""
    return [row for row in rows if not isinstance(row["input"], str)]


class InTwoSteps(Protocol):
    """A shard function whose first step is for readers, and whose second needs the model."""

    def reader(self) -> ReadShard: ...

    def work(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]: ...


def both_steps(shard: InTwoSteps, rows: Sequence[Mapping[str, Any]], batch_size: int) -> list[dict[str, Any]]:
    """The results of rows, in their order, by one step after the other in this process."""
    read = shard.reader()
    batches = (read(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size))
    return [row for batch in shard.work(batches) for row in batch]
