"""Training images as a model's inputs: while it works on one batch, the next is read and prepared."""

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

Input = TypeVar("Input")

FORMATS = ("JPEG", "PNG", "WEBP")  # what training images are
READERS = 4  # threads are enough: Pillow decodes and resizes without Python's lock
# Why there is no input. undecodable: neither Pillow nor the model's transform could make one of the file.
READ_ERRORS = ("missing_file", "undecodable")


def inputs_ahead(
    read: Callable[[str], bytes], prepare: Callable[[Image.Image], Input], paths: Sequence[str], batch_size: int
) -> Iterator[list[Input | str]]:
    """An input or one of READ_ERRORS for each path, in their order, batch by batch.

    `read` gives a path's bytes, and raises FileNotFoundError when there are none.
    """
    with ThreadPoolExecutor(READERS) as readers:
        ahead: deque[list[Future[Input | str]]] = deque()
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            ahead.append([readers.submit(read_input, read, prepare, path) for path in batch])
            if len(ahead) > 1:
                yield [future.result() for future in ahead.popleft()]
        for futures in ahead:
            yield [future.result() for future in futures]


def read_input(read: Callable[[str], bytes], prepare: Callable[[Image.Image], Input], path: str) -> Input | str:
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
