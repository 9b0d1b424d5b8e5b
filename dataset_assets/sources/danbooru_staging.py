"""One piece of an export read by DuckDB; lines that it refuses, or doubts, are read strictly, one by one."""

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
    """What one piece holds. Its records are the connection's table `staged`; every line counts from 0."""

    connection: "DuckDBPyConnection"
    index: "LineIndex"
    lines: Numbers  # of the records, ascending
    ids: Numbers  # of the records, in the same order
    rejected: list[Rejection] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)  # (line, value that is null in its record)


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
        """The line's beginning, as `rejected_records` shows it."""
        start = self._starts[number]
        return beginning(self._data[start : min(self._ends[number], start + 4 * CONTENT_CHARACTERS)])

    def without(self, lines: Iterable[int]) -> bytes:
        """The piece with these lines blanked out."""
        if not lines:
            return self._data
        data = bytearray(self._data)
        for number in lines:
            start, end = self._starts[number], self._ends[number]
            data[start:end] = b" " * int(end - start)
        return bytes(data)


def _ends_of_lines(data: bytes) -> list[int]:
    ends = []
    end = data.find(b"\n")
    while end >= 0:
        ends.append(end)
        end = data.find(b"\n", end + 1)
    return ends if data.endswith(b"\n") or not data else [*ends, len(data)]


def beginning(line: bytes) -> str:
    """A line's first characters; what is no text is U+FFFD."""
    return line.decode("utf-8", "replace")[:CONTENT_CHARACTERS].replace("\0", "\ufffd")


def stage(piece: Piece, connection: "DuckDBPyConnection", file: Path) -> Staged:
    """Read a piece into the connection's temporary table `staged`, by way of a file on disk."""
    index = LineIndex(piece.data)
    none = np.empty(0, np.int64)
    staged = Staged(connection, index, none, none)
    if piece.is_cut:
        connection.execute(_create_empty())
        staged.rejected = [Rejection(0, "line_too_long", f"more than {MAX_LINE_BYTES:,} bytes", index.content(0))]
        return staged
    try:
        mended = _read_strictly(_read_fast(index, connection, file), staged)
        if mended:
            lines = [json.dumps(record, ensure_ascii=False).encode() for record in mended]
            file.write_bytes(b"\n".join(lines))
            connection.execute(f"INSERT INTO staged {sql.select_mended(max(map(len, lines)) + 1)}", [str(file)])
    finally:
        file.unlink(missing_ok=True)
    rows = connection.execute("SELECT line, id, is_doubtful FROM staged ORDER BY line").fetchnumpy()
    if rows["is_doubtful"].any():
        raise RuntimeError(f"{piece.file}: DuckDB doubts a record that was put in order; this is a bug")
    staged.lines, staged.ids = np.asarray(rows["line"]), np.asarray(rows["id"])
    return staged


def _read_fast(index: LineIndex, connection: "DuckDBPyConnection", file: Path) -> list[int]:
    """Stage the records that DuckDB reads without doubt.

    Returns: the other lines, ascending; all of them when DuckDB refuses one, for it does not tell which.
    """
    import duckdb

    odd = np.flatnonzero(index.is_odd).tolist()
    regular = np.flatnonzero(~(index.is_odd | index.is_blank))
    file.write_bytes(index.without(odd))
    try:
        created = connection.execute(f"CREATE OR REPLACE TEMP TABLE staged AS {sql.select_published()}", [str(file)])
        rows = created.fetchall()[0][0]
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        rows = -1
    if rows != len(regular):
        connection.execute(_create_empty())
        return np.flatnonzero(~index.is_blank).tolist()
    if rows < len(index):
        connection.execute("UPDATE staged SET line = list_extract($1, line + 1)", [regular.tolist()])
    doubtful = connection.execute("DELETE FROM staged WHERE is_doubtful RETURNING line").fetchall()
    return sorted([*odd, *(line for (line,) in doubtful)])


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


def _create_empty() -> str:
    return f"CREATE OR REPLACE TEMP TABLE staged (line BIGINT, is_doubtful BOOLEAN, {sql.column_types()})"
