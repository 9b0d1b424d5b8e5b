"""A full disk ends a rebuild at once, with one error that says where and what to do."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataset_assets.full_disk import disk_full_message, fullest, says_disk_full, written_places
from dataset_assets.rebuild import Outcome, Rebuild
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror


@pytest.fixture
def work(tmp_path: Path) -> Rebuild:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    return Rebuild(mirror.definitions, mirror.config, mirror.instance, lambda line: None)


@pytest.mark.parametrize(
    "said",
    [
        str(OSError(28, "No space left on device", "/data/x.parquet")),
        str(OSError(122, "Disk quota exceeded")),
        "parquet: File out of specification: underlying IO error: No space left on device (os error 28)",
        "(sqlite3.OperationalError) database or disk is full",
        'IO Error: Could not write file "/data/_tmp/7e.duckdb": No space left on device',
    ],
)
def test_what_libraries_say_of_a_full_disk_is_known(said: str) -> None:
    assert says_disk_full(said)


@pytest.mark.parametrize("said", ["[Errno 2] No such file or directory", "Invalid thrift", "os error 281)", ""])
def test_other_errors_are_not_taken_for_one(said: str) -> None:
    assert not says_disk_full(said)


def test_the_message_names_the_place_what_is_free_and_what_to_do(tmp_path: Path) -> None:
    places = [("root", tmp_path / "not" / "there" / "yet")]
    name, folder, free, total = fullest(places)
    assert (name, folder) == ("root", tmp_path / "not" / "there" / "yet")
    said = disk_full_message("raw_images: [Errno 28] No space left on device", places)
    assert said.startswith("the disk is full, so the rebuild stopped: raw_images: [Errno 28] No space left on device; ")
    assert f"root ({folder}) is on a disk with " in said
    assert f" of {total:,} bytes free" in said
    assert "the same command goes on from there" in said
    assert 0 < free <= total


def test_the_places_are_all_that_a_rebuild_writes_to(work: Rebuild, tmp_path: Path) -> None:
    names = [name for name, _ in written_places(work.config, "/home/dagster")]
    assert names == ["root", "DAGSTER_HOME", "temporary files"]


def test_nothing_follows_the_outcome_that_met_it_and_its_consequences_are_not_told(work: Rebuild) -> None:
    full = "tag_metadata: No space left on device (os error 28)"
    met = Outcome(Cell("danbooru", 2006), errors=["image_metadata: Invalid thrift", full], is_disk_full=True)
    began = []

    def outcomes() -> Iterator[Outcome]:
        for outcome in (Outcome(Cell("danbooru", 2005)), met, Outcome(Cell("danbooru", 2007))):
            began.append(outcome.cell.year)
            yield outcome

    found = list(work._until_full(outcomes()))
    assert [outcome.cell.year for outcome in found] == began == [2005, 2006]
    [error] = found[1].errors
    assert error.startswith(f"the disk is full, so the rebuild stopped: {full}; ")


def test_one_that_is_met_outside_of_any_step_is_told_in_the_same_words(work: Rebuild) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield Outcome(Cell("danbooru", 2005))
        raise sqlite3.OperationalError("database or disk is full")

    found = list(work._until_full(outcomes()))
    assert found[1].errors[0].startswith("the disk is full, so the rebuild stopped: database or disk is full; ")
    assert found[1].is_disk_full


def test_other_errors_outside_of_any_step_are_raised(work: Rebuild) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield Outcome(Cell("danbooru", 2005), errors=["a check failed"])
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(work._until_full(outcomes()))


def test_a_step_that_meets_it_marks_the_outcome(work: Rebuild) -> None:
    @dg.asset
    def thing() -> None:
        """Cannot be written."""
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise ValueError("thing cannot be made") from error

    definitions = dg.Definitions([thing], jobs=[dg.define_asset_job("work", ["thing"])])
    outcome = Outcome(Cell())
    Rebuild(definitions, work.config, work.instance, work.say)._run("work", [dg.AssetKey("thing")], outcome)
    assert outcome.is_disk_full
