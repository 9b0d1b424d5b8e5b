"""Bytes of a path, or of a member read in place from a zip or tar archive (`scrape.zip!niji/1_p0.png`)."""

import atexit
import io
import os
import stat
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, cast

from dataset_assets.domain.archive_members import DAMAGE, Members, is_damage, sort_out, split_location
from dataset_assets.domain.tar_members import TarMembers, sort_out_tar

OPEN_ARCHIVES = 4
_CHUNK_BYTES = 1 << 20


class LocationMissing(Exception):
    """There is no such file, archive or member."""


class TooLarge(Exception):
    """A file of more bytes than the limit."""


class DamagedMember(Exception):
    """A member, or its whole archive, that is cut off, has a wrong CRC, is encrypted, or is refused as unsafe."""


class LocationStat(NamedTuple):
    """Size in bytes, and a number that changes with the content.

    That is mtime_ns of a plain file, and of a tar's member, which has a time of its own; the CRC-32 of a zip's member.
    """

    size: int
    mtime_ns: int


def stat_location(location: str) -> LocationStat:
    """Size and age of a location, from the file system or the archive's directory.

    Raises: LocationMissing; DamagedMember; OSError when the disk fails.
    """
    path, name = split_location(location)
    if name is None:
        found = _stat_file(path)
        return LocationStat(found.st_size, found.st_mtime_ns)
    with _ARCHIVES.lock:
        return _ARCHIVES.open(path).stat(name)


def read_location(location: str, limit: int) -> bytes:
    """All bytes of a location.

    Raises: LocationMissing; DamagedMember; TooLarge above `limit` bytes, by what is claimed and by what is read;
    OSError when the disk fails.
    """
    claimed = stat_location(location).size
    if claimed > limit:
        raise TooLarge(f"{location}: {claimed:,} bytes, expected at most {limit:,}")
    chunks, left = [], limit + 1
    with open_location(location) as stream:
        while left and (chunk := stream.read(min(left, _CHUNK_BYTES))):
            chunks.append(chunk)
            left -= len(chunk)
    if not left:
        raise TooLarge(f"{location}: more than {limit:,} bytes were read; {claimed:,} were claimed")
    return b"".join(chunks)


@contextmanager
def open_location(location: str) -> Iterator[BinaryIO]:
    """A location as a stream to read from start to end; what is damaged is found by reading to the end.

    Raises: LocationMissing; DamagedMember, from `read` too; OSError when the disk fails.
    """
    path, name = split_location(location)
    if name is None:
        _stat_file(path)
        with open(path, "rb") as file:
            yield file
        return
    with _ARCHIVES.lock:
        raw = _ARCHIVES.open(path).stream(name)
    with io.BufferedReader(raw, _CHUNK_BYTES) as stream:
        yield cast(BinaryIO, stream)


def list_members(archive: Path) -> Members | TarMembers:
    """The members of an archive, those that are safe to read and those that are refused.

    Raises: LocationMissing; DamagedMember when the archive is not whole; OSError when the disk fails.
    """
    with _ARCHIVES.lock:
        return _ARCHIVES.open(str(archive)).members


def member_stats(members: Members | TarMembers) -> Iterator[tuple[str, LocationStat]]:
    """Name, size and age of each member that is safe to read."""
    if isinstance(members, TarMembers):
        yield from ((name, LocationStat(found.size, found.mtime_ns)) for name, found in members.safe.items())
    else:
        yield from ((name, LocationStat(found.file_size, found.CRC)) for name, found in members.safe.items())


def close_archives() -> None:
    """Close every archive that is kept open; the next read opens what it needs."""
    _ARCHIVES.close()


def _stat_file(path: str) -> os.stat_result:
    """Raises: LocationMissing when there is no regular file (a pipe would block whoever opens it)."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise LocationMissing(f"{path}: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise LocationMissing(f"{path}: not a regular file")
    return found


@contextmanager
def _damage_said(location: str) -> Iterator[None]:
    """Turn what a damaged archive makes the standard library raise into DamagedMember; a failing disk stays OSError."""
    try:
        yield
    except DAMAGE as error:
        if not is_damage(error):
            raise
        raise DamagedMember(f"{location}: {str(error) or type(error).__name__}") from error


class _MemberStream(io.RawIOBase):
    """The bytes of one member, which must be as many as the archive's directory claims."""

    def __init__(self, source: IO[bytes], location: str, size: int) -> None:
        self._source, self._location, self._left = source, location, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _damage_said(self._location):
            chunk = self._source.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._left -= len(chunk)
        if not chunk and self._left:
            raise DamagedMember(f"{self._location}: ends {self._left:,} bytes before its claimed size")
        return len(chunk)

    def close(self) -> None:
        self._source.close()
        super().close()


@dataclass(frozen=True)
class _Archive:
    path: str
    file: zipfile.ZipFile
    members: Members
    refused: dict[str, str]

    def member(self, name: str) -> zipfile.ZipInfo:
        if name in self.refused:
            raise DamagedMember(f"{self.path}!{name}: {self.refused[name]}")
        if name not in self.members.safe:
            raise LocationMissing(f"{self.path}: has no member {name}")
        return self.members.safe[name]

    def stat(self, name: str) -> LocationStat:
        member = self.member(name)
        return LocationStat(member.file_size, member.CRC)

    def stream(self, name: str) -> _MemberStream:
        member, location = self.member(name), f"{self.path}!{name}"
        with _damage_said(location):
            return _MemberStream(self.file.open(member), location, member.file_size)

    def close(self) -> None:
        self.file.close()


@dataclass(frozen=True)
class _TarArchive:
    """A tar archive whose headers were read once; members are read at their offsets."""

    path: str
    file: BinaryIO
    members: TarMembers
    refused: dict[str, str]

    def stat(self, name: str) -> LocationStat:
        if name in self.refused:
            raise DamagedMember(f"{self.path}!{name}: {self.refused[name]}")
        if name not in self.members.safe:
            raise LocationMissing(f"{self.path}: has no member {name}")
        found = self.members.safe[name]
        return LocationStat(found.size, found.mtime_ns)

    def stream(self, name: str) -> _MemberStream:
        size, offset = self.stat(name).size, self.members.safe[name].offset
        content = cast(IO[bytes], _Slice(os.dup(self.file.fileno()), offset, size))
        return _MemberStream(content, f"{self.path}!{name}", size)

    def close(self) -> None:
        self.file.close()


class _Slice(io.RawIOBase):
    """Some bytes of an open file, whose position others move."""

    def __init__(self, handle: int, offset: int, size: int) -> None:
        self._handle, self._at, self._end = handle, offset, offset + size

    def read(self, length: int = -1, /) -> bytes:
        left = self._end - self._at
        chunk = os.pread(self._handle, left if length < 0 else min(length, left), self._at)
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        if not self.closed:
            os.close(self._handle)
        super().close()


def _open_archive(path: str) -> "_Archive | _TarArchive":
    return _open_tar(path) if path[-4:].lower() == ".tar" else _open_zip(path)


def _open_tar(path: str) -> _TarArchive:
    file = open(path, "rb")  # noqa: SIM115 - it stays open as long as the archive is kept
    try:
        total = os.fstat(file.fileno()).st_size
        with _damage_said(path):
            members = sort_out_tar(lambda offset, length: os.pread(file.fileno(), length, offset), total)
    except BaseException:
        file.close()
        raise
    return _TarArchive(path, file, members, dict(members.unsafe))


def _open_zip(path: str) -> _Archive:
    with _damage_said(path):
        file = zipfile.ZipFile(path)
        try:
            members = sort_out(file.infolist())
        except BaseException:
            file.close()
            raise
    return _Archive(path, file, members, dict(members.unsafe))


@dataclass
class _OpenArchives:
    """The archives last used, kept open: reading a directory of 100,000 members takes longer than reading an image.

    Who calls `open` holds `lock` until the member's stream is made; after that the stream outlives an eviction.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    _by_path: OrderedDict[str, tuple[tuple[int, int, int], _Archive | _TarArchive]] = field(default_factory=OrderedDict)

    def open(self, path: str) -> _Archive | _TarArchive:
        """The archive as it is on disk now: one that was replaced is opened anew."""
        found = _stat_file(path)
        version = (found.st_mtime_ns, found.st_size, found.st_ino)
        known, archive = self._by_path.get(path, (None, None))
        if archive is None or known != version:
            self._drop(path)
            archive = _open_archive(path)
            self._by_path[path] = (version, archive)
            while len(self._by_path) > OPEN_ARCHIVES:
                self._drop(next(iter(self._by_path)))
        self._by_path.move_to_end(path)
        return archive

    def _drop(self, path: str) -> None:
        if path in self._by_path:
            self._by_path.pop(path)[1].close()

    def close(self) -> None:
        with self.lock:
            for path in list(self._by_path):
                self._drop(path)


_ARCHIVES = _OpenArchives()


def _forget_after_fork() -> None:
    """A forked child shares file positions with its parent, and a lock that another thread held: start anew."""
    global _ARCHIVES
    _ARCHIVES = _OpenArchives()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(close_archives)
