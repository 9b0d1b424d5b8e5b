"""JSON Lines out of plain, gzipped, xz-packed and archived files, streamed in pieces of bounded size."""

import gzip
import io
import lzma
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from dataset_assets.sources import DamagedExport
from dataset_assets.sources.json_arrays import elements, is_array

BLOCK_BYTES = 1 << 20
PIECE_BYTES = 32 << 20
MAX_LINE_BYTES = 16 << 20
BEGINNING_BYTES = 1_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP, _XZ, _TAR = (".gz", ".tgz"), (".xz", ".txz"), (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
_PACKED_BYTES_AT_A_TIME = 1 << 18
_BLOCKS_AHEAD = 8


@dataclass(frozen=True)
class Piece:
    """Whole lines that follow one another in a file; the file's last line may lack its newline.

    file: relative to the export's folder, within an archive archive!member; number: of the file, in reading order.
    is_cut: `data` is but the beginning of one line of more than MAX_LINE_BYTES.
    """

    file: str
    number: int
    data: bytes
    is_cut: bool = False


def pieces(files: Iterable[Path], folder: Path) -> Iterator[Piece]:
    """Read files of JSON Lines, one after the other; of an archive every regular member, in the archive's order.

    A file that is one JSON array, as an API's page is, counts as a line for each element. Nothing is unpacked to disk.
    Raises: DamagedExport when a file ends too early or cannot be unpacked.
    """
    streams = (stream for file in files for stream in _streams(file, folder))
    for number, (name, blocks) in enumerate(streams):
        for data, is_cut in _in_pieces(name, _without_byte_order_mark(blocks)):
            yield Piece(name, number, data, is_cut)


def _streams(path: Path, folder: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The name and content of a file, or of each member of an archive; one is read before the next is asked for."""
    name = printable(path.relative_to(folder).as_posix())
    with path.open("rb") as raw, _unpacked(path, raw) as unpacked:
        if path.name.lower().endswith(_TAR):
            yield from _members(path, raw, name, unpacked)
        else:
            yield name, _blocks(path, raw, unpacked)


def printable(name: str) -> str:
    """A file's name as text that can be written; bytes that are no UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@contextmanager
def _unpacked(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """The content of a file; what is packed is unpacked by a thread of its own, while what came before is read."""
    name = path.name.lower()
    if name.endswith((*_GZIP, *_XZ, *_TAR)) and path.stat().st_size == 0:
        raise DamagedExport(f"{path}: the file is empty, cut off at byte 0; fetch it again")
    if not name.endswith((*_GZIP, *_XZ)):
        yield raw
        return
    next_block = _XzBlocks(raw) if name.endswith(_XZ) else partial(gzip.GzipFile(fileobj=raw).read, BLOCK_BYTES)
    with ThreadPoolExecutor(1) as thread, io.BufferedReader(_ReadAhead(next_block, thread), BLOCK_BYTES) as content:
        yield cast(BinaryIO, content)


class _ReadAhead(io.RawIOBase):
    """The blocks that a function returns, the last of them empty; some are made ahead, by a single thread."""

    def __init__(self, next_block: Callable[[], bytes], thread: Executor) -> None:
        self._next_block, self._thread = next_block, thread
        self._ahead = deque(thread.submit(next_block) for _ in range(_BLOCKS_AHEAD))
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        if not self._block:
            self._block = memoryview(self._ahead.popleft().result())
            self._ahead.append(self._thread.submit(self._next_block))
        size = min(len(target), len(self._block))
        target[:size] = self._block[:size]
        self._block = self._block[size:]
        return size


class _XzBlocks:
    """What xz streams, one after the other, unpack to.

    Unlike `lzma.LZMAFile`, refuses what follows a stream and is none, instead of passing over the rest in silence.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        self._waiting = b""

    def __call__(self) -> bytes:
        while not self._decoder.eof or self._begin_next_stream():
            packed = self._take() if self._decoder.needs_input else b""
            if self._decoder.needs_input and not packed:
                raise EOFError("the xz stream has no end")
            if unpacked := self._decoder.decompress(packed, BLOCK_BYTES):
                return unpacked
        return b""

    def _take(self) -> bytes:
        packed, self._waiting = self._waiting, b""
        return packed or self._raw.read(_PACKED_BYTES_AT_A_TIME)

    def _begin_next_stream(self) -> bool:
        following = self._decoder.unused_data
        while following.strip(b"\0") == b"" and (more := self._take()):
            following = more
        self._waiting = following.lstrip(b"\0")  # xz pads streams with zeros
        if self._waiting:
            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        return bool(self._waiting)


@contextmanager
def _naming_damage(path: Path, raw: BinaryIO) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        raise DamagedExport(
            f"{path}: cut off or damaged, found at byte {raw.tell():,} of {path.stat().st_size:,} ({error}); "
            "a shorter table would be a silent loss, so nothing was written; fetch the file again"
        ) from error


def _blocks(path: Path, raw: BinaryIO, content: BinaryIO) -> Iterator[bytes]:
    while True:
        with _naming_damage(path, raw):
            block = content.read(BLOCK_BYTES)
        if not block:
            return
        yield block


class _Member(tarfile.TarInfo):
    """A member whose header, unless whole, is damage: `tarfile` takes a broken one for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.count(0) == tarfile.BLOCKSIZE:  # the mark that ends an archive
                raise
            raise tarfile.ReadError(f"no header of a member: {error}") from error


def _members(path: Path, raw: BinaryIO, name: str, unpacked: BinaryIO) -> Iterator[tuple[str, Iterator[bytes]]]:
    with _naming_damage(path, raw):
        archive = tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Member, bufsize=BLOCK_BYTES)  # noqa: SIM115 - below
    with archive:
        while True:
            with _naming_damage(path, raw):
                member = archive.next()
            if member is None:
                break
            if member.isreg() and not member.issparse() and (content := archive.extractfile(member)):
                yield f"{name}!{printable(member.name)}", _blocks(path, raw, cast(BinaryIO, content))
        for _ in _blocks(path, raw, unpacked):
            pass  # only at its end does a packed file show whether it was whole


def _without_byte_order_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(blocks, b"")
    yield first.removeprefix(_BYTE_ORDER_MARK)
    yield from blocks


def _in_pieces(name: str, blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    head = next(blocks)
    whole = chain([head], blocks)
    return _lines_in_pieces(elements(name, whole, MAX_LINE_BYTES) if is_array(head) else whole)


def _lines_in_pieces(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    waiting: list[bytes] = []
    size = 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size < PIECE_BYTES:
            continue
        if b"\n" not in block:
            waiting = [b"".join(waiting)]
        lines, newline, rest = waiting.pop().rpartition(b"\n")
        if newline:
            yield b"".join([*waiting, lines, newline]), False
        elif len(rest) > MAX_LINE_BYTES:
            yield rest[:BEGINNING_BYTES], True
            rest = _after_newline(blocks)
        waiting, size = [rest], len(rest)
    if last := b"".join(waiting):
        yield last, False


def _after_newline(blocks: Iterator[bytes]) -> bytes:
    for block in blocks:
        if b"\n" in block:
            return block.partition(b"\n")[2]
    return b""
