"""Exports in Danbooru20xx's layout, opened by the adapter that reads real mirrors, and line by line."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.exports import danbooru as exported_danbooru
from dataset_assets.exports.danbooru_terms import (
    PAGE_STEP,
    TwoOfOneNumber,
    number_of,
    require_own_numbers,
    whole_number,
)
from dataset_assets.exports.members import MemberLost
from dataset_assets.sources import danbooru
from dataset_assets_tests.exports.made_members import (
    HOSTILE,
    PREPARED,
    contents,
    export,
    member,
    members_of,
    picture,
    tag,
)
from dataset_assets_tests.sources.mirrors import source_of


def records(folder: Path) -> dict[int, dict[str, Any]]:
    """The records as anybody reads them: a line of JSON each, by id."""
    found = [
        json.loads(line)
        for file in sorted(folder.glob("metadata/*.json"))
        for line in file.read_text("utf-8").splitlines()
    ]
    assert len({record["id"] for record in found}) == len(found)
    return {int(record["id"]): record for record in found}


def read_back(folder: Path, images: str = "original") -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """An exported mirror as this project reads mirrors: image_metadata with each location, tag_metadata, rejected."""
    source, snapshot = source_of(folder, images=images), folder / "snapshot.parquet"
    report = danbooru.read_snapshot("danbooru", source, snapshot, lambda line: None)
    listed = danbooru.image_metadata(pl.scan_parquet(snapshot)).collect()
    tags = danbooru.tag_metadata(pl.scan_parquet(snapshot)).collect()
    return listed.join(danbooru.locate(source, listed), on="image_id"), tags, report.rejected


def test_a_mirror_is_read_again_with_the_same_ids_tags_ratings_numbers_and_pixels(tmp_path: Path) -> None:
    rows = [
        member(
            str(number), year=2017 + number % 3, rating=rating, tags=[tag("1girl"), tag(f"artist_{number}", "artist")]
        )
        for number, rating in enumerate(["general", "questionable", "explicit", "general", None], 9_999)
    ]
    rows += [member("9223372036854775807"), member("1500000000000000000", score=-3, parent_id="9999", pixiv_id="5")]
    export("danbooru", members_of(rows), tmp_path)
    listed, tags, rejected = read_back(tmp_path / "danbooru")

    assert rejected.is_empty()
    found = {row["image_id"]: row for row in listed.iter_rows(named=True)}
    expected = {row["image_id"]: row for row in rows if row["post_id"] != "9223372036854775807"}
    assert set(expected) < set(found)
    for image_id, row in expected.items():
        same = ("created_at", "uploader_id", "score", "fav_count", "source_url", "rating", "parent_id", "pixiv_id")
        assert {key: found[image_id][key] for key in same} == {key: row[key] for key in same}
        assert found[image_id]["md5"] == row["original_md5"]
        assert Path(found[image_id]["location"]).read_bytes() == row["data"]
    said = {(row["image_id"], tag["tag"], tag["category"]) for row in expected.values() for tag in row["tags"]}
    assert said <= set(tags.select("image_id", "tag", "category").unique().iter_rows())


def test_the_layout_is_danbooru_s_and_its_records_name_their_files(tmp_path: Path) -> None:
    rows = [member("1525146", year=2013), member("7", year=2005)]
    written = export("danbooru", members_of(rows), tmp_path)

    assert list(written) == [
        "danbooru/original/0007/7.png",
        "danbooru/metadata/2005.json",
        "danbooru/original/0146/1525146.png",
        "danbooru/metadata/2013.json",
    ]
    record = records(tmp_path / "danbooru")[1525146]
    assert (tmp_path / "danbooru" / record["file"]).read_bytes() == rows[0]["data"]
    assert record["created_at"] == "2019-03-01 10:00:00.500000 UTC"
    assert [record[key] for key in ("id", "score", "image_width", "tag_count")] == ["1525146", "7", "48", "2"]
    assert [record[key] for key in ("artist", "license", "license_basis")] == [
        "painter",
        "CC0-1.0",
        "stated by the artist",
    ]


@pytest.mark.parametrize(("side", "folder"), [(512, "512px"), (300, "512px"), (768, "768px")])
def test_training_images_lie_in_the_folder_of_their_size(tmp_path: Path, side: int, folder: str) -> None:
    data = picture(1, (side, side // 2), "JPEG")
    row = member("12", file=data, **PREPARED, original_extension="png", original_width=4000, original_height=2000)
    export("danbooru", members_of([row]), tmp_path)
    listed, *_ = read_back(tmp_path / "danbooru", folder)

    assert listed["location"].to_list() == [str(tmp_path / "danbooru" / folder / "0012" / "12.jpg")]
    assert listed.select("width", "height", "file_ext").row(0) == (4000, 2000, "png"), "records are of the original"
    with Image.open(io.BytesIO(Path(listed["location"][0]).read_bytes())) as image:
        assert image.size == (side, side // 2)


def test_a_finer_rating_is_written_on_the_finer_scale_and_read_back(tmp_path: Path) -> None:
    ratings = ["general", "sensitive", "questionable", "explicit"]
    rows = [member(str(number), rating=rating) for number, rating in enumerate(ratings, 1)]
    export("danbooru", members_of(rows), tmp_path)
    listed, *_ = read_back(tmp_path / "danbooru")

    assert [record["rating"] for record in records(tmp_path / "danbooru").values()] == ["g", "s", "q", "e"]
    assert listed.sort("image_id")["rating"].to_list() == ratings


def test_sources_whose_posts_share_ids_lie_in_mirrors_of_their_own(tmp_path: Path) -> None:
    rows = [member("77", file=picture(1)), member("77", "pixiv", file=picture(2)), member("77", "pixiv", page=1)]
    export("danbooru", members_of(rows), tmp_path)

    assert (tmp_path / "danbooru/danbooru/original/0077/77.png").read_bytes() == rows[0]["data"]
    assert (tmp_path / "danbooru/pixiv/original/0077/77.png").read_bytes() == rows[1]["data"]
    page = f"danbooru/pixiv/original/0077/{PAGE_STEP + 77}.png"
    assert (tmp_path / page).read_bytes() == rows[2]["data"]
    listed, _, rejected = read_back(tmp_path / "danbooru/pixiv")
    assert rejected.is_empty()
    assert listed["location"].null_count() == 0
    assert records(tmp_path / "danbooru/pixiv")[PAGE_STEP + 77]["image_id"] == "pixiv-77-1"


def test_images_without_a_number_are_known_by_one_of_their_own(tmp_path: Path) -> None:
    posts = ["52d32a32-831b-56c0-81f5-75bed80f6f58", "007", "0", "abc", str(PAGE_STEP), str(1 << 62), "9" * 128]
    rows = [member(post) for post in posts]
    export("danbooru", members_of(rows), tmp_path)
    listed, *_ = read_back(tmp_path / "danbooru")

    assert len(listed) == len(posts)
    assert listed["location"].null_count() == 0
    by_id = {record["image_id"]: number for number, record in records(tmp_path / "danbooru").items()}
    assert by_id == {row["image_id"]: number_of(row) for row in rows}
    assert all(1 << 62 <= number < 1 << 63 for number in by_id.values())


def test_numbers_are_those_of_posts_and_pages_and_never_meet() -> None:
    last = PAGE_STEP - 1
    known = [("1", 0), ("1", 99_999), (str(last), 0), (str(last), 99_999), (str(10**18), 0), (str((1 << 62) - 1), 0)]
    numbers = [number_of(member(post, page=page)) for post, page in known]

    assert numbers == sorted(set(numbers), key=numbers.index)
    assert numbers[0] == 1
    assert numbers[-1] == (1 << 62) - 1
    assert divmod(numbers[3], PAGE_STEP) == (99_999, last)
    assert max(numbers[:4]) < 10**18


def test_two_images_of_one_number_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    rows = [member("abc"), member("abc")]

    with pytest.raises(TwoOfOneNumber, match="danbooru: two images"):
        export("danbooru", members_of(rows), tmp_path)
    require_own_numbers(members_of([member("abc"), member("abc", "pixiv")]))
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_stay_within_their_record(tmp_path: Path, text: str) -> None:
    tags = [
        tag("1girl"),
        tag(text or "x"),
        tag("", "meta"),
        tag(f"a {text}", "artist"),
        tag(f"b{text}", None),
        tag(f"c{text}", "9"),
    ]
    captions = [{"origin": "human", "caption": text}]
    said: dict[str, Any] = {
        "title": text,
        "source_url": text,
        "uploader_name": text,
        "artist": [text],
        "captions": captions,
    }
    rows = [member("1", tags=tags, license=text, **said), member("2")]
    export("danbooru", members_of(rows), tmp_path)
    listed, found, rejected = read_back(tmp_path / "danbooru")

    assert rejected.is_empty()
    assert listed["image_id"].to_list() == ["danbooru-1-0", "danbooru-2-0"]
    record = records(tmp_path / "danbooru")[1]
    assert record.get("title", "") == text.replace("\0", "\ufffd")
    assert len(found.filter(pl.col("image_id") == "danbooru-1-0").unique()) == len({tag["tag"] for tag in tags} - {""})
    assert int(record["tag_count"]) == len(record["tag_string"].split())
    assert set(contents(tmp_path)) == {
        *(f"danbooru/{name}" for name in ("metadata/2019.json", "original/0001/1.png", "original/0002/2.png")),
        "danbooru/snapshot.parquet",
    }


def test_what_is_not_known_has_no_key(tmp_path: Path) -> None:
    unknown: dict[str, Any] = dict.fromkeys(
        ("created_at", "rating", "score", "title", "uploader_id", "source_url", "page_url")
    )
    export("danbooru", members_of([member("1", tags=[], captions=[], artist=[], **unknown)]), tmp_path)
    record = records(tmp_path / "danbooru")[1]

    assert record["artist"] == "unknown"
    assert record["source"] == record["tag_string"] == record["tag_string_meta"] == ""
    assert set(record).isdisjoint((*unknown, "tags", "captions", "parent_id"))


def test_a_stopped_export_goes_on_and_a_lost_member_stops_it(tmp_path: Path) -> None:
    rows = [member(str(number)) for number in range(1, 4)]
    files = {row["path"]: row["data"] for row in rows}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    export("danbooru", members_of(rows), whole)
    lost = members_of([*rows[:2], rows[2] | {"data": b"another"}])
    with pytest.raises(MemberLost, match="danbooru-3-0"):
        export("danbooru", lost, stopped)
    first = stopped / "danbooru/original/0001/1.png"
    kept = first.stat().st_ino
    export("danbooru", members_of(rows), stopped)

    assert contents(stopped) == contents(whole)
    assert first.stat().st_ino == kept
    assert set(files.values()) <= set(contents(whole).values())


def test_a_year_of_many_images_has_one_file_of_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [member(str(number), year=2017 + number // 6) for number in range(1, 14)]
    export("danbooru", members_of(rows), tmp_path / "whole")
    monkeypatch.setattr(exported_danbooru, "IMAGES_AT_ONCE", 2)
    written = export("danbooru", members_of(rows), tmp_path / "parts")

    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert [name for name in written if "metadata" in name] == [
        f"danbooru/metadata/{year}.json" for year in (2017, 2018, 2019)
    ]
    assert set(records(tmp_path / "parts/danbooru")) == set(range(1, 14))


@given(st.integers(1, PAGE_STEP - 1), st.integers(0, 99_999))
def test_post_and_page_can_be_told_from_a_number(post: int, page: int) -> None:
    number = number_of({"post_id": str(post), "page": page, "image_id": f"danbooru-{post}-{page}"})

    assert (number % PAGE_STEP, number // PAGE_STEP) == (post, page)
    assert number % 1000 == post % 1000, "a page lies in the bucket of its post"
    assert number < 10**18


@given(st.text())
def test_a_text_is_a_number_of_64_bits_or_none(text: str) -> None:
    number = whole_number(text)

    assert number is None or (str(number) == text and -(1 << 63) <= number < 1 << 63)
