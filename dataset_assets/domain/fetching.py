"""The rules of asking a host for a file: when to ask again, when a host wants to be left alone, what it opts out of."""

import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FIRST_DELAY = timedelta(minutes=5)
LAST_DELAY = timedelta(days=30)
GROWTH = 4
MAX_BACKOFF_S = 60.0
# A file that ends as its format ends is whole, also where the host did not say how long it is.
_ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82", "gif": b"\0;"}


def backoff_s(attempt: int, image_id: str) -> float:
    """Seconds to wait within a run after the 1st, 2nd, ... attempt: 1, 2, 4, ... and up to half more, by the image."""
    spread = zlib.crc32(f"{image_id} {attempt}".encode()) / 2**32
    return min(2.0 ** (attempt - 1) * (1 + spread / 2), MAX_BACKOFF_S)


def next_try_at(asked_at: datetime, attempts: int, retry_after_s: float | None = None) -> datetime:
    """When a pending file is asked for again: 5, 20, 80 minutes, ... 30 days after; never before the host says."""
    delay = min(FIRST_DELAY * int(GROWTH ** min(max(attempts, 1) - 1, 10)), LAST_DELAY)
    wanted = timedelta(seconds=min(retry_after_s or 0, LAST_DELAY.total_seconds()))
    return asked_at + max(delay, wanted)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds of a `Retry-After` header, given as a number or a date; null = none that can be read."""
    if value is None or len(value) > 100:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max((when - now).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None


def opt_out(headers: Iterable[str], directives: Iterable[str], agent: str) -> str | None:
    """The first of our directives that an `X-Robots-Tag` header gives to everyone or to this agent; null = none.

    Source: `X-Robots-Tag: noai, noimageai`, or `X-Robots-Tag: somebot: noai` for one agent.
    """
    wanted, me = set(directives), agent.partition("/")[0].lower()
    for header in headers:
        named: str | None = None
        for part in header.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and name.strip() not in _WITH_VALUE:
                named, part = name.strip(), rest
            if part.strip() in wanted and named in (None, "*", me):
                return part.strip()
    return None


_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


def ends_whole(format_name: str, size: int, head: bytes, tail: bytes) -> bool | None:
    """Whether a file ends where its format says that it does, by its first and last bytes; null = it does not say."""
    if format_name == "webp":
        return size >= int.from_bytes(head[4:8], "little") + 8
    end = _ENDS.get(format_name)
    return None if end is None else end in tail
