"""Text files of one record a line, read whole: numbered lines, and lines that are no record."""

from pathlib import Path

import polars as pl

from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.sources import DamagedExport

WORK_ID = "[1-9][0-9]{0,17}"  # a Pixiv id, as it stands in the lists; all of them fit 64 bits
MAX_LIST_BYTES = 512 << 20  # 50 million ids

_LINES = pl.Schema({"file": pl.String, "line": pl.Int64, "content": pl.String})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(file: Path, name: str) -> pl.DataFrame:
    """The lines of a file that are not blank: file (= `name`), line (from 1), content without surrounding blanks.

    Bytes that are not UTF-8 become U+FFFD.
    Raises: DamagedExport when the file is far larger than any list of ids; OSError when it cannot be read.
    """
    if (size := file.stat().st_size) > MAX_LIST_BYTES:
        raise DamagedExport(f"{file}: {size:,} bytes, expected a list of at most {MAX_LIST_BYTES:,}; is this the file?")
    text = file.read_bytes().removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "replace")
    lines = pl.DataFrame({"content": pl.Series([text]).str.split("\n").explode().str.strip_chars()})
    numbered = lines.with_row_index("line", offset=1).with_columns(file=pl.lit(name))
    return numbered.filter(pl.col("content") != "").select(pl.col(key).cast(dtype) for key, dtype in _LINES.items())


def no_lines() -> pl.DataFrame:
    """What `read_lines` gives of an empty file."""
    return pl.DataFrame(schema=_LINES)


def rejected_lines(lines: pl.DataFrame, reason: str, detail: pl.Expr) -> pl.DataFrame:
    """Lines as rows of `rejected_records`."""
    return lines.select(
        "file",
        "line",
        reason=pl.lit(reason),
        detail=detail.str.slice(0, 500),
        content=pl.col("content").str.slice(0, 200).str.replace_all("\0", "\ufffd", literal=True),
    ).cast(REJECTED_RECORDS.schema)
