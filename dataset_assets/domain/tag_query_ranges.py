"""Danbooru's range syntax: `>10`, `5..`, `16:9`, `200kb`, `2019-03` and lists, as spans of whole numbers.

Source: danbooru, app/logical/range_parser.rb, but for dates: there `2019..2021` ends with the first instant of 2021,
here with the last, and `>2019` begins with 2020.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DIGITS = 15  # so that no value leaves 64 bits, whatever unit it is multiplied with
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class BadRange(ValueError):
    """Text that is no range of the kind asked for."""


class Span(NamedTuple):
    """Whole numbers from low to high, both included; null = unbounded. Empty where low is above high."""

    low: int | None
    high: int | None


class Kind(NamedTuple):
    """What a range's values are. `about` is what a single value stands for where that is more than itself."""

    value: Callable[[str], Span]
    about: Callable[[str], Span]


def spans(text: str, kind: Kind) -> tuple[Span, ...]:
    """The spans that a range or list covers.

    Raises: BadRange when the text is neither.
    """
    if found := re.fullmatch(r"(.+?)(\.{2,3})(.+)", text):
        low, high = sorted((kind.value(found[1]), kind.value(found[3])))
        return (Span(low.low, high.high if found[2] == ".." else _one_less(high.low)),)
    if found := re.fullmatch(r"(<=?|>=?|\.\.)(.+)|(.+)(\.\.)", text):
        return (_half_open(found[1] or ">=", kind.value(found[2] or found[3])),)
    items = [item for item in re.split(r"[,\s]+", text) if item]
    if len(items) == 1:
        return (kind.about(items[0]),)
    if not items:
        raise BadRange("expected a value, found none")
    return tuple(kind.value(item) for item in items)


def _half_open(operator: str, value: Span) -> Span:
    return {
        "<": Span(None, _one_less(value.low)),
        "<=": Span(None, value.high),
        "..": Span(None, value.high),
        ">": Span(None if value.high is None else value.high + 1, None),
        ">=": Span(value.low, None),
    }[operator]


def _one_less(number: int | None) -> int | None:
    return None if number is None else number - 1


def _exactly(number: Fraction | int) -> Span:
    """The one whole number; empty when it is none, yet of use as a bound."""
    return Span(math.ceil(number), math.floor(number))


def _within_a_twentieth(number: Fraction | int) -> Span:
    return Span(math.ceil(number * Fraction(95, 100)), math.floor(number * Fraction(105, 100)))


def _integer(text: str) -> Span:
    if not re.fullmatch(rf"-?[0-9]{{1,{MAX_DIGITS}}}", text):
        raise BadRange(f"expected a whole number of at most {MAX_DIGITS} digits, found {text!r}")
    return _exactly(int(text))


def _decimal(text: str) -> Fraction:
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text) or len(text) > MAX_DIGITS:
        raise BadRange(f"expected a number of at most {MAX_DIGITS} digits, found {text!r}")
    return Fraction(text)


def _millionths(text: str) -> Fraction:
    return _decimal(text) * 1_000_000


def _hundredths(text: str) -> Span:
    """A ratio times a hundred, rounded half up: `16:9` is 178."""
    width, colon, height = text.replace("/", ":").partition(":")
    divisor = _decimal(height) if colon else Fraction(1)
    if not divisor:
        raise BadRange(f"expected a ratio such as 16:9 or 1.78, found {text!r}")
    return _exactly(math.floor(_decimal(width) / divisor * 100 + Fraction(1, 2)))


def _bytes(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"([0-9.]+)([kmg]?)b?", text.lower())
    if not found:
        raise BadRange(f"expected a size such as 200kb or 1.5mb, found {text!r}")
    return math.floor(_decimal(found[1]) * _UNITS[found[2]]), found[2]


def _about_bytes(text: str) -> Span:
    size, unit = _bytes(text)
    return _within_a_twentieth(size) if unit else _exactly(size)


def _period(text: str) -> Span:
    """Microseconds since 1970 of a year, month or day, UTC."""
    found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?", text)
    if not found:
        raise BadRange(f"expected a date such as 2019, 2019-03 or 2019-03-01, found {text!r}")
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        first = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        last = _following(first, month is not None, day is not None)
    except (ValueError, OverflowError):
        raise BadRange(f"there is no date {text!r}") from None
    return Span((first - EPOCH) // timedelta(microseconds=1), (last - EPOCH) // timedelta(microseconds=1) - 1)


def _following(first: datetime, has_month: bool, has_day: bool) -> datetime:
    """Where the next day, month or year begins."""
    if has_day:
        return first + timedelta(days=1)
    if has_month:
        return (first + timedelta(days=31)).replace(day=1)
    return first.replace(year=first.year + 1)


INTEGER = Kind(_integer, _integer)
RATIO = Kind(_hundredths, _hundredths)
MEGAPIXELS = Kind(lambda text: _exactly(_millionths(text)), lambda text: _within_a_twentieth(_millionths(text)))
FILE_SIZE = Kind(lambda text: _exactly(_bytes(text)[0]), _about_bytes)
DATE = Kind(_period, _period)
