"""Danbooru's tag aliases and implications, out of its dumps (JSON Lines) or pages of its API (JSON arrays)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.schemas import REJECTED_RECORDS, TIME
from dataset_assets.domain.tag_relations import ALIAS, IMPLICATION, TAG_RELATIONS
from dataset_assets.sources.danbooru_records import BadRecord
from dataset_assets.sources.json_records import Line, dump_lines, identifier, is_writable, moment, parse_record, shown

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
        for line in dump_lines(files):
            try:
                records.append((kind, *_read(line)))
            except BadRecord as error:
                rejected.append(_rejected(line, error))
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


def _read(line: Line) -> tuple[Any, ...]:
    record = parse_record(line, "an alias or implication")
    antecedent, consequent = (_tag(record, name) for name in ("antecedent_name", "consequent_name"))
    created_at, updated_at = (moment(record, name) for name in ("created_at", "updated_at"))
    status = record.get("status")
    if not isinstance(status, str) or not is_writable(status):
        raise BadRecord("bad_relation", f"status is {shown(status)}, expected a word such as {ACTIVE}")
    return antecedent, consequent, created_at, identifier(record, "id"), status, updated_at


def _tag(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not (isinstance(value, str) and re.fullmatch(r"[^\s\x00-\x1f\x7f]+", value) and is_writable(value)):
        raise BadRecord("bad_relation", f"{name} is {shown(value)}, expected a tag, one word")
    return value


def _rejected(line: Line, error: BadRecord) -> dict[str, object]:
    return {
        "file": line.file,
        "line": line.number,
        "reason": error.reason,
        "detail": error.detail[:500],
        "content": line.content.decode("utf-8", "replace")[:200],
    }
