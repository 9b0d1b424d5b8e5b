"""Exchanges over HTTP by libcurl: whose socket is made, what the host says first, and each piece as it comes."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from socket import SOCK_STREAM, socket
from typing import Any, Protocol

import pycurl
from yarl import URL

from dataset_assets.storage.http_guard import Guard

CONNECT_S, SILENCE_S = 10.0, 15.0
NAMES_KEPT_S = 300.0
NAMES_KEPT = 10_000
BUFFER_BYTES = 1 << 18
# The addresses of a name, as text. Raises: OSError.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Told = list[str]  # a name's addresses in libcurl's way of writing them
_REASONS = {
    pycurl.E_URL_MALFORMAT: "refused_url",
    pycurl.E_COULDNT_RESOLVE_HOST: "dns_failed",
    pycurl.E_COULDNT_CONNECT: "connect_failed",
    pycurl.E_OPERATION_TIMEDOUT: "timed_out",
    **dict.fromkeys(
        (
            *(pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE),
            *(pycurl.E_SSL_CIPHER, pycurl.E_SSL_ISSUER_ERROR, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CRL_BADFILE),
        ),
        "tls_failed",
    ),
    **dict.fromkeys(
        (pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE), "connection_lost"
    ),
}


class ExchangeFailed(Exception):
    """An exchange that did not come to its end; `reason` is one of `states.REASONS`."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


@dataclass(frozen=True)
class Head:
    """What a host says before the body."""

    status: int  # 0 = the host says none
    fields: Mapping[str, Sequence[str]]  # by name in small letters

    def get(self, name: str) -> str | None:
        """The first value of a field; null = it is not there."""
        return self.fields.get(name, (None,))[0]

    @cached_property
    def length(self) -> int | None:
        """The bytes of the body that are announced; null = none are."""
        if "transfer-encoding" in self.fields:
            return None
        told = self.get("content-length")
        return int(told) if told is not None and told.isascii() and told.isdigit() else None

    @property
    def is_framed(self) -> bool:
        """Whether the host says where the body ends."""
        return self.length is not None or "chunked" in (self.get("transfer-encoding") or "").lower()

    @classmethod
    def parse(cls, lines: Sequence[bytes]) -> "Head":
        """Of the lines of an answer, and of preliminary ones before it, what the last one says."""
        status, fields = 0, {}  # type: int, dict[str, list[str]]
        for line in lines:
            if line.startswith(b"HTTP/"):
                _, told, *_ = [*line.split(None, 2), b""]
                status, fields = int(told) if told.isdigit() else 0, {}
                continue
            name, colon, value = line.decode("latin-1").partition(":")
            if colon:
                fields.setdefault(name.strip().lower(), []).append(value.strip())
        return cls(status, fields)


class Reader(Protocol):
    """Takes an answer as it comes. What it raises ends the exchange."""

    def headed(self, head: Head) -> None:
        """What comes first, once."""

    def came(self, piece: bytes) -> None:
        """A piece of the body."""


class Lines:
    """Exchanges with hosts, many at once, over connections that are kept. To be used within one event loop."""

    def __init__(self, guard: Guard, resolver: Resolver | None = None) -> None:
        self._guard, self._resolver, self._settings = guard, resolver or resolved, _settings()
        self._multi = pycurl.AsyncCurlMulti()
        self._idle: list[_Line] = []
        self._names: dict[tuple[str, int], tuple[float, Told]] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[Told]] = {}

    async def close(self) -> None:
        """Leave all connections."""
        await self._multi.aclose()

    async def exchange(self, url: URL, headers: Sequence[str], reader: Reader) -> Head:
        """Ask for a URL, without following where it leads; `headers` are whole lines.

        Raises: ExchangeFailed; BlockedAddress; what the reader raises.
        """
        line = self._idle.pop() if self._idle else _Line(self._guard, self._settings)
        addresses = await self._addresses(url)
        head = await line.ask(self._multi, url, headers, addresses, reader)
        self._idle.append(line)
        return head

    async def _addresses(self, url: URL) -> Told:
        """Where a host is, as libcurl is told it; empty = it is a number."""
        host, port = url.raw_host or "", url.port or 0
        if ":" in host:
            return []
        until, known = self._names.get((host, port), (0.0, []))
        if until > asyncio.get_running_loop().time():
            return known
        return await self._look_up(host, port)

    async def _look_up(self, host: str, port: int) -> Told:
        """Ask for a name's addresses, once for all who wait for them."""
        if (task := self._asked.get((host, port))) is None:
            task = self._asked[host, port] = asyncio.create_task(self._resolve(host, port))
            task.add_done_callback(lambda done: self._looked_up((host, port), done))
        try:
            return await asyncio.shield(task)
        except (OSError, UnicodeError) as error:
            raise ExchangeFailed("dns_failed", f"{host}: {error}") from None

    def _looked_up(self, name: tuple[str, int], done: asyncio.Task[Told]) -> None:
        del self._asked[name]
        if not done.cancelled():
            done.exception()  # asked for here: it may be that nobody waits any more

    async def _resolve(self, host: str, port: int) -> Told:
        name = host.rstrip(".")
        found = await self._resolver(name, port)
        if not found:
            raise OSError("no address")
        shown = ",".join(f"[{address}]" if ":" in address else address for address in found)
        now = asyncio.get_running_loop().time()
        if len(self._names) >= NAMES_KEPT:
            self._names = {key: kept for key, kept in self._names.items() if kept[0] > now}
        told = [f"+{one}:{port}:{shown}" for one in {host, name}]
        self._names[host, port] = now + NAMES_KEPT_S, told
        return told


class _Line:
    """A handle of libcurl, for one exchange after another; what is said on it goes over any kept connection."""

    def __init__(self, guard: Guard, settings: Mapping[int, Any]) -> None:
        self._guard, self._curl = guard, pycurl.Curl()
        self._lines: list[bytes] = []
        self._sockets: list[socket] = []
        self._reader: Reader | None = None
        self._head: Head | None = None
        self._error: BaseException | None = None
        self._set: dict[int, Any] = {}
        for option, value in settings.items():
            self._curl.setopt(option, value)
        self._curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        self._curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        self._curl.setopt(pycurl.WRITEFUNCTION, self._write)

    async def ask(
        self, multi: pycurl.AsyncCurlMulti, url: URL, headers: Sequence[str], addresses: Told, reader: Reader
    ) -> Head:
        """One exchange. Raises: as `Lines.exchange` does; the line is not to be used again then."""
        self._lines.clear()
        self._reader, self._head, self._error = reader, None, None
        self._curl.setopt(pycurl.URL, str(url))
        self._change(pycurl.HTTPHEADER, headers)
        if addresses:
            self._change(pycurl.RESOLVE, addresses)
        try:
            await multi.perform(self._curl)
            return self._headed()
        except asyncio.CancelledError:
            with suppress(RuntimeError):  # it has ended meanwhile
                multi.remove_handle(self._curl)
            raise
        except pycurl.error as error:
            if self._error is not None:
                raise self._error from None
            code, said = error.args
            raise ExchangeFailed(_REASONS.get(code, "bad_response"), said or f"libcurl's error {code}") from None
        finally:
            self._reader = None
            while self._sockets:  # libcurl has handles of its own to them
                self._sockets.pop().close()

    def _change(self, option: int, value: Any) -> None:
        if self._set.get(option) != value:
            self._curl.setopt(option, value)
            self._set[option] = value

    def _open(self, _purpose: int, address: Any) -> Any:
        """A socket for libcurl. One address that is blocked blocks the name: others are not tried after it."""
        family, kind, protocol, place = address
        try:
            if self._error is None:
                host, *rest = place
                text = host.decode() if isinstance(host, bytes) else host
                self._sockets.append(self._guard((family, kind, protocol, "", (text, *rest))))
                return self._sockets[-1]
        except OSError:
            return pycurl.SOCKET_BAD  # the next address may do
        except BaseException as error:  # noqa: BLE001 - raised where the exchange is waited for
            self._error = error
        return pycurl.SOCKET_BAD

    def _headed(self) -> Head:
        if self._head is None:
            assert self._reader is not None
            self._head = Head.parse(self._lines)
            self._reader.headed(self._head)
        return self._head

    def _write(self, piece: bytes) -> int | None:
        try:
            self._headed()
            assert self._reader is not None
            self._reader.came(piece)
        except BaseException as error:  # noqa: BLE001 - raised where the exchange is waited for
            self._error = error
            return -1
        return None


def _settings() -> dict[int, Any]:
    """What holds for every exchange."""
    return {
        pycurl.NOSIGNAL: 1,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.FOLLOWLOCATION: 0,
        pycurl.PATH_AS_IS: 1,
        pycurl.PROXY: "",  # one of the environment would connect in our place, past the guard
        pycurl.NOPROXY: "*",
        pycurl.NETRC: pycurl.NETRC_IGNORED,
        pycurl.CONNECTTIMEOUT_MS: int(CONNECT_S * 1000),
        pycurl.LOW_SPEED_LIMIT: 1,
        pycurl.LOW_SPEED_TIME: int(SILENCE_S),
        pycurl.BUFFERSIZE: BUFFER_BYTES,
        **_trusted(),
    }


def _trusted() -> dict[int, str]:
    """Where the certificates are that this machine trusts, or SSL_CERT_FILE and SSL_CERT_DIR say: as Python's own."""
    paths = ssl.get_default_verify_paths()
    found = {pycurl.CAINFO: paths.cafile, pycurl.CAPATH: paths.capath}
    return {option: path for option, path in found.items() if path is not None and os.path.exists(path)}


async def resolved(host: str, port: int) -> list[str]:
    """What the machine's resolver says of a name. Raises: OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
