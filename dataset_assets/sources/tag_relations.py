"""Danbooru's tag aliases and implications, out of its dumps (JSON Lines) or pages of its API (JSON arrays)."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.schemas import REJECTED_RECORDS, TIME
from dataset_assets.domain.tag_relations import ALIAS, IMPLICATION, TAG_RELATIONS
from dataset_assets.sources.danbooru_fields import EARLIEST, LATEST
from dataset_assets.sources.danbooru_records import BadRecord
from dataset_assets.sources.json_lines import MAX_LINE_BYTES, pieces

ACTIVE = "active"  # of `active`, `retired`, `deleted` and the like, the one status that counts

_RECORDS = pl.Schema([*TAG_RELATIONS.schema.items(), ("status", pl.String), ("updated_at", TIME)])


def read_relations(aliases: Sequence[Path], implications: Sequence[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the dumps of both kinds, plain or packed.

    A relation that stands more than once under one id, as on pages that were fetched while the list moved, counts as
    it was updated last. A missing id or created_at is null.
    Returns: rows of TAG_RELATIONS, active ones only, in that table's order; rows of REJECTED_RECORDS.
    Raises: DamagedExport when a file is cut off or cannot be unpacked.
    """
    records: list[tuple[Any, ...]] = []
    rejected: list[dict[str, object]] = []
    for kind, files in ((ALIAS, aliases), (IMPLICATION, implications)):
        for file, number, line, is_cut in _lines(files):
            try:
                records.append((kind, *_read(line, is_cut)))
            except BadRecord as error:
                rejected.append(_rejected(file, number, line, error))
    relations = _active(pl.DataFrame(records, schema=_RECORDS, orient="row"))
    return relations, REJECTED_RECORDS.frame(rejected).sort(REJECTED_RECORDS.sorted_by)


def _active(records: pl.DataFrame) -> pl.DataFrame:
    by_age = records.sort("updated_at", "status", "antecedent", "consequent", "created_at", nulls_last=False)
    has_id = pl.col("id").is_not_null()
    latest = pl.concat(
        [by_age.filter(has_id).unique(["kind", "id"], keep="last", maintain_order=True), by_age.filter(~has_id)]
    )
    active = latest.filter(pl.col("status") == ACTIVE).select(TAG_RELATIONS.schema.names()).unique()
    return active.sort(TAG_RELATIONS.sorted_by, nulls_last=True)


def _lines(files: Sequence[Path]) -> Iterator[tuple[str, int, bytes, bool]]:
    """File, 1-based number, content and whether it is cut off, of each line that is not blank."""
    absolute = [file.absolute() for file in files]
    folder = Path(os.path.commonpath([file.parent for file in absolute])) if absolute else Path()
    for (_, name), parts in groupby(pieces(absolute, folder), lambda piece: (piece.number, piece.file)):
        lines = (
            (line, piece.is_cut) for piece in parts for line in piece.data.removesuffix(b"\n").split(b"\n")
        )  # fmt: skip
        for number, (line, is_cut) in enumerate(lines, 1):
            if line.strip():
                yield name, number, line, is_cut


def _read(line: bytes, is_cut: bool) -> tuple[Any, ...]:
    if is_cut:
        raise BadRecord("line_too_long", f"expected at most {MAX_LINE_BYTES:,} bytes")
    record = _parse(line)
    antecedent, consequent = (_tag(record, name) for name in ("antecedent_name", "consequent_name"))
    created_at, updated_at = (_moment(record, name) for name in ("created_at", "updated_at"))
    status = record.get("status")
    if not isinstance(status, str) or not _is_writable(status):
        raise BadRecord("bad_relation", f"status is {_shown(status)}, expected a word such as {ACTIVE}")
    return antecedent, consequent, created_at, _id(record), status, updated_at


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise BadRecord("bad_encoding", f"byte {line[error.start]:#04x} at {error.start + 1} is no UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord("not_json", str(error)) from None
    if not isinstance(record, dict):
        raise BadRecord("not_an_object", f"expected an alias or implication, found {type(record).__name__}")
    return record


def _tag(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not (isinstance(value, str) and re.fullmatch(r"[^\s\x00-\x1f\x7f]+", value) and _is_writable(value)):
        raise BadRecord("bad_relation", f"{name} is {_shown(value)}, expected a tag, one word")
    return value


def _is_writable(text: str) -> bool:
    """Whether no half of a surrogate pair is in it, which JSON can hold and UTF-8 cannot."""
    return not re.search("[\ud800-\udfff]", text)


def _moment(record: dict[str, Any], name: str) -> datetime | None:
    value = record.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.strip().replace(" UTC", "+00:00"))
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        moment = None
    if moment is None or not EARLIEST <= moment <= LATEST:
        expected = f"a time from {EARLIEST.year} to {LATEST.year}, such as 2013-02-16T03:42:15.559-05:00"
        raise BadRecord("bad_date", f"{name} is {_shown(value)}, expected {expected}")
    return moment


def _id(record: dict[str, Any]) -> int | None:
    value = record.get("id")
    if value is None:
        return None
    digits = str(value) if type(value) is int else value
    if not (isinstance(digits, str) and re.fullmatch(r"[1-9][0-9]{0,18}", digits) and int(digits) < 1 << 63):
        raise BadRecord("bad_id", f"id is {_shown(value)}, expected a number from 1 to 2^63-1")
    return int(digits)


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}" if isinstance(value, (dict, list)) else ascii(value)[:60]


def _rejected(file: str, number: int, line: bytes, error: BadRecord) -> dict[str, object]:
    return {
        "file": file,
        "line": number,
        "reason": error.reason,
        "detail": error.detail[:500],
        "content": line.decode("utf-8", "replace")[:200],
    }
