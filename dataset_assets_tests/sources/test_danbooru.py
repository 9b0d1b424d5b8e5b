"""The Danbooru adapter: both schemas give the same tables."""

import json
import lzma
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dataset_assets.config import DanbooruSource
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA, require_schema
from dataset_assets.sources import DamagedExport, danbooru
from dataset_assets_tests.sources.mirrors import (
    Export,
    api_record,
    lines,
    new_record,
    old_record,
    read_export,
    source_of,
)

NOW_AND_THEN = ("fav_count", "file_url")  # said by one schema only
WHEREABOUTS = ("record_file", "record_line")


def image_metadata(export: Export) -> pl.DataFrame:
    rows = danbooru.image_metadata(export.snapshot.lazy()).collect()
    require_schema(IMAGE_METADATA, rows.schema)
    return rows


def tag_metadata(export: Export) -> pl.DataFrame:
    rows = danbooru.tag_metadata(export.snapshot.lazy()).collect()
    require_schema(TAG_METADATA, rows.schema)
    return rows.unique().sort(TAG_METADATA.sorted_by, nulls_last=True)  # they come in any order, and may repeat


def read_records(folder: Path, *records: dict[str, Any]) -> Export:
    return read_export(folder, {"posts.json": lines(records)})


@pytest.mark.parametrize("record", [old_record, new_record, api_record])
def test_record_of_each_schema_is_typed(tmp_path: Path, record: Any) -> None:
    row = read_records(tmp_path, record()).snapshot.row(0, named=True)
    expected = {
        "image_id": "danbooru-148510-0",
        "year": 2007,
        "record_file": "posts.json",
        "record_line": 1,
        "rating_scale": "danbooru_sqe",
        "id": 148510,
        "created_at": datetime(2007, 10, 26, 22, 19, 44, 223350, UTC),
        "updated_at": datetime(2013, 10, 2, 23, 50, 45, 448820, UTC),
        "last_commented_at": None,
        "last_noted_at": datetime(2009, 1, 2, 3, 4, 5, 0, UTC),
        "uploader_id": 13056,
        "approver_id": None,
        "parent_id": None,
        "pixiv_id": None,
        "md5": "4a1298c84fce46268594e7262768e1c6",
        "file_ext": "jpg",
        "file_size": 56812,
        "image_width": 456,
        "score": 3,
        "down_score": -1,
        "fav_count": 2,
        "pools": ["4162", "10152"],
        "is_note_locked": True,
        "is_banned": False,
        "tag_string_general": "1girl",
        "tag_string_artist": "aoneko",
        "tag_string_copyright": "",
        "tag_string_meta": "copyright_request",
        "tags_other": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_schemas_may_be_mixed_line_by_line(tmp_path: Path) -> None:
    export = read_records(tmp_path, old_record(1), new_record(2), api_record(3), old_record(4))
    rows = export.snapshot.drop("image_id", "id", *WHEREABOUTS)
    assert rows.unique().height == 1
    assert tag_metadata(export).height == 12


def test_snapshot_has_the_declared_schema_and_order(tmp_path: Path) -> None:
    export = read_records(
        tmp_path, new_record(1000), new_record(999), old_record(5, created_at="2005-01-01 00:00:00 UTC")
    )
    require_schema(danbooru.SNAPSHOT, export.snapshot.schema)
    assert export.snapshot["image_id"].to_list() == ["danbooru-5-0", "danbooru-1000-0", "danbooru-999-0"]


def test_image_metadata_says_what_the_record_says(tmp_path: Path) -> None:
    record = new_record(7, source="", parent_id="5", pixiv_id="9", file_url="https://x/7.jpg", uploader_name="somebody")
    row = image_metadata(read_records(tmp_path, record)).row(0, named=True)
    expected = {
        "image_id": "danbooru-7-0",
        "post_id": "7",
        "page": 0,
        "page_count": 1,
        "uploader_id": "13056",
        "uploader_name": "somebody",
        "page_url": "https://danbooru.donmai.us/posts/7",
        "source_url": None,
        "file_url": "https://x/7.jpg",
        "file_name": None,
        "width": 456,
        "height": 629,
        "rating": "general",
        "rating_source": "s",
        "parent_id": "5",
        "pixiv_id": "9",
        "is_ai_generated": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_ratings_before_general_existed(tmp_path: Path) -> None:
    export = read_records(tmp_path, *(new_record(i, rating=letter) for i, letter in enumerate(["s", "q", "e"], 1)))
    rows = image_metadata(export)
    assert rows["rating"].to_list() == ["general", "questionable", "explicit"]
    assert set(rows["rating_scale"]) == {"danbooru_sqe"}


def test_one_general_rating_makes_s_mean_sensitive(tmp_path: Path) -> None:
    export = read_records(tmp_path, *(new_record(i, rating=letter) for i, letter in enumerate("gsqe", 1)))
    rows = image_metadata(export)
    assert rows["rating"].to_list() == ["general", "sensitive", "questionable", "explicit"]
    assert set(rows["rating_scale"]) == {"danbooru_gsqe"}


def test_unknown_rating_is_null_and_its_word_is_kept(tmp_path: Path) -> None:
    rows = image_metadata(read_records(tmp_path, new_record(1, rating="x"), new_record(2, rating=...)))
    assert rows.select("rating", "rating_source").rows() == [(None, "x"), (None, None)]


def test_empty_tag_strings_give_no_tag(tmp_path: Path) -> None:
    empty = {f"tag_string_{category}": "" for category in ("general", "artist", "copyright", "character", "meta")}
    assert tag_metadata(read_records(tmp_path, new_record(1, **empty), old_record(2, tags=[]))).height == 0


def test_tags_are_those_of_either_schema(tmp_path: Path) -> None:
    twice = [{"id": "1", "name": name, "category": "0"} for name in ("solo", "1girl", "solo")]
    tags = tag_metadata(
        read_records(tmp_path, old_record(2, tags=twice), new_record(10, tag_string_general="solo solo"))
    )
    general = tags.filter(pl.col("category") == "general")
    assert general.select("tag", "image_id").rows() == [
        ("1girl", "danbooru-2-0"),
        ("solo", "danbooru-10-0"),
        ("solo", "danbooru-2-0"),
    ]
    assert set(tags["origin"]) == {"source"}


def test_tag_of_an_unknown_category_keeps_its_number(tmp_path: Path) -> None:
    tags = [{"id": "1", "name": "a", "category": "2"}, {"name": "b", "category": 5}, {"name": "c d", "category": None}]
    rows = tag_metadata(read_records(tmp_path, old_record(1, tags=tags)))
    assert rows.select("tag", "category").rows() == [("a", "2"), ("b", "meta"), ("c_d", None)]


def test_tags_without_categories_are_kept(tmp_path: Path) -> None:
    strings = dict.fromkeys(
        (f"tag_string_{one}" for one in ("general", "artist", "copyright", "character", "meta")), ...
    )
    rows = tag_metadata(read_records(tmp_path, new_record(1, **strings)))
    assert rows["tag"].to_list() == ["1girl", "aoneko", "copyright_request"]
    assert rows["category"].null_count() == 3


def test_no_favourites_in_the_old_schema_are_unknown(tmp_path: Path) -> None:
    export = read_records(tmp_path, old_record(1, favs=[]), new_record(2, fav_count="0"))
    assert export.snapshot["fav_count"].to_list() == [None, 0]


def test_fingerprint_changes_with_the_files_and_not_with_their_place(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "metadata").mkdir(parents=True)
        (tmp_path / place / "metadata" / "a.json").write_bytes(b"{}")
        os.utime(tmp_path / place / "metadata" / "a.json", ns=(1, 1))
    sources = []
    for place in ("here", "there"):
        source = source_of(tmp_path / place)
        source._folder = tmp_path / place
        sources.append(source)
    first, second = map(danbooru.fingerprint, sources)
    assert first == second
    os.utime(tmp_path / "here" / "metadata" / "a.json", ns=(1, 2))
    assert danbooru.fingerprint(sources[0]) != first


def test_export_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedExport, match=r"no file matches .*metadata"):
        danbooru.read_snapshot("danbooru", source_of(tmp_path), tmp_path / "snapshot.parquet", print)


def read_mirror(folder: Path, into: Path, metadata: str) -> Export:
    said: list[str] = []
    report = danbooru.read_snapshot("danbooru", source_of(folder, metadata), into, said.append)
    return Export(pl.read_parquet(into), report.rejected, said)


def test_real_mirror_gives_the_same_tables_from_both_schemas_and_the_archive(real_data: Path, tmp_path: Path) -> None:
    folder, into = real_data / "openclipart_mirror", tmp_path / "snapshot.parquet"
    old, new, archived = (
        read_mirror(folder, into, metadata)
        for metadata in ("metadata_old/*.json", "metadata_new/*.json", "metadata.json.tar.xz")
    )
    images, tags = image_metadata(old).drop(NOW_AND_THEN), tag_metadata(old)
    assert (images.height, tags.height) == (523, 3443)
    assert sorted(old.snapshot["year"].unique()) == [2005, 2006, 2007]
    for other in (new, archived):
        assert other.rejected.is_empty()
        assert_frame_equal(image_metadata(other).drop(NOW_AND_THEN), images)
        assert_frame_equal(tag_metadata(other), tags)
    assert_frame_equal(archived.snapshot.drop(WHEREABOUTS), old.snapshot.drop(WHEREABOUTS))


def test_real_mirror_has_every_image_in_its_place(real_data: Path, tmp_path: Path) -> None:
    source = source_of(real_data / "openclipart_mirror", "metadata_old/*.json")
    danbooru.read_snapshot("danbooru", source, tmp_path / "snapshot.parquet", print)
    snapshot = pl.scan_parquet(tmp_path / "snapshot.parquet")
    listed = danbooru.image_metadata(snapshot).collect()
    located = danbooru.locate(source, listed)
    assert located["image_id"].equals(listed["image_id"])
    assert located["size"].equals(listed["file_size"])
    assert danbooru.orphans(source, snapshot).is_empty()


@pytest.mark.parametrize(
    ("files", "records"),
    [
        ("danbooru_meta_old/*.json", 15),
        ("danbooru_posts_api/search_2020.json", 10),
        ("danbooru_posts_api/danbooru2021_export_form.derived.jsonl", 10),
        ("danbooru_posts_api/posts_2023_media_asset.jsonl", 11),
        ("danbooru_posts_api/posts_from_xml.dev.jsonl", 41),
        ("danbooru_posts_api/danbooru1_api_2012.filtered.json", 18),
    ],
)
def test_every_real_record_is_read(real_data: Path, tmp_path: Path, files: str, records: int) -> None:
    export = read_mirror(real_data, tmp_path / "snapshot.parquet", files)
    assert (export.snapshot.height, export.rejected.height) == (records, 0)
    assert "unreadable" not in export.said[-1]
    rows, tags = image_metadata(export), tag_metadata(export)
    assert rows["md5"].null_count() == rows["width"].null_count() == rows["rating"].null_count() == 0
    assert tags["image_id"].n_unique() == records


def test_same_api_page_as_json_and_as_export_gives_the_same_records(real_data: Path, tmp_path: Path) -> None:
    page, exported = (
        read_mirror(real_data / "danbooru_posts_api", tmp_path / "snapshot.parquet", name).snapshot
        for name in ("search_2020.json", "danbooru2021_export_form.derived.jsonl")
    )
    assert_frame_equal(page.drop(WHEREABOUTS), exported.drop(WHEREABOUTS))


def test_records_of_tags_are_no_posts(real_data: Path, tmp_path: Path) -> None:
    export = read_mirror(real_data / "danbooru_posts_api", tmp_path / "snapshot.parquet", "tags_20*.json")
    assert export.snapshot.is_empty()
    assert set(export.rejected["reason"]) == {"not_a_post"}
    assert export.rejected.height == 120


@pytest.mark.parametrize("suffix", [".json.xz", ".tar"])
def test_packed_export_reads_as_the_plain_one(tmp_path: Path, suffix: str) -> None:
    content = lines(new_record(i) for i in range(1, 50))
    plain = read_export(tmp_path / "plain", {"posts.json": content})
    if suffix == ".tar":
        (tmp_path / "posts.json").write_bytes(content)
        with tarfile.open(tmp_path / "posts.tar", "w") as archive:
            archive.add(tmp_path / "posts.json", "metadata/posts.json")
        packed = (tmp_path / "posts.tar").read_bytes()
    else:
        packed = lzma.compress(content)
    export = read_export(tmp_path / "packed", {f"posts{suffix}": packed})
    assert_frame_equal(export.snapshot.drop("record_file"), plain.snapshot.drop("record_file"))
    expected = "posts.tar!metadata/posts.json" if suffix == ".tar" else "posts.json.xz"
    assert set(export.snapshot["record_file"]) == {expected}


def test_json_array_counts_elements(tmp_path: Path) -> None:
    export = read_export(tmp_path, {"page.json": json.dumps([new_record(2), new_record(1)], indent=2).encode()})
    assert export.snapshot.select("id", "record_line").rows() == [(1, 2), (2, 1)]


def test_images_that_are_fetched_lie_at_the_address_of_the_record() -> None:
    md5 = "4f39497ef8fcd059984c3b1fe86cf542"
    source = DanbooruSource.model_validate(
        {"kind": "danbooru", "metadata": "x", "images": "url", "years": 2020, "license": {"name": "x", "basis": "y"}}
    )
    listed = pl.DataFrame(
        {
            "image_id": [f"danbooru-{post}-0" for post in range(6)],
            "file_url": ["https://a.example/b.png", "/data/b.png", "//evil.example/b.png", None, None, None],
            "md5": [None, md5, md5, md5, md5, "no md5"],
            "file_ext": ["png"] * 6,
            "is_banned": [False, False, False, None, True, False],
        },
        schema_overrides={"md5": pl.String},
    )

    located = danbooru.locate(source, listed)

    assert located["location"].to_list() == [
        "https://a.example/b.png",
        "https://danbooru.donmai.us/data/b.png",
        "//evil.example/b.png",
        f"https://cdn.donmai.us/original/4f/39/{md5}.png",
        None,
        None,
    ]
    assert source.missing_inputs() == [("metadata", f"no file matches {source.resolve('x')}")]
    assert danbooru.orphans(source, pl.LazyFrame()).is_empty()
