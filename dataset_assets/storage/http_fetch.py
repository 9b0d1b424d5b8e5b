"""One file asked for over HTTP: every way it can end is a value, and no answer can take more than was allowed."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from yarl import URL

from dataset_assets.config import Fetch
from dataset_assets.domain.addresses import parse_networks
from dataset_assets.domain.fetching import opt_out, retry_after_s
from dataset_assets.storage.clock import Clock
from dataset_assets.storage.http_body import Body
from dataset_assets.storage.http_guard import BlockedAddress, Guard, RefusedUrl, checked_url, redirected
from dataset_assets.storage.http_lines import ExchangeFailed, Head, Lines, Resolver

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
GONE = (404, 410, 451)
BUSY = (429, 503)
GRACE_S = 5.0  # until a slow answer is held to be one
# Of an answer that is no file, so much is taken, and for so long, so that its connection can be kept.
SPARE_BYTES, SPARE_S = 1 << 16, 2.0
# What the failure of a connection is called once part of a file has come: then it is no sign of a dead network.
_MIDWAY = {"timed_out": "too_slow", "connection_lost": "cut_off", "bad_response": "cut_off"}


@dataclass(frozen=True)
class Answer:
    """What asking for a file came to. `reason` is one of `states.REASONS`; null = the file came, or is unchanged."""

    asked_at: datetime
    reason: str | None = None
    detail: str | None = None
    status: int | None = None
    retry_after_s: float | None = None
    body: Body | None = None
    is_framed: bool = False  # whether the host said where the body ends
    etag: str | None = None
    last_modified: str | None = None

    @property
    def is_unchanged(self) -> bool:
        return self.status == 304


@dataclass(frozen=True)
class Known:
    """What the host said of a file that is held, to be told when it is asked for again."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value and value.isascii()}


class _Failed(Exception):
    def __init__(self, reason: str, detail: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.status, self.retry_after_s = reason, detail, status, retry_after_s


@dataclass
class Fetcher:
    """Asks for files by the settings of one source. To be used within `async with`, in one event loop."""

    settings: Fetch
    scratch: Path
    clock: Clock = field(default_factory=Clock)
    resolver: Resolver | None = None
    guard: Guard | None = None

    async def __aenter__(self) -> "Fetcher":
        guard = self.guard or Guard(parse_networks(self.settings.allow_addresses))
        self._lines = Lines(guard, self.resolver, kept=2 * self.settings.concurrency)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lines.close()

    async def ask(self, text: str, known: Known | None = None) -> Answer:
        """Ask for a file once, redirects followed. Who takes the answer closes its body."""
        asked_at, body = self.clock.now(), Body(self.scratch)
        answer: Answer | None = None
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                answer = await self._follow(checked_url(text), known or Known(), asked_at, body)
                return answer
        except _Failed as failed:
            return Answer(asked_at, failed.reason, failed.detail, failed.status, failed.retry_after_s)
        except RefusedUrl as refused:
            return Answer(asked_at, "refused_url", str(refused))
        except BlockedAddress as blocked:
            return Answer(asked_at, "blocked_address", str(blocked))
        except TimeoutError:
            return Answer(asked_at, *_broken("timed_out", f"not there after {self.settings.timeout_s:g} s", body.size))
        except ExchangeFailed as failed:
            return Answer(asked_at, *_broken(failed.reason, str(failed), body.size))
        except (ValueError, ArithmeticError) as error:  # of what the host says
            return Answer(asked_at, *_broken("bad_response", f"{type(error).__name__}: {error}", body.size))
        finally:
            if answer is None or answer.body is None:
                body.close()

    async def _follow(self, url: URL, known: Known, asked_at: datetime, body: Body) -> Answer:
        headers = {
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
            "User-Agent": self.settings.user_agent,
        }
        first = url
        for _ in range(MAX_REDIRECTS + 1):
            # What is for the first host alone does not go to another, nor to itself without encryption.
            own = {**self.settings.headers, **known.headers} if url.origin() == first.origin() else {}
            # Without the semicolon, libcurl takes an empty field for one that is not to be sent.
            said = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in {**headers, **own}.items()]
            head = await self._exchanged(url, said, reading := _Reading(self, known, asked_at, body))
            if head.status not in REDIRECTS:
                return reading.answer(head)
            location = _as_utf8(head.get("location") or "")
            if not location:
                raise _Failed("bad_response", "a redirect to nowhere", head.status)
            url = redirected(url, location, self.settings.allow_http_downgrade)
        raise _Failed("too_many_redirects", f"more than {MAX_REDIRECTS} redirects, the last to {str(url)[:200]}")

    async def _exchanged(self, url: URL, said: list[str], reading: "_Reading") -> Head:
        """What the host says first. Of an answer that is no file this is enough, however the rest of it ends."""
        try:
            async with asyncio.timeout(None) as reading.limit:
                return await self._lines.exchange(url, said, reading)
        except (_Enough, ExchangeFailed, TimeoutError):
            if reading.head is None or reading.is_wanted:
                raise
            return reading.head


class _Enough(Exception):
    """More of an answer that is no file than is worth a connection."""


class _Reading:
    """One answer as it comes: judged by what the host says first, then taken as far as is allowed."""

    def __init__(self, fetcher: Fetcher, known: Known, asked_at: datetime, body: Body) -> None:
        self._settings, self._clock = fetcher.settings, fetcher.clock
        self._known, self._asked_at, self._body = known, asked_at, body
        self._began, self._spare = 0.0, SPARE_BYTES
        self._refusal: _Failed | None = None
        self.head: Head | None = None
        self.is_wanted = False
        self.limit: asyncio.Timeout | None = None  # of this exchange, to be set when no more than its head is wanted

    def headed(self, head: Head) -> None:
        """Judge what comes first; of an answer that is no file, the rest is let go where it is short."""
        self._began = self._clock.monotonic()
        try:
            self._judge(head)
            self.is_wanted = head.status == 200
        except _Failed as failed:
            self._refusal = failed
        self.head = head
        if self.is_wanted or head.status == 304:  # which has no body, whatever length it tells
            return
        if not head.is_framed or (head.length or 0) > SPARE_BYTES:
            raise _Enough
        if self.limit is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + SPARE_S)

    def came(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if not self.is_wanted:
            self._spare -= len(piece)
            if self._spare < 0:
                raise _Enough
            return
        body, settings = self._body, self._settings
        body.feed(piece)
        if body.size > settings.max_bytes:
            raise _Failed("too_large", f"more than {settings.max_bytes:,} bytes came; the rest was not taken", 200)
        seconds = self._clock.monotonic() - self._began
        if seconds > GRACE_S and body.size < seconds * settings.min_rate:
            raise _Failed("too_slow", f"{body.size:,} bytes in {seconds:.0f} s", 200)

    def answer(self, head: Head) -> Answer:
        """What the whole comes to. Raises: _Failed."""
        if self._refusal is not None:
            raise self._refusal
        return Answer(
            self._asked_at,
            status=head.status,
            body=None if head.status == 304 else self._body,
            is_framed=head.is_framed,
            etag=_short(head.get("etag")),
            last_modified=_short(head.get("last-modified")),
        )

    def _judge(self, head: Head) -> None:
        status, settings = head.status, self._settings
        if status in REDIRECTS:
            return
        if status != 200 and not (status == 304 and self._known.headers):
            raise _refusal(head, self._asked_at)
        if found := opt_out(head.fields.get("x-robots-tag", ()), settings.opt_outs, settings.user_agent):
            raise _Failed("opted_out", f"X-Robots-Tag: {found}", status)
        if status == 304:
            return
        encoding = (head.get("content-encoding") or "identity").lower()
        if encoding != "identity":
            raise _Failed("bad_response", f"sent as {encoding[:50]!r} although it was asked for as it is", status)
        if head.length is not None and head.length > settings.max_bytes:
            limit = settings.max_bytes
            raise _Failed("too_large", f"{head.length:,} bytes announced, at most {limit:,} taken", status)


def _refusal(head: Head, asked_at: datetime) -> _Failed:
    """What a status means that brings no file."""
    status, detail = head.status, f"the host answered {head.status}"
    if not status:
        return _Failed("bad_response", "the host answered with no status that there is")
    if status in GONE:
        return _Failed("gone", detail, status)
    wait = retry_after_s(head.get("retry-after"), asked_at) if status in BUSY else None
    reason = "rate_limited" if status == 429 else "server_error" if status >= 500 else "refused"
    if status < 400:  # a part that was not asked for, an unchanged file that is not held
        reason = "bad_response"
    return _Failed(reason, detail, status, wait)


def _broken(reason: str, said: str, received: int) -> tuple[str, str]:
    """The reason and the words of an exchange that ended after so many bytes of a file."""
    came = f" after {received:,} bytes" if received else ""
    return (_MIDWAY.get(reason, reason) if received else reason), f"{said}{came}"[:500]


def _as_utf8(value: str) -> str:
    """A field that was read byte by byte, as UTF-8 where it is that."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _short(value: str | None) -> str | None:
    """A header that is kept, to be sent back; what is longer than any honest one, or not plain text, is not."""
    return value if value and len(value) <= 200 and value.isascii() and value.isprintable() else None
