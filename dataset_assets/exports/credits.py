"""The list of credits beside images whose own format has no field for them."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from dataset_assets.domain.attribution import CREDITS, credit

FILE_NAME = "ATTRIBUTION.csv"
HEADER = (",".join(CREDITS) + "\n").encode()

# A spreadsheet takes what begins so for a formula. Source: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def credit_line(member: Mapping[str, Any], file: str) -> bytes:
    """A member's line of the list, in UTF-8; the first is HEADER."""
    return csv_line(credit(member, file)[name] for name in CREDITS)


def csv_line(cells: Any) -> bytes:
    """A line of a CSV file whose cells are text to a spreadsheet, each on one line."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([safe_cell(cell) for cell in cells])
    return line.getvalue().encode()


def safe_cell(value: str | None) -> str:
    """A cell that no spreadsheet computes: one that begins like a formula, or with an apostrophe, gets one before it.

    So an apostrophe at the beginning is always one of ours, and no part of what was said.
    """
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", value or "").strip()
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text
