"""A release: pinned, whole or not there, the same wherever it is written, and verified by nothing but itself."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports import formats
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.release import (
    MANIFEST,
    Plan,
    manifest_hash,
    public_path,
    read_manifest,
    verify,
    write_release,
)
from dataset_assets.exports.target import Target
from dataset_assets.release_settings import FORMAT_NAMES

FILES = {f"images/training/a/{number:04d}/{number}_p0.jpg": b"picture %d" % number * number for number in range(1, 9)}


def quiet(line: str) -> None:
    """Nobody listens."""


def members(read: Callable[[str], bytes] = FILES.__getitem__, folder: str = "") -> Members:
    rows = [
        {
            "image_id": f"{'a' if number < 5 else 'b'}-{number}-0",
            "source": "a" if number < 5 else "b",
            "year": 2019,
            "path": f"{folder}{path}",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
            "extension": "jpg",
            "width": 4,
            "height": 4,
            "license": "CC0-1.0" if number < 5 else "various",
            "may_redistribute": number < 5,
            "captions": [{"origin": "coca", "caption": f"number {number}"}],
            "tags": [{"tag": "hat", "category": "general"}, {"tag": f"tag_{number}", "category": "general"}],
            "artist": [],
        }
        for number, (path, data) in enumerate(FILES.items(), 1)
    ]
    frame = MEMBERS.frame(rows)
    parts = [frame.filter(pl.col("source") == source).lazy() for source in ("a", "b")]
    return Members(parts, lambda path: read(path.removeprefix(folder)))


def plan(**changes: object) -> Plan:
    return Plan(**{"settings": formats.Settings("first", 1 << 20), "formats": ["webdataset"], "key": "k"} | changes)  # type: ignore[arg-type]


def target(folder: Path) -> Target:
    return Target(folder, folder.parent / "making")


def test_a_release_pins_every_member_and_file_and_tells_no_time_or_place(tmp_path: Path) -> None:
    manifest = write_release(
        members(folder=f"{tmp_path}/"), plan(stated={"subset": "s"}), target(tmp_path / "one"), quiet
    )
    said = (tmp_path / "one" / MANIFEST).read_text("utf-8")

    assert read_manifest(target(tmp_path / "one")) == manifest
    assert manifest_hash(manifest) == hashlib.sha256(said.encode()).hexdigest()
    assert manifest["members"]["count"] == 8
    assert manifest["counts"] | {"bytes": 0} == {
        "images": 8, "captioned": 8, "tags": 16, "distinct_tags": 9, "bytes": 0, "without_file": 0,
        "images_by_year": {"a|2019": 4, "b|2019": 4},
    }  # fmt: skip
    for file in (tmp_path / "one").rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes(), file
    assert not (tmp_path / "one" / "_finished").exists()


def test_pixels_that_may_not_be_passed_on_stay_unless_all_are_asked_for(tmp_path: Path) -> None:
    gated = write_release(members(), plan(formats=["webdataset", "ids"]), target(tmp_path / "gated"), quiet)
    whole = write_release(members(), plan(all_pixels=True), target(tmp_path / "whole"), quiet)
    rows = pl.read_parquet(tmp_path / "gated" / "files.parquet")

    assert (gated["held_back"], whole["held_back"]) == ({"b": 4}, {})
    assert rows.filter(pl.col("name").str.ends_with(".tar"))["rows"].sum() == 4
    assert pl.read_parquet(tmp_path / "gated" / "members.parquet").height == 8, "what is held back is still told of"
    for file in (tmp_path / "gated").rglob("*"):
        assert file.is_dir() or b"picture 8" not in file.read_bytes()
    assert b"picture 8" in next((tmp_path / "whole/webdataset").glob("*.tar")).read_bytes()


def test_a_member_without_a_file_is_told_of_and_leaves_no_pixels(tmp_path: Path) -> None:
    known = members()
    [lone] = [
        part.head(1).with_columns(path=pl.lit(None, pl.String), sha256=pl.lit(None, pl.String))
        for part in known.parts[:1]
    ]
    some = Members([lone, *known.parts[1:]], known.read_path)
    manifest = write_release(
        some, plan(formats=["webdataset", "ids"], all_pixels=True), target(tmp_path / "one"), quiet
    )

    assert (manifest["counts"]["images"], manifest["counts"]["without_file"]) == (5, 1)
    assert "a-1-0" in (tmp_path / "one/ids/ids.csv").read_text("utf-8")
    assert (
        sum(pl.read_parquet(tmp_path / "one/files.parquet").filter(pl.col("name").str.ends_with(".tar"))["rows"]) == 4
    )


def test_a_release_is_the_same_in_another_folder_also_when_its_files_lie_elsewhere(tmp_path: Path) -> None:
    first = write_release(members(folder="/here/"), plan(), target(tmp_path / "one"), quiet)
    second = write_release(members(folder="/there/"), plan(key="other"), target(tmp_path / "two"), quiet)

    assert manifest_hash(first) == manifest_hash(second)
    for file in (tmp_path / "one").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_a_release_with_a_lost_member_is_not_finished_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    lost = "images/training/a/0008/8_p0.jpg"
    small = plan(settings=formats.Settings("first", 1), all_pixels=True)  # a shard for each member

    def read(path: str) -> bytes:
        if path == lost:
            raise FileNotFoundError(path)
        return FILES[path]

    with pytest.raises(MemberLost, match="b-8-0"):
        write_release(members(read), small, target(tmp_path / "one"), quiet)
    assert not (tmp_path / "one" / MANIFEST).exists()
    shards = {file: file.stat().st_ino for file in (tmp_path / "one/webdataset").glob("*.tar")}
    resumed = write_release(members(), small, target(tmp_path / "one"), quiet)

    assert len(shards) == 7
    assert all(file.stat().st_ino == inode for file, inode in shards.items()), "finished shards are left alone"
    assert manifest_hash(resumed) == manifest_hash(write_release(members(), small, target(tmp_path / "two"), quiet))


def test_what_a_stopped_try_wrote_of_members_that_are_out_by_now_is_not_left_behind(tmp_path: Path) -> None:
    def read(path: str) -> bytes:
        if path.endswith("/8_p0.jpg"):
            raise FileNotFoundError(path)
        return FILES[path]

    shards = formats.Settings("first", 1)  # one for each member
    with pytest.raises(MemberLost):
        write_release(members(read), plan(settings=shards, all_pixels=True), target(tmp_path / "one"), quiet)
    tried = sorted(file.name for file in (tmp_path / "one/webdataset").iterdir())
    fewer = members().filter(pl.col("image_id").is_in(["a-2-0", "a-3-0"]))

    write_release(fewer, plan(settings=shards, key="fewer"), target(tmp_path / "one"), quiet)

    assert len(tried) == 7
    assert list(verify(target(tmp_path / "one"), quiet)) == []
    written = [file.read_bytes() for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert not [data for data in written if b"picture 7" in data]


def test_a_member_with_other_bytes_than_its_row_says_never_leaves(tmp_path: Path) -> None:
    with pytest.raises(MemberLost, match="no longer the file"):
        write_release(members(lambda path: FILES[path] + b"!"), plan(), target(tmp_path / "one"), quiet)


def test_a_whole_release_verifies_and_what_stands_beside_it_is_no_damage(tmp_path: Path) -> None:
    write_release(members(), plan(), target(tmp_path / "one"), quiet)
    (tmp_path / "one" / "released.json").write_text("{}", "utf-8")

    assert list(verify(target(tmp_path / "one"), quiet)) == []


@pytest.mark.parametrize("seed", range(40))
def test_verify_finds_each_way_a_copy_can_be_wrong(tmp_path: Path, seed: int) -> None:
    write_release(members(), plan(formats=["webdataset", "ids"]), target(tmp_path / "one"), quiet)
    chance = random.Random(seed)
    files = sorted(file for file in (tmp_path / "one").rglob("*") if file.is_file() and file.name != MANIFEST)
    hurt, data = (file := chance.choice(files)), bytearray(file.read_bytes())
    way = chance.choice(("delete", "cut", "flip", "swap", "extra"))
    if way == "delete":
        hurt.unlink()
    elif way == "cut":
        hurt.write_bytes(data[: len(data) // 2])
    elif way == "flip":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        hurt.write_bytes(data)
    elif way == "swap":
        other = chance.choice([file for file in files if file != hurt])
        hurt.write_bytes(other.read_bytes())
    else:
        hurt = hurt.with_name("more.tar")
        hurt.write_bytes(b"more")

    assert [damage.name for damage in verify(target(tmp_path / "one"), quiet)] == [
        hurt.relative_to(tmp_path / "one").as_posix()
    ]


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_manifest(target(tmp_path))
    (tmp_path / MANIFEST).write_text(json.dumps({"manifest_version": 99}), "utf-8")
    with pytest.raises(ValueError, match="no manifest of version 1"):
        read_manifest(target(tmp_path))


@pytest.mark.parametrize("path", ["/mirror/a.png", "s3://bucket/a.png", "C:\\a.png", "/a.zip!b.png", None])
def test_a_path_outside_of_the_root_is_not_told(path: str | None) -> None:
    frame = pl.DataFrame({"path": [path, "images/raw/a/1.png"]}, schema={"path": pl.String})

    assert frame.select(path=public_path(pl.col("path")))["path"].to_list() == [None, "images/raw/a/1.png"]


def test_dataset_yaml_knows_every_format_and_no_other() -> None:
    assert set(FORMAT_NAMES) == set(formats.FORMATS)
