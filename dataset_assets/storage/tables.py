"""Tables as one Parquet file per partition, replaced whole, with a checksum beside each.

A table's bytes depend on its rows alone (no clock, no run id, one order of rows), so the file's SHA-256 is also the
version of its content. Who wrote it and when stands in the commit record, and row by row in the history.
"""

from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl

from dataset_assets.domain.schemas import ROW_HISTORY, Table, require_schema
from dataset_assets.places import Place
from dataset_assets.storage import earlier, table_files
from dataset_assets.storage.durable import scratch_file, sha256_of
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import Held, Replaced, opened
from dataset_assets.storage.shards import Shards

HIVE_COLUMNS = {"source": pl.String, "year": pl.Int32}


@dataclass(frozen=True, order=True)
class Cell:
    """A partition: a source and a year, a source alone, or neither."""

    source: str | None = None
    year: int | None = None

    @classmethod
    def parse(cls, key: str | None) -> "Cell":
        """From a partition key: `danbooru|2019`, `danbooru`, or None."""
        if key is None:
            return cls()
        source, _, year = key.partition("|")
        return cls(source, int(year) if year else None)

    @property
    def key(self) -> str | None:
        return None if self.source is None else self.source if self.year is None else f"{self.source}|{self.year}"

    @property
    def folder(self) -> str:
        parts = [f"source={self.source}" if self.source else "", f"year={self.year}" if self.year else ""]
        return "/".join(part for part in parts if part)

    def __str__(self) -> str:
        return self.key or "all"


@dataclass(frozen=True)
class Commit:
    """The record of a partition's last write, kept beside it as `_checksums/.../data.json`.

    history: the file that tells which run made each row; empty = the one that has the partition's name.
    gathered: of a table over years or sources, those that it was made of; empty = of one cell, or not known.
    """

    sha256: str
    bytes: int
    rows: int
    run_id: str
    written_at: str
    recipe: str
    history: str = ""
    gathered: str = ""

    @property
    def data_version(self) -> str:
        return self.sha256[:16]


@dataclass(frozen=True)
class Before:
    """What a partition held before its content last changed: its record, when it was replaced, and its rows."""

    commit: Commit
    replaced_at: str
    rows: pl.LazyFrame


@dataclass(frozen=True)
class Staged:
    """A partition's next content: a finished file that is not yet in its place, or None to keep what is there."""

    table: Table
    cell: Cell
    file: Path | None
    sha256: str
    bytes: int
    rows: int
    recipe: str = ""
    # The rows that were computed, not carried over; None = the table was made as a whole and keeps no row history.
    computed_ids: pl.Series | None = None
    # What stood there when this was staged: a commit over anything else would undo another run's work.
    replaces: str | None = None
    gathered: str = ""

    @property
    def data_version(self) -> str:
        return self.sha256[:16]


class Tables:
    """The tables below a root."""

    def __init__(self, root: Place) -> None:
        self.root = root
        self._root = opened(root)

    def file(self, name: str, cell: Cell) -> Path:
        """A partition's file on this machine, whether it is there or not: of a bucket, a copy made now."""
        return self._root.file(self._file(name, cell))

    def shown(self, name: str, cell: Cell) -> str:
        """Where a partition lies, as a person or another program would write it."""
        return self._root.shown(self._file(name, cell))

    def stamp(self, name: str, cell: Cell) -> Hashable:
        """Something that changes when a partition's file is replaced; null = it was never made."""
        return self._root.stamp(self._file(name, cell))

    def shards(self, name: str, cell: Cell) -> Shards:
        """What an unfinished rebuild of a partition has finished."""
        return Shards(self.root, self._folder("_work", name, cell))

    @property
    def scratch(self) -> Path:
        """Where files are made. Outside the tables: a half-written file there would break every reader's glob."""
        return self._root.scratch

    def lock(self, name: str, cell: Cell) -> AbstractContextManager[None]:
        """Hold the partition against other writers. Raises: PartitionLocked."""
        return self._root.lock(f"{self._folder('_locks', name, cell)}/lock")

    def names(self) -> list[str]:
        """The tables that exist, by name."""
        return sorted({name for name, _ in self._partitions("tables", "data.parquet")})

    def cells(self, name: str) -> list[Cell]:
        """The partitions that exist, in order."""
        return sorted(cell for _, cell in self._partitions(f"tables/{name}", "data.parquet"))

    def files(self, name: str, cells: Iterable[Cell] | None = None) -> list[Path]:
        """The files of all partitions that exist, or of these, in order."""
        return self._root.each(partial(self.file, name), self.cells(name) if cells is None else cells)

    def scan(self, table: Table, cell: Cell) -> pl.LazyFrame:
        """One partition's rows; no rows where it was never made."""
        file = self.file(table.name, cell)
        if not file.exists():
            return table.empty().lazy()
        return pl.scan_parquet(file, hive_partitioning=False)

    def scan_all(self, name: str, cells: Iterable[Cell] | None = None) -> pl.LazyFrame | None:
        """All partitions, or those of `cells` that exist, with `source` and `year` added; None where there are none."""
        present = set(self.cells(name))
        wanted = sorted(present if cells is None else present & set(cells))
        if not wanted:
            return None
        hive = {column: dtype for column, dtype in HIVE_COLUMNS.items() if getattr(wanted[0], column) is not None}
        files = self._root.each(partial(self.file, name), wanted)
        return pl.scan_parquet(files, hive_partitioning=bool(hive), hive_schema=hive or None)

    def commit_of(self, name: str, cell: Cell) -> Commit | None:
        """The record of the partition's last write; None where it was never made."""
        return _commit_in(self._held(name, cell))

    def commits(self, name: str, cells: Iterable[Cell]) -> list[Commit | None]:
        """The same of several partitions."""
        return self._root.each(partial(self.commit_of, name), cells)

    def is_intact(self, name: str, cell: Cell, *, by_content: bool = False) -> bool:
        """Whether a partition's file is the one that was committed: of its size, or, on demand, of its SHA-256.

        A partition that was never built is intact too: nothing of it is lost.
        """
        held = self._held(name, cell)
        commit = _commit_in(held)
        if commit is None or held.size != commit.bytes:
            return commit is None and held.size is None
        return not by_content or self._root.has_content(self._file(name, cell), commit.sha256)

    def damaged(self) -> list[tuple[str, Cell]]:
        """The partitions, by name, that were committed and whose file is gone or of another size."""
        found = sorted(self._partitions("_checksums", "data.json"))
        intact = self._root.each(lambda partition: self.is_intact(*partition), found)
        return [partition for partition, is_whole in zip(found, intact, strict=True) if not is_whole]

    def history(self, name: str, cell: Cell) -> pl.LazyFrame:
        """Which run made each row, and when; no rows for a table that is made as a whole."""
        commit = self.commit_of(name, cell)
        file = self._root.file((commit and commit.history) or f"{self._folder('_history', name, cell)}/data.parquet")
        return pl.scan_parquet(file, hive_partitioning=False) if file.exists() else ROW_HISTORY.empty().lazy()

    def before(self, name: str, cell: Cell) -> Before | None:
        """What a partition held before its content last changed; None where it never did, or is not kept."""
        partition = self._folder("", name, cell)
        record = earlier.record_of(self._root, partition)
        if record is None:
            return None
        replaced_at = str(record.pop("replaced_at"))
        rows = pl.scan_parquet(earlier.file_of(self._root, partition), hive_partitioning=False)
        return Before(Commit(**record), replaced_at, rows)

    def stage(self, table: Table, cell: Cell, rows: pl.LazyFrame | pl.DataFrame, recipe: str = "") -> Staged:
        """Write the partition's next content aside, in the table's order.

        Raises: SchemaMismatch when the columns are not the declared ones.
        """
        lazy = rows.lazy()
        require_schema(table, lazy.collect_schema())
        with scratch_file(self.scratch, ".parquet") as file:
            table_files.write_sorted(lazy, table, file)
            return self.adopt(table, cell, file, recipe)

    def stage_frames(self, table: Table, cell: Cell, frames: Iterable[pl.DataFrame], recipe: str = "") -> Staged:
        """The same of rows that come in the table's order, some at a time; the bytes are those that `stage` writes.

        Raises: SchemaMismatch when the columns are not the declared ones.
        """
        with scratch_file(self.scratch, ".parquet") as file:
            table_files.write_frames(frames, table, file)
            return self.adopt(table, cell, file, recipe)

    def adopt(self, table: Table, cell: Cell, file: Path, recipe: str = "") -> Staged:
        """Take a finished Parquet file as the partition's next content; it is moved, and its schema is checked.

        Raises: SchemaMismatch when the columns are not the declared ones.
        """
        scan = pl.scan_parquet(file, hive_partitioning=False)
        require_schema(table, scan.collect_schema())
        rows = int(scan.select(pl.len()).collect().item())
        kept = file.rename(self.scratch / f"staged-{file.name}")
        current = self.commit_of(table.name, cell)
        return Staged(
            table,
            cell,
            kept,
            sha256_of(kept),
            kept.stat().st_size,
            rows,
            recipe,
            replaces=current.sha256 if current else None,
        )

    def unchanged(self, table: Table, cell: Cell) -> Staged:
        """The partition as it is, to be committed as it is.

        Raises: FileNotFoundError when there is none.
        """
        commit = self.commit_of(table.name, cell)
        if commit is None:
            raise FileNotFoundError(self.file(table.name, cell))
        return Staged(
            table, cell, None, commit.sha256, commit.bytes, commit.rows, commit.recipe, replaces=commit.sha256
        )

    def commit(self, staged: Staged, run_id: str, now: datetime | None = None) -> Commit:
        """Put staged content in its place: readers see the old table or the new one, never a part.

        Content equal to what is there changes nothing. The shards of the finished rebuild are removed.
        Raises: PartitionLocked when another run is writing the partition, or has replaced it since this was staged.
        """
        name, cell = staged.table.name, staged.cell
        with self.lock(name, cell):
            held = self._held(name, cell)
            current = _commit_in(held)
            if current is not None and current.sha256 not in (staged.replaces, staged.sha256):
                raise _replaced(name, cell)
            if staged.file is not None and not self._is_in_place(staged, current):
                current = self._replace(staged, staged.file, held, run_id, now or datetime.now(UTC))
            elif current is not None and (current.recipe, current.gathered) != (staged.recipe, staged.gathered):
                made = replace(current, recipe=staged.recipe, gathered=staged.gathered)
                is_by_new_recipe = current.recipe != staged.recipe
                current = self._publish(staged, None, held, made)
                if staged.table.keeps_before and is_by_new_recipe:
                    earlier.forget(self._root, self._folder("", name, cell))
            if current is None:
                raise FileNotFoundError(self.shown(name, cell))
            if staged.file is not None:
                staged.file.unlink(missing_ok=True)
            self._root.remove(f"{self._folder('_work', name, cell)}/")
        return current

    def forget(self, name: str, cell: Cell) -> None:
        """Remove a partition, as if it had never been made. Raises: PartitionLocked when another run is writing it."""
        if cell not in self.cells(name):
            return
        with self.lock(name, cell):
            for file in (self._record(name, cell), self._file(name, cell)):
                self._root.remove(file)
                self._root.forget_copies(file)

    def _is_in_place(self, staged: Staged, current: Commit | None) -> bool:
        name, cell = staged.table.name, staged.cell
        return current is not None and current.sha256 == staged.sha256 and self.is_intact(name, cell, by_content=True)

    def _replace(self, staged: Staged, file: Path, held: Held, run_id: str, now: datetime) -> Commit:
        history = "" if staged.computed_ids is None else self._write_history(staged, file, run_id, now)
        made_at = now.isoformat(timespec="seconds")
        name, cell, before = staged.table.name, staged.cell, _commit_in(held)
        if before is not None and staged.table.keeps_before and held.size == before.bytes:
            earlier.keep(self._root, self._folder("", name, cell), self.file(name, cell), asdict(before), made_at)
        recipe, gathered = staged.recipe, staged.gathered
        commit = Commit(staged.sha256, staged.bytes, staged.rows, run_id, made_at, recipe, history, gathered)
        return self._publish(staged, file, held, commit)

    def _publish(self, staged: Staged, file: Path | None, held: Held, commit: Commit) -> Commit:
        name, cell = staged.table.name, staged.cell
        try:
            self._root.publish(self._file(name, cell), self._record(name, cell), file, asdict(commit), held)
        except Replaced:
            raise _replaced(name, cell) from None
        before = _commit_in(held)
        if before is not None and before.history not in ("", commit.history):
            self._root.remove(before.history)
        return commit

    @contextmanager
    def scratch_parquet(self) -> Iterator[Path]:
        """A name for a Parquet file that another program writes, to be handed to `adopt`."""
        with scratch_file(self.scratch, ".parquet") as file:
            yield file

    def _write_history(self, staged: Staged, rows: Path, run_id: str, made_at: datetime) -> str:
        """Write which run made each row; returns the file's name, empty where it lies under the partition's own.

        In a bucket it is named after its content: the file is known to readers once the partition is replaced.
        """
        new = pl.DataFrame({"image_id": staged.computed_ids}, schema={"image_id": pl.String}).with_columns(
            run_id=pl.lit(run_id), made_at=pl.lit(made_at, dtype=ROW_HISTORY.schema["made_at"])
        )
        members = pl.scan_parquet(rows, hive_partitioning=False).select("image_id")
        old = self.history(staged.table.name, staged.cell).join(new.lazy(), on="image_id", how="anti")
        kept = old.join(members, on="image_id", how="semi")
        with scratch_file(self.scratch, ".parquet") as file:
            pl.concat([kept, new.lazy()]).sort("image_id").sink_parquet(file, compression="zstd")
            folder = self._folder("_history", staged.table.name, staged.cell)
            history = f"{folder}/{sha256_of(file)[:16]}.parquet" if self._root.is_bucket else ""
            self._root.put_file(history or f"{folder}/data.parquet", file)
        return history

    def _held(self, name: str, cell: Cell) -> Held:
        return self._root.held(self._file(name, cell), self._record(name, cell))

    def _file(self, name: str, cell: Cell) -> str:
        return f"{self._folder('tables', name, cell)}/data.parquet"

    def _record(self, name: str, cell: Cell) -> str:
        return f"{self._folder('_checksums', name, cell)}/data.json"

    def _folder(self, top: str, name: str, cell: Cell) -> str:
        return "/".join(part for part in (top, name, cell.folder) if part)

    def _partitions(self, below: str, file: str) -> set[tuple[str, Cell]]:
        """The table and the partition of each file of that name below a folder of the root."""
        names = [name.split("/") for name in self._root.names(f"{below}/")]
        return {
            ("/".join(part for part in parts[1:-1] if "=" not in part), _cell_of(parts))
            for parts in names
            if parts[-1] == file
        }


def _commit_in(held: Held) -> Commit | None:
    return None if held.record is None else Commit(**held.record)


def _replaced(name: str, cell: Cell) -> PartitionLocked:
    return PartitionLocked(f"{name} {cell}: another run has replaced this partition meanwhile; run it again")


def _cell_of(parts: Iterable[str]) -> Cell:
    """The partition that a file's hive folders name."""
    values = dict(part.split("=", 1) for part in parts if "=" in part)
    return Cell(values.get("source"), int(values["year"]) if "year" in values else None)
