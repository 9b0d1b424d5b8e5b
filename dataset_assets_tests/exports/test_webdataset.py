import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.tar_files import NotAllowed
from dataset_assets.exports.target import Target
from dataset_assets_tests.exports.hostile_members import (
    counted,
    digest,
    export,
    hostile,
    hostile_members,
    member,
    members_of,
    pixels_of,
    rows_by_id,
)
from dataset_assets_tests.exports.samples_read import SampleReader, sample_reader

__all__ = ["sample_reader"]

SHARD = 30_000


def tars(folder: Path) -> list[Path]:
    return sorted((folder / "webdataset").glob("*.tar"))


def decodable(count: int = 12) -> Members:
    """Of the kinds that the library opens by itself: it leaves AVIF as bytes."""
    files: dict[str, bytes] = {}
    kinds = ("png", "jpg", "webp")
    return members_of([member(n, files, **hostile(n), extension=kinds[n % 3]) for n in range(count)], files)


def test_the_library_decodes_the_same_ids_captions_tags_and_pixels(tmp_path: Path, sample_reader: SampleReader) -> None:
    members = decodable()
    export(members, "webdataset", tmp_path / "out", SHARD)
    expected = rows_by_id(members)

    for sample in sample_reader.decoded(*tars(tmp_path / "out")):
        known = expected.pop(sample["__key__"])
        assert sample["json"]["captions"] == known["captions"]
        assert sample["json"]["tags"] == known["tags"]
        assert sample["txt"] == (known["captions"][0]["caption"] if known["captions"] else "")
        with sample[known["extension"]] as picture:
            assert np.array_equal(np.asarray(picture), pixels_of(members.read(known)))
    assert not expected


def test_the_library_reads_every_kind_of_image_whole_and_in_order(tmp_path: Path, sample_reader: SampleReader) -> None:
    members = hostile_members()
    export(members, "webdataset", tmp_path / "out", SHARD)
    expected = rows_by_id(members)

    samples = sample_reader.samples(*tars(tmp_path / "out"))

    assert len(samples) == len(expected) == 24
    for sample in samples:
        known = expected[sample["__key__"]]
        assert sample[known["extension"]] == members.read(known)
        assert set(sample) == {"__key__", "__url__", known["extension"], "txt", "json"}
    for split in ("train", "test"):
        ids = [row["image_id"] for row in members.rows() if row["split"] == split]
        assert [sample["__key__"] for sample in samples if f"/{split}-" in sample["__url__"]] == ids


def test_tarfile_finds_regular_files_that_tell_of_no_time_and_no_owner(tmp_path: Path) -> None:
    export(hostile_members(), "webdataset", tmp_path / "out", SHARD)

    for file in tars(tmp_path / "out"):
        with tarfile.open(file) as tar:
            found = tar.getmembers()
            assert {(one.mode, one.mtime, one.uid, one.gid, one.uname, one.gname) for one in found} == {
                (0o644, 0, 0, 0, "", "")
            }
            assert all(one.isreg() and "/" not in one.name for one in found)
            assert [one.name.rpartition(".")[2] for one in found][1::3] == ["txt"] * (len(found) // 3)


def test_a_name_of_two_hundred_characters_is_read_whole(tmp_path: Path, sample_reader: SampleReader) -> None:
    files: dict[str, bytes] = {}
    name = f"{'s' * 32}-{'p' * 128}-99999"
    export(members_of([member(1, files, image_id=name)], files), "webdataset", tmp_path / "out")

    (sample,) = sample_reader.samples(*tars(tmp_path / "out"))

    assert sample["__key__"] == name
    with tarfile.open(tars(tmp_path / "out")[0]) as tar:
        assert tar.getnames()[0] == f"{name}.jpg"


def test_shards_are_as_large_as_was_asked_and_counted_for_open_clip(tmp_path: Path) -> None:
    written = export(hostile_members(), "webdataset", tmp_path / "out", SHARD)

    counted_there = json.loads((tmp_path / "out/webdataset/sizes.json").read_text("utf-8"))
    shards = [file for file in written if file.name.endswith(".tar")]
    assert counted_there == {file.name.partition("/")[2]: file.rows for file in shards}
    assert sum(file.rows for file in written) == 24
    assert len(shards) > 3
    # One caption alone is longer than a shard; the end of an archive fills up to 10 kB.
    assert all(file.bytes <= SHARD + 10_240 + 1024 or file.rows == 1 for file in shards)


def test_another_day_and_another_folder_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(hostile_members(), "webdataset", tmp_path / "a", SHARD)
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    before = os.umask(0o077)
    try:
        export(hostile_members(), "webdataset", tmp_path / "elsewhere" / "b", SHARD)
    finally:
        os.umask(before)

    a, b = tmp_path / "a", tmp_path / "elsewhere" / "b"
    assert {f.name: digest(f) for f in tars(a)} == {f.name: digest(f) for f in tars(b)}


def stopped_export(members: Members, folder: Path, reads: int) -> None:
    """Export until so many images were read; then the disk is gone."""
    left = iter(range(reads))

    def read(path: str) -> bytes:
        if next(left, None) is None:
            raise OSError("the disk is gone")
        return members.read_path(path)

    with pytest.raises(MemberLost):
        list(FORMATS["webdataset"].write(replace(members, read_path=read), target(folder), Settings("girls", SHARD)))


def target(folder: Path) -> Target:
    return Target(folder, folder.parent / "scratch")


def test_a_stopped_export_goes_on_with_the_first_shard_that_is_not_finished(tmp_path: Path) -> None:
    members, reads = hostile_members(), list[str]()
    export(members, "webdataset", tmp_path / "undisturbed", SHARD)
    stopped_export(members, tmp_path / "out", reads=13)
    finished = {file.name: file.stat().st_mtime_ns for file in tars(tmp_path / "out")}
    assert 0 < len(finished) < len(tars(tmp_path / "undisturbed"))

    export(counted(members, reads), "webdataset", tmp_path / "out", SHARD)

    assert {name: (tmp_path / "out/webdataset" / name).stat().st_mtime_ns for name in finished} == finished
    assert len(reads) < 24
    assert [digest(file) for file in tars(tmp_path / "out")] == [
        digest(file) for file in tars(tmp_path / "undisturbed")
    ]


def test_a_shard_of_which_other_things_are_said_now_is_written_again(tmp_path: Path) -> None:
    members = hostile_members()
    stopped_export(members, tmp_path / "out", reads=13)
    retagged = replace(members, parts=[part.with_columns(title=pl.lit("new")) for part in members.parts])

    export(retagged, "webdataset", tmp_path / "out", SHARD)

    for file in tars(tmp_path / "out"):
        with tarfile.open(file) as tar:
            said = [json.load(tar.extractfile(one)) for one in tar if one.name.endswith(".json")]  # type: ignore[arg-type]
        assert {each["title"] for each in said} == {"new"}


def test_a_lost_image_leaves_no_half_shard(tmp_path: Path) -> None:
    members = hostile_members()
    stopped_export(members, tmp_path / "out", reads=3)

    assert not list((tmp_path / "scratch").iterdir())
    for file in tars(tmp_path / "out"):
        with tarfile.open(file) as tar:
            assert len(tar.getnames()) % 3 == 0
    assert not (tmp_path / "out/webdataset/sizes.json").exists()


def test_an_image_that_is_another_one_now_is_not_exported(tmp_path: Path) -> None:
    members = replace(hostile_members(), read_path=lambda path: b"another image")

    with pytest.raises(MemberLost, match="no longer the file"):
        list(FORMATS["webdataset"].write(members, target(tmp_path / "out"), Settings("girls")))
    assert not tars(tmp_path / "out")


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.target import Target
from dataset_assets_tests.exports.hostile_members import hostile_members
members, folder, left = hostile_members(), Path(sys.argv[1]), iter(range(13))
def read(path):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return members.read_path(path)
target = Target(folder / "out", folder / "scratch")
list(FORMATS["webdataset"].write(replace(members, read_path=read), target, Settings("girls", int(sys.argv[2]))))
"""


def test_an_export_killed_half_way_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(SHARD)], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    for file in tars(tmp_path / "out"):
        with tarfile.open(file) as tar:
            assert len(tar.getnames()) % 3 == 0, "what has a shard's name is a whole shard"
    reads: list[str] = []

    export(counted(hostile_members(), reads), "webdataset", tmp_path / "out", SHARD)
    export(hostile_members(), "webdataset", tmp_path / "undisturbed", SHARD)

    assert 0 < len(reads) < 24
    assert [digest(file) for file in tars(tmp_path / "out")] == [
        digest(file) for file in tars(tmp_path / "undisturbed")
    ]


@pytest.mark.parametrize(
    "change",
    [{"image_id": "../../etc/passwd"}, {"extension": "pickle"}, {"extension": "zip"}, {"split": "../train"}],
    ids=str,
)
def test_nothing_is_written_where_one_name_is_hostile(tmp_path: Path, change: dict[str, str]) -> None:
    files: dict[str, bytes] = {}
    rows = [member(1, files), member(2, files, image_id="danbooru-9999999-0"), member(3, files) | change]

    with pytest.raises(NotAllowed):
        list(FORMATS["webdataset"].write(members_of(rows, files), target(tmp_path / "out"), Settings("girls", 1)))
    assert not tars(tmp_path / "out")


def test_a_release_of_no_member_has_no_shard(tmp_path: Path) -> None:
    (written,) = export(hostile_members().filter(pl.lit(value=False)), "webdataset", tmp_path / "out")

    assert written.name == "webdataset/sizes.json"
    assert json.loads((tmp_path / "out" / written.name).read_bytes()) == {}
