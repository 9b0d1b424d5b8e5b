"""The bytes of an answer as they come: counted, hashed, in memory while they are few, then in a file."""

import hashlib
import tempfile
from pathlib import Path
from typing import IO, NamedTuple

IN_MEMORY_BYTES = 4 << 20
END_BYTES = 64


class Digests(NamedTuple):
    """Hashes of a whole body, hex."""

    md5: str
    sha256: str


class ScratchFailed(Exception):
    """A disk that takes no more. No OSError: it would be held to be the network's."""


class BodyClosed(Exception):
    """The bytes are gone, or going."""


class Body:
    """A body in the making, then a whole one. `scratch` takes what does not stay in memory, and is left empty."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._md5, self._sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        self.size = 0
        self.tail = b""

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.tail = chunk[-END_BYTES:] if len(chunk) >= END_BYTES else (self.tail + chunk)[-END_BYTES:]
        self._chunks.append(chunk)
        if self._file is not None or self.size > IN_MEMORY_BYTES:
            self._spill()

    def _spill(self) -> None:
        try:
            if self._file is None:
                self._scratch.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._scratch, buffering=0)  # noqa: SIM115 - `close` does
            for chunk in self._chunks:
                self._hash(chunk)
                self._write(self._file, chunk)
        except OSError as error:
            raise ScratchFailed(f"{self._scratch}: {error}; make room there and run again") from error
        self._chunks.clear()

    @staticmethod
    def _write(file: IO[bytes], chunk: bytes) -> None:
        """All of a chunk: a file without a buffer may take a part of it."""
        left = memoryview(chunk)
        while left:
            left = left[file.write(left) :]

    def _hash(self, chunk: bytes) -> None:
        self._md5.update(chunk)
        self._sha256.update(chunk)

    def digests(self) -> Digests:
        """Hashes of the whole. Of a body in memory they are made here, which a thread can do beside others; once."""
        if self._file is None:
            self._hash(self.whole())
        return Digests(self._md5.hexdigest(), self._sha256.hexdigest())

    def whole(self) -> bytes:
        """The whole body; a large one is read back.

        Raises: BodyClosed when another thread has let go of the bytes: a stopped run must keep no part of a file.
        """
        if self._file is not None:
            self._file.seek(0)
            data = self._file.read()
        elif len(chunks := self._chunks) == 1:
            data = chunks[0]
        else:
            data = b"".join(chunks)
            self._chunks[:] = [data] if data else []
        if len(data) != self.size:
            raise BodyClosed(f"{len(data):,} of {self.size:,} bytes are left")
        return data

    def head(self, size: int) -> bytes:
        """The first bytes."""
        if self._file is not None:
            self._file.seek(0)
            return self._file.read(size)
        return self.whole()[:size]

    def close(self) -> None:
        """Let go of the bytes."""
        self._chunks.clear()
        if self._file is not None:
            self._file.close()
