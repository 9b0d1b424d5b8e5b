"""Pointing at the character of a text where it goes wrong."""

from dataset_assets.domain.plain_text import columns, printable

_BEFORE, _AFTER = 60, 40
_LONGEST_PROBLEM = 400


def excerpt(text: str, position: int, problem: str) -> str:
    """The text round a position, on one line, and under it a caret with the problem.

    Safe to print: whatever would move the cursor or colour the terminal is shown as a blank.
    """
    first, last = max(0, position - _BEFORE), position + _AFTER
    before = ("…" if first else "") + printable(text[first:position])
    after = printable(text[position:last]) + ("…" if last < len(text) else "")
    if len(problem) > _LONGEST_PROBLEM:
        problem = problem[:_LONGEST_PROBLEM] + "…"
    return f"  {before}{after}\n  {' ' * columns(before)}^ {printable(problem)}"
