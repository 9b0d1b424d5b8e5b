from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_assets.places import Place
from dataset_assets.storage.decision_files import DecisionFiles, Sitting
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.buckets import credentials, place
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]

CELL, OTHER = Cell("danbooru", 2019), Cell("danbooru", 2020)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as found:
        yield found


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return tmp_path / "root"
    port = request.getfixturevalue("port")
    make_bucket(port, "decided")
    return place(port, tmp_path / "cache", "decided", request.node.name.partition("[")[0])


def test_every_line_is_there_as_soon_as_it_is_added(root: Place) -> None:
    sitting, files = Sitting(root, "20260101T000000-aa"), DecisionFiles(root)

    for number in range(3):
        sitting.add(CELL, f"line {number}\n".encode())
        [(_, content)] = files.of(CELL)
        assert content.splitlines()[-1] == f"line {number}".encode()
    assert content.count(b"\n") == 3


def test_sittings_do_not_touch_one_another_and_partitions_are_apart(root: Place) -> None:
    files = DecisionFiles(root)
    Sitting(root, "b").add(CELL, b"second\n")
    Sitting(root, "a").add(CELL, b"first\n")
    Sitting(root, "a").add(OTHER, b"other\n")

    assert [content for _, content in files.of(CELL)] == [b"first\n", b"second\n"]
    assert [content for _, content in files.of(OTHER)] == [b"other\n"]


def test_where_nothing_was_decided_there_is_nothing(root: Place) -> None:
    assert DecisionFiles(root).of(CELL) == []
