import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.archive_members import sort_out
from dataset_assets.exports.tar_files import NotAllowed
from dataset_assets.exports.zip_files import ZipWriter, part_stem, spooled


def written(file: Path, members: dict[str, bytes]) -> bytes:
    with ZipWriter(file) as archive:
        for name, data in members.items():
            archive.add(name, data)
    return file.read_bytes()


def read(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert not sort_out(archive.infolist()).unsafe
        return {name: archive.read(name) for name in archive.namelist()}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}(/[a-z]{1,9})?\.(png|json|txt)", fullmatch=True), st.binary()))
def test_every_member_is_read_again(tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.zip"

    written(file, members)

    assert read(file) == members


def test_nothing_but_names_and_bytes_is_told(tmp_path: Path) -> None:
    written(tmp_path / "a.zip", {"dataset/a.png": b"pixels", "a.json": b""})

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        members = archive.infolist()
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
    assert {(member.extra, member.comment, member.flag_bits, member.external_attr) for member in members} == {
        (b"", b"", 0, 0o100644 << 16)
    }


def test_bytes_do_not_follow_from_the_place_or_the_way_a_member_came(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with ZipWriter(tmp_path / "b" / "other.zip") as archive, spooled(tmp_path / "b" / "other.zip") as text:
        text.write(b"text")
        archive.add_file("a.txt", text)

    assert written(tmp_path / "a.zip", {"a.txt": b"text"}) == (tmp_path / "b" / "other.zip").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "/a.png",
        "C:/a.png",
        "a\\b.png",
        "a\0.png",
        "a//b.png",
        "",
        "a.pkl",
        "a.png.exe",
        "a",
        "a.zip",
        "a.py",
    ],
)
def test_no_other_name_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotAllowed, match="cannot be in an archive"):
        written(tmp_path / "a.zip", {name: b""})


def test_no_name_is_written_twice(tmp_path: Path) -> None:
    with ZipWriter(tmp_path / "a.zip") as archive:
        archive.add("a.png", b"1")
        with pytest.raises(NotAllowed, match="there already"):
            archive.add("a.png", b"2")


def test_what_needs_more_than_32_bits_is_zip64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"{n}.png": bytes([n]) * 300 for n in range(5)} | {"meta.json": b"{}"}
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 200)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)

    with ZipWriter(tmp_path / "a.zip") as archive:
        for name, data in members.items():
            archive.add_file(name, io.BytesIO(data))

    monkeypatch.undo()
    assert b"PK\x06\x06" in (tmp_path / "a.zip").read_bytes()
    assert read(tmp_path / "a.zip") == members


def test_archives_of_a_part_are_named_for_it() -> None:
    assert part_stem("girls", None) == "girls"
    assert part_stem("girls", "train") == "girls-train"
    with pytest.raises(NotAllowed):
        part_stem("girls", "../train")
