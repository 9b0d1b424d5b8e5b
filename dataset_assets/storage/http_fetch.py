"""One file asked for over HTTP: every way it can end is a value, and no answer can take more than was allowed."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import aiohttp
from yarl import URL

from dataset_assets.config import Fetch
from dataset_assets.domain.addresses import parse_networks
from dataset_assets.domain.fetching import opt_out, retry_after_s
from dataset_assets.storage.clock import Clock
from dataset_assets.storage.http_body import Body
from dataset_assets.storage.http_guard import BlockedAddress, Guard, RefusedUrl, checked_url, redirected

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
GONE = (404, 410, 451)
BUSY = (429, 503)
GRACE_S = 5.0  # until a slow answer is held to be one
CONNECT_S, SILENCE_S = 10.0, 15.0
NAMES_KEPT_S = 300
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
        return {name: value for name, value in named.items() if value}


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
    resolver: "AbstractResolver | None" = None
    guard: Guard | None = None

    async def __aenter__(self) -> "Fetcher":
        guard = self.guard or Guard(parse_networks(self.settings.allow_addresses))
        connector = aiohttp.TCPConnector(
            limit=0,  # the hosts' own limits count
            socket_factory=guard,
            happy_eyeballs_delay=None,
            resolver=self.resolver,
            ttl_dns_cache=NAMES_KEPT_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,  # a proxy of the environment would connect in our place, past the guard
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
            skip_auto_headers=("Accept", "User-Agent"),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

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
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            return Answer(asked_at, reason_of(error, body.size), _said(error, body.size))
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
            async with self._session.get(url, headers={**headers, **own}, allow_redirects=False) as response:
                if response.status not in REDIRECTS:
                    return await self._read(response, known, asked_at, body)
                location = response.headers.get("Location", "")
                if not location:
                    raise _Failed("bad_response", "a redirect to nowhere", response.status)
                url = redirected(url, location, self.settings.allow_http_downgrade)
        raise _Failed("too_many_redirects", f"more than {MAX_REDIRECTS} redirects, the last to {str(url)[:200]}")

    async def _read(self, response: aiohttp.ClientResponse, known: Known, asked_at: datetime, body: Body) -> Answer:
        headers, status = response.headers, response.status
        etag, last_modified = _short(headers.get("ETag")), _short(headers.get("Last-Modified"))
        if status != 200 and not (status == 304 and known.headers):
            self._refuse(status, headers, asked_at)
        directives = headers.getall("X-Robots-Tag", [])
        if found := opt_out(directives, self.settings.opt_outs, self.settings.user_agent):
            raise _Failed("opted_out", f"X-Robots-Tag: {found}", status)
        if status == 304:
            return Answer(asked_at, status=status, etag=etag, last_modified=last_modified)
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise _Failed("bad_response", f"sent as {encoding[:50]!r} although it was asked for as it is", status)
        length = response.content_length
        if length is not None and length > self.settings.max_bytes:
            raise _Failed("too_large", f"{length:,} bytes announced, at most {self.settings.max_bytes:,} taken", status)
        is_framed = length is not None or "chunked" in headers.get("Transfer-Encoding", "").lower()
        await self._receive(response, body)
        return Answer(asked_at, status=status, body=body, is_framed=is_framed, etag=etag, last_modified=last_modified)

    async def _receive(self, response: aiohttp.ClientResponse, body: Body) -> None:
        began = self.clock.monotonic()
        async for chunk in response.content.iter_any():
            body.feed(chunk)
            if body.size > self.settings.max_bytes:
                limit = self.settings.max_bytes
                raise _Failed("too_large", f"more than {limit:,} bytes came; the rest was not taken", 200)
            seconds = self.clock.monotonic() - began
            if seconds > GRACE_S and body.size < seconds * self.settings.min_rate:
                raise _Failed("too_slow", f"{body.size:,} bytes in {seconds:.0f} s", 200)

    def _refuse(self, status: int, headers: Mapping[str, str], asked_at: datetime) -> NoReturn:
        detail = f"the host answered {status}"
        if status in GONE:
            raise _Failed("gone", detail, status)
        wait = retry_after_s(headers.get("Retry-After"), asked_at) if status in BUSY else None
        reason = "rate_limited" if status == 429 else "server_error" if status >= 500 else "refused"
        if 200 <= status < 400:  # a part that was not asked for, an unchanged file that is not held
            reason = "bad_response"
        raise _Failed(reason, detail, status, wait)


def reason_of(error: Exception, received: int) -> str:
    """The reason behind what an HTTP client raises after so many bytes of a file were received."""
    kinds: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (aiohttp.ClientConnectorDNSError, "dns_failed"),
        ((aiohttp.ClientSSLError, ssl.SSLError), "tls_failed"),
        ((aiohttp.ServerTimeoutError, TimeoutError), "timed_out"),
        (aiohttp.ClientConnectorError, "connect_failed"),
        ((aiohttp.ClientPayloadError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError), "connection_lost"),
        ((aiohttp.InvalidURL, UnicodeError), "refused_url"),
        (aiohttp.ClientError, "bad_response"),
        ((OSError, RuntimeError), "connection_lost"),
    )
    reason = next((reason for kind, reason in kinds if isinstance(error, kind)), "bad_response")
    return _MIDWAY.get(reason, reason) if received else reason


def _said(error: Exception, received: int) -> str:
    came = f" after {received:,} bytes" if received else ""
    return f"{type(error).__name__}{came}: {error}"[:500]


def _short(value: str | None) -> str | None:
    """A header that is kept; what is longer than any honest one is not."""
    return value if value and len(value) <= 200 and value.isprintable() else None
