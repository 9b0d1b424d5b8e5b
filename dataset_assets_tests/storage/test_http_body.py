import hashlib
from pathlib import Path

import pytest

from dataset_assets.storage.http_body import IN_MEMORY_BYTES, Body, BodyClosed, ScratchFailed


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200_000, IN_MEMORY_BYTES, IN_MEMORY_BYTES + 1, 3 * IN_MEMORY_BYTES])
def test_a_body_is_what_it_was_fed(tmp_path: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    body = Body(tmp_path / "scratch")
    for at in range(0, size, 70_001):
        body.feed(data[at : at + 70_001])

    assert (body.size, body.head(100), body.tail, body.whole()) == (size, data[:100], data[-64:], data)
    assert body.digests() == (hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())
    body.close()
    assert not list(tmp_path.rglob("*.*"))


def test_the_end_of_a_body_of_single_bytes_is_its_last_bytes(tmp_path: Path) -> None:
    body = Body(tmp_path)
    for byte in range(200):
        body.feed(bytes([byte]))

    assert body.tail == bytes(range(136, 200))


def test_a_disk_that_fails_is_not_taken_for_the_network(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_bytes(b"no folder")
    body = Body(tmp_path / "scratch")

    with pytest.raises(ScratchFailed, match="make room"):
        body.feed(bytes(IN_MEMORY_BYTES + 1))


@pytest.mark.parametrize("size", [10, 3000, IN_MEMORY_BYTES + 1])
def test_bytes_that_were_let_go_are_an_error_and_not_an_empty_file(tmp_path: Path, size: int) -> None:
    body = Body(tmp_path)
    for start in range(0, size, 1000):
        body.feed(bytes(min(1000, size - start)))
    body.close()

    for ask in (body.whole, lambda: body.head(16)):
        with pytest.raises((BodyClosed, ValueError)):
            ask()
