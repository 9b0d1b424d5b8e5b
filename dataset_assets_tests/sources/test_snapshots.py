from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.schemas import TIME
from dataset_assets.sources.snapshots import (
    declared_versions,
    last_id,
    newest_time,
    parts_of,
    records_and_versions,
)

RECORDS = pl.DataFrame(
    {
        "image_id": ["danbooru-1-0", "danbooru-2-0", "danbooru-3-0"],
        "year": [2005, 2005, 2006],
        "record_file": ["a.json", "a.json", "b.json"],
        "record_line": [1, 2, 1],
        "source": ["x", None, "y"],
        "tags": [[{"name": "hat"}], [], [{"name": "sea"}]],
    }
)


def versions(file: Path, records: pl.DataFrame) -> dict[int, str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    records.write_parquet(file)
    return {year: version for year, (_, version) in records_and_versions(file).items()}


def test_a_years_version_changes_with_its_records_and_no_other_years(tmp_path: Path) -> None:
    before = versions(tmp_path / "a.parquet", RECORDS)
    changed = RECORDS.with_columns(tags=pl.Series([[{"name": "cap"}], [], [{"name": "sea"}]]))
    after = versions(tmp_path / "b.parquet", changed)

    assert before[2005] != after[2005]
    assert before[2006] == after[2006]


def test_a_version_does_not_change_with_order_or_with_the_files_that_records_stood_in(tmp_path: Path) -> None:
    moved = RECORDS.reverse().with_columns(record_file=pl.lit("all.json"), record_line=pl.lit(9))

    assert versions(tmp_path / "a.parquet", RECORDS) == versions(tmp_path / "b.parquet", moved)


def test_a_version_does_not_change_with_the_folder_that_the_snapshot_lies_in(tmp_path: Path) -> None:
    staged = versions(tmp_path / "staged.parquet", RECORDS)

    assert versions(tmp_path / "source=danbooru" / "data.parquet", RECORDS) == staged


def test_a_declared_year_without_records_has_a_version_too(tmp_path: Path) -> None:
    RECORDS.write_parquet(tmp_path / "a.parquet")
    years = records_and_versions(tmp_path / "a.parquet")
    declared = declared_versions(years, [2005, 2007])

    assert [years[year][0] for year in (2005, 2006)] == [2, 1]
    assert declared[2005] == years[2005][1]
    assert declared[2007] == declared_versions({}, [2007])[2007]
    assert set(declared) == {2005, 2007}


@given(st.sets(st.integers(1, 60)), st.integers(1, 9))
def test_parts_hold_every_record_once_in_order_and_no_more_than_asked(posts: set[int], images_per_part: int) -> None:
    records = pl.DataFrame({"image_id": [f"danbooru-{post}-0" for post in posts]}, schema={"image_id": pl.String})
    parts = [part.collect().get_column("image_id") for part in parts_of(records.lazy(), images_per_part)]
    assert parts
    assert all(len(part) <= images_per_part for part in parts)
    in_order = [image_id for part in parts for image_id in part.sort()]
    assert in_order == sorted(records["image_id"])


def test_a_version_changes_when_a_record_of_the_year_vanishes() -> None:
    years = {2005: (2, "a"), 2006: (1, "b")}
    before, after = declared_versions(years, [2005, 2006]), declared_versions(years, [2005, 2006], {2006: (1, "c")})
    assert before[2005] == after[2005]
    assert before[2006] != after[2006]


def test_the_newest_time_and_the_last_id_are_null_where_a_source_states_none() -> None:
    numbered = pl.LazyFrame(
        {"id": [3, 9], "created_at": [datetime(2020, 1, 1, tzinfo=UTC), None], "updated_at": [None, None]},
        schema={"id": pl.Int64, "created_at": TIME, "updated_at": TIME},
    )
    assert newest_time(numbered) == datetime(2020, 1, 1, tzinfo=UTC)
    assert last_id(numbered) == 9
    unnumbered = pl.LazyFrame({"id": ["a"]})
    assert newest_time(unnumbered) is None
    assert last_id(unnumbered) is None
