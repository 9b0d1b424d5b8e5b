"""Reading an export: every line is a record or a rejection, and the outcome does not depend on how it was read."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataset_assets.domain.schemas import REJECTED_RECORDS, require_schema
from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources import DamagedExport, danbooru, json_lines
from dataset_assets.sources.danbooru_fields import FLAGS, NUMBERS, REFERENCES, TIMES
from dataset_assets.sources.danbooru_repeats import SeenIds
from dataset_assets_tests.sources.mirrors import lines, new_record, old_record, read_export, source_of
from dataset_assets_tests.sources.test_json_lines import tar_of

GOOD = json.dumps(new_record(1)).encode()


def raw(**texts: str) -> bytes:
    """A good record (id 2) in which some values are written as they are."""
    record = json.dumps(new_record(2, **{key: f"<{key}>" for key in texts}))
    for key, text in texts.items():
        record = record.replace(f'"<{key}>"', text)
    return record.encode()


BAD_LINES = {
    "torn": (GOOD[:100], "not_json"),
    "plain text": (b"id,created_at", "not_json"),
    "trailing comma": (GOOD[:-1] + b",}", "not_json"),
    "two records": (GOOD + GOOD, "not_json"),
    "NaN": (raw(score="NaN"), "not_json"),
    "NaN in text": (raw(source="NaN"), "not_json"),
    "infinity": (raw(score="-Infinity"), "not_json"),
    "key twice": (raw(score='"1", "id": "2"'), "not_json"),
    "depth bomb": (b"[" * 100_000, "not_json"),
    "depth bomb in a value": (raw(score="[" * 5_000 + "]" * 5_000), "not_json"),
    "depth bomb in an unknown key": (raw(zzz="[" * 50_000 + "]" * 50_000), "not_json"),
    "array": (b"[1, 2]", "not_an_object"),
    "text": (b'"text"', "not_an_object"),
    "null": (b"null", "not_an_object"),
    "no UTF-8": (raw(source='"\xff"').replace("\xff".encode(), b"\xff"), "bad_encoding"),
    "no UTF-8 in an unknown key": (raw(zzz='"\xff"').replace("\xff".encode(), b"\xff"), "bad_encoding"),
    "NUL": (raw(source='"a\0b"'), "bad_encoding"),
    "half a surrogate pair": (raw(source='"\\ud800"'), "bad_encoding"),
    "no id": (json.dumps(new_record(id=...)).encode(), "no_id"),
    "id null": (raw(id="null"), "no_id"),
    "id empty": (raw(id='""'), "no_id"),
    "a tag": (b'{"id": "7", "name": "solo", "post_count": "9", "created_at": "2010-01-01 00:00:00 UTC"}', "not_a_post"),
    "id 0": (raw(id="0"), "bad_id"),
    "id negative": (raw(id="-5"), "bad_id"),
    "id a word": (raw(id='"five"'), "bad_id"),
    "id with zeros": (raw(id='"00123"'), "bad_id"),
    "id true": (raw(id="true"), "bad_id"),
    "id a fraction": (raw(id="2.0"), "bad_id"),
    "id a list": (raw(id="[2]"), "bad_id"),
    "id too large": (raw(id=str(1 << 63)), "bad_id"),
    "id with blank": (raw(id='" 2"'), "bad_id"),
    "date missing": (json.dumps(new_record(2, created_at=...)).encode(), "bad_date"),
    "date empty": (raw(created_at='""'), "bad_date"),
    "date null": (raw(created_at="null"), "bad_date"),
    "date of year 0": (raw(created_at='"0000-01-01 00:00:00 UTC"'), "bad_date"),
    "date of year 9999": (raw(created_at='"9999-12-31 23:59:59 UTC"'), "bad_date"),
    "date never": (raw(created_at='"1970-01-01 00:00:00 UTC"'), "bad_date"),
    "date in seconds": (raw(created_at="1595773880"), "bad_date"),
    "date in milliseconds": (raw(created_at='"1595773880176"'), "bad_date"),
    "date that is none": (raw(created_at='"2010-02-30 00:00:00 UTC"'), "bad_date"),
    "date infinite": (raw(created_at='"infinity"'), "bad_date"),
    "date an object": (raw(created_at='{"s": 1595773880}'), "bad_date"),
    "same id": (GOOD, "duplicate_id"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_bad_line_is_rejected_with_its_reason_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    line, reason = BAD_LINES[kind]
    last = json.dumps(old_record(3)).encode()
    export = read_export(tmp_path, {"posts.json": b"\n".join([GOOD, line, last])})
    assert export.snapshot["id"].to_list() == [1, 3]
    assert export.snapshot["record_line"].to_list() == [1, 3]
    (rejected,) = export.rejected.rows(named=True)
    assert (rejected["file"], rejected["line"], rejected["reason"]) == ("posts.json", 2, reason)
    assert rejected["content"] == line.decode("utf-8", "replace")[:200].replace("\0", "\ufffd")
    assert 0 < len(rejected["detail"]) <= 500
    require_schema(REJECTED_RECORDS, export.rejected.schema)


def test_all_reasons_of_bad_lines_are_from_the_closed_list() -> None:
    assert {reason for _, reason in BAD_LINES.values()} <= set(REJECT_REASONS)


def test_all_bad_lines_together_are_counted_one_by_one(tmp_path: Path) -> None:
    bad = [line for line, _ in BAD_LINES.values()]
    export = read_export(tmp_path, {"posts.json": b"\n".join([GOOD, *bad])})
    assert export.snapshot.height == 1
    assert export.reasons == [(number, reason) for number, (_, reason) in enumerate(BAD_LINES.values(), 2)]


def test_line_that_is_too_long_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("BLOCK_BYTES", 1_000), ("PIECE_BYTES", 50_000), ("MAX_LINE_BYTES", 50_000)):
        monkeypatch.setattr(json_lines, name, size)
    monkeypatch.setattr("dataset_assets.sources.danbooru_records.MAX_LINE_BYTES", 50_000)
    long = [
        json.dumps(new_record(i, source="x" * size)).encode() for i, size in ((2, 49_500), (3, 200_000), (4, 40_000))
    ]
    export = read_export(tmp_path, {"posts.json": b"\n".join([GOOD, *long, json.dumps(new_record(5)).encode()])})
    assert export.snapshot.select("id", "record_line").rows() == [(1, 1), (4, 4), (5, 5)]
    assert export.reasons == [(2, "line_too_long"), (3, "line_too_long")]


def test_torn_last_line_that_is_whole_is_a_record(tmp_path: Path) -> None:
    assert read_export(tmp_path, {"posts.json": GOOD}).snapshot.height == 1


def test_blank_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    other = json.dumps(new_record(2)).encode()
    content = b"\xef\xbb\xbf\n\r\n" + GOOD + b"\r\n  \n\n" + other + b"\n\n"
    export = read_export(tmp_path, {"posts.json": content})
    assert export.snapshot.select("id", "record_line").rows() == [(1, 3), (2, 6)]
    assert export.rejected.is_empty()


def test_first_of_equal_ids_by_file_and_line_is_kept(tmp_path: Path) -> None:
    files = {
        "b.json": lines([new_record(1, score="3"), new_record(2, score="4")]),
        "a.json": lines([new_record(1, score="1"), new_record(1, score="2")]),
    }
    export = read_export(tmp_path, files)
    assert export.snapshot.select("id", "score").rows() == [(1, 1), (2, 4)]
    assert export.rejected.select("file", "line", "detail").rows() == [
        ("a.json", 2, "id 1 is already that of line 1 of a.json"),
        ("b.json", 1, "id 1 is already that of line 1 of a.json"),
    ]


def test_members_that_are_not_in_order_change_nothing(tmp_path: Path) -> None:
    first, second = lines([new_record(1, score="1"), new_record(3)]), lines([new_record(1, score="2"), new_record(2)])
    sorted_, reversed_ = (
        read_export(tmp_path / name, {"posts.tar": tar_of(members)})
        for name, members in (
            ("sorted", {"a.json": first, "b.json": second}),
            ("reversed", {"b.json": second, "a.json": first}),
        )
    )
    assert_frame_equal(sorted_.snapshot, reversed_.snapshot)
    assert_frame_equal(sorted_.rejected, reversed_.rejected)
    assert sorted_.rejected["content"].to_list() == [second.decode()[:200]]


def test_huge_ids_are_told_apart(tmp_path: Path) -> None:
    ids = [(1 << 63) - 1, 1 << 28, (1 << 28) - 1, 1 << 28]
    export = read_export(tmp_path, {"posts.json": lines(map(new_record, ids))})
    assert sorted(export.snapshot["id"]) == sorted(set(ids))
    assert export.reasons == [(4, "duplicate_id")]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, 2, 7, 8, 9, 1 << 28, (1 << 63) - 1]), max_size=6), max_size=5))
def test_seen_ids_are_those_met_before(batches: list[list[int]]) -> None:
    seen, met = SeenIds(), set()
    for batch in batches:
        expected = []
        for one in batch:
            expected.append(one in met)
            met.add(one)
        assert seen.repeated(np.array(batch, np.int64)).tolist() == expected


def test_unreadable_values_are_null_and_told(tmp_path: Path) -> None:
    record = old_record(1, score="many", file_size="1e400", updated_at="soon", image_width=1 << 40, parent_id=1.5)
    export = read_export(tmp_path, {"posts.json": lines([record])})
    row = export.snapshot.row(0, named=True)
    assert [row[name] for name in ("score", "file_size", "updated_at", "image_width", "parent_id")] == [None] * 5
    assert row["image_height"] == 629
    assert "5 values were unreadable and are null, first posts.json:1: " in export.said[-1]


def test_damaged_file_leaves_the_snapshot_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "a.json").write_bytes(GOOD)
    (tmp_path / "metadata" / "b.json.gz").write_bytes(b"\x1f\x8b\x08")
    (tmp_path / "snapshot.parquet").write_bytes(b"as it was")
    with pytest.raises(DamagedExport, match=r"b\.json\.gz"):
        danbooru.read_snapshot("danbooru", source_of(tmp_path), tmp_path / "snapshot.parquet", print)
    assert (tmp_path / "snapshot.parquet").read_bytes() == b"as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metadata", "snapshot.parquet"]


def test_same_export_gives_the_same_bytes_however_it_is_cut_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [(old_record if i % 3 else new_record)(i * 7919 % 1009 + 1) for i in range(1, 800)]
    content = lines(records) + GOOD[:50]
    whole = []
    for readers, piece in ((1, 32 << 20), (2, 50_000), (4, 20_000)):
        monkeypatch.setattr(os, "cpu_count", lambda readers=readers: readers)
        monkeypatch.setattr(json_lines, "BLOCK_BYTES", 5_000)
        monkeypatch.setattr(json_lines, "PIECE_BYTES", piece)
        export = read_export(tmp_path / str(readers), {"posts.json": content})
        assert export.reasons == [(800, "not_json")]
        whole.append((tmp_path / str(readers) / "snapshot.parquet").read_bytes())
    assert whole[0] == whole[1] == whole[2]


words = st.sampled_from(["1girl", "solo", "a b", "", " x", "日本", "a", 5, None])
numbers = st.sampled_from(
    [3, "3", -1, "0", 0, None, "", 1.5, 2.0, "abc", True, 1 << 31, 1 << 63, "007", " 5", "+5", "-0", 1e3, [1], {"a": 1}]
)
times = st.sampled_from(
    [
        "2010-06-19 07:38:15.12 UTC",
        "2020-07-26T10:31:20.176-04:00",
        "1970-01-01 00:00:00 UTC",
        "0000-00-00 00:00:00 UTC",
        "9999-12-31 23:59:59 UTC",
        "2100-12-31 23:59:59-01:00",
        "1990-01-01 00:00:00+05:30",
        "2020-07-26 10:31:20.1234567 UTC",
        "",
        None,
        1595773880,
    ]
)
tag = st.fixed_dictionaries(
    {"id": st.just("1"), "name": words, "category": st.sampled_from(["0", "1", "3", "4", "5", "2", 0, "12", None])}
)
strings = st.sampled_from(["", "a", "b a", "a  b", " a ", None])
changes = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*REFERENCES, *NUMBERS, "file_size", "bit_flags"), numbers),
        **dict.fromkeys(TIMES, times),
        **dict.fromkeys(FLAGS, st.sampled_from([True, False, None, "true", 1, "yes", "perhaps"])),
        "source": st.one_of(st.text(max_size=5), st.sampled_from([5, None, {"a": [1.5, True]}])),
        "md5": st.sampled_from(["AB", "ÄB", "", None]),
        "tags": st.one_of(st.just(...), st.lists(tag, max_size=4), st.just("a b"), st.just([None, {}])),
        "tag_string_general": strings,
        "tag_string_meta": strings,
        "pools": st.sampled_from([..., None, [], ["10", "9", "series", "9"], ["collection"], [7, None], "x"]),
        "pool_string": st.sampled_from(["", "pool:12 pool:5 pool:series", None]),
        "favs": st.sampled_from([[], ["1", "2"], None, "x"]),
    },
)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([old_record, new_record]), changes), min_size=10, max_size=20))
def test_fast_and_strict_reading_agree(records: list[tuple[Any, dict[str, Any]]]) -> None:
    """A line alone in its file is read fast unless it is odd; one that begins with a blank is read strictly."""
    written = [json.dumps(make(i, **changed)).encode() for i, (make, changed) in enumerate(records, 1)]
    with TemporaryDirectory() as folder:
        fast = read_export(Path(folder) / "fast", {f"{i:03}.json": line for i, line in enumerate(written)}).snapshot
        strict = read_export(
            Path(folder) / "strict", {"all.json": b"\n".join(b" " + line for line in written)}
        ).snapshot
    assert fast.height == len(written)
    assert_frame_equal(fast.drop("record_file", "record_line"), strict.drop("record_file", "record_line"))


@pytest.mark.parametrize(
    ("changed", "column", "expected"),
    [
        ({"tags": [{"name": 5, "category": 0}, {"name": "a", "category": "0"}]}, "tag_string_general", "5 a"),
        ({"tags": [{"name": "a", "category": "5"}], "tag_string_meta": " b "}, "tag_string_meta", "b a"),
    ],
)
@pytest.mark.parametrize("before", [b"", b" "], ids=["fast", "strict"])
def test_tags_written_in_two_places_or_as_numbers_are_all_kept(
    tmp_path: Path, before: bytes, changed: dict[str, Any], column: str, expected: str
) -> None:
    record = json.dumps(old_record(1, **changed)).encode()
    assert read_export(tmp_path, {"posts.json": before + record}).snapshot[column].to_list() == [expected]


@pytest.mark.parametrize(
    "tags",
    [
        [{"name": " x", "category": "4"}, {"name": "a b", "category": None}],
        [{"name": "a b", "category": "0"}, {"name": None, "category": "0"}],
        [{"name": "", "category": "0"}, {"name": "a", "category": "0"}, None],
    ],
)
def test_two_odd_tags_do_not_make_one_another_look_sound(tmp_path: Path, tags: list[Any]) -> None:
    record = lines([old_record(1, tags=tags)])
    fast, strict = (
        read_export(tmp_path / name, {"posts.json": content}).snapshot
        for name, content in (("fast", record), ("strict", b" " + record))
    )
    assert_frame_equal(fast, strict)


def test_snapshot_is_sorted_however_small_its_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_assets.sources.danbooru_pieces.ROWS_PER_BATCH", 20)
    years = [2020, 2005, 2012]
    records = [new_record(i, created_at=f"{years[i % 3]}-05-05 00:00:00 UTC") for i in range(1, 300)]
    export = read_export(tmp_path, {"posts.json": lines(records)})
    assert export.snapshot.equals(export.snapshot.sort("year", "image_id"))
    assert export.snapshot["year"].unique().to_list() == sorted(years)
    assert export.snapshot.select(pl.col("image_id").n_unique()).item() == 299
