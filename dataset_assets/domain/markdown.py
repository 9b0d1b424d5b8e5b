"""Text from elsewhere within Markdown: it stays text, whatever it holds."""

import re
from collections.abc import Sequence
from html import escape

from dataset_assets.domain.plain_text import in_cell, is_quantity, printable_lines, shown

# Marks of Markdown, of its tables and of mathematics; an underscore within a word is none.
_MARKS = re.compile(r"([\\`*\[\]|~$])|(?<![^\W_])(_)|(_)(?![^\W_])")
# What is made a link without being marked as one, and what names a person or an issue.
_BARE = re.compile(r"(?i)(?:https?|ftp|mailto|xmpp):|www\.|[@#](?=\w)")
_LINE_START = re.compile(r"^(\d{0,9})([.)]|[-+=#])(?=\s|$|\2)")


def inline(value: object) -> str:
    """Any value as text on one line: no mark, tag, link, table border or heading comes of it."""
    said = escape(" ".join(shown(value).split()), quote=False)
    said = _MARKS.sub(lambda found: f"\\{found.group()}", said)
    said = _BARE.sub(lambda found: f"{found.group()[:-1]}&#{ord(found.group()[-1])};", said)
    return _LINE_START.sub(r"\1\\\2", said)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table, numbers to the right; nothing where there are no rows."""
    if not rows:
        return ""
    is_number = [all(is_quantity(row[at]) for row in rows) for at in range(len(heads))]
    lines = [[inline(head) for head in heads], ["---:" if right else "---" for right in is_number]]
    lines += [[inline(in_cell(value)) for value in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: str, language: str = "") -> str:
    """A block of code, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable_lines(text)}\n{fence}\n"
