"""Exports in kohya's layout, read again by the rules of sd-scripts."""

import csv
import io
import json
from pathlib import Path

import pytest

from dataset_assets.exports.credits import FILE_NAME
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.kohya import READABLE, dataset_settings
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.tar_files import NotAllowed
from dataset_assets.exports.target import Target
from dataset_assets_tests.exports import sd_scripts
from dataset_assets_tests.exports.hostile_members import counted, export, hostile_members, rows_by_id
from dataset_assets_tests.exports.made_members import PREPARED, contents, member, members_of, tag
from dataset_assets_tests.mirror import picture


def captions(*said: str) -> list[dict[str, str]]:
    return [{"origin": "human", "caption": caption} for caption in said]


def exported(folder: Path, *rows: dict[str, object]) -> Path:
    export(members_of(rows), "kohya", folder)
    return folder / "kohya"


@pytest.mark.parametrize("old", [True, False], ids=["old sd-scripts", "new sd-scripts"])
def test_sd_scripts_train_on_the_same_pixels_captions_and_tags(tmp_path: Path, old: bool) -> None:
    girl = member("1", tags=[tag("painter", "artist"), tag("1girl"), tag("long_hair")])
    shop = member("2", file=picture(3, form="JPEG"), captions=captions("a shop", "by another"), tags=[])

    folder = exported(tmp_path / "out", girl, shop)

    assert sd_scripts.trained(folder, old=old) == {
        "danbooru-1-0": ("danbooru-1-0.png", "a girl at night,painter, 1girl, long hair", None),
        "danbooru-2-0": ("danbooru-2-0.jpg", "a shop", None),
    }
    assert (folder / "img/danbooru-1-0.png").read_bytes() == girl["data"]
    assert (folder / "img/danbooru-2-0.jpg").read_bytes() == shop["data"]


def test_the_newer_metadata_say_the_same_and_the_size_of_prepared_images(tmp_path: Path) -> None:
    folder = exported(tmp_path / "out", member("1"), member("2", **PREPARED))

    newer = sd_scripts.trained(folder, "meta_clean.jsonl", old=False)

    assert newer == {
        "danbooru-1-0.png": ("danbooru-1-0.png", "a girl at night,1girl, painter", None),
        "danbooru-2-0.png": ("danbooru-2-0.png", "a girl at night,1girl, painter", (48, 40)),
    }


def test_the_texts_beside_each_image_train_on_tags_as_they_are(tmp_path: Path) -> None:
    folder = exported(tmp_path / "out", member("1", tags=[tag("long_hair"), tag("^_^")]), member("2", tags=[]))

    assert sd_scripts.trained_by_texts(folder) == {
        "danbooru-1-0": ("danbooru-1-0.png", "long_hair, ^_^", None),
        "danbooru-2-0": ("danbooru-2-0.png", "", None),
    }
    assert (folder / "img/danbooru-1-0.caption").read_bytes() == b"a girl at night\n"


def test_each_meta_file_says_its_part(tmp_path: Path) -> None:
    folder = exported(tmp_path / "out", member("1", captions=captions("a woman"), tags=[tag("long_hair")]))

    assert {file.name: json.loads(file.read_text())["danbooru-1-0"] for file in sorted(folder.glob("*.json"))} == {
        "meta_cap.json": {"caption": "a woman"},
        "meta_cap_dd.json": {"caption": "a woman", "tags": "long_hair"},
        "meta_clean.json": {"caption": "a girl", "tags": "long hair"},
        "meta_dd.json": {"tags": "long_hair"},
    }


def test_hostile_texts_lose_no_image_and_make_no_tag(tmp_path: Path) -> None:
    members = hostile_members()
    export(members, "kohya", tmp_path / "out")
    rows = rows_by_id(members)
    readable = {key for key, row in rows.items() if row["extension"] in READABLE}

    found = {}
    for part in ("train", "test"):
        folder = tmp_path / "out" / "kohya" / part
        for old in (True, False):
            found |= sd_scripts.trained(folder, old=old)
        metadata = sd_scripts.read_metadata(folder / "meta_cap_dd.json")
        for key, entry in metadata.items():
            said = [tag["tag"] for tag in rows[key]["tags"]]
            assert len(sd_scripts.tags_of(entry["tags"])) == len([tag for tag in said if tag.strip()])
            assert "\n" not in entry.get("caption", "")

    assert found.keys() == readable


def test_what_kohyas_texts_cannot_hold_stands_beside_as_it_is(tmp_path: Path) -> None:
    tags = [tag("rome,italy"), tag("a\nb"), tag("=1+1"), tag("")]
    plain, odd = member("1"), member("2", tags=tags, captions=captions("two\nlines\0"))

    folder = exported(tmp_path / "out", plain, odd)

    first, second = (json.loads(line) for line in (folder / "meta_clean.jsonl").read_text().splitlines())
    assert (folder / "img/danbooru-2-0.txt").read_text("utf-8") == "rome，italy, a b, =1+1\n"
    assert (folder / "img/danbooru-2-0.caption").read_text("utf-8") == "two lines\n"
    assert "as_published" not in first
    assert second["as_published"] == {"caption": "two\nlines\0", "tags": ["rome,italy", "a\nb", "=1+1", ""]}


def test_an_image_of_a_kind_that_sd_scripts_do_not_read_is_named_as_such(tmp_path: Path) -> None:
    folder = exported(tmp_path / "out", member("1"), member("2", file=picture(5, form="GIF")))

    assert sd_scripts.read_metadata(folder / "meta_clean.json").keys() == {"danbooru-1-0"}
    assert (folder / "img/danbooru-2-0.gif").is_file()
    assert (folder / "NOT_READ.csv").read_text().splitlines() == [
        "file,image_id,reason",
        'img/danbooru-2-0.gif,danbooru-2-0,"sd-scripts look for png, jpg, jpeg, webp, bmp, and find no gif"',
    ]


def test_every_image_is_credited_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    members = hostile_members()
    export(members, "kohya", tmp_path / "out")
    folder = tmp_path / "out" / "kohya" / "train"

    rows = list(csv.DictReader(io.StringIO((folder / FILE_NAME).read_text("utf-8"))))

    ids = [row["image_id"] for row in members.rows() if row["split"] == "train"]
    assert [row["image_id"] for row in rows] == ids
    assert all((folder / row["file"]).stem == row["image_id"] and (folder / row["file"]).is_file() for row in rows)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@\t\r")]


def test_parts_of_a_release_are_trained_on_apart(tmp_path: Path) -> None:
    export(members_of([member("1", split="train"), member("2", split="test")]), "kohya", tmp_path / "out")

    trained = sd_scripts.trained(tmp_path / "out/kohya/train", old=False)

    assert trained.keys() == {"danbooru-1-0"}
    assert not (tmp_path / "out/kohya/dataset.toml").exists()


def test_a_part_that_is_no_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match="names no member"):
        export(members_of([member("1", split="../outside")]), "kohya", tmp_path / "out")

    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("side", "resolution", "least", "most"),
    [(0, 64, 64, 128), (48, 64, 64, 128), (512, 512, 256, 1024), (800, 768, 384, 1536), (5000, 4992, 2496, 9984)],
)
def test_buckets_follow_from_the_images(tmp_path: Path, side: int, resolution: int, least: int, most: int) -> None:
    for name, text in dataset_settings(side).items():
        (tmp_path / name).write_text(text)
        found = sd_scripts.settings(tmp_path / name)

        assert found["datasets"][0]["resolution"] == resolution
        assert (found["general"]["min_bucket_reso"], found["general"]["max_bucket_reso"]) == (least, most)


def test_the_longer_side_of_the_middle_image_is_the_resolution(tmp_path: Path) -> None:
    rows = [member(str(n), file=picture(n, size)) for n, size in enumerate([(130, 40), (70, 210), (900, 10)])]

    folder = exported(tmp_path / "out", *rows)

    assert sd_scripts.settings(folder / "dataset.toml")["datasets"][0]["resolution"] == 192


def test_equal_members_give_equal_bytes_in_another_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(hostile_members(), "kohya", tmp_path / name)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def stopped(members: Members, folder: Path, after: int) -> None:
    """Write until so many files of members were read, and stop as if the machine had."""
    target = Target(folder, folder.parent / "scratch")
    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        if len(reads) > after:
            raise OSError("the disk is gone")
        return members.read_path(path)

    with pytest.raises(MemberLost):
        list(FORMATS["kohya"].write(Members(members.parts, read), target, Settings("girls")))


def test_a_stopped_export_goes_on_with_the_images_that_it_has_not_written(tmp_path: Path) -> None:
    members, reads = hostile_members(), list[str]()
    stopped(members, tmp_path / "out", 18)  # 3 of the test part, 11 of the first year, 4 of 10 of the second

    export(counted(members, reads), "kohya", tmp_path / "out")
    export(members, "kohya", tmp_path / "whole")

    assert len(reads) == 10
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_was_said_otherwise_before_a_stop_is_written_anew(tmp_path: Path) -> None:
    rows = [member("1", captions=captions("before"), year=2018), member("2")]
    stopped(members_of(rows), tmp_path / "out", 1)

    rows[0]["captions"] = captions("after")
    export(members_of(rows), "kohya", tmp_path / "out")

    assert (tmp_path / "out/kohya/img/danbooru-1-0.caption").read_text() == "after\n"


def test_a_file_that_went_missing_after_a_stop_is_written_again(tmp_path: Path) -> None:
    rows = [member("1", year=2018), member("2")]
    stopped(members_of(rows), tmp_path / "out", 1)
    (tmp_path / "out/kohya/img/danbooru-1-0.txt").unlink()

    export(members_of(rows), "kohya", tmp_path / "out")

    assert (tmp_path / "out/kohya/img/danbooru-1-0.txt").read_text() == "1girl, painter\n"


def test_a_member_whose_file_has_changed_stops_the_export(tmp_path: Path) -> None:
    row = member("1")
    row["data"] += b"more"

    with pytest.raises(MemberLost, match="no longer the file"):
        export(members_of([row]), "kohya", tmp_path / "out")
