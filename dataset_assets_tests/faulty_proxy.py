"""An HTTP proxy on loopback that does to a share of requests what networks and object stores do to them."""

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["ok", "reset", "slow_down", "server_error", "slow", "lost_reply", "cut_reset", "cut_close", "flip"]
# Everything but flipped bits, which no layer below ours can see.
VISIBLE_FAULTS: tuple[Fault, ...] = (
    "reset", "slow_down", "server_error", "slow", "lost_reply", "cut_reset", "cut_close",
)  # fmt: skip
ALL_FAULTS: tuple[Fault, ...] = (*VISIBLE_FAULTS, "flip")


@dataclass(frozen=True)
class Request:
    """What is asked for: `path` is as sent, query included."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """An answer that the proxy gives itself."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def __bytes__(self) -> bytes:
        named = {"Content-Type": "application/xml", "Content-Length": str(len(self.body)), "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in (*named.items(), *self.headers)]
        return "\r\n".join([f"HTTP/1.1 {self.status} said by the proxy", *lines, "", ""]).encode() + self.body


def s3_error(status: int, code: str, message: str = "said by the proxy") -> Reply:
    """An error as S3 words it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, body.encode())


_OWN_REPLIES = {"slow_down": s3_error(503, "SlowDown"), "server_error": s3_error(500, "InternalError")}


@dataclass
class FaultyProxy:
    """Stands before a server on loopback; one request a connection. What it does may be changed at any time.

    `answer` may give a reply of its own to a request, before any fault; None = pass it on. Faults hit `share` of all
    requests that `hits` says yes to; the seed gives the order of the faults, which threads of a client may mix.
    """

    upstream: int
    share: float = 0.0
    faults: Sequence[Fault] = VISIBLE_FAULTS
    seed: int = 1
    answer: Callable[[Request], Reply | None] = lambda request: None
    hits: Callable[[Request], bool] = lambda request: True
    slow_s: float = 0.3
    counts: Counter[str] = field(default_factory=Counter)  # "GET flip": how often
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def faulted(self) -> int:
        """How many requests were met by a fault."""
        return sum(number for name, number in self.counts.items() if not name.endswith((" ok", " answered")))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        try:
            head, body = await _read_request(reader, writer)
            await self._handle(_request(head), head, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _handle(self, request: Request, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        own = self.answer(request)
        fault: Fault = "ok"
        if own is None and self.hits(request) and self._random.random() < self.share:
            fault = self._random.choice(self.faults)
            own = _OWN_REPLIES.get(fault)
        self.counts[f"{request.method} {fault if fault != 'ok' or own is None else 'answered'}"] += 1
        if fault == "reset":
            _reset(writer)
            return
        if own is not None:
            await _send(writer, bytes(own))
            return
        if fault == "slow":
            await asyncio.sleep(self.slow_s)
        reply = await _ask(self.upstream, head, body)
        await _spoil(writer, fault, reply, self._random)


async def _spoil(writer: asyncio.StreamWriter, fault: Fault, reply: bytes, choose: random.Random) -> None:
    """Send the server's reply, or what the fault leaves of it."""
    start = reply.find(b"\r\n\r\n") + 4
    middle = start + (len(reply) - start) // 2
    if fault == "lost_reply":
        _reset(writer)
    elif fault in ("cut_reset", "cut_close") and middle > start:
        await _send(writer, reply[:middle])
        if fault == "cut_reset":
            await asyncio.sleep(0.02)
            _reset(writer)
    elif fault == "flip" and middle > start:
        at = choose.randrange(start, len(reply))
        await _send(writer, reply[:at] + bytes([reply[at] ^ 1]) + reply[at + 1 :])
    else:
        await _send(writer, reply)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    headers = _request(head).headers
    if headers.get("expect", "").lower() == "100-continue":
        await _send(writer, b"HTTP/1.1 100 Continue\r\n\r\n")
    if "content-length" in headers:
        return head, await reader.readexactly(int(headers["content-length"]))
    body = b""
    while headers.get("transfer-encoding", "").lower() == "chunked" and not body.endswith(b"\r\n0\r\n\r\n"):
        line = await reader.readline()
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if not size:
            break
    return head, body


def _request(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path = first.split(" ")[:2]
    named = (line.partition(":") for line in lines if ":" in line)
    return Request(method, path, {name.strip().lower(): value.strip() for name, _, value in named})


async def _ask(port: int, head: bytes, body: bytes) -> bytes:
    """The server's whole reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = head.split(b"\r\n")[:-2]
    kept = [line for line in lines if not line.lower().startswith((b"connection:", b"expect:"))]
    writer.write(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
    try:
        return await reader.read(-1)
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side sees it reset."""
    its_socket = writer.get_extra_info("socket")
    if its_socket is not None:
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def faulty_proxy(upstream: int, **plan: object) -> Iterator[FaultyProxy]:
    """A proxy before the server at this port of 127.0.0.1, in a thread of its own; see `FaultyProxy` for the plan."""
    proxy = FaultyProxy(upstream, **plan)  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 20))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(timeout=20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=20)
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
