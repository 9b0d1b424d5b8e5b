"""What a source said earlier: its kept exports, how two of them differ, and the tables as of one of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from dataset_assets.assets.tags import RELATIONS, consequences_of
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA, Table
from dataset_assets.domain.tag_relations import as_of as known_before
from dataset_assets.domain.wording import counted
from dataset_assets.sources import Adapter, adapters
from dataset_assets.sources.shared_tables import image_frames, shown_at, tag_frames, tags
from dataset_assets.sources.snapshots import made_at
from dataset_assets.sources.vanished import as_declared, changed_years
from dataset_assets.storage.durable import place, scratch_file
from dataset_assets.storage.snapshots import Snapshot, Snapshots
from dataset_assets.storage.table_files import write_frames
from dataset_assets.storage.tables import Cell, Tables

if TYPE_CHECKING:
    import duckdb

# Where a record stood in the export is no part of what it says.
PLACES = ("image_id", "record_file", "record_line")
_COUNTS = ("year", "before", "after", "added", "gone", "changed")
_BY_COLUMN = pl.List(pl.Struct({"column": pl.String, "records": pl.Int64}))
_DIFFERENCE = pl.Schema([*((name, pl.Int64()) for name in _COUNTS), ("changed_columns", _BY_COLUMN)])


class UnknownExport(LookupError):
    """No kept export is meant by that name; the message names those that are kept."""


@dataclass(frozen=True)
class Cut:
    """Up to where records count, the last one included; null = all of them."""

    until_id: int | None = None
    until: date | None = None  # UTC

    def of(self, records: pl.LazyFrame) -> pl.LazyFrame:
        """The records up to the cut. Raises: ValueError when they have no ids or times to cut at."""
        if self.until_id is not None:
            if records.collect_schema().get("id") != pl.Int64:
                raise ValueError("this source's posts are not numbered; cut it at a day")
            records = records.filter(pl.col("id") <= self.until_id)
        if self.until is not None:
            if (moment := made_at(records)) is None:
                raise ValueError("this source does not say when its posts were made")
            records = records.filter(moment < datetime.combine(self.until + timedelta(days=1), time(), UTC))
        return records


def exports(config: DatasetConfig, source: str) -> list[Snapshot]:
    """The kept exports of a source, the oldest first."""
    return Snapshots(config.root_path).of(source)


def export(config: DatasetConfig, source: str, name: str) -> Snapshot:
    """A kept export by its name, or by the beginning of it that no other has. Raises: UnknownExport."""
    kept = exports(config, source)
    meant = [one for one in kept if one.name == name] or [one for one in kept if one.name.startswith(name)]
    if len(meant) != 1:
        known = ", ".join(one.name for one in kept) or "none is kept yet; build with `dataset-assets rebuild`"
        raise UnknownExport(f"{source} has {'several exports' if meant else 'no export'} {name!r}; it has: {known}")
    return meant[0]


def as_of(
    config: DatasetConfig, source: str, name: str, *, until_id: int | None = None, until: date | None = None
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Rows of `image_metadata` and of `tag_metadata` as an export had them, up to an id or a day.

    Aliases and implications count that were there before the export's newest time. Danbooru2017 is
    `as_of(config, "danbooru", "2017", until_id=2_973_532)` where `earlier_metadata` names its export 2017.
    Raises: UnknownExport; DamagedSnapshot; ValueError when the source has no such ids or times.
    """
    snapshot = export(config, source, name)
    adapter = adapters()[config.sources[source].kind]
    records = Cut(until_id, until).of(_records(config, snapshot, adapter))
    images = adapter.image_metadata(records).with_columns(is_vanished=pl.lit(False))
    images = shown_at(images, config.sources[source].shown_at)
    return images, tags(adapter, records, *consequences_of(_relations(config, snapshot)))


def restore(
    config: DatasetConfig, source: str, name: str, into: Path, cut: Cut = Cut(), say: Callable[[str], None] = print
) -> dict[str, int]:
    """Write what `as_of` tells, each table as a Parquet file for each year; returns their rows.

    Raises: as `as_of` does; FileExistsError when the folder holds a table already.
    """
    snapshot = export(config, source, name)
    adapter = adapters()[config.sources[source].kind]
    records, related = cut.of(_records(config, snapshot, adapter)), consequences_of(_relations(config, snapshot))
    for table in (IMAGE_METADATA, TAG_METADATA):
        if (into / table.name).exists():
            raise FileExistsError(f"{into / table.name} is there already; it was left as it is")
    rows = {IMAGE_METADATA.name: 0, TAG_METADATA.name: 0}
    for year in sorted(snapshot.years):
        of_year = records.filter(pl.col("year") == year)
        made = (
            (IMAGE_METADATA, image_frames(adapter, of_year, page_url=config.sources[source].shown_at)),
            (TAG_METADATA, tag_frames(adapter, of_year, *related)),
        )
        for table, frames in made:
            written = _write(frames, table, into / table.name / f"year={year}" / "data.parquet")
            rows[table.name] += written
            say(f"{table.name} of {year}: {counted(written, 'row')}")
    return rows


def _write(frames: Iterable[pl.DataFrame], table: Table, target: Path) -> int:
    with scratch_file(target.parent, ".partial") as file:
        write_frames(frames, table, file)
        place(file, target)
    return int(pl.scan_parquet(target).select(pl.len()).collect().item())


def _records(config: DatasetConfig, snapshot: Snapshot, adapter: Adapter) -> pl.LazyFrame:
    """The records of an export, in the columns that its source has today."""
    return as_declared(Snapshots(config.root_path).scan(snapshot), adapter.SNAPSHOT)


def _relations(config: DatasetConfig, snapshot: Snapshot) -> pl.DataFrame:
    """The relations that were there before the export's newest time."""
    relations = Tables(config.root_path).scan(RELATIONS, Cell(snapshot.source)).collect()
    return (
        relations if snapshot.known_at is None else known_before(relations, datetime.fromisoformat(snapshot.known_at))
    )


def difference(config: DatasetConfig, source: str, older: str, newer: str) -> pl.DataFrame:
    """What changed between two exports, by content: a row for each year that differs.

    Columns: year; before, after: its records; added, gone, changed: records, by image id; changed_columns: how many
    records differ in each column, the most first. Raises: UnknownExport; DamagedSnapshot.
    """
    import duckdb

    first, second = export(config, source, older), export(config, source, newer)
    files = [str(Snapshots(config.root_path).intact(one)) for one in (first, second)]
    scratch = str(Tables(config.root_path).scratch)
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": scratch}) as connection:
        for name, file in zip(("older", "newer"), files, strict=True):
            quoted = file.replace("'", "''")
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet('{quoted}', hive_partitioning = false)")
        years = [_year(connection, year, first, second) for year in changed_years(first.years, second.years)]
    return pl.DataFrame(years, schema=_DIFFERENCE, orient="row")


def _year(connection: "duckdb.DuckDBPyConnection", year: int, first: Snapshot, second: Snapshot) -> tuple[object, ...]:
    columns = [name for (name, *_) in connection.execute("DESCRIBE newer").fetchall()]
    shared = {name for (name, *_) in connection.execute("DESCRIBE older").fetchall()}
    compared = [name for name in columns if name in shared and name not in (*PLACES, "year")]
    differs = {name: f'o."{name}" IS DISTINCT FROM n."{name}"' for name in compared}
    both = "o.image_id IS NOT NULL AND n.image_id IS NOT NULL"
    by_column = ", ".join(f"count(*) FILTER (WHERE {both} AND {unlike})" for unlike in differs.values())
    added, gone, changed, *counts = connection.execute(
        "SELECT count(*) FILTER (WHERE o.image_id IS NULL), count(*) FILTER (WHERE n.image_id IS NULL), "  # noqa: S608 - columns of our own tables
        f"count(*) FILTER (WHERE {both} AND ({' OR '.join(differs.values())})), {by_column} "
        "FROM (FROM older WHERE year = $year) o FULL JOIN (FROM newer WHERE year = $year) n USING (image_id)",
        {"year": year},
    ).fetchall()[0]
    found = [{"column": name, "records": count} for name, count in zip(compared, counts, strict=True) if count]
    found.sort(key=lambda one: (-one["records"], one["column"]))
    before, after = (one.years.get(year, (0, ""))[0] for one in (first, second))
    return year, before, after, added, gone, changed, found
