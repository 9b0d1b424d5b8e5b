"""Text for a terminal: nothing in it moves the cursor, and columns stand under one another."""

import re
import unicodedata
from collections.abc import Callable, Sequence

_LONGEST_CELL = 160
_QUANTITY = re.compile(r"[-+][\d,]+|[-+<>]?[\d,]+(\.\d+)? (%|[kMGT]?B)")


def printable(text: str) -> str:
    """The text with a blank for each character that would move the cursor, colour the terminal or turn the line."""
    return "".join(character if character.isprintable() else " " for character in text)


def printable_lines(text: str) -> str:
    """The same of several lines, which stay apart; without blanks at the end."""
    return "\n".join(printable(line) for line in text.splitlines()).rstrip()


def columns(text: str) -> int:
    """How wide a terminal shows the text: two columns for a Japanese character, none for a combining mark."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def shown(value: object) -> str:
    """A value for people: thousands apart, a dash for null."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))


def in_cell(value: object) -> str:
    """The same for a table, of which no cell is larger than all others together."""
    said = shown(value)
    return said if len(said) <= _LONGEST_CELL else said[: _LONGEST_CELL - 1] + "…"


def is_quantity(value: object) -> bool:
    """Whether a cell is a number, null, or a number with a sign or a unit as functions below write it."""
    return value is None or isinstance(value, int | float) or bool(_QUANTITY.fullmatch(str(value)))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines of a table: a column of quantities stands to the right, others to the left."""
    cells = [list(heads), *([in_cell(value) for value in row] for row in rows)]
    widths = [max(columns(line[number]) for line in cells) for number in range(len(heads))]
    is_number = [all(is_quantity(row[number]) for row in rows) for number in range(len(heads))]
    return ["  ".join(map(_padded, line, widths, is_number)).rstrip() for line in cells]


def _padded(text: str, width: int, to_the_right: bool) -> str:
    blanks = " " * (width - columns(text))
    return blanks + text if to_the_right else text + blanks


def signed(number: int, show: Callable[[int], str] = shown) -> str:
    """A difference: +392,557, or +412.8 MB by `in_bytes`."""
    return f"{'-' if number < 0 else '+'}{show(abs(number))}"


def in_bytes(size: int) -> str:
    """A size in decimal units, as disks and dataset pages give it: 412.8 MB."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if abs(size) >= unit:
            return f"{size / unit:,.4g} {name}"
    return f"{size} B"


def share(part: int, whole: int) -> str:
    """A part in per cent; a dash of nothing. What is there is never said to be 0 %, nor all but a few 100 %."""
    if not whole:
        return "-"
    per_cent = 100 * part / whole
    if 0 < per_cent < 0.1:
        return "<0.1 %"
    return ">99.9 %" if 99.9 < per_cent < 100 else f"{per_cent:.1f} %"
