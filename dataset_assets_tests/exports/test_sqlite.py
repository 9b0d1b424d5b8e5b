"""SQLite databases in the community's schema, asked what its browser and its scripts ask."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.exports import sqlite
from dataset_assets.exports.danbooru_terms import PAGE_STEP, TwoOfOneNumber
from dataset_assets.exports.members import Row
from dataset_assets_tests.exports.made_members import HOSTILE, contents, export, member, members_of, tag

LONG = str((1 << 63) + 5)


@contextmanager
def database(
    rows: Sequence[Row], folder: Path, source: str = "danbooru", **others: Any
) -> Iterator[sqlite3.Connection]:
    export("sqlite", members_of(rows, **others), folder)
    with closing(sqlite3.connect(f"file:{folder}/sqlite/{source}.db?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        yield connection


def posts() -> list[Row]:
    return [
        member("9", rating="general", tags=[tag("1girl"), tag("touhou", "copyright"), tag("ibuki", "artist")]),
        member("10", rating="explicit", tags=[tag("touhou", "copyright"), tag("1girl"), tag("1girl")], score=-4),
        member("8", rating="general", tags=[tag("solo")], year=2020),
    ]


def test_the_browser_s_questions_are_answered(tmp_path: Path) -> None:
    of_tag = """select image_id from images where hidden = 0 and rating=? and image_id in (select image_id
        from imageTags where tag_id in (select tag_id from tags where name like ?)) order by image_id"""
    both = """select image_id from images where hidden=0 and image_id in (
        select image_id from imageTags where tag_id in (select tag_id from tags where name like ?) INTERSECT
        select image_id from imageTags where tag_id in (select tag_id from tags where name like ?)) order by image_id"""
    with database(posts(), tmp_path) as found:
        assert found.execute(of_tag, ("s", "tou%")).fetchall() == [(9,)]
        assert found.execute(both, ("touhou", "1girl")).fetchall() == [(9,), (10,)]
        assert found.execute("select name,count from tags order by name").fetchall() == [
            *(("1girl", 2), ("ibuki", 1), ("solo", 1), ("touhou", 2))
        ]
        assert found.execute(
            """select category,name from tags where tag_id in (select tag_id from imageTags where image_id=?)
            order by category,name""",
            (9,),
        ).fetchall() == [(0, "1girl"), (1, "ibuki"), (3, "touhou")]
        assert found.execute("select file_ext from images where image_id=?", (8,)).fetchall() == [("png",)]


def test_the_scripts_questions_are_answered_under_the_names_of_either_year(tmp_path: Path) -> None:
    joined = """select I.image_id,I.score,I.source,I.rating,I.image_width,I.image_height,I.file_size from images I
        join imageTags IT on I.image_id = IT.image_id join tags T on IT.tag_id = T.tag_id
        where T.name = 'touhou' order by I.image_id"""
    rows = posts()
    with database(rows, tmp_path) as found:
        source = "https://pixiv.example/artworks/1"
        assert found.execute(joined).fetchall() == [
            (9, 7, source, "s", 48, 40, rows[0]["size"]),
            (10, -4, source, "e", 48, 40, rows[1]["size"]),
        ]
        assert found.execute("select w, h, uploaded_id, uploader_id from images limit 1").fetchall() == [
            (48, 40, 77, 77)
        ]
        assert found.execute("select created_at from images limit 1").fetchall() == [
            ("2019-03-01 10:00:00.500000 UTC",)
        ]


def test_questions_by_tag_and_by_image_use_an_index(tmp_path: Path) -> None:
    with database(posts(), tmp_path) as found:
        for question in (
            "select image_id from imageTags where tag_id = 1",
            "select tag_id from imageTags where image_id = 1",
            "select tag_id from tags where name = 'touhou'",
            "select * from images where name = 'danbooru-9-0'",
            "select * from images where image_id = 9",
        ):
            (*_, plan), *_ = found.execute(f"explain query plan {question}").fetchall()
            assert plan.startswith("SEARCH"), plan


def test_whose_an_image_is_and_what_was_said_of_it_stand_beside_it(tmp_path: Path) -> None:
    captions = [{"origin": "human", "caption": "first"}, {"origin": "coca", "caption": "second"}]
    row = member("9", artist=["a", "b"], captions=captions)
    boxes = pl.LazyFrame(
        {
            "image_id": ["danbooru-9-0", "danbooru-9-0", "danbooru-99-0", "pixiv-9-0"],
            **{"x": [5, 1, 0, 0], "y": [2, 2, 0, 0], "width": [3] * 4, "height": [4] * 4},
            "body": ["right\0", "left", "no member's", "another source's"],
        }
    )
    with database([row, member("9", "pixiv")], tmp_path, notes=boxes) as found:
        stated = "select name, artist, license, license_basis, page_url, sha256, md5, pixel_hash from images"
        assert found.execute(stated).fetchall() == [
            (
                *("danbooru-9-0", "a, b", "CC0-1.0", "stated by the artist", "https://booru.example/posts/9"),
                *(row[key] for key in ("original_sha256", "original_md5", "pixel_hash")),
            )
        ]
        assert found.execute("select image_id, origin, caption from captions order by position").fetchall() == [
            *((9, "human", "first"), (9, "coca", "second"))
        ]
        notes = [(1, 9, "left", 1, 2, 3, 4), (2, 9, "right\ufffd", 5, 2, 3, 4)]
        assert found.execute("select * from notes").fetchall() == notes
        assert dict(found.execute("select * from about").fetchall()).keys() == {"release", "source", "image_id"}


def test_pages_and_sources_that_share_an_id_are_apart(tmp_path: Path) -> None:
    rows = [member("77"), member("77", "pixiv", tags=[tag("夜")]), member("77", "pixiv", page=2)]
    with database(rows, tmp_path, "pixiv") as found:
        known = found.execute("select image_id, name, post_id, page from images order by image_id").fetchall()
        assert known == [(77, "pixiv-77-0", "77", 0), (2 * PAGE_STEP + 77, "pixiv-77-2", "77", 2)]
    with closing(sqlite3.connect(tmp_path / "sqlite/danbooru.db")) as other:
        assert other.execute("select name from images").fetchall() == [("danbooru-77-0",)]


def test_two_images_of_one_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TwoOfOneNumber):
        export("sqlite", members_of([member("abc"), member("abc")]), tmp_path)
    assert contents(tmp_path) == {}


def test_numbers_of_others_stay_whole(tmp_path: Path) -> None:
    ids = ["-7", str((1 << 63) - 1), LONG, "0007", "1e5", "twenty", "", None]
    rows = [member(str(n), uploader_id=each, parent_id=each, pixiv_id=each) for n, each in enumerate(ids, 1)]
    with database(rows, tmp_path) as found:
        kept = found.execute("select uploader_id, parent_id, pixiv_id from images order by image_id").fetchall()
    expected: list[Any] = [-7, (1 << 63) - 1, LONG, "0007", "1e5", "twenty", "", None]
    assert kept == [(each,) * 3 for each in expected]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_are_texts(tmp_path: Path, text: str) -> None:
    said: dict[str, Any] = {"title": text, "source_url": text, "uploader_name": text, "license": text}
    row = member("1", tags=[tag(text, text), tag(text, "9"), tag(text, None)], **said)
    kept = text.replace("\0", "\ufffd")
    with database([row], tmp_path) as found:
        assert found.execute("select title, source, uploader_name, license from images").fetchall() == [(kept,) * 4]
        categories = [int(kept) if kept == "-1" else kept, 9, None]
        assert found.execute("select name, category, count from tags order by tag_id").fetchall() == [
            (kept, category, 1) for category in categories
        ]


def test_equal_members_give_equal_bytes_also_where_rows_come_in_several_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [tag(f"tag {number % 13}", "meta") for number in range(40)]
    rows = [member(str(number), tags=tags[number:]) for number in range(1, 30)]
    for name in ("one", "two"):
        export("sqlite", members_of(rows), tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")

    monkeypatch.setattr(sqlite, "ROWS_AT_ONCE", 4)
    export("sqlite", members_of(rows), tmp_path / "three")
    with closing(sqlite3.connect(tmp_path / "one/sqlite/danbooru.db")) as connection:
        whole = list(connection.iterdump())
    with closing(sqlite3.connect(tmp_path / "three/sqlite/danbooru.db")) as connection:
        assert list(connection.iterdump()) == whole


def test_a_database_does_not_tell_which_sqlite_wrote_it(tmp_path: Path) -> None:
    export("sqlite", members_of([member("1")]), tmp_path)
    header = (tmp_path / "sqlite/danbooru.db").read_bytes()[:100]

    assert int.from_bytes(header[96:100], "big") == 3_031_000
    assert header[18:20] == b"\x01\x01", "no write-ahead log: it can be read from a disk that cannot be written"
    assert sorted(contents(tmp_path)) == ["sqlite/danbooru.db"]


def test_without_members_there_are_tables(tmp_path: Path) -> None:
    with database([], tmp_path, "night") as found:
        names = found.execute("select name from sqlite_master where type = 'table' order by name").fetchall()
        assert [name for (name,) in names] == ["about", "captions", "imageTags", "images", "notes", "tags"]
        assert found.execute("select count(*) from images").fetchall() == [(0,)]
