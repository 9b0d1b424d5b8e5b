import csv
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.attribution import CREDITS
from dataset_assets.exports.credits import HEADER, credit_line, csv_line, safe_cell

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def cell_as_said(cell: str) -> str:
    return cell.removeprefix("'")


@given(st.text(max_size=20))
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert not safe_cell(text).startswith(FORMULAS)


@given(st.text("=+-@' ab,;\"", max_size=12))
def test_what_was_said_is_the_cell_without_its_first_apostrophe(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_line(["image", text]).decode()))

    assert cell_as_said(row[1]) == text.strip()


def test_a_line_is_a_line_whatever_is_said() -> None:
    lines = HEADER + b"".join(
        credit_line(member(title=title), "img/a.png") for title in ("a\nb", "a\0b", None, '"', "=1+1")
    )

    rows = list(csv.DictReader(io.StringIO(lines.decode())))

    assert [row["title"] for row in rows] == ["a b", "a b", "", '"', "'=1+1"]
    assert rows[0] == dict.fromkeys(CREDITS, "") | {
        "file": "img/a.png",
        "image_id": "danbooru-1-0",
        "artist": "a, b",
        "title": "a b",
        "source_url": "https://example.org/1",
        "license": "CC0-1.0",
        "license_basis": "stated",
    }
    assert lines.count(b"\n") == 6


def member(**changes: Any) -> dict[str, Any]:
    return {
        "image_id": "danbooru-1-0",
        "artist": ["a", "b"],
        "title": None,
        "page_url": None,
        "source_url": "https://example.org/1",
        "file_url": None,
        "license": "CC0-1.0",
        "license_basis": "stated",
        **changes,
    }
