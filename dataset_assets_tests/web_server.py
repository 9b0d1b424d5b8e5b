"""A web server on loopback that misbehaves as told: each path has its own way to answer."""

import asyncio
import ssl
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any


@dataclass
class Request:
    """One request, and the way to answer it."""

    path: str
    headers: Mapping[str, str]
    number: int  # of this path, from 1
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        lines = {"Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        await self.send(f"HTTP/1.1 {status} x\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        """Break the connection as a crashed machine does."""
        self.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()


Handler = Callable[[Request], Awaitable[None]]


def bytes_of(data: bytes, **headers: str) -> Handler:
    """Answer with these bytes."""

    async def answer(request: Request) -> None:
        await request.reply(200, data, {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def status_of(status: int, **headers: str) -> Handler:
    """Answer with this status and an HTML page."""

    async def answer(request: Request) -> None:
        await request.reply(status, b"<html>", {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def one_after_another(*handlers: Handler) -> Handler:
    """Answer each request in its own way, those beyond as the last."""

    async def answer(request: Request) -> None:
        await handlers[min(request.number, len(handlers)) - 1](request)

    return answer


@dataclass
class WebServer:
    """The server, in a thread of its own. `requests` counts them by path, `seen` keeps their headers."""

    answers: dict[str, Handler] = field(default_factory=dict)
    default: Handler = field(default_factory=lambda: status_of(404))
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    requests: Counter[str] = field(default_factory=Counter)
    seen: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    connections: int = 0

    def __enter__(self) -> "WebServer":
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def url(self, path: str) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{path}"

    def give(self, path: str, handler: Handler | bytes) -> str:
        """Have a path answered in this way; returns its URL."""
        self.answers[path] = bytes_of(handler) if isinstance(handler, bytes) else handler
        return self.url(path)

    def _serve(self, started: threading.Event) -> None:
        async def main() -> None:
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._connected, self.host, 0, ssl=self.tls, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self._stop.wait()
            server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing() and (head := await reader.readuntil(b"\r\n\r\n")):
                first, *lines = head.decode("latin-1").split("\r\n")
                path = first.split(" ")[1]
                headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
                self.requests[path] += 1
                self.seen[path].append(headers)
                await self.answers.get(path, self.default)(Request(path, headers, self.requests[path], writer))
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client left, or the test did
        finally:
            writer.close()
