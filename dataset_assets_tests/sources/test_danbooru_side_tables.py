"""Pools, commentaries and notes out of dumps of every form they come in."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dataset_assets.domain.schemas import IMAGE_METADATA, require_schema
from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources import DamagedExport
from dataset_assets.sources import danbooru_side_tables as side_tables
from dataset_assets.sources.danbooru_side_tables import (
    ARTIST_COMMENTARIES,
    NOTES,
    POOLS,
    read_commentaries,
    read_notes,
    read_pools,
)


def images(*posts: int, pools: dict[int, list[str]] | None = None) -> pl.LazyFrame:
    rows: list[dict[str, object]] = [
        {"image_id": f"danbooru-{post}-0", "post_id": str(post), "page": 0, "pools": (pools or {}).get(post)}
        for post in posts
    ]
    return IMAGE_METADATA.frame(rows).lazy()


POOL = {
    "id": 7,
    "name": "Touhou_-_Fumo",
    "created_at": "2010-06-19T22:35:21.000-04:00",
    "updated_at": "2021-01-02T03:04:05.678-05:00",
    "description": "h1. A pool",
    "is_active": True,
    "is_deleted": False,
    "category": "series",
    "post_ids": [30, 10, 20],
    "post_count": 3,
}
EXPORTED_POOL = POOL | {
    "id": "7",
    "created_at": "2010-06-20 02:35:21 UTC",
    "updated_at": "2021-01-02 08:04:05.678 UTC",
    "post_ids": ["30", "10", "20"],
    "post_count": "3",
}
NOTE = {
    "id": 3,
    "post_id": 10,
    "x": 5,
    "y": 6,
    "width": 70,
    "height": 80,
    "body": "<b>Good morning</b><script>alert(1)</script>",
    "is_active": True,
    "created_at": "2010-06-19T22:35:21.000-04:00",
    "updated_at": "2010-06-19T22:35:21.000-04:00",
    "version": 2,
}
COMMENTARY = {
    "id": 9,
    "post_id": 10,
    "original_title": "夜",
    "original_description": "",
    "translated_title": "Night",
    "translated_description": " ",
    "created_at": "2015-06-19T22:35:21.000-04:00",
    "updated_at": "2015-06-19T22:35:21.000-04:00",
}


def dump(folder: Path, *records: Any, name: str = "dump.json") -> list[Path]:
    (folder / name).write_text("\n".join(json.dumps(record) for record in records), "utf-8")
    return [folder / name]


def pools_of(files: list[Path], known: pl.LazyFrame) -> pl.DataFrame:
    found = read_pools(files, known).collect().sort(POOLS.sorted_by, nulls_last=True)
    require_schema(POOLS, found.schema)
    return found


@pytest.mark.parametrize(
    "record", [POOL, EXPORTED_POOL, POOL | {"post_ids": "30 10 20"}, POOL | {"post_ids": "{30,10,20}"}]
)
def test_a_pool_keeps_the_order_of_its_posts_in_every_form(tmp_path: Path, record: dict[str, Any]) -> None:
    found = pools_of(dump(tmp_path, record), images(10, 20, 30))

    assert found.select("pool_id", "name", "category", "position", "image_id", "origin").rows() == [
        ("7", "Touhou_-_Fumo", "series", place, f"danbooru-{post}-0", "dump")
        for place, post in enumerate((30, 10, 20), 1)
    ]
    assert str(found.item(0, "updated_at")) == "2021-01-02 08:04:05.678000+00:00"


def test_lines_arrays_and_packed_dumps_give_the_same_rows(tmp_path: Path) -> None:
    lines = dump(tmp_path, POOL, POOL | {"id": 8})
    (tmp_path / "page.json").write_text(json.dumps([POOL, POOL | {"id": 8}], indent=1), "utf-8")
    (tmp_path / "pools.jsonl.gz").write_bytes(gzip.compress(lines[0].read_bytes()))
    forms = [lines, [tmp_path / "page.json"], [tmp_path / "pools.jsonl.gz"]]
    tables = [pools_of(form, images(10)).drop("record_file") for form in forms]

    assert tables[0].height == 6
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_a_post_that_stands_twice_in_a_pool_has_both_places_and_an_empty_pool_is_a_row(tmp_path: Path) -> None:
    found = pools_of(dump(tmp_path, POOL | {"post_ids": [10, 20, 10]}, POOL | {"id": 8, "post_ids": []}), images(10))

    assert found.select("pool_id", "position", "post_id", "image_id").rows() == [
        ("7", 1, "10", "danbooru-10-0"),
        ("7", 2, "20", None),
        ("7", 3, "10", "danbooru-10-0"),
        ("8", None, None, None),
    ]


def test_without_a_dump_posts_tell_their_pools_but_no_place(tmp_path: Path) -> None:
    found = pools_of([], images(10, 20, pools={10: ["7", "9"], 20: ["7"]}))

    assert found.select("pool_id", "name", "position", "post_id", "origin").rows() == [
        ("7", None, None, "10", "post"),
        ("7", None, None, "20", "post"),
        ("9", None, None, "10", "post"),
    ]


def test_what_only_a_post_says_is_added_to_the_dump_and_named_by_it(tmp_path: Path) -> None:
    known = images(10, 40, pools={10: ["7"], 40: ["7"]})
    found = pools_of(dump(tmp_path, POOL), known).select("post_id", "name", "position", "origin").rows()

    assert found == [
        ("30", "Touhou_-_Fumo", 1, "dump"),
        ("10", "Touhou_-_Fumo", 2, "dump"),
        ("20", "Touhou_-_Fumo", 3, "dump"),
        ("40", "Touhou_-_Fumo", None, "post"),
    ]


def test_a_note_has_its_box_and_its_html_as_text(tmp_path: Path) -> None:
    as_text = {key: str(value) if type(value) is int else value for key, value in NOTE.items()}
    found = read_notes(dump(tmp_path, NOTE, as_text | {"id": "4", "post_id": "11"}), images(10)).collect()
    found = found.sort("note_id")

    require_schema(NOTES, found.schema)
    box = (5, 6, 70, 80, "<b>Good morning</b><script>alert(1)</script>", True)
    columns = ("image_id", "post_id", "x", "y", "width", "height", "body", "is_active")
    assert found.select(columns).rows() == [("danbooru-10-0", "10", *box), (None, "11", *box)]
    assert found.get_column("error").to_list() == [None, None], "a note of an unknown post is kept"


def test_a_commentary_has_original_and_translation_and_blank_ones_are_none(tmp_path: Path) -> None:
    found = read_commentaries(dump(tmp_path, COMMENTARY), images(10)).collect()

    require_schema(ARTIST_COMMENTARIES, found.schema)
    row = found.row(0, named=True)
    assert (row["image_id"], row["original_title"], row["translated_title"]) == ("danbooru-10-0", "夜", "Night")
    assert (row["original_description"], row["translated_description"]) == (None, None)


BAD = {
    b"not json": "not_json",
    b"[1, 2]": "not_an_object",
    b'{"id": 3}': "no_id",
    b'{"id": 3, "post_id": -1}': "bad_id",
    b'{"id": 3, "post_id": true}': "bad_id",
    b'{"id": 3, "post_id": 10, "x": "wide"}': "bad_field",
    b'{"id": 3, "post_id": 10, "x": 99999999999}': "bad_field",
    b'{"id": 3, "post_id": 10, "is_active": "perhaps"}': "bad_field",
    b'{"id": 3, "post_id": 10, "is_active": []}': "bad_field",
    b'{"id": 3, "post_id": 10, "body": {"a": 1}}': "bad_field",
    b'{"id": 3, "post_id": 10, "body": "\\ud800"}': "bad_field",
    b'{"id": 3, "post_id": 10, "created_at": "yesterday"}': "bad_date",
    b'{"id": 3, "post_id": 10, "body": "\xff"}': "bad_encoding",
}


@pytest.mark.parametrize("line", BAD)
def test_a_line_that_cannot_be_read_is_a_row_with_its_reason_and_place(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "notes.json").write_bytes(json.dumps(NOTE).encode() + b"\r\n\r\n" + line + b"\n")
    found = read_notes([tmp_path / "notes.json"], images(10)).collect().sort("record_line")

    assert found.select("record_line", "error").rows() == [(1, None), (3, BAD[line])]
    assert found.item(1, "error_detail")
    assert BAD[line] in REJECT_REASONS


def test_of_records_with_one_id_the_last_updated_counts(tmp_path: Path) -> None:
    newer = NOTE | {"body": "newer", "updated_at": "2012-01-01T00:00:00Z"}
    found = read_notes(dump(tmp_path, newer, NOTE), images(10)).collect()

    assert dict(found.select("body", "error").rows()) == {"newer": None, NOTE["body"]: "duplicate_id"}


def test_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dump(tmp_path, *({**NOTE, "id": number} for number in range(1, 6)), {"id": 1}, NOTE)
    whole = read_notes(files, images(10)).collect()
    monkeypatch.setattr(side_tables, "RECORDS_PER_BATCH", 2)

    assert whole.height == 7
    assert_frame_equal(read_notes(files, images(10)).collect(), whole, check_row_order=False)


def test_a_dump_that_is_cut_off_is_refused_and_not_read_as_a_shorter_one(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(NOTE).encode() * 100)
    (tmp_path / "notes.json.gz").write_bytes(packed[:-20])

    with pytest.raises(DamagedExport, match="cut off"):
        read_notes([tmp_path / "notes.json.gz"], images(10))


def test_no_dump_is_an_empty_table() -> None:
    assert read_notes([], images(10)).collect().is_empty()
    assert read_commentaries([], images(10)).collect().is_empty()
