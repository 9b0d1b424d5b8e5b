"""Images read while a model works."""

import io

from PIL import Image

from dataset_assets.models.read_ahead import inputs_ahead


def picture(side: int) -> bytes:
    with io.BytesIO() as buffer:
        Image.new("RGB", (side, side)).save(buffer, "PNG")
        return buffer.getvalue()


FILES = {str(side): picture(side) for side in range(1, 8)} | {"cut": picture(40)[:60], "text": b"<html>"}


def read(path: str) -> bytes:
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]


def width(image: Image.Image) -> int:
    return image.width


def test_inputs_come_in_the_order_of_their_paths_in_batches() -> None:
    assert list(inputs_ahead(read, width, ["3", "1", "2", "5", "4"], 2)) == [[3, 1], [2, 5], [4]]
    assert list(inputs_ahead(read, width, [], 2)) == []


def test_a_file_that_is_gone_or_no_image_is_a_reason_in_its_place() -> None:
    paths = ["1", "gone", "cut", "text", "2"]

    assert list(inputs_ahead(read, width, paths, 5)) == [[1, "missing_file", "undecodable", "undecodable", 2]]


def test_the_next_batch_is_read_before_this_one_is_asked_for_and_no_more() -> None:
    asked: list[str] = []

    def noted(path: str) -> bytes:
        asked.append(path)
        return read(path)

    batches = inputs_ahead(noted, width, ["1", "2", "3", "4", "5"], 1)
    next(batches)
    assert set(asked) <= {"1", "2"}
    assert list(batches) == [[2], [3], [4], [5]]
