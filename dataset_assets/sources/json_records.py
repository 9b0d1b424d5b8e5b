"""Records of the dumps that lie beside posts: JSON Lines, plain or packed, or pages of an API (JSON arrays).

The same fields come as numbers from the API and as text from Danbooru's public export; both are read.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from dataset_assets.sources.danbooru_fields import EARLIEST, LATEST
from dataset_assets.sources.danbooru_records import BadRecord
from dataset_assets.sources.json_lines import MAX_LINE_BYTES, pieces

Record = dict[str, Any]

_ID = re.compile(r"[1-9][0-9]{0,18}")
_FLAGS = {**dict.fromkeys((True, 1, "1", "t", "true"), True), **dict.fromkeys((False, 0, "0", "f", "false"), False)}


class Line(NamedTuple):
    """A line of a dump that is not blank: its file, 1-based number, content, and whether it is cut off."""

    file: str
    number: int
    content: bytes
    is_cut: bool


def dump_lines(files: Sequence[Path]) -> Iterator[Line]:
    """The lines of dumps, in the order of the files; an element of a JSON array counts as a line.

    Raises: DamagedExport when a file is cut off or cannot be unpacked.
    """
    absolute = [file.absolute() for file in files]
    folder = Path(os.path.commonpath([file.parent for file in absolute])) if absolute else Path()
    for (_, name), parts in groupby(pieces(absolute, folder), lambda piece: (piece.number, piece.file)):
        lines = (
            (line, piece.is_cut) for piece in parts for line in piece.data.removesuffix(b"\n").split(b"\n")
        )  # fmt: skip
        for number, (line, is_cut) in enumerate(lines, 1):
            if line.strip():
                yield Line(name, number, line, is_cut)


def parse_record(line: Line, expected: str) -> Record:
    """The JSON object of a line; `expected` says in words what it should be. Raises: BadRecord."""
    if line.is_cut:
        raise BadRecord("line_too_long", f"expected at most {MAX_LINE_BYTES:,} bytes")
    try:
        record = json.loads(line.content.decode())
    except UnicodeDecodeError as error:
        found = line.content[error.start]
        raise BadRecord("bad_encoding", f"byte {found:#04x} at {error.start + 1} is no UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord("not_json", str(error)) from None
    if not isinstance(record, dict):
        raise BadRecord("not_an_object", f"expected {expected}, found {type(record).__name__}")
    return record


def identifier(record: Record, name: str) -> int | None:
    """A number from 1 to 2^63-1; null where there is none. Raises: BadRecord."""
    value = record.get(name)
    if value is None:
        return None
    digits = str(value) if type(value) is int else value
    if not (isinstance(digits, str) and _ID.fullmatch(digits) and int(digits) < 1 << 63):
        raise BadRecord("bad_id", f"{name} is {shown(value)}, expected a number from 1 to 2^63-1")
    return int(digits)


def required_identifier(record: Record, name: str) -> int:
    """As `identifier`, of a field that has to be there. Raises: BadRecord."""
    value = identifier(record, name)
    if value is None:
        raise BadRecord("no_id", f"there is no {name}")
    return value


def moment(record: Record, name: str) -> datetime | None:
    """A time, in UTC; null where there is none. Raises: BadRecord."""
    value = record.get(name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value.strip().replace(" UTC", "+00:00"))
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        found = None
    if found is None or not EARLIEST <= found <= LATEST:
        expected = f"a time from {EARLIEST.year} to {LATEST.year}, such as 2013-02-16T03:42:15.559-05:00"
        raise BadRecord("bad_date", f"{name} is {shown(value)}, expected {expected}")
    return found


def whole_number(record: Record, name: str) -> int | None:
    """A whole number of 32 bits; null where there is none. Raises: BadRecord."""
    value = record.get(name)
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,10}", value):
        value = int(value)
    if value is not None and not (type(value) is int and -(1 << 31) <= value < 1 << 31):
        raise BadRecord("bad_field", f"{name} is {shown(value)}, expected a whole number of 32 bits")
    return value


def flag(record: Record, name: str) -> bool | None:
    """True or false; null where there is none. Raises: BadRecord."""
    value = record.get(name)
    key = value.lower() if isinstance(value, str) else value
    if value is None:
        return None
    if isinstance(value, (dict, list)) or key not in _FLAGS:
        raise BadRecord("bad_field", f"{name} is {shown(value)}, expected true or false")
    return _FLAGS[key]


def text(record: Record, name: str) -> str | None:
    """Text as published; null where there is none, or only blanks. Raises: BadRecord."""
    value = record.get(name)
    if value is not None and not (isinstance(value, str) and is_writable(value)):
        raise BadRecord("bad_field", f"{name} is {shown(value)}, expected text")
    return value if value and value.strip() else None


def is_writable(value: str) -> bool:
    """Whether no half of a surrogate pair is in it, which JSON can hold and UTF-8 cannot."""
    return not re.search("[\ud800-\udfff]", value)


def shown(value: Any) -> str:
    """A value as a message may hold it."""
    return f"a {type(value).__name__}" if isinstance(value, (dict, list)) else ascii(value)[:60]
