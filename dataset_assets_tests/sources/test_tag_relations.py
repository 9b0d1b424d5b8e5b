import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.domain.schemas import REJECTED_RECORDS, require_schema
from dataset_assets.domain.tag_relations import TAG_RELATIONS, close
from dataset_assets.sources import DamagedExport
from dataset_assets.sources.tag_relations import read_relations


def record(antecedent: Any = "absurdres", consequent: Any = "highres", **others: Any) -> dict[str, Any]:
    return {
        "id": 271,
        "reason": "",
        "creator_id": 1,
        "antecedent_name": antecedent,
        "consequent_name": consequent,
        "status": "active",
        "forum_topic_id": None,
        "created_at": "2013-02-16T03:42:15.559-05:00",
        "updated_at": "2013-02-16T03:42:16.949-05:00",
    } | others


def write(file: Path, *records: Any) -> Path:
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in records]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


def test_real_dump_is_read_whole(real_data: Path) -> None:
    folder = real_data / "danbooru_tags"
    aliases, implications = (folder / f"tag_{kind}_2025-04-07.jsonl.gz" for kind in ("aliases", "implications"))
    if not aliases.exists():
        pytest.skip("no dump of tag relations beside this checkout")

    relations, rejected = read_relations([aliases], [implications])
    closure = close(relations)

    assert rejected.is_empty()
    assert dict(relations["kind"].value_counts().iter_rows()) == {"alias": 30_344, "implication": 29_433}
    assert closure.ignored.is_empty()
    assert (
        closure.aliases.rows() == relations.filter(pl.col("kind") == "alias").select("antecedent", "consequent").rows()
    )
    assert closure.aliases["consequent"].is_in(closure.implications["tag"].implode()).sum() == 5_347
    assert ("absurdres", "highres") in closure.implications.rows()
    assert longest_path(relations, "dsr-50") == 5


def longest_path(relations: pl.DataFrame, tag: str) -> int:
    implied: dict[str, list[str]] = {}
    for antecedent, consequent in relations.filter(kind="implication").select("antecedent", "consequent").iter_rows():
        implied.setdefault(antecedent, []).append(consequent)

    def depth(name: str) -> int:
        return max((1 + depth(next_name) for next_name in implied.get(name, [])), default=0)

    return depth(tag)


def test_record_becomes_a_row(tmp_path: Path) -> None:
    relations, rejected = read_relations([], [write(tmp_path / "a.jsonl", record())])

    require_schema(TAG_RELATIONS, relations.schema)
    require_schema(REJECTED_RECORDS, rejected.schema)
    moment = datetime(2013, 2, 16, 8, 42, 15, 559_000, tzinfo=UTC)
    assert relations.rows() == [("implication", "absurdres", "highres", moment, 271)]
    assert rejected.is_empty()


def test_nothing_given_is_nothing_read() -> None:
    relations, rejected = read_relations([], [])
    require_schema(TAG_RELATIONS, relations.schema)
    assert relations.is_empty()
    assert rejected.is_empty()


@pytest.mark.parametrize("status", ["retired", "deleted", "pending", "Active"])
def test_only_active_relations_count(tmp_path: Path, status: str) -> None:
    relations, rejected = read_relations([write(tmp_path / "a.jsonl", record(status=status))], [])
    assert relations.is_empty()
    assert rejected.is_empty()


def test_packed_lines_and_pages_of_the_api_are_read_alike(tmp_path: Path) -> None:
    packed = tmp_path / "b" / "a.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(json.dumps(record("a", id=1)).encode()))
    page = tmp_path / "page.json"
    page.write_text(json.dumps([record("b", id=2), record("c", id=3)], indent=2))

    relations, _ = read_relations([page, packed], [])

    assert relations["antecedent"].to_list() == ["a", "b", "c"]


def test_rows_stand_in_order_whatever_the_order_of_files_and_lines(tmp_path: Path) -> None:
    records = [record("b", "x", id=1), record("a", "y", id=9), record("a", "y", id=2), record("a", "x", id=3)]
    forward, backward = write(tmp_path / "1", *records), write(tmp_path / "2", *records[::-1])

    relations, _ = read_relations([forward], [forward])

    assert relations.select("antecedent", "consequent", "id").rows()[:4] == [
        ("a", "x", 3),
        ("a", "y", 2),
        ("a", "y", 9),
        ("b", "x", 1),
    ]
    assert relations.equals(read_relations([backward, forward], [backward])[0])


def test_relation_that_stands_twice_counts_once_as_it_was_updated_last(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", record("a", id=1), record("b", id=2), record("c", id=3), record("c", id=3))
    new = write(tmp_path / "new.jsonl", record("a", id=1, status="deleted", updated_at="2020-01-01T00:00:00Z"))

    for files in ([old, new], [new, old]):
        assert read_relations(files, [])[0]["antecedent"].to_list() == ["b", "c"]


def test_equal_ids_of_aliases_and_implications_are_two_relations(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", record())
    assert read_relations([file], [file])[0]["kind"].to_list() == ["alias", "implication"]


@pytest.mark.parametrize("time", ["2013-02-16 08:42:15.559 UTC", "2013-02-16T08:42:15.559Z", "2013-02-16 08:42:15.559"])
def test_times_are_read_as_every_export_writes_them(tmp_path: Path, time: str) -> None:
    relations, _ = read_relations([write(tmp_path / "a.jsonl", record(id="271", created_at=time))], [])
    assert relations.row(0)[3:] == (datetime(2013, 2, 16, 8, 42, 15, 559_000, tzinfo=UTC), 271)


def test_missing_id_and_date_are_null(tmp_path: Path) -> None:
    bare = {"antecedent_name": "a", "consequent_name": "b", "status": "active"}
    relations, _ = read_relations([write(tmp_path / "a.jsonl", bare, bare)], [])
    assert relations.rows() == [("alias", "a", "b", None, None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 1', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"antecedent_name": "\xff"}', "bad_encoding"),
        (b"[1, 2]", "not_an_object"),
        (b"null", "not_an_object"),
        (record(antecedent=None), "bad_relation"),
        (record(consequent=""), "bad_relation"),
        (record(consequent="two words"), "bad_relation"),
        (record(antecedent="a\x00b"), "bad_relation"),
        (record(antecedent="\ud83d"), "bad_relation"),
        (record(antecedent={"name": "a"}), "bad_relation"),
        (record(status=None), "bad_relation"),
        (record(status="\udc00"), "bad_relation"),
        (record(id=0), "bad_id"),
        (record(id=1 << 63), "bad_id"),
        (record(id="1e3"), "bad_id"),
        (record(id=True), "bad_id"),
        (record(created_at="yesterday"), "bad_date"),
        (record(created_at=1360000000), "bad_date"),
        (record(created_at="0001-01-01T00:00:00+14:00"), "bad_date"),
        (record(updated_at="2013-02-30T00:00:00Z"), "bad_date"),
    ],
)
def test_bad_line_is_a_rejected_row_and_the_others_are_read(tmp_path: Path, line: Any, reason: str) -> None:
    file = write(tmp_path / "a.jsonl", record("first", id=1), b"", line, record("last", id=2))

    relations, rejected = read_relations([file], [])

    assert relations["antecedent"].to_list() == ["first", "last"]
    assert rejected.select("file", "line", "reason").rows() == [("a.jsonl", 3, reason)]
    assert len(rejected["detail"][0]) <= 500
    assert len(rejected["content"][0]) <= 200


def test_endless_line_is_a_rejected_row(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", b'{"antecedent_name": "' + b"a" * (34 << 20), record("next"))

    relations, rejected = read_relations([file], [])

    assert relations["antecedent"].to_list() == ["next"]
    assert rejected.select("line", "reason").rows() == [(1, "line_too_long")]


def test_rejected_rows_name_the_file_so_that_it_can_be_found(tmp_path: Path) -> None:
    files = [tmp_path / kind / "page.json" for kind in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        write(file, b"no json")
    assert read_relations(files, [])[1]["file"].to_list() == ["one/page.json", "two/page.json"]


def test_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(record()).encode() * 50)[:-9])
    with pytest.raises(DamagedExport, match=r"a\.jsonl\.gz"):
        read_relations([file], [])
