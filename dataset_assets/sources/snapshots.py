"""What a snapshot says year by year: how many records, and a version of their content."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

IMAGES_PER_PART = 50_000
# What sources call the time at which a post was made, the most telling first.
MADE_AT = ("created_at", "create_date", "date")

# Where a record stood in the export is no part of its content: the same records in other files are the same year.
_BY_YEAR = """
    SELECT year, count(*) AS records, sum(hash(record)::HUGEINT) AS hashes
    FROM (SELECT * EXCLUDE (record_file, record_line) FROM read_parquet($file, hive_partitioning = false)) record
    GROUP BY year ORDER BY year
"""


def records_and_versions(snapshot: Path) -> dict[int, tuple[int, str]]:
    """Each year of a snapshot: how many records, and 16 hex digits that change with what they say, not their order."""
    import duckdb

    with duckdb.connect() as connection:
        years = connection.execute(_BY_YEAR, {"file": str(snapshot)}).fetchall()
    return {year: (records, _digest(f"{records} {hashes}")) for year, records, hashes in years}


def declared_versions(
    years: Mapping[int, tuple[int, str]],
    declared: Iterable[int],
    vanished: Mapping[int, tuple[int, str]] | None = None,
) -> dict[int, str]:
    """The version of every declared year, those without records included; what vanished from a year is part of it."""
    versions = {year: years[year][1] if year in years else _digest("no records") for year in declared}
    gone = {year: version for year, (_, version) in (vanished or {}).items() if year in versions}
    return versions | {year: _digest(f"{versions[year]} {version}") for year, version in gone.items()}


def parts_of(records: pl.LazyFrame, images_per_part: int = IMAGES_PER_PART) -> list[pl.LazyFrame]:
    """Records cut by image id into parts that fit in memory, in order; one part at least."""
    ids = records.select(pl.col("image_id").sort()).collect().get_column("image_id")
    if len(ids) <= images_per_part:
        return [records]
    first = ids.gather_every(images_per_part).to_list()
    is_from = [pl.col("image_id") >= pl.lit(bound) for bound in first]
    return [records.filter(here & ~after) for here, after in zip(is_from, [*is_from[1:], pl.lit(False)], strict=True)]


def newest_time(records: pl.LazyFrame) -> datetime | None:
    """The newest time at which a record says that it was made or changed; null = none says so."""
    times = _times(records, (*MADE_AT, "updated_at"))
    found = records.select(pl.col(times).max()).select(pl.max_horizontal(times)) if times else None
    return None if found is None else found.collect().item()


def made_at(records: pl.LazyFrame) -> pl.Expr | None:
    """When each record's post was made; null = no column of this source says so."""
    times = _times(records, MADE_AT)
    return pl.coalesce(times) if times else None


def _times(records: pl.LazyFrame, names: Iterable[str]) -> list[str]:
    found = records.collect_schema()
    return [name for name in names if isinstance(found.get(name), pl.Datetime)]


def last_id(records: pl.LazyFrame) -> int | None:
    """The highest id; null = the source's ids are not whole numbers."""
    is_number = records.collect_schema().get("id") == pl.Int64
    return records.select(pl.col("id").max()).collect().item() if is_number else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
