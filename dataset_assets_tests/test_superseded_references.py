"""What names a file is found wherever it stands, and damage is never taken for nothing being named."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.schemas import RAW_IMAGES, TAG_INDEX
from dataset_assets.storage.root import Folder
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.superseded_references import CannotTell, References, named_in

CELL = Cell("danbooru", 2019)
MARK = "0123456789abcdef"


def path(number: int) -> str:
    return f"images/raw/danbooru/{number:04d}/{number}_p0.0a1b2c3d4e5f.png"


def raw(*numbers: int, mark: str = MARK) -> pl.DataFrame:
    return RAW_IMAGES.frame(
        [
            {"image_id": f"danbooru-{n}-0", "state": "stored", "path": path(n), "input_key": "k", "recipe": mark}
            for n in numbers
        ]
    )


def commit(root: Path, rows: pl.DataFrame, cell: Cell = CELL) -> None:
    tables = Tables(root)
    tables.commit(tables.stage(RAW_IMAGES, cell, rows, MARK), "run-1")


def numbers_named(root: Path, *numbers: int) -> list[int]:
    named = References(root, {}).of([path(number) for number in numbers])
    return [number for number in numbers if path(number) in named]


names = st.lists(st.text("abz/_é0", min_size=1, max_size=6), unique=True, max_size=12)


@given(named=names, asked=names, absolute=names)
def test_what_is_named_is_found_and_nothing_else(named: list[str], asked: list[str], absolute: list[str]) -> None:
    if not asked:
        return
    rows = {"path": [*named, None], "location": [None, *(f"/root/{one}" for one in absolute)][: len(named) + 1]}
    rows["location"] += [None] * (len(named) + 1 - len(rows["location"]))
    frame = pl.DataFrame(rows, schema={"path": pl.String, "location": pl.String})

    found = named_in(frame.lazy(), pl.Series("name", sorted(asked), dtype=pl.String), "/root/")

    below = {place.removeprefix("/root/") for place in rows["location"] if place}
    assert set(found) == set(asked) & {*named, *below}


def test_tables_of_any_source_year_and_name_count(tmp_path: Path) -> None:
    commit(tmp_path, raw(1))
    commit(tmp_path, raw(2), Cell("no_longer_declared", 1999))
    tables = Tables(tmp_path)
    row = {"path": path(3), "sha256": "0", "size": 1, "images": 1, "pairs": 1, "image_metadata": "", "tag_metadata": ""}
    tables.commit(tables.stage(TAG_INDEX, CELL, TAG_INDEX.frame([row])), "run-1")

    assert numbers_named(tmp_path, 1, 2, 3, 4) == [1, 2, 3]


def test_a_table_that_the_graph_has_without_such_a_column_is_not_looked_into(tmp_path: Path) -> None:
    commit(tmp_path, raw(1))

    assert References(tmp_path, {"raw_images": {"image_id", "colour"}}).of([path(1)]) == set()
    assert References(tmp_path, {"raw_images": {"image_id", "path"}}).of([path(1)]) == {path(1)}


def test_what_is_on_its_way_to_a_table_counts(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    staged = tables.stage(RAW_IMAGES, CELL, raw(1))
    with tables.scratch_parquet() as file:
        raw(2).write_parquet(file)
        tables.shards("raw_images", CELL).add(MARK, "fedcba9876543210", file)
    journal = tables.scratch / "journal" / "raw_images" / CELL.folder
    journal.mkdir(parents=True)
    lines = ['{"boot": "b"}', json.dumps({"image_id": "danbooru-3-0", "path": path(3)}), '{"path": "' + path(4)]
    (journal / "00000001.jsonl").write_text("\n".join(lines), "utf-8")
    (tables.scratch / f"{'0' * 32}.parquet").write_bytes(b"half of a file")

    assert staged.file is not None
    assert numbers_named(tmp_path, 1, 2, 3, 4) == [1, 2, 3]
    shard = f"_work/raw_images/{CELL.folder}/{MARK}/fedcba9876543210.parquet"
    assert References(tmp_path, {}).of([path(2)], without={shard}) == set()


def release(root: Path, *numbers: int, is_finished: bool = True) -> Path:
    folder = root / "releases" / "one"
    folder.mkdir(parents=True)
    raw(*numbers).write_parquet(folder / "members.parquet")
    sha256 = Folder(root).sha256("releases/one/members.parquet")
    if is_finished:
        (folder / "manifest.json").write_text(json.dumps({"members": {"sha256": sha256}}), "utf-8")
    return folder


def test_members_of_a_finished_release_count(tmp_path: Path) -> None:
    release(tmp_path, 1)

    assert numbers_named(tmp_path, 1, 2) == [1]


def test_members_of_a_stopped_try_do_not_since_its_table_has_them(tmp_path: Path) -> None:
    release(tmp_path, 1, is_finished=False)

    assert numbers_named(tmp_path, 1) == []


@pytest.mark.parametrize("spoil", ["members.parquet", "manifest.json"])
def test_a_damaged_release_stops_everything(tmp_path: Path, spoil: str) -> None:
    folder = release(tmp_path, 1)
    (folder / spoil).write_bytes(b"{}")

    with pytest.raises(CannotTell, match="one: its"):
        numbers_named(tmp_path, 1)


def test_a_changed_byte_in_a_table_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_assets.superseded_references.PAUSE_S", 0)
    commit(tmp_path, raw(1))
    file = Tables(tmp_path).file("raw_images", CELL)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(CannotTell, match="raw_images danbooru"):
        numbers_named(tmp_path, 1)


def test_a_lost_table_stops_everything_before_anything_is_asked(tmp_path: Path) -> None:
    commit(tmp_path, raw(1))
    Tables(tmp_path).file("raw_images", CELL).unlink()

    with pytest.raises(CannotTell, match="raw_images danbooru"):
        References(tmp_path, {}).require_whole()
    References(tmp_path, {"raw_images": {"image_id"}}).require_whole()


def test_a_damaged_shard_stops_everything(tmp_path: Path) -> None:
    shard = tmp_path / "_work" / "raw_images" / CELL.folder / MARK / "fedcba9876543210.parquet"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"no Parquet")

    with pytest.raises(CannotTell, match="cannot be read"):
        numbers_named(tmp_path, 1)
