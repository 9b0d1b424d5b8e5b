"""An export of Danbooru as one sorted Parquet file: read in pieces side by side, freed of repeated ids, then sorted."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from dataset_assets.domain.identity import image_id
from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.domain.wording import counted
from dataset_assets.sources import ReadReport
from dataset_assets.sources.danbooru_fields import SNAPSHOT
from dataset_assets.sources.danbooru_pieces import write_sorted
from dataset_assets.sources.danbooru_repeats import SeenIds, to_be_dropped
from dataset_assets.sources.danbooru_staging import LineIndex, Staged, stage
from dataset_assets.sources.json_lines import Piece, pieces

MAX_READERS = 4
SECONDS_BETWEEN_REPORTS = 5.0

_PLACES = pl.Schema({"piece": pl.Int32, "number": pl.Int64, "file": pl.String, "first_line": pl.Int64})
_CONTENTS = pl.Schema({"number": pl.Int64, "record_line": pl.Int64, "content": pl.String})


def write_snapshot(name: str, files: Sequence[Path], into: Path, say: Callable[[str], None]) -> ReadReport:
    """Read the files of an export into the Parquet file `into`, sorted by year and image id.

    Of the records with one id, the first by file name and line counts. Until it is done, files beside `into` hold some
    0.9 KB a record. Raises: DamagedExport when a file is not whole; then `into` is as it was.
    """
    image_id(name, "1")  # a source's name that cannot be one fails before the work, not after it
    with TemporaryDirectory(prefix=f"{into.stem}-", dir=into.parent) as scratch:
        reading = _Reading(name, files, Path(scratch), say)
        reading.take_all(min(os.cpu_count() or 1, MAX_READERS))
        dropped = reading.reject_repeated()
        reading.write(dropped, Path(scratch) / "snapshot.parquet")
        (Path(scratch) / "snapshot.parquet").replace(into)
    records, rejected = reading.records - dropped.height, reading.rejected()
    rejects = f"{counted(rejected.height, 'line')} rejected{reading.about_unreadable()}"
    say(f"{name}: {counted(records, 'record')}, {rejects}")
    return ReadReport(records, rejected)


@dataclass
class _Reading:
    """An export that is being read; files go by their number, lines count from 1."""

    name: str
    files: Sequence[Path]
    scratch: Path
    say: Callable[[str], None]
    records: int = 0
    _staged: list[Path] = field(default_factory=list)
    _places: list[tuple[int, int, str, int]] = field(default_factory=list)  # as _PLACES
    _next_line: dict[int, int] = field(default_factory=dict)
    _seen: SeenIds = field(default_factory=SeenIds)
    _repeated_ids: list[pl.Series] = field(default_factory=list)
    _met_again: list[pl.DataFrame] = field(default_factory=list)  # lines of repeated ids, as _CONTENTS
    _rejected: list[pl.DataFrame] = field(default_factory=list)
    _has_general: bool = False
    _unreadable: int = 0
    _first_unreadable: str = ""
    _reported: float = field(default_factory=time.monotonic)

    def take_all(self, readers: int) -> None:
        """Read pieces side by side while the next is unpacked, and take them over in their order."""
        import duckdb

        waiting: deque[tuple[int, Piece, Future[Staged]]] = deque()
        # DuckDB 2.0 breaks long lines when several of its threads share a file; here each thread has a file of its own.
        with duckdb.connect(":memory:", config={"threads": 1}) as database, ThreadPoolExecutor(readers) as pool:
            database.execute("SET GLOBAL TimeZone = 'UTC'")
            for number, piece in enumerate(self._pieces()):
                staging = pool.submit(stage, self.name, piece, number, database.cursor(), self.scratch)
                waiting.append((number, piece, staging))
                if len(waiting) > readers:
                    self._take_over(*waiting.popleft())
            while waiting:
                self._take_over(*waiting.popleft())

    def _pieces(self) -> Iterator[Piece]:
        return pieces(self.files, Path(os.path.commonpath([file.parent for file in self.files])))

    def _take_over(self, number: int, piece: Piece, staging: Future[Staged]) -> None:
        staged = staging.result()
        first = self._next_line.get(piece.number, 1)
        self._next_line[piece.number] = first + len(staged.index)
        self._places.append((number, piece.number, piece.file, first))
        self._staged += [staged.file] if staged.file else []
        self._has_general |= staged.has_general
        self.records += len(staged.lines)
        self._note_repeated(piece.number, first, staged)
        self._note_rejected(piece.file, first, staged)
        if (now := time.monotonic()) - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self.say(f"{self.name}: {self.records:,} records read, now in {piece.file}")

    def _note_repeated(self, file: int, first: int, staged: Staged) -> None:
        is_repeated = self._seen.repeated(staged.ids)
        lines = staged.lines[is_repeated].tolist()
        self._repeated_ids += [pl.Series("id", staged.ids[is_repeated])] if lines else []
        rows = [(file, first + line, staged.index.content(line)) for line in lines]
        self._met_again += [pl.DataFrame(rows, schema=_CONTENTS, orient="row")] if rows else []

    def _note_rejected(self, file: str, first: int, staged: Staged) -> None:
        rows = [(file, first + one.line, one.reason, one.detail, one.content) for one in staged.rejected]
        self._rejected += [pl.DataFrame(rows, schema=REJECTED_RECORDS.schema, orient="row")] if rows else []
        for line, value in staged.unreadable[: not self._unreadable]:
            self._first_unreadable = f"{file}:{first + line}: {value}"
        self._unreadable += len(staged.unreadable)

    def reject_repeated(self) -> pl.DataFrame:
        """Reject all but the first of the records with one id. Returns: the rejected, see `to_be_dropped`."""
        if not self._repeated_ids:
            return pl.DataFrame(schema={"piece": pl.Int32, "line": pl.Int64})
        places = pl.DataFrame(self._places, schema=_PLACES, orient="row")
        repeated = pl.concat(self._repeated_ids).unique().to_frame()
        dropped = to_be_dropped(pl.scan_parquet(self._staged), places, repeated)
        here, met_again = ("number", "record_line"), pl.concat(self._met_again)
        contents = pl.concat([met_again, self._contents(dropped.join(met_again, on=here, how="anti"))])
        self._rejected.append(
            dropped.join(contents, on=here, how="left").select(
                "file",
                pl.col("record_line").alias("line"),
                reason=pl.lit("duplicate_id"),
                detail=pl.format("id {} is already that of {}", "id", "kept"),
                content="content",
            )
        )
        return dropped

    def _contents(self, records: pl.DataFrame) -> pl.DataFrame:
        """Read lines again that were read before the records that are kept: members of an archive may be unsorted."""
        wanted = {file: set(lines) for file, lines in records.group_by("number").agg("record_line").rows()}
        first = dict.fromkeys(wanted, 1)
        found: list[tuple[int, int, str]] = []
        for piece in self._pieces() if wanted else ():
            if piece.number in wanted:
                index, start = LineIndex(piece.data), first[piece.number]
                lines = wanted[piece.number].intersection(range(start, start + len(index)))
                found += [(piece.number, line, index.content(line - start)) for line in lines]
                first[piece.number] += len(index)
        return pl.DataFrame(found, schema=_CONTENTS, orient="row")

    def write(self, dropped: pl.DataFrame, file: Path) -> None:
        """Write the snapshot, but for the dropped records."""
        if not self._staged:
            SNAPSHOT.empty().write_parquet(file)
            return
        records = pl.scan_parquet(self._staged)
        if not dropped.is_empty():
            records = records.join(dropped.lazy(), on=["piece", "line"], how="anti")
        places = pl.LazyFrame(self._places, schema=_PLACES, orient="row")
        records = records.join(places, on="piece").with_columns(
            record_file="file",
            record_line=pl.col("first_line") + pl.col("line"),
            rating_scale=pl.lit("danbooru_gsqe" if self._has_general else "danbooru_sqe"),
        )
        write_sorted(records, self.name, file)

    def rejected(self) -> pl.DataFrame:
        return pl.concat([REJECTED_RECORDS.empty(), *self._rejected]).sort(REJECTED_RECORDS.sorted_by)

    def about_unreadable(self) -> str:
        if not self._unreadable:
            return ""
        return f"; {self._unreadable:,} values were unreadable and are null, first {self._first_unreadable}"
