"""Training images read for a model."""

import io

import numpy as np
from PIL import Image

from dataset_assets.models.model_inputs import ReadShard, WholeTransform, numbers_of, read_input


def picture(side: int) -> bytes:
    with io.BytesIO() as buffer:
        Image.new("RGB", (side, side)).save(buffer, "PNG")
        return buffer.getvalue()


FILES = {str(side): picture(side) for side in range(1, 8)} | {"cut": picture(40)[:60], "text": b"<html>"}


def read(path: str) -> bytes:
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]


def width(image: Image.Image) -> np.ndarray:
    return np.array(image.width)


def test_a_file_that_is_gone_or_no_image_is_a_reason_in_its_place() -> None:
    found = [read_input(read, width, path) for path in ("1", "gone", "cut", "text", "2")]

    assert found == [1, "missing_file", "undecodable", "undecodable", 2]


def test_an_image_that_the_preparation_cannot_take_is_undecodable() -> None:
    def refuse(image: Image.Image) -> np.ndarray:
        raise ValueError(image.size)

    assert read_input(read, refuse, "1") == "undecodable"


def test_rows_keep_their_order_and_the_columns_that_are_to_come_along() -> None:
    rows = [{"image_id": f"a-{path}-0", "path": path, "embedding": [1.0], "other": 2} for path in ("3", "gone", "1")]

    assert ReadShard(read, width)(rows) == [
        {"image_id": "a-3-0", "input": 3},
        {"image_id": "a-gone-0", "input": "missing_file"},
        {"image_id": "a-1-0", "input": 1},
    ]
    assert [row["embedding"] for row in ReadShard(read, width, ("embedding",))(rows)] == [[1.0]] * 3


def test_a_models_own_transform_is_taken_as_it_is() -> None:
    import torch

    whole = WholeTransform(lambda image: torch.full((3, 2, 2), float(image.width)))
    pictures = [Image.new("RGB", (side, 4)) for side in (5, 6)]
    numbers = numbers_of(whole, [whole(image) for image in pictures])

    assert numbers.shape == (2, 3, 2, 2)
    assert numbers.is_contiguous()
    assert numbers[:, 0, 0, 0].tolist() == [5, 6]
