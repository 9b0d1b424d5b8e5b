"""Pointing at the character of a text where it goes wrong."""

import unicodedata

_BEFORE, _AFTER = 60, 40
_LONGEST_PROBLEM = 400


def excerpt(text: str, position: int, problem: str) -> str:
    """The text round a position, on one line, and under it a caret with the problem.

    Safe to print: whatever would move the cursor or colour the terminal is shown as a blank.
    """
    first, last = max(0, position - _BEFORE), position + _AFTER
    before = ("…" if first else "") + _printable(text[first:position])
    after = _printable(text[position:last]) + ("…" if last < len(text) else "")
    if len(problem) > _LONGEST_PROBLEM:
        problem = problem[:_LONGEST_PROBLEM] + "…"
    return f"  {before}{after}\n  {' ' * _columns(before)}^ {_printable(problem)}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _columns(text: str) -> int:
    """How wide a terminal shows the text: two columns for a Japanese character, none for a combining mark."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
