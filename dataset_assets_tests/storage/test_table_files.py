from pathlib import Path

import polars as pl
import pytest

from dataset_assets.domain.schemas import TAG_METADATA, SchemaMismatch
from dataset_assets.storage.tables import Cell, Tables

CELL = Cell("danbooru", 2019)


def frame(tags: list[str]) -> pl.DataFrame:
    rows = pl.DataFrame({"tag": tags}, schema={"tag": pl.String})
    return rows.select("tag", image_id=pl.lit("danbooru-1-0"), category=pl.lit("general"), origin=pl.lit("source"))


@pytest.mark.parametrize("rows_per_frame", [1_000, 70_001, 131_072, 400_000])
def test_frames_in_order_give_the_bytes_of_the_whole(tmp_path: Path, rows_per_frame: int) -> None:
    rows = frame([f"tag_{number:06}" for number in range(300_000)])
    tables = Tables(tmp_path)
    in_frames = tables.stage_frames(TAG_METADATA, CELL, rows.iter_slices(rows_per_frame))
    whole = tables.stage(TAG_METADATA, CELL, rows.sample(fraction=1, shuffle=True, seed=1))
    assert in_frames.rows == whole.rows == 300_000
    assert in_frames.sha256 == whole.sha256


def test_no_frames_and_empty_ones_are_an_empty_table(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    staged = [tables.stage_frames(TAG_METADATA, CELL, frames) for frames in ([], [TAG_METADATA.empty()])]
    assert [one.rows for one in staged] == [0, 0]
    assert {one.sha256 for one in staged} == {tables.stage(TAG_METADATA, CELL, TAG_METADATA.empty()).sha256}


def test_a_frame_of_another_table_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    with pytest.raises(SchemaMismatch, match="origin is missing"):
        tables.stage_frames(TAG_METADATA, CELL, [frame(["a"]), frame(["b"]).drop("origin")])
    assert not list(tables.scratch.iterdir())


def test_an_error_while_frames_are_made_is_raised_as_it_is(tmp_path: Path) -> None:
    def frames() -> object:
        yield frame(["a"])
        raise ZeroDivisionError("made up")

    with pytest.raises(ZeroDivisionError, match="made up"):
        Tables(tmp_path).stage_frames(TAG_METADATA, CELL, frames())  # type: ignore[arg-type]
