"""One large JSON object, member by member: no value is decoded that is larger than one may be."""

import json
import re
from collections.abc import Iterator
from typing import Any

_BLANKS = re.compile(r"[ \t\r\n]*")
_USUAL_LENGTH = 16 << 10  # looked at first; only what is longer costs a second look


class BrokenObject(Exception):
    """Text that is no JSON object, or goes wrong after some of its members."""


def members(text: str, longest: int) -> Iterator[tuple[str, Any]]:
    """The members of a JSON object in order, a repeated key as often as it stands.

    Raises: BrokenObject where the text goes wrong, or a value has more than `longest` characters.
    """
    at = _past(text, 0, "{")
    if text[at : at + 1] != "}":
        while True:
            key, at = _value(text, at, longest)
            if not isinstance(key, str):
                raise BrokenObject(f"character {at:,}: a key is no text")
            at = _past(text, at, ":")
            value, at = _value(text, at, longest)
            yield key, value
            if text[at : at + 1] != ",":
                break
            at = _past(text, at, ",")
    if (end := _past(text, at, "}")) < len(text):
        raise BrokenObject(f"character {end:,}: other text follows the object")


def _past(text: str, at: int, expected: str) -> int:
    """Where the next thing begins, after blanks, the expected character, and blanks."""
    at = _skip(text, at)
    if text[at : at + 1] != expected:
        raise BrokenObject(f"character {at:,}: found {text[at : at + 1]!a}, expected '{expected}'")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _value(text: str, at: int, longest: int) -> tuple[Any, int]:
    """A value, and where the next thing after it begins."""
    problem = f"a value of more than {longest:,} characters"
    for length in (_USUAL_LENGTH, longest):
        window = text[at : at + length]
        try:
            value, end = _DECODER.raw_decode(window)
        except RecursionError:
            raise BrokenObject(f"character {at:,}: nested too deeply") from None
        except ValueError as error:
            problem = problem if at + length < len(text) else str(error)
            continue
        if end < len(window) or at + end == len(text):  # else a number may go on after the window
            return value, _skip(text, at + end)
    raise BrokenObject(f"character {at:,}: {problem}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
