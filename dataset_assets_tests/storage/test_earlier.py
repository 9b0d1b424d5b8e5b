"""What a partition held before its content last changed."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.domain.schemas import Column, Table
from dataset_assets.storage.tables import Cell, Tables

NUMBERS = Table("numbers", "number", (Column("number", pl.Int64, "a number"),), ("number",), keeps_before=True)
CELL = Cell("danbooru", 2019)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def write(tables: Tables, *numbers: int, recipe: str = "r", table: Table = NUMBERS) -> None:
    tables.commit(tables.stage(table, CELL, pl.DataFrame({"number": numbers}), recipe), "run")


def before(tables: Tables) -> tuple[list[int], str] | None:
    found = tables.before("numbers", CELL)
    return None if found is None else (found.rows.collect()["number"].to_list(), found.commit.recipe)


def test_what_was_there_before_the_last_change_is_kept_and_no_more(tables: Tables) -> None:
    write(tables, 1)
    assert before(tables) is None
    write(tables, 1, 2, recipe="s")
    assert before(tables) == ([1], "r")
    write(tables, 1, 2, 3, recipe="t")
    assert before(tables) == ([1, 2], "s")
    assert len(list((tables.root / "_before").rglob("*.parquet"))) == 1  # type: ignore[operator]  # a folder


def test_writing_the_same_again_changes_nothing(tables: Tables) -> None:
    write(tables, 1)
    write(tables, 2)
    write(tables, 2)

    assert before(tables) == ([1], "r")


def test_another_recipe_with_the_same_content_has_nothing_before_it(tables: Tables) -> None:
    write(tables, 1)
    write(tables, 2)
    write(tables, 2, recipe="s")

    assert before(tables) is None


def test_a_damaged_table_is_not_kept_as_what_was_before(tables: Tables) -> None:
    write(tables, 1)
    tables.file("numbers", CELL).write_bytes(b"torn")
    write(tables, 2)

    assert before(tables) is None


def test_a_kept_table_that_was_cut_short_is_none(tables: Tables) -> None:
    write(tables, 1)
    write(tables, 2)
    [file] = (tables.root / "_before").rglob("*.parquet")  # type: ignore[operator]  # a folder
    file.write_bytes(b"")

    assert before(tables) is None


def test_tables_that_do_not_ask_for_it_keep_nothing(tables: Tables) -> None:
    plain = replace(NUMBERS, keeps_before=False)
    write(tables, 1, table=plain)
    write(tables, 2, table=plain)

    assert before(tables) is None
    assert not (tables.root / "_before").exists()  # type: ignore[operator]  # a folder
