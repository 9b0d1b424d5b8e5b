import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_assets.domain.attribution import credit
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.records import RECORD
from dataset_assets_tests.exports.hostile_members import (
    TEXTS,
    as_frame,
    counted,
    export,
    hostile,
    hostile_members,
    member,
    members_of,
    pixels_of,
    rows_by_id,
)
from dataset_assets_tests.exports.hugging_face import Reader, reader

__all__ = ["reader"]


def one_split(count: int = 21) -> Members:
    files: dict[str, bytes] = {}
    return members_of([member(n, files, **hostile(n)) for n in range(count)], files)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_bytes().split(b"\n")[:-1]]


def loaded(reader: Reader, folder: Path) -> Any:
    """The splits, with images that are opened when asked for: the reader leaves some files open."""
    found = reader.load("imagefolder", data_dir=str(folder / "imagefolder"))
    return found.cast_column("image", reader.datasets.Image(decode=False))


def test_datasets_reads_the_same_ids_captions_tags_and_pixels(tmp_path: Path, reader: Reader) -> None:
    members = one_split()
    export(members, "imagefolder", tmp_path / "out")
    found, expected = loaded(reader, tmp_path / "out")["train"], rows_by_id(members)
    pictures = found.cast_column("image", reader.datasets.Image())
    assert len(found) == 21
    for number, row in enumerate(found):
        known = expected.pop(row["image_id"])
        assert row["captions"] == known["captions"]
        assert row["caption"] == (known["captions"][0]["caption"] if known["captions"] else "")
        assert list(zip(row["tags"], row["tag_categories"], strict=True)) == [
            (tag["tag"], tag["category"]) for tag in known["tags"]
        ]
        with pictures[number]["image"] as picture:
            assert np.array_equal(np.asarray(picture.convert("RGBA")), pixels_of(members.read(known)))


def test_every_other_field_arrives_as_it_left(tmp_path: Path, reader: Reader) -> None:
    members = one_split()
    export(members, "imagefolder", tmp_path / "out")
    found, expected = loaded(reader, tmp_path / "out")["train"], rows_by_id(members)
    assert set(found.features) == {"image", *RECORD}
    for row in found:
        known = expected[row["image_id"]]
        assert {name: row[name] for name in ("artist", "license", "license_basis")} == {
            name: credit(known)[name] for name in ("artist", "license", "license_basis")
        }
        assert row["source_url"] == (credit(known)["source_url"] or "")
        assert row["title"] == (known["title"] or "")
        assert (row["score"], row["is_ai_generated"]) == (known["score"], known["is_ai_generated"])
        time = row["created_at"] and datetime.strptime(row["created_at"], "%Y-%m-%d %H:%M:%S.%f UTC")
        assert (time.replace(tzinfo=UTC) if time else None) == known["created_at"]


def test_splits_of_which_one_lacks_captions_tags_and_scores_are_read_together(tmp_path: Path, reader: Reader) -> None:
    members = hostile_members()
    export(members, "imagefolder", tmp_path / "out")
    found = loaded(reader, tmp_path / "out")
    assert {split: len(rows) for split, rows in found.items()} == {"train": 21, "test": 3}
    assert found["train"].features == found["test"].features
    assert {"caption", "title", "rating", "artist", "source_url", "license", "created_at"} <= set(
        found["test"].features
    )
    captions = {row["image_id"]: row["captions"] for row in members.rows()}
    for row in found["train"]:
        assert row["caption"] == (captions[row["image_id"]] or [{"caption": ""}])[0]["caption"]


def test_lines_that_come_late_have_their_types(tmp_path: Path, reader: Reader) -> None:
    files: dict[str, bytes] = {}
    captions = [{"origin": "a", "caption": "x" * 99_000}]
    rows = [member(n, files, captions=captions, title=("2012-01-01", "")[n % 9 == 0]) for n in range(1, 130)]
    rows.append(member(999, files, **hostile(13)))
    export(members_of(rows, files), "imagefolder", tmp_path / "out")
    assert (tmp_path / "out" / "imagefolder" / "train" / "metadata.jsonl").stat().st_size > 10 << 20  # read at once
    found = loaded(reader, tmp_path / "out")["train"]
    late = {row["image_id"]: row for row in found}["danbooru-0000999-0"]
    assert (late["score"], late["is_ai_generated"], len(late["tags"])) == (10, True, 2)
    assert sorted(row["title"] for row in found) == sorted([late["title"], *["2012-01-01"] * 115, *[""] * 14])


def test_every_image_has_one_line_and_every_line_its_image(tmp_path: Path) -> None:
    members = hostile_members()
    written = export(members, "imagefolder", tmp_path / "out")
    for split in ("train", "test"):
        folder = tmp_path / "out" / "imagefolder" / split
        named = sorted(line["file_name"] for line in lines_of(folder))
        assert named == sorted(file.relative_to(folder).as_posix() for file in folder.rglob("danbooru-*"))
    assert sum(file.rows for file in written) == 24


def test_a_line_is_a_line_to_every_reader(tmp_path: Path) -> None:
    export(one_split(len(TEXTS)), "imagefolder", tmp_path / "out")
    text = (tmp_path / "out" / "imagefolder" / "train" / "metadata.jsonl").read_text("utf-8")
    assert len(text.splitlines()) == len(TEXTS)


def test_equal_members_give_equal_bytes_however_their_rows_lie(tmp_path: Path) -> None:
    members = hostile_members(40)
    whole = Members([as_frame(members).lazy()], members.read_path)
    first = export(members, "imagefolder", tmp_path / "a")
    assert sorted(export(whole, "imagefolder", tmp_path / "b" / "c")) == sorted(first)


def test_it_goes_on_after_a_stop_without_writing_what_is_finished(tmp_path: Path) -> None:
    members = hostile_members()
    reads: list[str] = []
    last = as_frame(members).filter(split="train")["path"][-1]

    def stop_at_last(path: str) -> bytes:
        if path == last:
            raise PermissionError("stopped")
        return members.read_path(path)

    with pytest.raises(MemberLost, match="stopped"):
        export(Members(members.parts, stop_at_last), "imagefolder", tmp_path / "out")
    before = {file: file.stat().st_ino for file in (tmp_path / "out" / "imagefolder").rglob("*.*")}
    assert len(before) > 10
    written = export(counted(members, reads), "imagefolder", tmp_path / "out")
    assert {file: file.stat().st_ino for file in before} == before
    assert len(reads) < 24
    assert written == export(members, "imagefolder", tmp_path / "whole")
