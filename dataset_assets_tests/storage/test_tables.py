import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dataset_assets.domain.schemas import TIME, Column, SchemaMismatch, Table
from dataset_assets.storage.durable import sha256_of
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.tables import Cell, Staged, Tables

COLOURS = Table(
    "colours",
    "image",
    (Column("image_id", pl.String, "name"), Column("colour", pl.String, "colour"), Column("seen", TIME, "when")),
)
CELL = Cell("danbooru", 2019)


def rows(*colours: str) -> pl.DataFrame:
    return COLOURS.frame([{"image_id": f"danbooru-{i}-0", "colour": colour} for i, colour in enumerate(colours)])


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def commit(tables: Tables, frame: pl.DataFrame, run_id: str = "run-1", cell: Cell = CELL) -> None:
    tables.commit(tables.stage(COLOURS, cell, frame), run_id)


def test_a_committed_partition_is_one_hive_file_that_others_read_with_a_plain_glob(tables: Tables) -> None:
    commit(tables, rows("red", "green"))
    commit(tables, rows("blue"), cell=Cell("danbooru", 2020))

    assert tables.file("colours", CELL) == tables.root / "tables/colours/source=danbooru/year=2019/data.parquet"
    glob = str(tables.root / "tables/colours/**/*.parquet")
    counted = duckdb.sql(
        f"select source, year, count(*) from read_parquet('{glob}') group by all order by all"
    ).fetchall()
    assert counted == [("danbooru", 2019, 2), ("danbooru", 2020, 1)]


def test_equal_rows_in_any_order_give_equal_bytes_whoever_writes_them(tables: Tables, tmp_path: Path) -> None:
    frame = rows("red", "green", "blue")
    first = tables.stage(COLOURS, CELL, frame)
    second = Tables(tmp_path / "elsewhere").stage(COLOURS, CELL, frame.reverse().lazy())

    assert first.sha256 == second.sha256
    assert first.data_version == second.data_version


def test_the_record_beside_a_partition_tells_its_hash_rows_run_and_time(tables: Tables) -> None:
    staged = tables.stage(COLOURS, CELL, rows("red"), recipe="abc")
    tables.commit(staged, "run-7", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    record = tables.commit_of("colours", CELL)
    assert record is not None
    assert (record.rows, record.run_id, record.recipe) == (1, "run-7", "abc")
    assert record.written_at == "2026-01-02T03:04:05+00:00"
    assert record.sha256 == sha256_of(tables.file("colours", CELL))


def test_a_frame_of_other_columns_is_refused_with_each_difference_named(tables: Tables) -> None:
    wrong = rows("red").rename({"colour": "color"}).with_columns(seen=pl.lit(1))

    with pytest.raises(SchemaMismatch) as refused:
        tables.stage(COLOURS, CELL, wrong)

    assert str(refused.value).startswith("colours: ")
    assert "colour is missing" in str(refused.value)
    assert "color is not declared" in str(refused.value)
    assert "seen is Int32" in str(refused.value)
    assert not tables.file("colours", CELL).exists()
    assert not list(tables.scratch.glob("*"))


def test_equal_content_leaves_the_file_and_its_record_untouched(tables: Tables) -> None:
    commit(tables, rows("red"), "run-1")
    before = tables.file("colours", CELL).stat()
    commit(tables, rows("red"), "run-2")

    assert tables.file("colours", CELL).stat().st_ino == before.st_ino
    record = tables.commit_of("colours", CELL)
    assert record is not None
    assert record.run_id == "run-1"
    assert not list(tables.scratch.glob("*"))


def test_equal_content_of_another_recipe_keeps_the_file_and_notes_the_recipe(tables: Tables) -> None:
    tables.commit(tables.stage(COLOURS, CELL, rows("red"), "old"), "run-1")
    before = tables.file("colours", CELL).read_bytes()
    tables.commit(tables.stage(COLOURS, CELL, rows("red"), "new"), "run-2")

    record = tables.commit_of("colours", CELL)
    assert record is not None
    assert (record.recipe, record.run_id) == ("new", "run-1")
    assert tables.file("colours", CELL).read_bytes() == before


def test_a_file_that_vanished_is_put_back_even_if_its_content_is_the_recorded_one(tables: Tables) -> None:
    commit(tables, rows("red"))
    tables.file("colours", CELL).unlink()
    commit(tables, rows("red"))

    assert tables.scan(COLOURS, CELL).collect().height == 1


def test_a_second_writer_is_refused_while_the_first_holds_the_partition(tables: Tables) -> None:
    with tables.lock("colours", CELL), pytest.raises(PartitionLocked, match="another run is writing"):
        commit(tables, rows("red"))
    commit(tables, rows("red"))


def test_a_partition_replaced_since_it_was_staged_is_not_overwritten(tables: Tables) -> None:
    commit(tables, rows("red"))
    mine = tables.stage(COLOURS, CELL, rows("green"))
    commit(tables, rows("blue"), "another")

    with pytest.raises(PartitionLocked, match="replaced this partition meanwhile"):
        tables.commit(mine, "run-1")
    assert tables.scan(COLOURS, CELL).collect().get_column("colour").to_list() == ["blue"]


def test_scan_all_adds_source_and_year_and_skips_cells_that_were_never_built(tables: Tables) -> None:
    commit(tables, rows("red"))
    commit(tables, rows("blue"), cell=Cell("pixiv_niji", 2022))

    found = tables.scan_all("colours", [CELL, Cell("danbooru", 2005)])
    assert found is not None
    assert found.collect().select("source", "year", "colour").rows() == [("danbooru", 2019, "red")]
    assert tables.scan_all("nothing") is None
    assert tables.cells("colours") == [CELL, Cell("pixiv_niji", 2022)]


def test_history_keeps_the_run_of_rows_carried_over_and_forgets_rows_that_left(tables: Tables) -> None:
    first = tables.stage(COLOURS, CELL, rows("red", "green", "blue"))
    ids = ("danbooru-0-0", "danbooru-1-0", "danbooru-2-0")
    tables.commit(_computed(first, ids), "run-1", datetime(2026, 1, 1, tzinfo=UTC))
    second = tables.stage(COLOURS, CELL, rows("red", "yellow"))
    tables.commit(_computed(second, ids[1:2]), "run-2", datetime(2026, 1, 2, tzinfo=UTC))

    expected = pl.DataFrame({"image_id": ids[:2], "run_id": ["run-1", "run-2"]})
    assert_frame_equal(tables.history("colours", CELL).select("image_id", "run_id").collect(), expected)


def _computed(staged: Staged, ids: tuple[str, ...]) -> Staged:
    from dataclasses import replace

    return replace(staged, computed_ids=pl.Series(ids))


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_fault_at_any_durable_step_leaves_the_old_table_or_the_new_one_and_a_rerun_mends_it(
    tables: Tables, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, operation)
    at = 0
    while True:
        commit(tables, rows("old"), f"old-{at}")
        staged = _computed(tables.stage(COLOURS, CELL, rows("new", "new")), ("danbooru-0-0",))
        calls = iter(range(1000))

        def fail_at(*arguments: object, **named: object) -> object:
            if next(calls) == at:  # noqa: B023 - read while this round runs
                raise OSError(28, "No space left on device")
            return real(*arguments, **named)

        monkeypatch.setattr(os, operation, fail_at)
        try:
            tables.commit(staged, "new")
            finished = True
        except OSError:
            finished = False
        monkeypatch.setattr(os, operation, real)
        found = tables.scan(COLOURS, CELL).collect().get_column("colour").to_list()
        assert found in (["old"], ["new", "new"])
        commit(tables, rows("new", "new"), "rerun")
        record = tables.commit_of("colours", CELL)
        assert record is not None
        assert record.sha256 == sha256_of(tables.file("colours", CELL))
        if finished:
            break
        at += 1
    assert at >= 3, "the fault must have struck the history, the table and its record"


def test_on_a_disk_without_room_for_the_record_the_old_table_stays_whole(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tables, rows("old"))
    staged = tables.stage(COLOURS, CELL, rows("new", "new"))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            tables.commit(staged, "run-2")

    assert tables.scan(COLOURS, CELL).collect().get_column("colour").to_list() == ["old"]
    assert tables.is_intact("colours", CELL, by_content=True)


@pytest.mark.parametrize(("key", "cell"), [("danbooru|2019", CELL), ("danbooru", Cell("danbooru")), (None, Cell())])
def test_a_cell_and_its_partition_key_are_one(key: str | None, cell: Cell) -> None:
    assert Cell.parse(key) == cell
    assert cell.key == key
