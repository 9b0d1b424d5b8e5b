import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from dataset_assets.domain.attribution import credit
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets_tests.exports.hostile_members import (
    TEXTS,
    as_frame,
    counted,
    export,
    hostile_members,
    member,
    members_of,
    pixels_of,
    rows_by_id,
)

NOTES = {"image_id": pl.String, "x": pl.Int32, "y": pl.Int32, "width": pl.Int32, "height": pl.Int32, "body": pl.String}


def notes_of(*rows: tuple[str, int, int, int, int, str | None]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, NOTES, orient="row")


@pytest.fixture
def opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """Annotations of the folder `out`, as pycocotools reads them."""
    from pycocotools.coco import COCO

    def read(name: str) -> Any:
        found = COCO(str(tmp_path / "out" / "coco" / "annotations" / name))
        assert "index created" in capsys.readouterr().out
        return found

    return read


def test_pycocotools_reads_the_same_ids_captions_tags_and_pixels(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    members = hostile_members()
    export(members, "coco", tmp_path / "out")
    expected = rows_by_id(members)
    for split in ("train", "test"):
        found = opened(f"captions_{split}.json")
        for image in found.loadImgs(found.getImgIds()):
            known = expected.pop(image["image_id"])
            assert known["split"] == split
            told = found.loadAnns(found.getAnnIds(imgIds=image["id"]))
            assert [{"origin": note["origin"], "caption": note["caption"]} for note in told] == known["captions"]
            assert [
                {"tag": tag, "category": kind} for tag, kind in zip(image["tags"], image["tag_categories"], strict=True)
            ] == known["tags"]
            data = (tmp_path / "out" / "coco" / "images" / image["file_name"]).read_bytes()
            assert data == members.read(known)
            assert np.array_equal(pixels_of(data), pixels_of(members.read(known)))
            assert (image["width"], image["height"]) == (known["width"], known["height"])
    assert not expected


def test_an_image_says_whose_it_is_and_under_which_licence(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    members = hostile_members()
    export(members, "coco", tmp_path / "out")
    found, expected = opened("captions_train.json"), rows_by_id(members)
    licenses = {stated["id"]: stated for stated in found.dataset["licenses"]}
    for image in found.dataset["images"]:
        credits, known = credit(expected[image["image_id"]]), expected[image["image_id"]]
        stated = licenses[image["license"]]
        assert (stated["name"], stated["basis"]) == (credits["license"], credits["license_basis"])
        assert stated["url"] == "https://example.org/terms"
        assert {name: image[name] for name in ("artist", "title", "source_url")} == {
            name: credits[name] for name in ("artist", "title", "source_url")
        }
        assert image["coco_url"] == (known["file_url"] or "")
        assert image["date_captured"] == (f"{known['created_at']:%Y-%m-%d %H:%M:%S}" if known["created_at"] else "")


def test_images_have_numbers_without_gaps_through_all_splits(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    export(hostile_members(), "coco", tmp_path / "out")
    numbers = [number for split in ("test", "train") for number in opened(f"captions_{split}.json").getImgIds()]
    assert sorted(numbers) == list(range(1, 25))
    captions = [note["id"] for note in opened("captions_train.json").dataset["annotations"]]
    assert captions == list(range(1, len(captions) + 1))


def test_without_notes_there_are_no_instances(tmp_path: Path) -> None:
    members = hostile_members(3)
    written = export(members, "coco", tmp_path / "out")
    other = hostile_members(3, notes=notes_of(("danbooru-999-0", 0, 0, 1, 1, "of an image that is not here")))
    assert not [file for file in written if "instances" in file.name]
    assert export(other, "coco", tmp_path / "other") == written


def test_boxes_are_carried_to_the_file_that_leaves(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    files: dict[str, bytes] = {}
    placed = {"scale_x": 0.5, "scale_y": 0.25, "offset_x": 4, "offset_y": -2}
    rows = [member(1, files, **placed), member(2, files), member(3, files, **placed)]
    notes = notes_of(
        ("danbooru-0000002-0", 30, 20, 100, 100, "original, over the edge"),
        ("danbooru-0000001-0", 10, 40, 20, 20, "inside"),
        ("danbooru-0000001-0", -20, 0, 30, 1000, "to the left edge, and over the height"),
    )
    export(members_of(rows, files, notes=notes), "coco", tmp_path / "out")
    found = opened("instances_train.json")
    boxes = {note["body"]: (note["image_id"], note["bbox"], note["area"]) for note in found.dataset["annotations"]}
    assert boxes == {
        "inside": (1, [9.0, 8.0, 10.0, 5.0], 50.0),
        "to the left edge, and over the height": (1, [0.0, 0.0, 9.0, 24.0], 216.0),
        "original, over the edge": (2, [30.0, 20.0, 10.0, 4.0], 40.0),
    }
    assert found.getImgIds() == [1, 2]
    assert found.loadCats(found.getCatIds())[0]["name"] == "note"


def test_boxes_of_which_nothing_is_shown_are_left_out_and_counted(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    files: dict[str, bytes] = {}
    rows = [member(1, files, scale_x=1.0, scale_y=1.0, offset_x=-100, offset_y=0)]
    outside = [(10, 10, 20, 5), (200, 0, 5, 5), (110, 10, 0, 5), (110, 10, 5, -5), (2**31 - 1, 0, 2**31 - 1, 9)]
    notes = notes_of(
        *(("danbooru-0000001-0", *box, "gone") for box in outside), ("danbooru-0000001-0", 110, 5, 9, 9, "")
    )
    export(members_of(rows, files, notes=notes), "coco", tmp_path / "out")
    found = opened("instances_train.json")
    assert [note["bbox"] for note in found.dataset["annotations"]] == [[10.0, 5.0, 9.0, 9.0]]
    assert found.dataset["info"]["boxes_outside_of_their_image"] == len(outside)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools itself
def test_a_box_is_a_mask_to_pycocotools(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    files: dict[str, bytes] = {}
    notes = notes_of(("danbooru-0000001-0", 3, 4, 10, 6, "word"))
    export(members_of([member(1, files)], files, notes=notes), "coco", tmp_path / "out")
    found = opened("instances_train.json")
    mask = found.annToMask(found.loadAnns(found.getAnnIds())[0])
    assert mask.shape == (24, 40)
    assert mask.sum() == 60
    assert mask[4:10, 3:13].all()


def test_bodies_of_notes_arrive_as_they_are(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    files: dict[str, bytes] = {}
    notes = notes_of(*(("danbooru-0000001-0", place, place, 2, 2, text) for place, text in enumerate(TEXTS)))
    export(members_of([member(1, files)], files, notes=notes), "coco", tmp_path / "out")
    assert [note["body"] for note in opened("instances_train.json").dataset["annotations"]] == list(TEXTS)


def test_the_json_can_be_opened_in_any_encoding(tmp_path: Path) -> None:
    export(hostile_members(), "coco", tmp_path / "out")
    for file in (tmp_path / "out" / "coco" / "annotations").iterdir():
        assert file.read_bytes().isascii()
        assert list(json.loads(file.read_bytes())) == ["images", "annotations", "licenses", "info"]


def test_equal_members_give_equal_bytes_however_their_rows_lie(tmp_path: Path) -> None:
    boxes = [(f"danbooru-{n % 30:07d}-0", n, n % 7, 5, 5, f"note {n}") for n in range(90)]
    members = hostile_members(40, notes=notes_of(*boxes))
    frame = as_frame(members)
    whole = Members([frame.lazy()], members.read_path, notes=notes_of(*reversed(boxes)))
    first = export(members, "coco", tmp_path / "a")
    assert any("instances" in file.name for file in first)
    assert sorted(export(whole, "coco", tmp_path / "b" / "c")) == sorted(first)


def test_it_goes_on_after_a_stop_without_writing_what_is_finished(tmp_path: Path) -> None:
    members = hostile_members()
    reads: list[str] = []
    last = as_frame(members).filter(split="train")["path"][-1]

    def stop_at_last(path: str) -> bytes:
        if path == last:
            raise PermissionError("stopped")
        return members.read_path(path)

    with pytest.raises(MemberLost, match="stopped"):
        export(Members(members.parts, stop_at_last), "coco", tmp_path / "out")
    before = {file: file.stat().st_ino for file in (tmp_path / "out" / "coco").rglob("*.*")}
    assert len(before) > 10
    written = export(counted(members, reads), "coco", tmp_path / "out")
    assert {file: file.stat().st_ino for file in before} == before
    assert len(reads) < 24
    assert written == export(members, "coco", tmp_path / "whole")


def test_images_open_where_file_name_says(tmp_path: Path, opened: Callable[[str], Any]) -> None:
    export(hostile_members(), "coco", tmp_path / "out")
    found = opened("captions_train.json")
    for image in found.dataset["images"]:
        with Image.open(tmp_path / "out" / "coco" / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
