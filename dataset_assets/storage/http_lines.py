"""Exchanges over HTTP by libcurl: whose socket is made, what the host says first, and each piece as it comes."""

import asyncio
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from socket import SOCK_STREAM, getaddrinfo, socket
from typing import Any, Protocol

import pycurl
from yarl import URL

from dataset_assets.storage.http_guard import Guard

CONNECT_S, SILENCE_S = 10.0, 15.0  # libcurl looks back over some seconds: it calls a host silent up to ten later
NAME_S, NAMES_KEPT_S = 15.0, 300.0
NAMES_AT_ONCE, NAMES_KEPT = 16, 10_000
BUFFER_BYTES = 1 << 18
MOST_DIGITS = 18  # of an announced length; who says more says nothing
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

    status: int  # 0 = the host says none of three digits
    fields: Mapping[str, Sequence[str]]  # by name in small letters

    def get(self, name: str) -> str | None:
        """The first value of a field; null = it is not there."""
        return self.fields.get(name, (None,))[0]

    @cached_property
    def length(self) -> int | None:
        """The bytes of the body that are announced; null = none are."""
        if "transfer-encoding" in self.fields:
            return None
        told = self.get("content-length") or ""
        digits = told.lstrip("0") or told[-1:]
        return int(digits) if re.fullmatch(f"[0-9]{{1,{MOST_DIGITS}}}", digits) else None

    @property
    def is_framed(self) -> bool:
        """Whether the host says where the body ends."""
        return self.length is not None or "chunked" in (self.get("transfer-encoding") or "").lower()

    @property
    def is_preliminary(self) -> bool:
        """Whether another head is to come."""
        return 100 <= self.status < 200

    @classmethod
    def parse(cls, lines: Sequence[bytes]) -> "Head":
        """Of the lines that came, the first head that is not preliminary."""
        status, fields, is_new = 0, {}, True  # type: int, dict[str, list[str]], bool
        for line in lines:
            if is_new:
                told = line.split(None, 2)[1:2]
                status, fields = int(told[0]) if told and re.fullmatch(rb"[0-9]{3}", told[0]) else 0, {}
            elif not line.strip() and not 100 <= status < 200:
                break  # what follows are trailers
            name, colon, value = line.decode("latin-1").partition(":")
            if colon and not is_new:
                fields.setdefault(name.strip().lower(), []).append(value.strip())
            is_new = not line.strip()
        return cls(status, fields)


class Reader(Protocol):
    """Takes an answer as it comes. What it raises ends the exchange."""

    def headed(self, head: Head) -> None:
        """What comes first, once."""

    def came(self, piece: bytes) -> None:
        """A piece of the body."""


class Lines:
    """Exchanges with hosts, many at once, over connections that are kept. To be used within one event loop."""

    def __init__(self, guard: Guard, resolver: Resolver | None = None, kept: int = 64) -> None:
        """`kept`: connections that stay open after what they were for."""
        self._guard, self._resolver, self._settings = guard, resolver or self._asked_of_the_machine, _settings()
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, kept)
        self._idle: list[_Line] = []
        self._names: dict[tuple[str, int], tuple[float, Told]] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[Told]] = {}
        # Threads of our own: an event loop's few are all taken by some names whose servers do not answer.
        self._threads = ThreadPoolExecutor(NAMES_AT_ONCE, "names")

    async def close(self) -> None:
        """Leave all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._multi.aclose()

    async def exchange(self, url: URL, headers: Sequence[str], reader: Reader) -> Head:
        """Ask for a URL, without following where it leads; `headers` are whole lines.

        Raises: ExchangeFailed; BlockedAddress; what the reader raises.
        """
        addresses = await self._addresses(url)
        line = self._idle.pop() if self._idle else _Line(self._guard, self._settings)
        try:
            return await line.ask(self._multi, url, headers, addresses, reader)
        finally:
            self._idle.append(line)

    async def _addresses(self, url: URL) -> Told:
        """Where a host is, as libcurl is told it; empty = it is an IPv6 number."""
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
            raise ExchangeFailed("dns_failed", f"{host}: {error or 'no answer'}") from None

    def _looked_up(self, name: tuple[str, int], done: asyncio.Task[Told]) -> None:
        del self._asked[name]
        if not done.cancelled():
            done.exception()  # asked for here: it may be that nobody waits any more

    async def _resolve(self, host: str, port: int) -> Told:
        name = host.rstrip(".")
        async with asyncio.timeout(NAME_S):
            found = await self._resolver(name, port)
        if not found:
            raise OSError("no address")
        plain = [address.partition("%")[0] for address in found]  # without a scope, which libcurl does not read here
        shown = ",".join(f"[{address}]" if ":" in address else address for address in plain)
        told = [f"+{one}:{port}:{shown}" for one in {host, name}]
        while len(self._names) >= NAMES_KEPT:
            del self._names[next(iter(self._names))]
        self._names[host, port] = asyncio.get_running_loop().time() + NAMES_KEPT_S, told
        return told

    async def _asked_of_the_machine(self, host: str, port: int) -> list[str]:
        """What the machine's resolver says of a name. Raises: OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, lambda: getaddrinfo(host, port, type=SOCK_STREAM))
        return list(dict.fromkeys(str(place[0]) for *_, place in found))


class _Line:
    """A handle of libcurl, for one exchange after another; what is said on it goes over any kept connection."""

    def __init__(self, guard: Guard, settings: Mapping[int, Any]) -> None:
        self._guard, self._curl = guard, pycurl.Curl()
        self._lines: list[bytes] = []
        self._sockets: list[socket] = []
        self._reader: Reader | None = None
        self._head: Head | None = None
        self._error: BaseException | None = None
        self._unopened: OSError | None = None
        for option, value in settings.items():
            self._curl.setopt(option, value)
        self._curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        self._curl.setopt(pycurl.HEADERFUNCTION, self._say)
        self._curl.setopt(pycurl.WRITEFUNCTION, self._write)

    async def ask(
        self, multi: pycurl.AsyncCurlMulti, url: URL, headers: Sequence[str], addresses: Told, reader: Reader
    ) -> Head:
        """One exchange. Raises: as `Lines.exchange` does."""
        self._lines.clear()
        self._reader, self._head, self._error, self._unopened = reader, None, None, None
        try:
            self._curl.setopt(pycurl.URL, str(url))
            self._curl.setopt(pycurl.HTTPHEADER, headers)
            if addresses:  # each time: libcurl forgets them after a minute, and would ask the machine itself
                self._curl.setopt(pycurl.RESOLVE, addresses)
            await multi.perform(self._curl)
            return self._begun()
        except asyncio.CancelledError:
            with suppress(RuntimeError):  # it has ended meanwhile
                multi.remove_handle(self._curl)
            raise
        except pycurl.error as error:
            if self._error is not None:
                raise self._error from None
            code, said = error.args
            why = f" ({self._unopened})" if self._unopened is not None else ""
            raise ExchangeFailed(_REASONS.get(code, "bad_response"), f"{said or code}{why}") from None
        finally:
            self._reader = None
            while self._sockets:  # libcurl has handles of its own to them
                self._sockets.pop().close()

    def _open(self, _purpose: int, address: Any) -> Any:
        """A socket for libcurl. After an address that is blocked no other one of the name is tried."""
        family, kind, protocol, place = address
        try:
            if self._error is None:
                host, *rest = place
                text = host.decode() if isinstance(host, bytes) else host
                self._sockets.append(self._guard((family, kind, protocol, "", (text, *rest))))
                return self._sockets[-1]
        except OSError as error:  # the next address may do
            self._unopened = error
        except BaseException as error:  # noqa: BLE001 - raised where the exchange is waited for
            self._error = error
        return pycurl.SOCKET_BAD

    def _say(self, line: bytes) -> int | None:
        if self._head is not None:
            return None  # a trailer
        self._lines.append(line)
        if line.strip() or (head := Head.parse(self._lines)).is_preliminary:
            return None
        return self._told(self._begin, head)

    def _begin(self, head: Head) -> None:
        assert self._reader is not None
        self._head = head
        self._reader.headed(head)

    def _begun(self) -> Head:
        if self._head is None:  # it ended without the empty line
            self._begin(Head.parse(self._lines))
        assert self._head is not None
        return self._head

    def _write(self, piece: bytes) -> int | None:
        assert self._reader is not None
        return self._told(self._reader.came, piece)

    def _told(self, function: Callable[..., object], *arguments: object) -> int | None:
        """Call the reader; what it raises ends the exchange, and is raised where that is waited for."""
        try:
            function(*arguments)
        except BaseException as error:  # noqa: BLE001
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


def _trusted() -> dict[int, str | None]:
    """Where the certificates are that this machine trusts, or SSL_CERT_FILE and SSL_CERT_DIR say: as Python's own."""
    paths = ssl.get_default_verify_paths()
    # What a variable names is taken as it is: where nothing lies there, nothing is trusted, in place of libcurl's own.
    file = os.environ.get(paths.openssl_cafile_env, paths.cafile)
    return {pycurl.CAINFO: file, pycurl.CAPATH: paths.capath}
