"""The days within which a scrape says that its works were uploaded: declared, or written in its archive's name."""

import re
from datetime import date, timedelta

import polars as pl

Window = tuple[date, date]  # first and last day, both included

_TWO_DAYS = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(\d{4})(\d{2})(\d{2})(?!\d)")
_JAPAN = timedelta(hours=9)  # Pixiv's days are Japan's


def window_in_name(name: str) -> Window | None:
    """The window that a file name holds as two dates: `nijijourney_pixiv_2022110620221222_raw.zip`; null = none."""
    for found in _TWO_DAYS.finditer(name):
        try:
            first, last = (date(*map(int, found.groups()[start : start + 3])) for start in (0, 3))
        except ValueError:
            continue
        if first <= last:
            return first, last
    return None


def is_outside(window: Window) -> pl.Expr:
    """Whether `created_at` is of a day outside the window; null where it is not known."""
    day = (pl.col("created_at") + _JAPAN).dt.date()
    return (day < window[0]) | (day > window[1])
