"""One piece of an export as a Parquet file: read by DuckDB, and line by line strictly where that refuses or doubts."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset_assets.sources import danbooru_sql as sql
from dataset_assets.sources.danbooru_records import BadRecord, read_record
from dataset_assets.sources.json_lines import MAX_LINE_BYTES, Piece

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Numbers = npt.NDArray[np.int64]

CONTENT_CHARACTERS = 200
FEW_LINES = 64  # so many are read strictly in less time than DuckDB takes to refuse them
MAX_REFUSALS = 32  # of one piece; in an export whose every line is refused, halving on would be for nothing

_RETURN, _OPEN, _CLOSE, _COMMA = b"\r{},"


@dataclass(frozen=True)
class Rejection:
    """A line that is no record. `line` counts from 0 within the piece."""

    line: int
    reason: str
    detail: str
    content: str


@dataclass
class Staged:
    """What one piece holds; its lines count from 0."""

    index: "LineIndex"
    rejected: list[Rejection] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)  # (line, value that is null in its record)
    file: Path | None = None  # Parquet of its records, by year: see `sql.select_staged`; null = there is none
    lines: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of the records, ascending
    ids: Numbers = field(default_factory=lambda: np.empty(0, np.int64))  # of the records, in the same order
    has_general: bool = False  # whether a record is rated g


class LineIndex:
    """Where the lines of a piece begin and end.

    is_blank: lines of no characters; is_odd: lines that cannot be one JSON object, or are long.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        characters = np.frombuffer(data, np.uint8)
        ends = np.array(_ends_of_lines(data), np.int64)
        starts = np.zeros_like(ends)
        starts[1:] = ends[:-1] + 1
        self._starts, self._ends = starts, ends
        self.is_blank = starts == ends
        last = ends - 1
        last = last - (characters[last] == _RETURN)
        first = np.minimum(starts, len(data) - 1)
        shape_is_odd = (characters[first] != _OPEN) | (characters[last] != _CLOSE) | (characters[last - 1] == _COMMA)
        self.is_odd = ~self.is_blank & (shape_is_odd | (ends - starts > sql.LONG_LINE_BYTES))

    def __len__(self) -> int:
        return len(self._ends)

    def line(self, number: int) -> bytes:
        return self._data[self._starts[number] : self._ends[number]]

    def content(self, number: int) -> str:
        """The line's beginning, as `rejected_records` shows it; what is no text is U+FFFD."""
        start = self._starts[number]
        line = self._data[start : min(self._ends[number], start + 4 * CONTENT_CHARACTERS)]
        return line.decode("utf-8", "replace")[:CONTENT_CHARACTERS].replace("\0", "\ufffd")

    def write(self, lines: Numbers, file: Path) -> None:
        """Write these lines to `file`; they come in order. Nothing is copied in memory."""
        data = memoryview(self._data)
        with file.open("wb") as target:
            for run in np.split(lines, np.flatnonzero(np.diff(lines) != 1) + 1):
                target.write(data[self._starts[run[0]] : self._ends[run[-1]]])
                target.write(b"\n")


def _ends_of_lines(data: bytes) -> list[int]:
    ends = []
    end = data.find(b"\n")
    while end >= 0:
        ends.append(end)
        end = data.find(b"\n", end + 1)
    return ends if data.endswith(b"\n") or not data else [*ends, len(data)]


def stage(name: str, piece: Piece, number: int, connection: "DuckDBPyConnection", folder: Path) -> Staged:
    """Read the piece with this number of the source `name` into `folder`, by a connection that is closed then."""
    staged = Staged(LineIndex(piece.data))
    if piece.is_cut:
        detail = f"more than {MAX_LINE_BYTES:,} bytes"
        staged.rejected.append(Rejection(0, "line_too_long", detail, staged.index.content(0)))
        return staged
    json_file = folder / f"{number}.json"
    with connection:
        mended = _read_strictly(_read_fast(staged.index, connection, json_file), staged)
        if mended:
            lines = [json.dumps(record, ensure_ascii=False).encode() for record in mended]
            json_file.write_bytes(b"\n".join(lines))
            connection.execute(f"INSERT INTO staged {sql.select_mended(max(map(len, lines)) + 1)}", [str(json_file)])
        json_file.unlink(missing_ok=True)
        _finish(staged, connection, name, number, folder / f"{number}.parquet")
    return staged


def _read_fast(index: LineIndex, connection: "DuckDBPyConnection", file: Path) -> list[int]:
    """Fill the connection's table `staged` with what DuckDB reads without doubt.

    Where DuckDB refuses a line it does not tell which: its lines are halved until few are left that are read otherwise.
    Returns: the other lines, ascending.
    """
    columns = f"line BIGINT, is_doubtful BOOLEAN, {sql.column_types()}"
    connection.execute(f"CREATE TEMP TABLE staged ({columns})")
    waiting = [np.flatnonzero(~(index.is_odd | index.is_blank))]
    read, refused = np.empty(0, np.int64), [np.flatnonzero(index.is_odd)]
    refusals = 0
    while waiting:
        lines = waiting.pop()
        if refusals < MAX_REFUSALS and len(lines) and _insert_published(index, lines, len(read), connection, file):
            read = np.concatenate([read, lines])
            continue
        refusals += 1
        if len(lines) <= FEW_LINES or refusals >= MAX_REFUSALS:
            refused.append(lines)
        else:
            waiting += np.array_split(lines, 2)
    if not np.array_equal(read, np.arange(len(read))):
        connection.execute("UPDATE staged SET line = list_extract($1, line + 1)", [read.tolist()])
    doubtful = connection.execute("DELETE FROM staged WHERE is_doubtful RETURNING line").fetchall()
    return sorted([*np.concatenate(refused).tolist(), *(line for (line,) in doubtful)])


def _insert_published(
    index: LineIndex, lines: Numbers, already: int, connection: "DuckDBPyConnection", file: Path
) -> bool:
    """Add lines to the table `staged`, numbered from `already` on; false, and nothing added, when one is refused."""
    import duckdb

    index.write(lines, file)
    try:
        inserted = connection.execute(f"INSERT INTO staged {sql.select_published()}", [str(file), already])
        if inserted.fetchall()[0][0] == len(lines):
            return True
        connection.execute("DELETE FROM staged WHERE line >= $1", [already])
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        pass
    return False


def _read_strictly(lines: Iterable[int], staged: Staged) -> list[dict[str, Any]]:
    """The records of these lines, put in order; what is wrong with them is noted in `staged`."""
    mended = []
    for number in lines:
        line = staged.index.line(number)
        try:
            if line.strip():
                record, unreadable = read_record(line)
                mended.append(record | {"piece_line": number})
                staged.unreadable += [(number, value) for value in unreadable]
        except BadRecord as error:
            staged.rejected.append(Rejection(number, error.reason, error.detail[:500], staged.index.content(number)))
    return mended


def _finish(staged: Staged, connection: "DuckDBPyConnection", name: str, number: int, file: Path) -> None:
    rows = connection.execute(
        "SELECT line, id, is_doubtful, coalesce(rating = 'g', false) AS is_general FROM staged ORDER BY line"
    ).fetchnumpy()
    if rows["is_doubtful"].any():
        raise RuntimeError("DuckDB doubts a record that was put in order; this is a bug")
    staged.lines, staged.ids = np.asarray(rows["line"]), np.asarray(rows["id"])
    staged.has_general = bool(rows["is_general"].any())
    if len(staged.lines):
        connection.execute(sql.copy_staged(), {"name": name, "piece": number, "file": str(file)})
        staged.file = file
