"""Imagefolder: image files beside `metadata.jsonl`, as `datasets` reads a folder, and people look at one.

`imagefolder/<split>/<bucket>/<image_id>.<ext>`, and the fields of RECORD in `imagefolder/<split>/metadata.jsonl`.

Lines of JSON state no types: the reader infers those of a split from its first lines, and refuses splits that differ.
So text is never null ("" = not known); the lines from which a column's type can be seen stand first; and a column
that in some split has no such line is left out. What no order of lines can prevent: where the texts of a column are
dates through 10 MB of lines, `datasets` reads them as times. The Parquet layout has all columns, and their types.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.exports.formats import Settings
from dataset_assets.exports.images import bucketed, put_images
from dataset_assets.exports.members import Members
from dataset_assets.exports.records import RECORD, record_columns
from dataset_assets.exports.target import Target, Written
from dataset_assets.storage.durable import scratch_file

TEXT = {name for name, dtype in RECORD.items() if dtype in (pl.String, RECORD["created_at"])}
_DATE = r"^\d{4}-\d{2}-\d{2}[\d T:.Z+-]*$"  # text that the reader may take for a time
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}  # of readers that split at more than \n


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write images, and after those of a split its metadata.

    Raises: MemberLost; NotAllowed when a member is no image.
    """
    splits = members.named_splits()
    lines = {split: _telling_rows(part) for split, part in splits}
    columns = [name for name in RECORD if all(name in rows for rows in lines.values())]
    for split, part in splits:
        yield from put_images(part, target, f"imagefolder/{split}")
        first = sorted(set(filter(None, lines[split].values())))
        with scratch_file(target.scratch, ".jsonl") as made:
            _write_lines(part, columns, first, made)
            yield target.take(f"imagefolder/{split}/metadata.jsonl", made)


def _telling_rows(members: Members) -> dict[str, str | None]:
    """For each column a member from whose line its type can be seen, if one is needed; columns without one lack."""
    found = members.scan().select(
        pl.col("image_id").filter(_tells(name).fill_null(value=False)).min().alias(name) for name in RECORD
    )
    rows: dict[str, str | None] = found.collect().row(0, named=True)
    return {name: row for name, row in rows.items() if row is not None or name in TEXT}


def _tells(name: str) -> pl.Expr:
    column = record_columns()[list(RECORD).index(name)]
    if name == "captions":
        return column.list.eval(~pl.element().struct.field("caption").str.contains(_DATE)).list.any()
    if RECORD[name] == pl.List(pl.String):
        return column.list.eval(~pl.element().str.contains(_DATE)).list.any()
    if RECORD[name] == pl.String:
        return ~column.fill_null("").str.contains(_DATE)
    return column.is_not_null()


def _write_lines(members: Members, columns: Sequence[str], first: Sequence[str], file: Path) -> None:
    stands_first = pl.col("image_id").is_in(first)
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        for some in (members.filter(stands_first), members.filter(~stands_first)):
            for batch in some.batches():
                stream.writelines(_lines(batch, columns))


def _lines(batch: pl.DataFrame, columns: Sequence[str]) -> Iterator[str]:
    records = batch.select(record_columns()).select(columns)
    for member, record in zip(batch.iter_rows(named=True), records.iter_rows(named=True), strict=True):
        line = {"file_name": bucketed(member)} | {name: _value(name, value) for name, value in record.items()}
        yield json.dumps(line, ensure_ascii=False).translate(_LINE_ENDS) + "\n"


def _value(name: str, value: Any) -> Any:
    """A value as JSON has it: times as text that the reader leaves alone."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S.%f} UTC"
    return "" if value is None and name in TEXT else value
