"""Records that stood in an earlier export of a source and no longer do: kept, and told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from dataset_assets.domain.schemas import Column, Table
from dataset_assets.sources.snapshots import made_at

YearVersions = Mapping[int, tuple[int, str]]


@dataclass(frozen=True)
class Export:
    """One export of a source: its name, its records, each year's number of records and version, its newest time."""

    name: str
    records: pl.LazyFrame
    years: YearVersions
    known_at: datetime | None = None


def vanished_table(snapshot: Table) -> Table:
    """The table `vanished_records` beside a source's own snapshot."""
    return Table(
        "vanished_records",
        "record of an earlier export that the present one lacks",
        (
            *snapshot.columns,
            Column("last_seen_in", pl.String, "the newest export that has it; its values are those of then"),
            Column("missing_from", pl.String, "the export after that, which lacks it"),
        ),
        snapshot.sorted_by,
    )


def vanished(table: Table, present: Export, earlier: Sequence[Export]) -> list[pl.LazyFrame]:
    """Rows of `vanished_table` from the earlier exports, which come oldest first; a part for each that has any.

    Only years that differ are looked at: where one does not, nothing has left it. A record made after the present
    export's newest time has not vanished: that export is older than the one before it.
    """
    known = present.records.select("image_id").collect().get_column("image_id")
    parts: list[pl.LazyFrame] = []
    followers = [*(export.name for export in earlier), present.name][1:]
    for export, follower in reversed(list(zip(earlier, followers, strict=True))):
        rows = export.records.filter(pl.col("year").is_in(changed_years(export.years, present.years)))
        if present.known_at is not None and (moment := made_at(rows)) is not None:
            rows = rows.filter(moment <= present.known_at)
        missing = _not_in(rows.select("image_id"), known)
        if missing.is_empty():
            continue
        known = pl.concat([known, missing])
        rows = rows.join(missing.to_frame().lazy(), on="image_id", how="semi")
        marked = rows.with_columns(last_seen_in=pl.lit(export.name), missing_from=pl.lit(follower))
        parts.append(as_declared(marked, table))
    return parts


def changed_years(one: YearVersions, other: YearVersions) -> list[int]:
    """The years in which two exports differ, ascending."""
    return sorted(year for year in one.keys() | other.keys() if one.get(year) != other.get(year))


def _not_in(ids: pl.LazyFrame, known: pl.Series) -> pl.Series:
    return ids.join(known.to_frame().lazy(), on="image_id", how="anti").collect().get_column("image_id")


def as_declared(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Rows of an export that was read by an older version: columns that it did not have are null."""
    found = rows.collect_schema()
    return rows.select(_column(name, dtype, found) for name, dtype in table.schema.items())


def _column(name: str, dtype: pl.DataType, found: Mapping[str, pl.DataType]) -> pl.Expr:
    if name not in found:
        return pl.lit(None, dtype).alias(name)
    return pl.col(name) if found[name] == dtype else pl.col(name).cast(dtype, strict=False)
