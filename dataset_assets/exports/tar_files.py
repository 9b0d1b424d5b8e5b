"""Tar files whose bytes follow from their members alone: no time, no owner, no order of a folder.

A name is a word, a dot and an extension that is allowed; so no member can lie outside of the folder that someone
unpacks to, none is a link, and none is of a kind that a reader would run.
"""

import re
import tarfile
from types import TracebackType
from typing import BinaryIO, Self

import polars as pl

from dataset_assets.domain.file_kinds import KINDS
from dataset_assets.exports.members import CannotExport

# SVG is left out: it can hold scripts.
IMAGE_EXTENSIONS = frozenset(kind.extension for kind in KINDS.values() if kind.family == "image") - {"svg"}
TEXT_EXTENSIONS = frozenset({"txt", "json"})

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NAME_BYTES = 100  # of a plain USTAR header; longer names take a PAX header before it
_LARGEST = 8**11 - 1
_MODE = 0o644


class NotAllowed(CannotExport):
    """A member that may not be in an archive: its name, or the kind of file that it says it is."""


def require_allowed(word: str, extension: str) -> None:
    """Refuse a name. Raises: NotAllowed."""
    if not _WORD.fullmatch(word):
        raise NotAllowed(f"{word!r} names no member; expected letters, digits, _ and - alone")
    if extension not in IMAGE_EXTENSIONS and extension not in TEXT_EXTENSIONS:
        raise NotAllowed(f"{word}.{extension}: only images, .txt and .json leave; keep it out of the subset")


def bytes_in_tar(size: pl.Expr) -> pl.Expr:
    """What members of so many bytes take, with their headers; a name of more than 100 bytes takes 1.5 kB more."""
    block = tarfile.BLOCKSIZE
    return block + (size.cast(pl.Int64) + block - 1) // block * block


class TarWriter:
    """Writes members to a stream, one after another."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            end = 2 * tarfile.BLOCKSIZE
            self._stream.write(bytes(end + -(self._written + end) % tarfile.RECORDSIZE))

    def add(self, word: str, extension: str, data: bytes) -> None:
        """Write `word.extension`. Raises: NotAllowed."""
        require_allowed(word, extension)
        head, padding = header(f"{word}.{extension}", len(data)), bytes(-len(data) % tarfile.BLOCKSIZE)
        self._stream.writelines((head, data, padding))
        self._written += len(head) + len(data) + len(padding)


def header(name: str, size: int) -> bytes:
    """The header of a regular file, as `tarfile` writes it in PAX format, at a twelfth of its time."""
    encoded = name.encode()
    if len(encoded) > _NAME_BYTES or size > _LARGEST:
        return _information(name, size).tobuf(tarfile.PAX_FORMAT)
    named, sized = encoded.ljust(_NAME_BYTES, b"\0"), b"%011o\0" % size
    checksum = b"%06o\0 " % (_SUM + sum(named) + sum(sized))
    return b"".join((named, _OWNER, sized, _TIME, checksum, _KIND))


def _information(name: str, size: int) -> tarfile.TarInfo:
    information = tarfile.TarInfo(name)
    information.size, information.mode = size, _MODE
    return information


# What is the same in every header: mode, owner and group; time; from the kind of member on. A checksum counts itself
# as eight blanks.
_TEMPLATE = _information("", 0).tobuf(tarfile.USTAR_FORMAT)
_OWNER, _TIME, _KIND = _TEMPLATE[100:124], _TEMPLATE[136:148], _TEMPLATE[156:]
_SUM = sum(_OWNER) + sum(_TIME) + sum(_KIND) + 8 * ord(" ")
