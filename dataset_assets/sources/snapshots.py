"""What a snapshot says year by year: how many records, and a version of their content."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

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


def declared_versions(years: dict[int, tuple[int, str]], declared: Iterable[int]) -> dict[int, str]:
    """The version of every declared year, those without records included."""
    return {year: years[year][1] if year in years else _digest("no records") for year in declared}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
