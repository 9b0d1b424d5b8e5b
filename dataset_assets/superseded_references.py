"""What names a file below a root: journals, what is being made, shards of unfinished rebuilds, tables, releases.

They are read in that order, which is the order in which a row moves on: one that is on its way is met, wherever it is
by then. A table that is not as it was committed stops everything: what it named would seem superseded.
"""

import json
import time
from collections.abc import Collection, Hashable, Iterator, Mapping
from pathlib import Path

import polars as pl

from dataset_assets.domain.superseded import MANIFEST, is_scratch, release_file, shard_file
from dataset_assets.places import Place
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Tables

NAMING = ("path", "location")  # the columns that may name a file below the root
TRIES, PAUSE_S = 4, 0.25  # while a table is being replaced
MEMBERS = "members.parquet"


class CannotTell(Exception):
    """Something that may name files is damaged; the message says what, and what to do."""


class References:
    """What names files below a root.

    declared: the columns of the tables that the graph has; one without a column of NAMING need not be looked into.
    """

    def __init__(self, place: Place, declared: Mapping[str, set[str]]) -> None:
        self.place = place
        self._root, self._tables = opened(self.place), Tables(self.place)
        self._declared = declared
        self._proven: set[tuple[str, Cell, Hashable]] = set()
        self._released: list[str] | None = None

    def require_whole(self) -> None:
        """Raises: CannotTell when a table that may name files is gone or cut short."""
        for name, cell in self._tables.damaged():
            if self._may_name(name):
                raise _damaged(f"{name} {cell}")

    def of(self, names: Collection[str], without: Collection[str] = ()) -> set[str]:
        """Those of these files that something names. without: shards that do not count, since they are to go.

        Raises: CannotTell.
        """
        wanted = pl.Series("name", sorted(names), dtype=pl.String)
        found = set(self._in_journals(set(names)))
        if not names:
            return found
        for in_file in self._in_files(wanted, without):
            found.update(in_file)
        return found

    def _in_files(self, wanted: pl.Series, without: Collection[str]) -> Iterator[pl.Series]:
        for file in self._scratch_tables():
            yield self._passing(file, wanted)
        for name in self._root.names("_work/"):
            if shard_file(name) is not None and name not in without:
                yield self._of_shard(name, wanted)
        for table in self._tables.names():
            if self._may_name(table):
                for cell in self._tables.cells(table):
                    yield self._of_table(table, cell, wanted)
        for name in self._released_members():
            yield self._of_release(name, wanted)

    def _may_name(self, table: str) -> bool:
        columns = self._declared.get(table)
        return columns is None or not columns.isdisjoint(NAMING)

    def _in_journals(self, names: set[str]) -> Iterator[str]:
        """Files that a stopped fetch has written down. A line that is cut off counts for no fetch either."""
        folder = self._tables.scratch / "journal"
        for file in sorted(folder.rglob("*.jsonl")) if folder.is_dir() else ():
            try:
                lines = file.read_bytes().splitlines()
            except FileNotFoundError:  # the fetch is done: what it named is in a shard
                continue
            for line in lines:
                if (path := _path_in(line)) in names:
                    yield str(path)

    def _scratch_tables(self) -> list[Path]:
        """Tables in the making, and members of what is being exported."""
        folder = self._tables.scratch
        files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        return [file for file in files if is_scratch(f"_tmp/{file.name}") and not file.is_symlink()]

    def _passing(self, file: Path, wanted: pl.Series) -> pl.Series:
        """Names in a file that may not be finished, or has moved on; then what comes after has them."""
        try:
            return self._named_in(file, wanted)
        except (pl.exceptions.PolarsError, OSError):
            return wanted.clear()

    def _of_shard(self, name: str, wanted: pl.Series) -> pl.Series:
        try:
            return self._named_in(self._root.file(name), wanted)
        except (pl.exceptions.PolarsError, OSError) as error:
            if self._root.size(name) is None:  # committed meanwhile: the table has its rows
                return wanted.clear()
            said = f"{self._root.shown(name)} cannot be read: {str(error).splitlines()[0]}; remove it, and rebuild"
            raise CannotTell(said) from None

    def _of_table(self, name: str, cell: Cell, wanted: pl.Series) -> pl.Series:
        """Names in a table as it was committed, proven by its checksum; one that is being replaced is read again."""
        for attempt in range(TRIES):
            time.sleep(PAUSE_S if attempt else 0)
            before = self._tables.stamp(name, cell)
            if not self._is_proven(name, cell, before):
                continue
            try:
                found = self._named_in(self._tables.file(name, cell), wanted)
            except (pl.exceptions.PolarsError, OSError):
                continue
            if self._tables.stamp(name, cell) == before:
                return found
        raise _damaged(f"{name} {cell}")

    def _is_proven(self, name: str, cell: Cell, stamp: Hashable) -> bool:
        if (name, cell, stamp) not in self._proven:
            is_by_another_program = self._tables.commit_of(name, cell) is None
            if not (is_by_another_program or self._tables.is_intact(name, cell, by_content=True)):
                return False
            self._proven.add((name, cell, stamp))
        return True

    def _released_members(self) -> list[str]:
        """The members of each finished release. One that is being written has them from a table, which is read too."""
        if self._released is None:
            ends = (f"/{MEMBERS}", f"/{MANIFEST}")
            there = {file.name for file in self._root.listed("releases/") if file.name.endswith(ends)}
            folders = sorted(name.removesuffix(MANIFEST) for name in there if name.endswith(f"/{MANIFEST}"))
            self._released = [f"{folder}{MEMBERS}" for folder in folders if f"{folder}{MEMBERS}" in there]
            for name in self._released:
                self._require_release(name)
        return self._released

    def _require_release(self, name: str) -> None:
        release = (release_file(name) or ("", ""))[0]
        try:
            pinned = json.loads(self._root.get(name.removesuffix(MEMBERS) + MANIFEST))["members"]["sha256"]
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            raise CannotTell(f"{release}: its {MANIFEST} cannot be read; put it back from a copy") from None
        if not self._root.has_content(name, str(pinned)):
            raise CannotTell(f"{release}: its {MEMBERS} is not what its manifest pins; put it back from a copy")

    def _of_release(self, name: str, wanted: pl.Series) -> pl.Series:
        try:
            return self._named_in(self._root.file(name), wanted)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise CannotTell(f"{self._root.shown(name)} cannot be read: {str(error).splitlines()[0]}") from None

    def _named_in(self, file: Path, wanted: pl.Series) -> pl.Series:
        scan = pl.scan_parquet(file, hive_partitioning=False)
        return named_in(scan, wanted, f"{self.place}/" if isinstance(self.place, Path) else None)


def named_in(rows: pl.LazyFrame, wanted: pl.Series, root: str | None = None) -> pl.Series:
    """Those of the wanted names that a table's columns of NAMING have. root: an absolute path that may stand before."""
    schema = rows.collect_schema()
    found = [wanted.clear()]
    for column in [column for column in NAMING if schema.get(column) == pl.String]:
        for prefix in ("", root) if root else ("",):
            first, last = prefix + str(wanted.min()), prefix + str(wanted.max())  # row groups without any are not read
            some = rows.filter(pl.col(column).is_between(pl.lit(first), pl.lit(last)))
            named = some.select(name=pl.col(column).str.strip_prefix(prefix))
            met = named.join(wanted.to_frame("name").lazy(), on="name", how="semi").unique()
            found.append(met.collect(engine="streaming").get_column("name"))
    return pl.concat(found)


def _path_in(line: bytes) -> str | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    path = row.get("path") if isinstance(row, dict) else None
    return path if isinstance(path, str) else None


def _damaged(what: str) -> CannotTell:
    return CannotTell(
        f"{what}: its table is gone or was changed, and what it names is not known; `dataset-assets rebuild` makes it "
        "again. Nothing was removed"
    )
