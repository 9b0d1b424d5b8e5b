"""Members of tar archives, found header by header: which are safe to read, and where their bytes lie.

The standard library would read a hostile header of gigabytes into memory and follow links; here a header has a limit,
and what is no regular file is refused.
"""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dataset_assets.domain.archive_members import MAX_MEMBERS, TooManyMembers, name_problem

BLOCK = 512
MAX_HEADER_BYTES = 1 << 20  # of a long name or of extended attributes
LAST_SECOND = (1 << 63) // 10**9 - 1  # whose nanoseconds a column of a table can hold

_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL = b"L", b"K", (b"x", b"X"), b"g"
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_KNOWN = tarfile.SUPPORTED_TYPES  # of the others it is known that content follows, as far as their size says


class DamagedTar(ValueError):
    """A tar archive that is cut off, or whose headers are none."""


class TarMember(NamedTuple):
    """A regular file in a tar archive: where its bytes begin, how many there are, and its own time."""

    offset: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class TarMembers:
    """The members of a tar archive: safe ones by name, and (name, problem) of every other; folders are neither."""

    safe: dict[str, TarMember]
    unsafe: tuple[tuple[str, str], ...]


class _Block(NamedTuple):
    """A header of 512 bytes."""

    name: str
    size: int
    mtime: int
    kind: bytes


class _Header(NamedTuple):
    kind: bytes
    name: str
    size: int
    mtime: int
    offset: int
    is_sparse: bool

    @property
    def is_folder(self) -> bool:
        return self.kind == tarfile.DIRTYPE or (self.kind == tarfile.AREGTYPE and self.name.endswith("/"))


def sort_out_tar(read: Callable[[int, int], bytes], total: int) -> TarMembers:
    """Tell the regular, soundly named members of a plain tar archive of `total` bytes from all others.

    `read` gives the bytes at (offset, length). Every copy of a name that stands twice is refused, since readers do not
    agree on which one is meant.
    Raises: DamagedTar; TooManyMembers.
    """
    safe: dict[str, TarMember] = {}
    unsafe: dict[str, str] = {}
    for number, header in enumerate(_headers(read, total), 1):
        if number > MAX_MEMBERS:
            raise TooManyMembers(f"more than {MAX_MEMBERS:,} members")
        if header.is_folder:
            continue
        name = header.name.removeprefix("./")
        if name in safe or name in unsafe:
            safe.pop(name, None)
            unsafe[name] = "several members have this name"
        elif problem := name_problem(name) or _kind_problem(header):
            unsafe[name] = problem
        else:
            safe[name] = TarMember(header.offset, header.size, min(header.mtime, LAST_SECOND) * 1_000_000_000)
    return TarMembers(safe, tuple(sorted(unsafe.items())))


def _kind_problem(header: _Header) -> str | None:
    if header.kind not in _REGULAR:
        return "a link or device, no regular file"
    return "a sparse file" if header.is_sparse else None


def _headers(read: Callable[[int, int], bytes], total: int) -> Iterator[_Header]:
    """The members' headers in order, each with what the extended headers before it say."""
    at, said = 0, dict[str, str]()
    while block := _block_at(read, at, total):
        found = _parsed(block, at)
        at += BLOCK
        if found.kind in (_LONG_NAME, _LONG_LINK, _GLOBAL, *_EXTENDED):
            said |= _said_by(found.kind, _content(read, at, found.size, total))
            at += _padded(found.size)
            continue
        size = int(said["size"]) if "size" in said else found.size
        has_content = found.kind in _REGULAR or found.kind not in _KNOWN
        if has_content and at + size > total:
            raise DamagedTar(f"{found.name!r}: {size:,} bytes at {at:,} reach beyond the archive's {total:,}")
        is_sparse = any(key.startswith("GNU.sparse") for key in said)
        yield _Header(found.kind, said.get("path", found.name), size, found.mtime, at, is_sparse)
        at, said = at + (_padded(size) if has_content else 0), {}


def _block_at(read: Callable[[int, int], bytes], at: int, total: int) -> bytes | None:
    """The header at an offset; null = the mark at the end of the archive."""
    block = read(at, BLOCK)
    if len(block) < BLOCK:
        raise DamagedTar(f"ends at {total:,} bytes without a mark that this is the end")
    return block if any(block) else None


def _parsed(block: bytes, at: int) -> _Block:
    """Source: POSIX.1-1988, ustar; GNU tar writes large numbers in base 256."""
    # The checksum counts its own eight bytes as blanks.
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
        raise DamagedTar(f"no header at byte {at:,}: its checksum is wrong")
    size, mtime = _number(block[124:136]), _number(block[136:148])
    if size is None or mtime is None:
        raise DamagedTar(f"no header at byte {at:,}: a number in it is none")
    name, prefix = (part.split(b"\0", 1)[0] for part in (block[:100], block[345:500]))
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    return _Block(name.decode("utf-8", "surrogateescape"), size, mtime, block[156:157])


def _number(field: bytes) -> int | None:
    """Octal digits, or base 256 with the first bit set; null = neither, or below zero."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else None


def _content(read: Callable[[int, int], bytes], at: int, size: int, total: int) -> bytes:
    if not 0 <= size <= MAX_HEADER_BYTES:
        raise DamagedTar(f"a header of {size:,} bytes at {at:,}, expected at most {MAX_HEADER_BYTES:,}")
    content = read(at, size)
    if len(content) < size:
        raise DamagedTar(f"ends at {total:,} bytes within a header")
    return content


def _said_by(kind: bytes, content: bytes) -> dict[str, str]:
    """What an extended header says of the member after it."""
    if kind == _LONG_NAME:
        return {"path": content.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    return dict(_records(content)) if kind in _EXTENDED else {}


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """Keys and values of extended attributes: `27 path=a.png\\n`, the number counting the whole record."""
    while content.strip(b"\0"):
        digits = content.split(b" ", 1)[0]
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        key, is_there, value = content[len(digits) + 1 : length].partition(b"=")
        if length < 5 or length > len(content) or not is_there or not value.endswith(b"\n"):
            raise DamagedTar("extended attributes that are none")
        text = value[:-1].decode("utf-8", "surrogateescape")
        if key == b"size" and not (text.isascii() and text.isdigit() and len(text) < 19):
            raise DamagedTar(f"a member's size is {text[:40]!r}")
        yield key.decode("utf-8", "replace"), text
        content = content[length:]


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
