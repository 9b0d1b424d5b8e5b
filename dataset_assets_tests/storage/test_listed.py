import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_assets.storage.bucket_root import Bucket
from dataset_assets.storage.root import Folder
from dataset_assets_tests.buckets import BUCKET, PREFIX, credentials, objects, place
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]


def test_files_come_folder_by_folder_with_their_bytes_and_times(tmp_path: Path) -> None:
    root = Folder(tmp_path)
    for name, data in (("b/2", b"22"), ("b/1", b"1"), ("a/x/3", b"333"), ("fetched/4", b"4"), ("top", b"")):
        root.write(name, data)
    os.utime(tmp_path / "b/1", (5, 5))

    listed = list(root.listed("", ("fetched/",)))

    assert [(file.name, file.bytes) for file in listed] == [("a/x/3", 3), ("b/1", 1), ("b/2", 2), ("top", 0)]
    assert all(file.is_plain and file.changed_at > 1e9 for file in listed), "a name is as young as when it was given"
    assert [file.name for file in root.listed("b/")] == ["b/1", "b/2"]
    assert list(root.listed("nowhere/")) == []


def test_links_are_named_and_never_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", Folder(tmp_path / "root")
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "kept").write_bytes(b"kept")
    root.write("images/a", b"a")
    (root.path / "images" / "folder").symlink_to(outside)
    (root.path / "images" / "file").symlink_to(outside / "deep" / "kept")

    assert [(file.name, file.is_plain) for file in root.listed("")] == [
        ("images/a", True),
        ("images/file", False),
        ("images/folder", False),
    ]


def test_a_second_name_frees_nothing(tmp_path: Path) -> None:
    root = Folder(tmp_path / "root")
    (tmp_path / "original").write_bytes(b"1234")
    (root.path / "images").mkdir(parents=True)
    os.link(tmp_path / "original", root.path / "images" / "linked")
    (linked,) = root.listed("")

    assert linked.bytes == 0
    assert root.remove_listed([linked]) == [linked]
    assert (tmp_path / "original").read_bytes() == b"1234"


def test_a_file_that_changed_since_it_was_listed_stays(tmp_path: Path) -> None:
    root = Folder(tmp_path)
    for name in ("changed", "gone", "same"):
        root.write(name, b"1")
    listed = list(root.listed(""))
    os.utime(tmp_path / "changed", (10, 10))
    (tmp_path / "gone").unlink()

    assert [file.name for file in root.remove_listed(listed)] == ["same"]
    assert [file.name for file in root.listed("")] == ["changed"]


def test_nothing_is_removed_through_a_folder_that_became_a_link(tmp_path: Path) -> None:
    root = Folder(tmp_path / "root")
    root.write("images/a", b"a")
    listed = list(root.listed(""))
    (root.path / "images").rename(tmp_path / "outside")
    (root.path / "images").symlink_to(tmp_path / "outside")

    with pytest.raises(OSError, match="nothing is removed through links"):
        root.remove_listed(listed)
    assert (tmp_path / "outside" / "a").read_bytes() == b"a"


def test_a_root_that_is_reached_through_a_link_is_cleaned_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    root = Folder(tmp_path / "root")
    root.write("images/a", b"a")

    assert [file.name for file in root.remove_listed(list(root.listed("")))] == ["images/a"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as served:
        yield served


def test_a_bucket_is_listed_page_by_page_and_its_objects_are_removed_together(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"images/raw/a/{number:04d}/x" for number in range(7)]
    data = {f"{PREFIX}/{name}": b"12" for name in [*names, "images/raw/ab/0000/x", "fetched/y", "top"]}
    make_bucket(port, BUCKET, data | {"other/z": b"not of this root"})
    monkeypatch.setattr("dataset_assets.storage.bucket_root.PER_PAGE", 3)
    root = Bucket(place(port, tmp_path))

    listed = list(root.listed("images/raw/a/"))

    assert [(file.name, file.bytes) for file in listed] == [(name, 2) for name in names]
    assert all(file.changed_at > 1e9 for file in listed)
    assert [file.name for file in root.listed("", ("images/",))] == ["fetched/y", "top"]
    assert root.remove_listed(listed) == listed
    assert sorted(objects(port)) == ["fetched/y", "images/raw/ab/0000/x", "top"]
    assert root.remove_listed(listed) == listed, "what is gone is gone"
