import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.attribution import credit
from dataset_assets.exports.huggingface import BYTES_PER_GROUP, ROWS_PER_GROUP, features, rows_per_group
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.records import RECORD
from dataset_assets.exports.tar_files import NotAllowed
from dataset_assets_tests.exports.hostile_members import (
    as_frame,
    counted,
    digest,
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
SHARD = 12_000


def test_datasets_reads_the_same_ids_captions_tags_and_pixels(tmp_path: Path, reader: Reader) -> None:
    members = hostile_members()
    export(members, "huggingface", tmp_path / "out", SHARD)
    found = reader.load(str(tmp_path / "out" / "huggingface"))
    expected = rows_by_id(members)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 21, "test": 3}
    for split, rows in found.items():
        for row in rows:
            known = expected.pop(row["image_id"])
            assert known["split"] == split
            assert row["captions"] == known["captions"]
            assert row["caption"] == (known["captions"][0]["caption"] if known["captions"] else None)
            assert list(zip(row["tags"], row["tag_categories"], strict=True)) == [
                (tag["tag"], tag["category"]) for tag in known["tags"]
            ]
            assert np.array_equal(np.asarray(row["image"].convert("RGBA")), pixels_of(members.read(known)))
            assert row["image"].size == (row["width"], row["height"])
    assert not expected


def test_every_other_field_arrives_as_it_left(tmp_path: Path, reader: Reader) -> None:
    members = hostile_members()
    export(members, "huggingface", tmp_path / "out", SHARD)
    expected = rows_by_id(members)
    for row in reader.load(str(tmp_path / "out" / "huggingface"))["train"]:
        known = expected[row["image_id"]]
        credits = credit(known)
        for name in ("artist", "source_url", "license", "license_basis"):
            assert row[name] == credits[name]
        for name in ("title", "rating", "score", "is_ai_generated", "created_at", "caption_model", "original_md5"):
            assert row[name] == known[name]
        assert (row["source"], row["year"], row["post_id"]) == ("danbooru", known["year"], known["post_id"])


def test_the_bytes_in_it_are_the_files_own(tmp_path: Path, reader: Reader) -> None:
    members = hostile_members()
    export(members, "huggingface", tmp_path / "out")
    expected = rows_by_id(members)
    for rows in reader.rows(str(tmp_path / "out" / "huggingface")).values():
        for row in rows:
            known = expected[row["image_id"]]
            assert row["image"]["bytes"] == members.read(known)
            assert row["image"]["path"] == f"{known['image_id']}.{known['extension']}"


def test_the_columns_are_known_without_being_told(tmp_path: Path, reader: Reader) -> None:
    export(hostile_members(), "huggingface", tmp_path / "out", SHARD)
    files = sorted(str(file) for file in (tmp_path / "out").rglob("train-*.parquet"))
    found = reader.load("parquet", data_files=files)["train"].features
    assert found["image"] == reader.datasets.Image()
    assert found["tags"] == reader.datasets.List(reader.datasets.Value("string"))
    assert found["captions"].feature == {name: reader.datasets.Value("string") for name in ("origin", "caption")}
    assert list(found) == ["image", *RECORD]
    assert found == reader.datasets.Features.from_dict(features())


def test_it_can_be_streamed(tmp_path: Path, reader: Reader) -> None:
    members = hostile_members()
    export(members, "huggingface", tmp_path / "out", SHARD)
    stream = reader.load(str(tmp_path / "out" / "huggingface"), split="test", streaming=True)
    assert [row["image_id"] for row in stream] == [row["image_id"] for row in members.rows() if row["split"] == "test"]


def test_duckdb_and_polars_read_it_too(tmp_path: Path) -> None:
    members = hostile_members()
    export(members, "huggingface", tmp_path / "out", SHARD)
    files = f"{tmp_path / 'out'}/huggingface/data/*.parquet"
    expected = sorted(rows_by_id(members))
    assert pl.read_parquet(files)["image_id"].sort().to_list() == expected
    query = "SELECT image_id, octet_length(image.bytes) > 0, list_sort(tags) FROM read_parquet(?) ORDER BY 1"
    found = duckdb.execute(query, [files]).fetchall()
    assert [row[0] for row in found] == expected
    assert all(row[1] for row in found)


def test_a_release_without_parts_is_all_train(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    written = export(members_of([member(1, files), member(2, files)], files), "huggingface", tmp_path / "out")
    assert [(file.name, file.rows) for file in written] == [("huggingface/data/train-00000-of-00001.parquet", 2)]


def test_shards_are_about_as_large_as_asked_and_named_as_the_hub_asks(tmp_path: Path) -> None:
    written = export(hostile_members(), "huggingface", tmp_path / "out", 20_000)
    train = [file for file in written if "train" in file.name]
    assert 2 < len(train) < 21
    assert sum(file.rows for file in train) == 21
    named = re.compile(rf"huggingface/data/train-\d{{5}}-of-{len(train):05d}\.parquet")
    assert all(named.fullmatch(file.name) for file in train)


def test_equal_members_give_equal_bytes_however_their_rows_lie(tmp_path: Path) -> None:
    members = hostile_members(60)
    whole = Members([as_frame(members).lazy()], members.read_path)
    first = export(members, "huggingface", tmp_path / "a", SHARD)
    assert export(whole, "huggingface", tmp_path / "b" / "c", SHARD) == first


def test_it_goes_on_after_a_stop_without_writing_what_is_finished(tmp_path: Path) -> None:
    members, reads = hostile_members(), []
    last = as_frame(members).filter(split="train")["path"][-1]

    def stop_at_last(path: str) -> bytes:
        if path == last:
            raise PermissionError("stopped")
        return members.read_path(path)

    with pytest.raises(MemberLost, match="stopped"):
        export(Members(members.parts, stop_at_last), "huggingface", tmp_path / "out", SHARD)
    before = {file: file.stat().st_ino for file in (tmp_path / "out" / "huggingface").rglob("*.parquet")}
    assert before
    written = export(counted(members, reads), "huggingface", tmp_path / "out", SHARD)
    assert len(set(reads)) <= 24 - sum(file.rows for file in written if tmp_path / "out" / file.name in before)
    assert {file: file.stat().st_ino for file in before} == before
    assert written == export(members, "huggingface", tmp_path / "whole", SHARD)


def test_a_lost_image_stops_the_export_and_leaves_no_half_file(tmp_path: Path) -> None:
    members = hostile_members()
    with pytest.raises(MemberLost, match=r"images/\d+\..* cannot be read"):
        export(members_of(list(members.rows()), {}), "huggingface", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert not list(tmp_path.rglob("out_scratch/*"))


def test_what_is_no_image_does_not_leave(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    row = {**member(1, files), "extension": "zip"}
    with pytest.raises(NotAllowed, match="zip"):
        export(members_of([row], files), "huggingface", tmp_path / "out")


def test_the_footer_holds_no_pixels(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    export(hostile_members(), "huggingface", tmp_path / "out")
    for file in (tmp_path / "out").rglob("*.parquet"):
        metadata = pq.read_metadata(file)
        assert metadata.serialized_size < 16_000
        assert not any(metadata.row_group(0).column(n).statistics.has_min_max for n in range(metadata.num_columns))


def test_row_groups_have_at_most_a_hundred_rows(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    files: dict[str, bytes] = {}
    rows = [member(n % 3, files) | {"image_id": f"danbooru-{n}-0", "post_id": str(n)} for n in range(250)]
    written = export(members_of(rows, files), "huggingface", tmp_path / "out")
    metadata = pq.read_metadata(tmp_path / "out" / written[0].name)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [100, 100, 50]


@given(st.lists(st.integers(0, 40 << 20), min_size=1, max_size=300))
def test_no_row_group_is_much_heavier_than_meant(sizes: list[int]) -> None:
    rows = rows_per_group(pl.Series(sizes, dtype=pl.Int64))
    assert 1 <= rows <= ROWS_PER_GROUP
    groups = [sum(sizes[at : at + rows]) for at in range(0, len(sizes), rows)]
    assert max(groups) <= BYTES_PER_GROUP + max(sizes)


def test_small_images_have_large_groups() -> None:
    assert rows_per_group(pl.Series([1000] * 500)) == ROWS_PER_GROUP


def test_a_huge_caption_is_carried(tmp_path: Path, reader: Reader) -> None:
    files: dict[str, bytes] = {}
    stated: dict[str, Any] = hostile(7) | {"captions": [{"origin": "published", "caption": "ab\n" * 40_000}]}
    export(members_of([member(1, files, **stated)], files), "huggingface", tmp_path / "out")
    (row,) = reader.load(str(tmp_path / "out" / "huggingface"))["train"]
    assert row["caption"] == "ab\n" * 40_000


def test_a_finished_export_is_the_same_when_it_is_written_again(tmp_path: Path) -> None:
    members = hostile_members()
    export(members, "huggingface", tmp_path / "out", SHARD)
    before = {file: digest(file) for file in (tmp_path / "out").rglob("*.parquet")}
    export(members, "huggingface", tmp_path / "out", SHARD)
    assert {file: digest(file) for file in (tmp_path / "out").rglob("*.parquet")} == before
