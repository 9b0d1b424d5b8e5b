"""Members of archives: how a location names one, and which of a zip's are safe to read."""

import errno
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

MAX_MEMBERS = 5_000_000
MAX_NAME_BYTES = 255
# Honest images do not shrink a hundredfold; below the floor even a bomb does no harm.
MAX_RATIO = 100
RATIO_FLOOR = 16 << 20

# What the standard library may raise on an archive or member that is cut off, damaged or of an unknown kind.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)

# The standard library unpacks bzip2 and LZMA without a bound on the output of one read.
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x41  # flag bits 0 and 6: the old cipher, the strong ones
_UNIX, _KIND, _REGULAR, _UNSTATED = 3, 0o170000, 0o100000, 0
_LOCAL_HEADER_BYTES = 30


class TooManyMembers(ValueError):
    """An archive with more members than any data set has."""


@dataclass(frozen=True)
class Members:
    """The members of an archive: safe ones by name, and (name, problem) of every other; folders are neither."""

    safe: dict[str, zipfile.ZipInfo]
    unsafe: tuple[tuple[str, str], ...]


def is_damage(error: Exception) -> bool:
    """Whether one of `DAMAGE` tells of the archive's bytes (a seek to nowhere, say), not of a disk that fails."""
    return not isinstance(error, OSError) or error.errno in (None, errno.EINVAL)


def member_location(archive: str, member: str) -> str:
    """Name a member of an archive: `scrape.zip!nijijourney/102_p0.png`.

    Raises: ValueError when the archive's path would not be found again: it must end in `.zip` or `.tar`, and hold no
    `.zip!` or `.tar!`.
    """
    location = f"{archive}!{member}"
    if split_location(location) != (archive, member):
        raise ValueError(
            f"{archive}: expected a path that ends in .zip or .tar, with no '.zip!' or '.tar!' inside; rename it"
        )
    return location


def split_location(location: str) -> tuple[str, str | None]:
    """A location's path, and the member when it names one: what follows the first `.zip!` or `.tar!`."""
    if mark := re.search(r"(?<=\.(?:zip|tar))!", location, re.IGNORECASE):
        return location[: mark.start()], location[mark.end() :]
    return location, None


def sort_out(members: Collection[zipfile.ZipInfo]) -> Members:
    """Tell the regular, readable, soundly named members of an archive from all others.

    Every copy of a name that stands twice is refused, since readers do not agree on which one is meant.
    Raises: TooManyMembers.
    """
    if len(members) > MAX_MEMBERS:
        raise TooManyMembers(f"{len(members):,} members, expected at most {MAX_MEMBERS:,}")
    files = [member for member in members if not member.is_dir()]
    copies = Counter(member.filename for member in files)
    overlapping = _overlapping(files)
    safe: dict[str, zipfile.ZipInfo] = {}
    unsafe: set[tuple[str, str]] = set()
    for member in files:
        name = member.filename
        if copies[name] > 1:
            unsafe.add((name, f"{copies[name]} members have this name"))
        elif problem := name_problem(member.orig_filename) or _kind_problem(member):
            unsafe.add((name, problem))
        elif member.header_offset in overlapping:
            unsafe.add((name, "shares its bytes with another member"))
        else:
            safe[name] = member
    return Members(safe, tuple(sorted(unsafe)))


def name_problem(name: str) -> str | None:
    """Why a member's name is refused; null = it is a plain relative path."""
    if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "the name is empty or an absolute path"
    if "\\" in name:
        return "the name holds a backslash"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "the name holds a control character"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "the name has an empty, '.' or '..' part"
    if any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts):
        return f"the name has a part of more than {MAX_NAME_BYTES} bytes"
    return None


def _kind_problem(member: zipfile.ZipInfo) -> str | None:
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.create_system == _UNIX and (member.external_attr >> 16) & _KIND not in (_REGULAR, _UNSTATED):
        return "a link or device, no regular file"
    if member.compress_type not in _READABLE:
        return f"compression method {member.compress_type}; expected stored or deflate"
    if member.file_size > max(RATIO_FLOOR, MAX_RATIO * member.compress_size):
        return f"unpacks from {member.compress_size:,} to {member.file_size:,} bytes, more than {MAX_RATIO}:1"
    return None


def _overlapping(members: Iterable[zipfile.ZipInfo]) -> set[int]:
    """Header offsets of members whose bytes overlap: how one small file is listed as terabytes.

    Source: David Fifield, "A better zip bomb", WOOT 2019.
    """
    found: set[int] = set()
    holder, end = 0, 0
    for member in sorted(members, key=lambda member: (member.header_offset, member.filename)):
        if member.header_offset < end:
            found |= {holder, member.header_offset}
        if (its_end := member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size) > end:
            holder, end = member.header_offset, its_end
    return found
