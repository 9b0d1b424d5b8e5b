import hashlib
import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_assets.domain.identity import bucket
from dataset_assets.sample.danbooru_earlier import VANISHED_ID
from dataset_assets.sample.danbooru_mirror import ORPHAN_ID

YEARS = (2019, 2020, 2021)
Record = dict[str, Any]


@pytest.fixture(scope="module")
def mirror(sample: Path) -> Path:
    return sample / "sources" / "danbooru"


def lines(mirror: Path, year: int) -> list[str]:
    return (mirror / "metadata" / f"{year}.json").read_text("utf-8").splitlines()


def readable(mirror: Path, year: int) -> list[Record]:
    records = []
    for line in lines(mirror, year):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


@pytest.fixture(scope="module")
def records(mirror: Path) -> dict[int, Record]:
    """By id; a record that stands twice once, one without id not at all."""
    return {int(record["id"]): record for year in YEARS for record in readable(mirror, year) if "id" in record}


def file_of(mirror: Path, record: Record) -> Path:
    return mirror / "original" / bucket(record["id"]) / f"{record['id']}.{record['file_ext']}"


def tag_names(record: Record) -> set[str]:
    return {tag["name"] for tag in record["tags"]} if "tags" in record else set(record["tag_string"].split())


def tagged(records: dict[int, Record], *names: str) -> list[Record]:
    return [record for record in records.values() if set(names) <= tag_names(record)]


def opened(mirror: Path, record: Record) -> Image.Image:
    return Image.open(BytesIO(file_of(mirror, record).read_bytes()))


def is_as_uploaded(mirror: Path, record: Record) -> bool:
    return hashlib.md5(file_of(mirror, record).read_bytes(), usedforsecurity=False).hexdigest() == record["md5"]


def test_some_160_posts_lie_in_three_years(records: dict[int, Record]) -> None:
    years = Counter(record["created_at"][:4] for record in records.values())
    assert set(years) == {"2019", "2020", "2021"}
    assert min(years.values()) >= 45
    assert 155 <= len(records) <= 175


def test_ids_rise_with_dates(records: dict[int, Record]) -> None:
    times = [records[post_id]["created_at"] for post_id in sorted(records)]
    assert times == sorted(times)


def test_old_records_have_the_keys_of_true_ones(mirror: Path, real_data: Path) -> None:
    true = json.loads((real_data / "danbooru_meta_old" / "201701.json").read_text("utf-8").splitlines()[0])
    for record in [*readable(mirror, 2019), *readable(mirror, 2020)]:
        assert list(record) == list(true)
        assert {key: type(value) for key, value in record.items()} == {key: type(true[key]) for key in true}


def test_new_records_have_keys_of_the_export_and_no_null(mirror: Path, real_data: Path) -> None:
    export = (real_data / "danbooru_posts_api" / "danbooru2021_export_form.derived.jsonl").read_text("utf-8")
    known = {key for line in export.splitlines() for key in json.loads(line)} | {"parent_id"}  # null in those lines
    for record in readable(mirror, 2021):
        assert set(record) <= known
        assert {type(value) for value in record.values()} <= {str, bool}


def test_each_new_record_counts_its_own_tags(mirror: Path) -> None:
    for record in readable(mirror, 2021):
        counts = {
            name: len(record[f"tag_string_{name}"].split())
            for name in ("general", "artist", "copyright", "character", "meta")
        }
        assert counts == {name: int(record[f"tag_count_{name}"]) for name in counts}
        assert sum(counts.values()) == int(record["tag_count"]) == len(record["tag_string"].split())


def test_one_line_is_no_json_one_stands_twice_and_one_has_no_id(mirror: Path) -> None:
    every = [line for year in YEARS for line in lines(mirror, year)]
    assert len(every) - sum(len(readable(mirror, year)) for year in YEARS) == 1
    assert sorted(Counter(every).values())[-2:] == [1, 2]
    withheld = [record for record in readable(mirror, 2021) if "id" not in record]
    assert [record["is_banned"] for record in withheld] == [True]
    assert not {"md5", "file_url", "large_file_url", "preview_file_url"} & set(withheld[0])


def test_last_line_of_one_file_has_no_newline(mirror: Path) -> None:
    ends = [(mirror / "metadata" / f"{year}.json").read_bytes()[-1:] for year in YEARS]
    assert sorted(end == b"\n" for end in ends) == [False, True, True]


def test_one_post_has_a_tag_twice(mirror: Path) -> None:
    ids = [[tag["id"] for tag in record["tags"]] for year in (2019, 2020) for record in readable(mirror, year)]
    assert sum(len(found) != len(set(found)) for found in ids) >= 1


def test_tags_of_the_old_schema_have_ids_of_their_own(mirror: Path) -> None:
    named = {
        (tag["id"], tag["name"], tag["category"])
        for year in (2019, 2020)
        for record in readable(mirror, year)
        for tag in record["tags"]
    }
    assert len({number for number, _, _ in named}) == len({name for _, name, _ in named}) == len(named)
    assert {category for _, _, category in named} == {"0", "1", "3", "4", "5"}


def test_one_file_is_missing_and_two_have_no_record_of_which_one_had(mirror: Path, records: dict[int, Record]) -> None:
    expected = {file_of(mirror, record) for record in records.values()}
    found = {file for file in (mirror / "original").rglob("*") if file.is_file()}
    assert len(expected - found) == 1
    assert {file.stem for file in found - expected} == {str(ORPHAN_ID), str(VANISHED_ID)}


def test_an_earlier_export_knows_fewer_votes_and_a_post_that_has_vanished(
    mirror: Path, records: dict[int, Record]
) -> None:
    text = (mirror / "metadata" / "2020" / "posts.json").read_text("utf-8")
    earlier = {int(record["id"]): record for record in map(json.loads, text.splitlines())}
    vanished = earlier.pop(VANISHED_ID)
    assert is_as_uploaded(mirror, vanished)
    assert VANISHED_ID not in records
    assert earlier.keys() == {post for post in records if post <= 4_279_845}
    assert all(int(record["score"]) <= int(records[post]["score"]) for post, record in earlier.items())
    assert all(tag_names(record) <= tag_names(records[post]) for post, record in earlier.items())
    assert any(tag_names(record) < tag_names(records[post]) for post, record in earlier.items())


def test_md5_differs_for_three_files_only(mirror: Path, records: dict[int, Record]) -> None:
    differing = [
        record
        for record in records.values()
        if file_of(mirror, record).is_file() and not is_as_uploaded(mirror, record)
    ]
    sizes = sorted(file_of(mirror, record).stat().st_size / int(record["file_size"]) for record in differing)
    assert sizes[0] == 0
    assert sizes[1] == pytest.approx(0.6, abs=0.01)  # cut off
    assert 0.6 < sizes[2] < 1  # optimised: whole, but smaller
    assert len(sizes) == 3


def test_every_other_picture_decodes_at_the_size_that_its_record_says(mirror: Path, records: dict[int, Record]) -> None:
    broken = 0
    for record in records.values():
        if not file_of(mirror, record).is_file() or record["file_ext"] == "mp4":
            continue
        try:
            with opened(mirror, record) as picture:
                picture.load()
                assert picture.size == (int(record["image_width"]), int(record["image_height"]))
        except OSError:
            broken += 1
    assert broken == 2  # the empty one and the truncated one


def test_each_oddity_is_there_once(mirror: Path, records: dict[int, Record]) -> None:
    found: Counter[str] = Counter()
    for record in records.values():
        if not file_of(mirror, record).is_file() or not is_as_uploaded(mirror, record):
            continue
        if record["file_ext"] == "mp4":
            assert file_of(mirror, record).read_bytes()[4:8] == b"ftyp"
            found["mp4"] += 1
            continue
        with opened(mirror, record) as picture:
            found["misnamed"] += picture.format == "JPEG" and record["file_ext"] == "png"
            found["cmyk"] += picture.mode == "CMYK"
            found["16 bits"] += picture.mode == "I;16"
            found["animated"] += getattr(picture, "n_frames", 1) > 1
            found["turned"] += picture.getexif().get(0x0112) == 6
            found["tRNS"] += picture.mode == "P" and picture.format == "PNG" and "transparency" in picture.info
            found["strip"] += picture.size == (1, 300)
            found["blank"] += picture.mode == "RGB" and picture.getextrema() == ((255, 255),) * 3
    assert set(found) == {"mp4", "misnamed", "cmyk", "16 bits", "animated", "turned", "tRNS", "strip", "blank"}
    assert set(found.values()) == {1}


def test_all_formats_occur(mirror: Path, records: dict[int, Record]) -> None:
    assert {record["file_ext"] for record in records.values()} == {"jpg", "png", "gif", "webp", "mp4"}


def test_ratings_are_mostly_safe(records: dict[int, Record]) -> None:
    ratings = Counter(record["rating"] for record in records.values())
    assert ratings["s"] > 0.7 * len(records)
    assert ratings["q"] > ratings["e"] > 0


def test_children_name_an_earlier_post_that_knows_it(records: dict[int, Record]) -> None:
    children = [record for record in records.values() if record.get("parent_id", "0") != "0"]
    assert len(children) >= 8
    for child in children:
        parent = records[int(child["parent_id"])]
        assert int(parent["id"]) < int(child["id"])
        assert parent["has_children"]
    assert sum(record["has_children"] for record in records.values()) == len({c["parent_id"] for c in children})


def test_transparent_drawings_are_tagged_and_transparent(mirror: Path, records: dict[int, Record]) -> None:
    drawings = tagged(records, "transparent_background", "lineart")
    assert len(drawings) >= 6
    inks = set()
    for record in drawings:
        with opened(mirror, record) as picture:
            assert picture.mode == "RGBA"
            inks |= {colour[:3] for _, colour in picture.getcolors(1 << 16) or [] if colour[3] == 255}
    assert inks == {(0, 0, 0), (128, 128, 128), (255, 255, 255)}


def test_highres_and_lowres_are_as_danbooru_defines_them(records: dict[int, Record]) -> None:
    for record in records.values():
        width, height = int(record["image_width"]), int(record["image_height"])
        assert ("highres" in tag_names(record)) == (width >= 1600 or height >= 1200)
        assert ("lowres" in tag_names(record)) == (max(width, height) <= 500)
