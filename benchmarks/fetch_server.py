"""A web server of images for benchmarks: `python -m benchmarks.fetch_server` says its port and serves until killed.

Each path is an image of 76 kB, all of them different; nothing is read from a disk, so that the client is what is timed.
"""

import asyncio
import io
import sys
from typing import cast

import numpy as np
from PIL import Image

BYTES = 76_000


def jpeg() -> bytes:
    """A JPEG of some 76 kB."""
    noise = np.random.default_rng(7).integers(0, 256, (330, 330, 3), dtype=np.uint8)
    with io.BytesIO() as buffer:
        Image.fromarray(noise).save(buffer, "JPEG", quality=76)
        return buffer.getvalue()[: BYTES - 2]


class Images(asyncio.Protocol):
    """Answers each request with the image of its path, on a connection that is kept."""

    body = jpeg()
    head = b'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            path = self.buffer[: self.buffer.index(b"\r\n")].split(b" ")[1]
            self.buffer = self.buffer[end + 4 :]
            tail = path + b"\xff\xd9"
            size = len(self.body) + len(tail)
            self.transport.writelines([self.head % size, self.body, tail])


async def serve() -> None:
    """Serve on a free port of loopback."""
    server = await asyncio.get_running_loop().create_server(Images, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
