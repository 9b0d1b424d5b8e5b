from pathlib import Path

import pytest

from dataset_assets.storage.index_files import IndexFileMissing, IndexFiles


def test_a_file_is_named_after_its_content_and_read_back(tmp_path: Path) -> None:
    files = IndexFiles(tmp_path)

    written = files.write("tag_index/danbooru/2019", [b"abc", b"", b"def"])

    assert written == files.write("tag_index/danbooru/2019", [b"abcdef"])
    assert written.path == f"indexes/tag_index/danbooru/2019.{written.sha256[:12]}.index"
    assert bytes(files.read(written.path, 6)) == b"abcdef"
    assert not list((tmp_path / "_tmp").iterdir())


def test_a_newer_file_leaves_the_older_one_which_is_then_unlisted(tmp_path: Path) -> None:
    files = IndexFiles(tmp_path)
    old, new = files.write("a/1", [b"old"]), files.write("a/1", [b"new"])

    assert bytes(files.read(old.path, 3)) == b"old"
    assert files.unlisted([new.path]) == [old.path]
    assert files.unlisted([new.path, old.path]) == []


def test_a_damaged_file_is_mended_by_writing_it_again(tmp_path: Path) -> None:
    files = IndexFiles(tmp_path)
    written = files.write("a/1", [b"abc"])
    (tmp_path / written.path).write_bytes(b"abX")

    files.write("a/1", [b"abc"])

    assert bytes(files.read(written.path, 3)) == b"abc"


def test_a_file_that_is_missing_short_or_elsewhere_is_refused(tmp_path: Path) -> None:
    files = IndexFiles(tmp_path)
    written = files.write("a/1", [b"abc"])
    (tmp_path / "secret").write_bytes(b"abc")

    with pytest.raises(IndexFileMissing):
        files.read("indexes/b.index", 3)
    with pytest.raises(ValueError, match="has 3 bytes, written were 4"):
        files.read(written.path, 4)
    with pytest.raises(ValueError, match="not below"):
        files.read("indexes/../secret", 3)
    with pytest.raises(ValueError, match="not below"):
        files.read(str(tmp_path / "secret"), 3)


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> object:
        yield b"abc"
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError):
        IndexFiles(tmp_path).write("a/1", pieces())  # type: ignore[arg-type]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
