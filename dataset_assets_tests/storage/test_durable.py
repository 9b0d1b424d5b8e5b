"""Files that are whole or not there."""

import os
import threading
from pathlib import Path

import pytest

from dataset_assets.storage.durable import write_aside, write_through
from dataset_assets.storage.root import opened


def test_a_file_is_written_whole_also_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    write_aside(tmp_path / "a" / "b" / "file", b"first")
    write_aside(tmp_path / "a" / "b" / "file", b"second, longer")

    assert (tmp_path / "a/b/file").read_bytes() == b"second, longer"
    assert os.listdir(tmp_path / "a/b") == ["file"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file" / "full").mkdir(parents=True)  # a folder of that name cannot be replaced

    with pytest.raises(OSError, match="file"):
        write_aside(tmp_path / "file", b"data")

    assert os.listdir(tmp_path) == ["file"]


def test_two_threads_that_write_one_name_leave_one_of_their_files(tmp_path: Path) -> None:
    contents = [bytes([number]) * 300_000 for number in range(8)]
    threads = [threading.Thread(target=write_aside, args=(tmp_path / "file", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "file").read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_files_are_written_through_to_their_disk_and_a_root_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    write_aside(tmp_path / "file", b"data")
    write_through(tmp_path)
    write_through(tmp_path / "not yet")

    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize("name", ["../outside", "images/../../outside"])
def test_a_name_never_leads_out_of_the_root(tmp_path: Path, name: str) -> None:
    root = opened(tmp_path / "root")

    with pytest.raises(FileNotFoundError):
        root.put(name, b"data")
    with pytest.raises(FileNotFoundError):
        root.keep(name, b"data")
    (tmp_path / "outside").write_bytes(b"secret")
    with pytest.raises(FileNotFoundError):
        root.get(name)


def test_a_folder_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"data")
    root = opened(tmp_path)

    assert [root.size(name) for name in ("folder", "file", "none", "file/below")] == [None, 4, None, None]
