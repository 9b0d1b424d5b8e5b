"""An export of Danbooru as one sorted Parquet file: read in pieces side by side, then freed of repeated ids."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from dataset_assets.domain.identity import image_id
from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.sources import ReadReport
from dataset_assets.sources import danbooru_sql as sql
from dataset_assets.sources.danbooru_staging import LineIndex, Staged, stage
from dataset_assets.sources.json_lines import Piece, pieces

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_READERS = 4
MEMORY = "512MB"  # of DuckDB; what is more waits in files beside the snapshot
SECONDS_BETWEEN_REPORTS = 5.0


def write_snapshot(name: str, files: Sequence[Path], into: Path, say: Callable[[str], None]) -> ReadReport:
    """Read the files of an export into the Parquet file `into`, sorted by year and image id.

    Of the records with one id, the first by file name and line counts.
    Raises: DamagedExport when a file is not whole; then `into` is as it was.
    """
    import duckdb

    image_id(name, "1")  # a source's name that cannot be one fails before the work, not after it
    readers = min(os.cpu_count() or 1, MAX_READERS)
    with TemporaryDirectory(prefix=f"{into.stem}-", dir=into.parent) as scratch:
        config: dict[str, str | bool | int | float | list[str]] = {
            # DuckDB 2.0 breaks lines of megabytes when several threads share a file; here each has a file of its own.
            "threads": 1,
            "memory_limit": MEMORY,
            "temp_directory": f"{scratch}/duckdb",
        }
        with duckdb.connect(":memory:", config=config) as connection:
            reading = _Reading(name, files, connection, Path(scratch), say)
            reading.take_all(readers)
            connection.execute("SET threads = $1", [readers])
            reading.reject_repeated()
            records = reading.write(Path(scratch) / "snapshot.parquet")
            rejected = reading.rejected()
        (Path(scratch) / "snapshot.parquet").replace(into)
    say(f"{name}: {records:,} records, {rejected.height:,} lines rejected{reading.about_unreadable()}")
    return ReadReport(records, rejected)


class SeenIds:
    """Which ids have been met: one bit for each below 2^28, 32 MB at most; a set of any larger ones."""

    _SMALL = 1 << 28

    def __init__(self) -> None:
        self._bits = np.zeros(self._SMALL >> 3, np.uint8)
        self._large: set[int] = set()

    def repeated(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these ids were met before, be it earlier among themselves; all of them are met then."""
        repeated = np.ones(len(ids), np.bool_)
        distinct, first = np.unique(ids, return_index=True)
        small = int(np.searchsorted(distinct, self._SMALL))
        byte, bit = distinct[:small] >> 3, np.left_shift(1, distinct[:small] & 7).astype(np.uint8)
        repeated[first[:small]] = self._bits[byte] & bit
        np.bitwise_or.at(self._bits, byte, bit)
        large = distinct[small:].tolist()
        repeated[first[small:]] = [one in self._large for one in large]
        self._large.update(large)
        return repeated


@dataclass
class _Reading:
    """An export on its way through DuckDB's tables. Files go by their number, lines count from 1."""

    name: str
    files: Sequence[Path]
    connection: "DuckDBPyConnection"
    scratch: Path
    say: Callable[[str], None]
    _seen: SeenIds = field(default_factory=SeenIds)
    _next_line: dict[int, int] = field(default_factory=dict)
    _unreadable: int = 0
    _first_unreadable: str = ""
    _records: int = 0
    _reported: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.connection.execute(f"""
            SET GLOBAL TimeZone = 'UTC';
            SET GLOBAL checkpoint_threshold = '1000TB';  -- else it packs its tables again and again
            CREATE TABLE files (file BIGINT, name VARCHAR);
            CREATE TABLE records (file BIGINT, record_line BIGINT, {sql.column_types()});
            CREATE TABLE met_again (file BIGINT, record_line BIGINT, content VARCHAR);
            CREATE TABLE dropped (file BIGINT, record_line BIGINT, id BIGINT, kept VARCHAR);
            CREATE TABLE rejected (file BIGINT, line BIGINT, reason VARCHAR, detail VARCHAR, content VARCHAR)
        """)

    def take_all(self, readers: int) -> None:
        """Read pieces side by side while the next is unpacked, and take them over in their order."""
        waiting: deque[tuple[Piece, Future[Staged]]] = deque()
        with ThreadPoolExecutor(readers) as pool:
            for number, piece in enumerate(self._pieces()):
                file = self.scratch / f"piece-{number}.json"
                waiting.append((piece, pool.submit(stage, piece, self.connection.cursor(), file)))
                if len(waiting) > readers:
                    self._take_over(*waiting.popleft())
            while waiting:
                self._take_over(*waiting.popleft())

    def _pieces(self) -> Iterator[Piece]:
        return pieces(self.files, Path(os.path.commonpath([file.parent for file in self.files])))

    def _take_over(self, piece: Piece, staging: Future[Staged]) -> None:
        staged = staging.result()
        if piece.number not in self._next_line:
            self._insert("files", [(piece.number, piece.file)])
        first = self._next_line.get(piece.number, 1)
        self._next_line[piece.number] = first + len(staged.index)
        with staged.connection as cursor:
            taken = f"SELECT $file, line + $first, {sql.column_names()} FROM staged"  # noqa: S608 - our own names
            cursor.execute(f"INSERT INTO records {taken}", {"file": piece.number, "first": first})
        lines = staged.lines[self._seen.repeated(staged.ids)].tolist()
        self._insert("met_again", [(piece.number, first + line, staged.index.content(line)) for line in lines])
        self._insert(
            "rejected",
            [(piece.number, first + one.line, one.reason, one.detail, one.content) for one in staged.rejected],
        )
        for line, value in staged.unreadable:
            self._first_unreadable = self._first_unreadable or f"{piece.file}:{first + line}: {value}"
        self._unreadable += len(staged.unreadable)
        self._records += len(staged.ids)
        self._report(piece.file)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            values = ", ".join(f"unnest(${number})" for number in range(1, len(columns) + 1))
            self.connection.execute(f"INSERT INTO {table} SELECT {values}", columns)

    def _report(self, file: str) -> None:
        if (now := time.monotonic()) - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self.say(f"{self.name}: {self._records:,} records read, now in {file}")

    def reject_repeated(self) -> None:
        """Of the records with one id, keep the first by file name and line."""
        self.connection.execute("""
            INSERT INTO dropped
            SELECT file, record_line, id, first_value(format('line {} of {}', record_line, name)) OVER ordered
            FROM records JOIN files USING (file)
            WHERE id IN (SELECT id FROM records SEMI JOIN met_again USING (file, record_line))
            WINDOW ordered AS (PARTITION BY id ORDER BY name, file, record_line)
            QUALIFY row_number() OVER ordered > 1
        """)
        self._read_again()
        self.connection.execute("""
            INSERT INTO rejected
            SELECT file, record_line, 'duplicate_id', format('id {} is already that of {}', id, kept), content
            FROM dropped LEFT JOIN met_again USING (file, record_line)
        """)

    def _read_again(self) -> None:
        """Get the lines of dropped records that were read before the kept ones: archives may be unsorted."""
        unknown = self.connection.execute("""
            SELECT file, list(record_line) FROM dropped ANTI JOIN met_again USING (file, record_line) GROUP BY file
        """).fetchall()
        wanted = {file: set(lines) for file, lines in unknown}
        first = dict.fromkeys(wanted, 1)
        for piece in self._pieces() if wanted else ():
            if piece.number in wanted:
                index = LineIndex(piece.data)
                lines = range(first[piece.number], first[piece.number] + len(index))
                found = [
                    (piece.number, line, index.content(line - lines.start))
                    for line in wanted[piece.number].intersection(lines)
                ]
                self._insert("met_again", found)
                first[piece.number] = lines.stop

    def write(self, file: Path) -> int:
        """Write the snapshot. Returns: its number of records."""
        scale = "CASE WHEN bool_or(rating = 'g') THEN 'danbooru_gsqe' ELSE 'danbooru_sqe' END"
        query = f"""
            SELECT $name || '-' || id || '-0' AS image_id, year(created_at)::INTEGER AS year, name AS record_file,
                record_line, (SELECT {scale} FROM records) AS rating_scale, {sql.column_names()}
            FROM records JOIN files USING (file) ANTI JOIN dropped USING (file, record_line)
            ORDER BY year, image_id
        """  # noqa: S608 - our own names
        copied = self.connection.execute(
            f"COPY ({query}) TO $file (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 65536)",
            {"name": self.name, "file": str(file)},
        )
        return int(copied.fetchall()[0][0])

    def rejected(self) -> pl.DataFrame:
        # Not as a frame: handing one over makes DuckDB 2.0 print thirty lines about leaks when the program ends.
        rows = self.connection.execute(
            "SELECT name, line, reason, detail, content FROM rejected JOIN files USING (file)"
        ).fetchall()
        frame = pl.DataFrame(rows, schema=REJECTED_RECORDS.schema, orient="row")
        return frame.sort(REJECTED_RECORDS.sorted_by, nulls_last=True)

    def about_unreadable(self) -> str:
        if not self._unreadable:
            return ""
        return f"; {self._unreadable:,} values were unreadable and are null, first {self._first_unreadable}"
