"""Tables as one Parquet file per partition, replaced whole, with a checksum beside each.

A table's bytes depend on its rows alone (no clock, no run id, one order of rows), so the file's SHA-256 is also the
version of its content. Who wrote it and when stands in the commit record, and row by row in the history.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from dataset_assets.domain.schemas import ROW_HISTORY, Table, require_schema
from dataset_assets.storage import table_files
from dataset_assets.storage.durable import place, remove_tree, scratch_file, sha256_of, write_text
from dataset_assets.storage.locks import PartitionLocked, partition_lock

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
    """The record of a partition's last write, kept beside it as `_checksums/.../data.json`."""

    sha256: str
    bytes: int
    rows: int
    run_id: str
    written_at: str
    recipe: str

    @property
    def data_version(self) -> str:
        return self.sha256[:16]


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
    computed_ids: tuple[str, ...] | None = None
    # What stood there when this was staged: a commit over anything else would undo another run's work.
    replaces: str | None = None

    @property
    def data_version(self) -> str:
        return self.sha256[:16]


class Tables:
    """The tables below a root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, name: str, cell: Cell) -> Path:
        """Where a partition lies, whether it is there or not."""
        return self.root / "tables" / name / cell.folder / "data.parquet"

    def work_folder(self, name: str, cell: Cell) -> Path:
        """Where an unfinished rebuild of a partition keeps its finished shards."""
        return self.root / "_work" / name / cell.folder

    @property
    def scratch(self) -> Path:
        """Where files are made. Outside the tables: a half-written file there would break every reader's glob."""
        return self.root / "_tmp"

    def lock(self, name: str, cell: Cell) -> AbstractContextManager[None]:
        """Hold the partition against other writers. Raises: PartitionLocked."""
        return partition_lock(self.root / "_locks" / name / cell.folder / "lock")

    def cells(self, name: str) -> list[Cell]:
        """The partitions that exist, in order."""
        folder = self.root / "tables" / name
        return sorted(_cell_of(file.relative_to(folder)) for file in folder.glob("**/data.parquet"))

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
        files = [self.file(name, cell) for cell in wanted]
        return pl.scan_parquet(files, hive_partitioning=bool(hive), hive_schema=hive or None)

    def commit_of(self, name: str, cell: Cell) -> Commit | None:
        """The record of the partition's last write; None where it was never made."""
        record = self._record(name, cell)
        return Commit(**json.loads(record.read_text("utf-8"))) if record.exists() else None

    def is_intact(self, name: str, cell: Cell, *, by_content: bool = False) -> bool:
        """Whether a partition's file is the one that was committed: of its size, or, on demand, of its SHA-256.

        A partition that was never built is intact too: nothing of it is lost.
        """
        commit, file = self.commit_of(name, cell), self.file(name, cell)
        if commit is None:
            return not file.exists()
        if not file.is_file() or file.stat().st_size != commit.bytes:
            return False
        return not by_content or sha256_of(file) == commit.sha256

    def damaged(self) -> list[tuple[str, Cell]]:
        """The partitions, by name, that were committed and whose file is gone or of another size."""
        top = self.root / "_checksums"
        records = [record.relative_to(top) for record in top.glob("**/data.json")]
        found = {
            ("/".join(part for part in record.parts[:-1] if "=" not in part), _cell_of(record)) for record in records
        }
        return sorted((name, cell) for name, cell in found if not self.is_intact(name, cell))

    def history(self, name: str, cell: Cell) -> pl.LazyFrame:
        """Which run made each row, and when; no rows for a table that is made as a whole."""
        file = self._history(name, cell)
        return pl.scan_parquet(file, hive_partitioning=False) if file.exists() else ROW_HISTORY.empty().lazy()

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
            current = self.commit_of(name, cell)
            if current is not None and current.sha256 not in (staged.replaces, staged.sha256):
                raise PartitionLocked(f"{name} {cell}: another run has replaced this partition meanwhile; run it again")
            if staged.file is not None and not self._is_in_place(staged, current):
                current = self._replace(staged, staged.file, run_id, now or datetime.now(UTC))
            elif current is not None and current.recipe != staged.recipe:
                current = self._write_record(name, cell, replace(current, recipe=staged.recipe))
            if current is None:
                raise FileNotFoundError(self.file(name, cell))
            if staged.file is not None:
                staged.file.unlink(missing_ok=True)
            remove_tree(self.work_folder(name, cell))
        return current

    def _is_in_place(self, staged: Staged, current: Commit | None) -> bool:
        name, cell = staged.table.name, staged.cell
        return current is not None and current.sha256 == staged.sha256 and self.is_intact(name, cell, by_content=True)

    def _replace(self, staged: Staged, file: Path, run_id: str, now: datetime) -> Commit:
        name, cell = staged.table.name, staged.cell
        if staged.computed_ids is not None:
            self._write_history(staged, file, run_id, now)
        place(file, self.file(name, cell))
        commit = Commit(
            staged.sha256, staged.bytes, staged.rows, run_id, now.isoformat(timespec="seconds"), staged.recipe
        )
        return self._write_record(name, cell, commit)

    def _write_record(self, name: str, cell: Cell, commit: Commit) -> Commit:
        write_text(self._record(name, cell), json.dumps(asdict(commit), indent=1) + "\n", self.scratch)
        return commit

    @contextmanager
    def scratch_parquet(self) -> Iterator[Path]:
        """A name for a Parquet file that another program writes, to be handed to `adopt`."""
        with scratch_file(self.scratch, ".parquet") as file:
            yield file

    def _write_history(self, staged: Staged, rows: Path, run_id: str, made_at: datetime) -> None:
        new = pl.DataFrame({"image_id": staged.computed_ids}, schema={"image_id": pl.String}).with_columns(
            run_id=pl.lit(run_id), made_at=pl.lit(made_at, dtype=ROW_HISTORY.schema["made_at"])
        )
        members = pl.scan_parquet(rows, hive_partitioning=False).select("image_id")
        old = self.history(staged.table.name, staged.cell).join(new.lazy(), on="image_id", how="anti")
        kept = old.join(members, on="image_id", how="semi")
        with scratch_file(self.scratch, ".parquet") as file:
            pl.concat([kept, new.lazy()]).sort("image_id").sink_parquet(file, compression="zstd")
            place(file, self._history(staged.table.name, staged.cell))

    def _record(self, name: str, cell: Cell) -> Path:
        return self.root / "_checksums" / name / cell.folder / "data.json"

    def _history(self, name: str, cell: Cell) -> Path:
        return self.root / "_history" / name / cell.folder / "data.parquet"


def _cell_of(file: Path) -> Cell:
    """The partition that a file's hive folders name."""
    values = dict(part.split("=", 1) for part in file.parts if "=" in part)
    return Cell(values.get("source"), int(values["year"]) if "year" in values else None)
