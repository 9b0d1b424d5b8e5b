from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.compute import update as update_module
from dataset_assets.compute.engine import Batch, Row, RowFunction
from dataset_assets.compute.update import Job, Progress, Recipe, Update, update, update_together
from dataset_assets.domain.schemas import INPUT_KEY, RECIPE, Column, Table
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets_tests.compute.inline import InlineEngine

LENGTHS = Table(
    "lengths",
    "image",
    (
        Column("image_id", pl.String, "name"),
        Column("length", pl.Int64, "letters in the word"),
        Column("error", pl.String, "why not"),
        INPUT_KEY,
        RECIPE,
    ),
)
CELL = Cell("danbooru", 2019)


class Count:
    """Counts letters, and remembers which words it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        self.asked += [row["word"] for row in rows]
        return [{"image_id": row["image_id"], "length": len(row["word"])} for row in rows]


class Stopped(BaseException):
    """As if the process was killed."""


class StopsAfter(InlineEngine):
    def __init__(self, batches: int) -> None:
        self.batches = batches

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        for batch in super().run(function, batches):
            if batch.index == self.batches:
                raise Stopped
            yield batch


class LosesSecondRow(InlineEngine):
    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        for index, rows in enumerate(batches):
            yield Batch(index, function([rows[0]]), [(row, "worker_died") for row in rows[1:]])


def recipe(function: RowFunction, version: str = "1", settled: pl.Expr | None = None, least_batches: int = 1) -> Recipe:
    def lost(row: Row, loss: str) -> dict[str, Any]:
        return {"image_id": row["image_id"], "error": loss}

    return Recipe({"version": version}, function, lost, rows_per_batch=2, least_batches=least_batches, settled=settled)


def words(*given: str) -> pl.DataFrame:
    ids = [f"danbooru-{index}-0" for index in range(len(given))]
    schema = {"image_id": pl.String, "word": pl.String, "input_key": pl.String}
    return pl.DataFrame({"image_id": ids, "word": given, "input_key": given}, schema=schema)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def run(tables: Tables, inputs: pl.DataFrame, how: Recipe, engine: InlineEngine | None = None) -> Update:
    made = update(tables, CELL, Job(LENGTHS, inputs, how), engine or InlineEngine(), lambda line: None)
    tables.commit(made.staged, "run")
    return made


def test_the_first_run_computes_every_row(tables: Tables) -> None:
    made = run(tables, words("a", "bb", "ccc"), recipe(Count()))

    assert (made.counts.computed, made.counts.reused) == (3, 0)
    assert tables.scan(LENGTHS, CELL).collect().get_column("length").to_list() == [1, 2, 3]


def test_a_run_with_nothing_changed_computes_nothing_and_has_the_same_data_version(tables: Tables) -> None:
    first = run(tables, words("a", "bb"), recipe(Count()))
    count = Count()
    second = run(tables, words("a", "bb"), recipe(count))

    assert count.asked == []
    assert (second.counts.computed, second.counts.reused, second.counts.dropped) == (0, 2, 0)
    assert second.staged.data_version == first.staged.data_version


def test_one_changed_input_computes_one_row(tables: Tables) -> None:
    run(tables, words("a", "bb", "ccc"), recipe(Count()))
    count = Count()
    made = run(tables, words("a", "BBBB", "ccc"), recipe(count))

    assert count.asked == ["BBBB"]
    assert (made.counts.computed, made.counts.reused) == (1, 2)
    assert tables.scan(LENGTHS, CELL).collect().get_column("length").to_list() == [1, 4, 3]


def test_a_changed_recipe_computes_every_row(tables: Tables) -> None:
    run(tables, words("a", "bb"), recipe(Count()))
    made = run(tables, words("a", "bb"), recipe(Count(), version="2"))

    assert (made.counts.computed, made.counts.reused) == (2, 0)


def test_rows_whose_image_left_the_input_are_dropped_and_counted(tables: Tables) -> None:
    run(tables, words("a", "bb", "ccc"), recipe(Count()))
    made = run(tables, words("a"), recipe(Count()))

    assert (made.counts.computed, made.counts.reused, made.counts.dropped) == (0, 1, 2)
    assert tables.scan(LENGTHS, CELL).collect().get_column("image_id").to_list() == ["danbooru-0-0"]


def test_rows_that_are_not_settled_are_tried_again(tables: Tables) -> None:
    run(tables, words("a", "bb"), recipe(Count()))
    count = Count()
    made = run(tables, words("a", "bb"), recipe(count, settled=pl.col("length") > 1))

    assert count.asked == ["a"]
    assert made.counts.reused == 1


def test_a_row_that_takes_its_worker_down_becomes_a_row_and_the_others_stand(tables: Tables) -> None:
    run(tables, words("a", "bb", "ccc"), recipe(Count()), LosesSecondRow())
    found = tables.scan(LENGTHS, CELL).collect()

    assert found.get_column("error").to_list() == [None, "worker_died", None]
    assert found.get_column("length").to_list() == [1, None, 3]


@pytest.mark.parametrize("batches", range(6))
def test_a_stopped_run_resumes_from_its_finished_shards_and_ends_with_the_same_bytes(
    tables: Tables, tmp_path: Path, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "ROWS_PER_SHARD", 2)
    given = words(*("x" * length for length in range(1, 12)))
    undisturbed = run(Tables(tmp_path / "undisturbed"), given, recipe(Count()))
    with pytest.raises(Stopped):
        update(tables, CELL, Job(LENGTHS, given, recipe(Count())), StopsAfter(batches), lambda line: None)
    assert not tables.file("lengths", CELL).exists()

    count = Count()
    made = run(tables, given, recipe(count))

    assert made.counts.resumed == 2 * batches
    assert len(count.asked) == 11 - 2 * batches
    assert made.staged.sha256 == undisturbed.staged.sha256
    assert not list((tables.root / "_work").rglob("*.parquet"))


def test_shards_of_a_stopped_run_are_not_used_for_inputs_that_changed_meanwhile(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "ROWS_PER_SHARD", 2)
    with pytest.raises(Stopped):
        update(tables, CELL, Job(LENGTHS, words("a", "b", "c", "d"), recipe(Count())), StopsAfter(1), lambda line: None)
    made = run(tables, words("AAAA", "b", "c", "d"), recipe(Count()))

    assert made.counts.resumed == 1
    assert tables.scan(LENGTHS, CELL).collect().get_column("length").to_list() == [4, 1, 1, 1]


def test_a_table_of_an_older_layout_is_computed_anew(tables: Tables) -> None:
    older = Table("lengths", "image", LENGTHS.columns[:2])
    tables.commit(tables.stage(older, CELL, older.frame([{"image_id": "danbooru-0-0", "length": 1}])), "old")

    assert run(tables, words("a"), recipe(Count())).counts.computed == 1


def test_an_empty_input_makes_an_empty_table(tables: Tables) -> None:
    made = run(tables, words(), recipe(Count()))

    assert made.staged.rows == 0
    assert tables.file("lengths", CELL).exists()


def test_the_history_tells_which_run_made_each_row(tables: Tables) -> None:
    how = recipe(Count())
    for run_id, given in (("first", words("a", "bb")), ("second", words("a", "BBB"))):
        made = update(tables, CELL, Job(LENGTHS, given, how), InlineEngine(), lambda line: None)
        tables.commit(made.staged, run_id)

    assert tables.history("lengths", CELL).select("run_id").collect().get_column("run_id").to_list() == [
        "first",
        "second",
    ]


def test_a_few_rows_are_dealt_out_and_many_go_in_full_batches(tables: Tables) -> None:
    sizes: list[int] = []

    class Counting(InlineEngine):
        def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
            for batch in super().run(function, batches):
                sizes.append(len(batch.results))
                yield batch

    for count in (20, 100):
        run(tables, words(*["word"] * count), recipe(Count(), version=str(count), least_batches=16), Counting())
    assert sizes == [1] * 20 + [2] * 50


def test_progress_tells_share_rate_and_time_left_every_few_seconds() -> None:
    now = iter([0.0, 0.0, 1.0, 6.0, 6.0, 10.0])
    said: list[str] = []
    progress = Progress("image_facts danbooru|2019", 1000, said.append, lambda: next(now))
    progress.advance(100)
    progress.advance(500)
    progress.finish()

    assert said[0] == "image_facts danbooru|2019: 600 of 1,000 (60.0 %), 100 rows/s, 4.0 s left"
    assert said[1] == "image_facts danbooru|2019: 600 rows in 10.0 s, 60 rows/s"


CAPITALS = Table(
    "capitals", "image", (LENGTHS.columns[0], Column("word", pl.String, "in capitals"), *LENGTHS.columns[2:])
)


class Capitals:
    """Writes words in capitals, and remembers which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        self.asked += [row["word"] for row in rows]
        return [{"image_id": row["image_id"], "word": row["word"].upper()} for row in rows]


class CountAndCapitals(Capitals):
    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        both = zip(Count()(rows), super().__call__(rows), strict=True)
        return [{"lengths": counted, "capitals": written} for counted, written in both]


def run_together(
    tables: Tables, given: pl.DataFrame, versions: tuple[str, str] = ("1", "1"), engine: InlineEngine | None = None
) -> tuple[list[str], list[str], list[str], list[Update]]:
    """Words asked in the common pass, for lengths alone and for capitals alone; and what was made."""
    count, capitals, both = Count(), Capitals(), CountAndCapitals()
    jobs = [Job(LENGTHS, given, recipe(count, versions[0])), Job(CAPITALS, given, recipe(capitals, versions[1]))]
    made = update_together(tables, CELL, jobs, both, engine or InlineEngine(), lambda line: None)
    for one in made:
        tables.commit(one.staged, "run")
    return both.asked, count.asked, capitals.asked, made


def test_two_tables_are_made_in_one_pass_and_are_what_each_alone_would_be(tmp_path: Path) -> None:
    together, alone = Tables(tmp_path / "together"), Tables(tmp_path / "alone")
    both, lengths, capitals, made = run_together(together, words("a", "bb", "ccc"))
    run(alone, words("a", "bb", "ccc"), recipe(Count()))

    assert (both, lengths, capitals) == (["a", "bb", "ccc"], [], [])
    assert [one.counts.computed for one in made] == [3, 3]
    assert together.scan(LENGTHS, CELL).collect().equals(alone.scan(LENGTHS, CELL).collect())
    assert together.scan(CAPITALS, CELL).collect().get_column("word").to_list() == ["A", "BB", "CCC"]


def test_what_only_one_table_lacks_is_computed_for_it_alone(tables: Tables) -> None:
    run_together(tables, words("a", "bb"))
    both, lengths, capitals, made = run_together(tables, words("a", "bb", "ccc"), versions=("1", "2"))

    assert (both, lengths, capitals) == (["ccc"], [], ["a", "bb"])
    assert [(one.counts.computed, one.counts.reused) for one in made] == [(1, 2), (3, 0)]


def test_a_pass_with_nothing_changed_asks_nothing(tables: Tables) -> None:
    first = run_together(tables, words("a", "bb"))[3]
    both, lengths, capitals, made = run_together(tables, words("a", "bb"))

    assert (both, lengths, capitals) == ([], [], [])
    assert [one.staged.data_version for one in made] == [one.staged.data_version for one in first]


def test_a_stopped_pass_goes_on_from_its_shards(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_module, "ROWS_PER_SHARD", 2)
    with pytest.raises(Stopped):
        run_together(tables, words("a", "b", "c", "d"), engine=StopsAfter(1))
    both, _, _, made = run_together(tables, words("a", "b", "c", "d"))

    assert both == ["c", "d"]
    assert [(one.counts.computed, one.counts.resumed) for one in made] == [(2, 2), (2, 2)]


class LosesTheCommonPass(InlineEngine):
    """An engine whose workers die of the second row of a batch when both tables are made, and not of one alone."""

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        engine = LosesSecondRow() if isinstance(function, CountAndCapitals) else InlineEngine()
        return engine.run(function, batches)


def test_an_image_that_is_too_much_for_the_common_pass_is_tried_for_each_table_alone(tables: Tables) -> None:
    both, lengths, capitals, _ = run_together(tables, words("a", "bb"), engine=LosesTheCommonPass())

    assert (both, lengths, capitals) == (["a"], ["bb"], ["bb"])
    assert tables.scan(LENGTHS, CELL).collect().get_column("error").null_count() == 2
