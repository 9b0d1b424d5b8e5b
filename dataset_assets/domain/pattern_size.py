"""How many positions of a text a pattern keeps in view: what its time grows with, whatever the engine does.

The engine never goes back, so a pattern takes at most this many steps for each character. `(a{1,50}){1,40}b` looks
short and has 2,000 positions: a tenth of a second for a text of 2,000 characters, a day for a million texts.
"""

import re

_REPEATED = re.compile(r"\{\s*([0-9]{1,9})\s*(?:,\s*([0-9]{0,9})\s*)?\}")
_ESCAPED = re.compile(r"\\(?:[pPxuU]\{[^}]*\}|.)", re.DOTALL)
_NO_POSITION = frozenset("*+?|^$")


def like_positions(pattern: str) -> int:
    """Of a pattern of LIKE, in which `%` stands for any text and `_` for a character."""
    return len(pattern)


def regex_positions(pattern: str) -> int:
    """Of a regular expression, counted repetitions written out; one that is not well formed has some number too."""
    groups, last, position = [0], 0, 0  # positions of each open group; those of what stands before a repetition
    while position < len(pattern):
        repeated = _REPEATED.match(pattern, position)
        character, end = pattern[position], position + 1
        if repeated:
            times = int(repeated[2] or repeated[1])
            groups[-1] += last * max(0, times - 1)
            last, end = last * max(1, times), repeated.end()
        elif character == "(":
            groups.append(0)
            last = 0
        elif character == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif character not in _NO_POSITION:
            last, end = 1, _end_of_atom(pattern, position)
            groups[-1] += 1
        position = end
    return sum(groups)


def _end_of_atom(pattern: str, start: int) -> int:
    """Where one character, escape or class ends."""
    if escaped := _ESCAPED.match(pattern, start):
        return escaped.end()
    if pattern[start] != "[":
        return start + 1
    depth, position = 0, start
    while position < len(pattern):
        if escaped := _ESCAPED.match(pattern, position):
            position = escaped.end()
            continue
        depth += {"[": 1, "]": -1}.get(pattern[position], 0)
        position += 1
        if not depth:
            break
    return position
