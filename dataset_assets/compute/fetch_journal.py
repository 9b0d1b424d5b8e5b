"""What a run has fetched since its last shard: a stopped run asks no host again for what it had kept."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.compute.engine import Batch, Engine, Row, RowFunction
from dataset_assets.domain.schemas import Table

# A journal that was written before the machine last started tells of files that a power cut may have lost.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LINES_PER_FILE = 4096  # more than a shard holds: what stands in the older of two files is in a shard by then


@dataclass(frozen=True)
class JournaledEngine:
    """An engine whose results, but for pending ones, are written down line by line before they are handed on.

    Of rows that a stopped run has written down, with the same `input_key`, the written result is handed on instead, if
    its file is there: `file_size` says how many bytes a path has, null = it is gone.
    """

    engine: Engine
    table: Table
    folder: Path
    file_size: Callable[[str], int | None]
    boot_id: str = field(default_factory=lambda: _boot_id())

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        written = self._written()
        keys: dict[str, str] = {}
        found: list[dict[str, Any]] = []

        def unwritten() -> Iterator[Sequence[Row]]:
            for rows in batches:
                asked = [row for row in rows if row["image_id"] not in written or not self._is_good(written, row)]
                found.extend(written.pop(row["image_id"]) for row in rows if row["image_id"] in written)
                keys.update((row["image_id"], row["input_key"]) for row in asked)
                if asked:
                    yield asked

        index = 0
        with _Journal(self.folder, self.boot_id) as journal:
            for batch in self.engine.run(function, unwritten()):
                keyed = [{**row, "input_key": keys.pop(row["image_id"])} for row in batch.results]
                journal.write([row for row in keyed if row["state"] != "pending"])
                yield Batch(index, batch.results + _drained(found), batch.lost)
                index += 1
            if found:
                yield Batch(index, _drained(found))

    def _is_good(self, written: dict[str, dict[str, Any]], row: Row) -> bool:
        """Whether a written result is this row's, and its file is there; one that is not is forgotten."""
        result = written[row["image_id"]]
        is_good = bool(result.pop("input_key", None) == row["input_key"])
        if is_good and result.get("path") is not None:
            is_good = self.file_size(result["path"]) == result.get("size")
        if not is_good:
            del written[row["image_id"]]
        return is_good

    def _written(self) -> dict[str, dict[str, Any]]:
        """The results that were written down since the machine started, by image; the last of each counts."""
        results: dict[str, dict[str, Any]] = {}
        for file in sorted(self.folder.glob("*.jsonl")):
            began, *lines = file.read_bytes().splitlines() or [b""]
            for line in lines if began == _heading(self.boot_id) else []:
                if row := _parsed(line, self.table.schema):
                    results[row["image_id"]] = row
        return results


class _Journal:
    """Two files by turns; the older is overwritten when the newer is full."""

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._folder, self._heading = folder, _heading(boot_id) + b"\n"
        self._lines = 0
        folder.mkdir(parents=True, exist_ok=True)
        # What an earlier run wrote stays until a new file is full: this run may be stopped at once as well.
        self._older = sorted(folder.glob("*.jsonl"))
        self._number = 1 + max((int(file.stem) for file in self._older), default=0)
        self._open()

    def _open(self) -> None:
        self._file = (self._folder / f"{self._number:08d}.jsonl").open("ab")
        self._file.write(self._heading)

    def __enter__(self) -> "_Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self._lines >= LINES_PER_FILE:
            self._turn()
        lines = [_LINE.encode(row) for row in rows]
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        self._lines += len(rows)

    def _turn(self) -> None:
        for file in self._older:
            file.unlink(missing_ok=True)
        self._older = [Path(self._file.name)]
        self._file.close()
        self._number += 1
        self._lines = 0
        self._open()


def _boot_id() -> str:
    """What names this start of the machine; where nothing does, one of our own, and no earlier journal is trusted."""
    try:
        return BOOT_ID.read_text("utf-8").strip()
    except OSError:
        return uuid.uuid4().hex


def _heading(boot_id: str) -> bytes:
    return json.dumps({"boot": boot_id}).encode()


def _drained(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = results[:]
    results.clear()
    return taken


def _parsed(line: bytes, schema: pl.Schema) -> dict[str, Any] | None:
    """A line as a row of the table; null = it was cut off, or is of another table."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or "image_id" not in row or not set(row) <= set(schema):
        return None
    times = {name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)}
    return {
        name: datetime.fromisoformat(value) if name in times and value is not None else value
        for name, value in row.items()
    }


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is no value of a table")


_LINE = json.JSONEncoder(default=_as_text)  # `json.dumps` would make one for each line
