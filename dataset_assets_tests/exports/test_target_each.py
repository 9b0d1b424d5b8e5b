"""Many small files written together, in a folder and in a bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.target import FINISHED, Target, Written
from dataset_assets.places import Place
from dataset_assets.storage.root import opened
from dataset_assets_tests.buckets import credentials, objects, place
from dataset_assets_tests.exports.hostile_members import export, hostile_members
from dataset_assets_tests.exports.made_members import contents
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]

ITEMS = ("a", "b", "c")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as found:
        yield found


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    where: Place = tmp_path / "out"
    if request.param == "bucket":
        port = request.getfixturevalue("port")
        make_bucket(port, "together")
        where = place(port, tmp_path / "cache", "together", request.node.name.partition("[")[0])
    return Target(where, tmp_path / "scratch")


class Writing:
    """Writes two files for each item, and remembers the items."""

    def __init__(self, target: Target, text: str = "text") -> None:
        self.target, self.text, self.items = target, text, list[str]()

    def __call__(self, item: str) -> list[Written]:
        self.items.append(item)
        text = f"{self.text} of {item}".encode()
        return [self.target.put(f"x/{item}.png", text, 1), self.target.put(f"x/{item}.txt", b"")]


def read(target: Target) -> dict[str, bytes]:
    root = opened(target.place)
    return {name: root.get(name) for name in root.names("x/")}


def test_files_are_told_in_the_order_of_their_items(target: Target) -> None:
    written = target.each("key", ITEMS, Writing(target))

    assert [(file.name, file.rows) for file in written] == [
        (f"x/{item}.{kind}", rows) for item in ITEMS for kind, rows in (("png", 1), ("txt", 0))
    ]
    assert read(target).keys() == {file.name for file in written}


def test_what_was_finished_is_told_and_not_written_again(target: Target) -> None:
    first, again = Writing(target), Writing(target)

    assert target.each("key", ITEMS, first) == target.each("key", ITEMS, again)
    assert (sorted(first.items), again.items) == (list(ITEMS), [])


def test_other_content_is_written_under_its_own_key(target: Target) -> None:
    target.each("before", ITEMS, Writing(target))
    target.each("after", ITEMS, Writing(target, "other"))

    assert read(target)["x/a.png"] == b"other of a"


@pytest.mark.parametrize("spoilt", [b"", b'[{"name": "x/a'])
def test_a_note_that_cannot_be_read_counts_for_nothing(target: Target, spoilt: bytes) -> None:
    target.each("key", ITEMS, Writing(target))
    opened(target.place).put(f"{FINISHED}/several/key.json", spoilt)
    again = Writing(target)

    assert len(target.each("key", ITEMS, again)) == 6
    assert sorted(again.items) == list(ITEMS)


@pytest.mark.parametrize("now", [None, b"longer than it was"])
def test_a_file_that_is_gone_or_of_another_size_is_written_again(target: Target, now: bytes | None) -> None:
    target.each("key", ITEMS, Writing(target))
    root = opened(target.place)
    root.remove("x/b.txt") if now is None else root.put("x/b.txt", now)

    target.each("key", ITEMS, Writing(target))

    assert read(target)["x/b.txt"] == b""


@pytest.mark.parametrize("name", ["kohya", "niji", "niji_raw"])
def test_an_export_in_a_bucket_has_the_bytes_of_one_in_a_folder(tmp_path: Path, port: int, name: str) -> None:
    make_bucket(port, "exports")
    there = Target(place(port, tmp_path / "cache", "exports", name), tmp_path / "scratch")

    export(hostile_members(6), name, tmp_path / "here")
    list(FORMATS[name].write(hostile_members(6), there, Settings("girls")))
    there.finish()

    assert objects(port, "exports", name) == contents(tmp_path / "here")
