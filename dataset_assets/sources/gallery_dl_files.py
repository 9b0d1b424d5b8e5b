"""The files of a scrape: a folder's, or those inside zip or tar archives, which are read in place."""

import errno
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dataset_assets.config import GalleryDlSource
from dataset_assets.domain.archive_members import DAMAGE, is_damage, member_location, sort_out, split_location
from dataset_assets.domain.tar_members import sort_out_tar
from dataset_assets.sources import DamagedExport
from dataset_assets.sources.links import LEADS_OUT

IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".zip", ".mp4", ".webm"))

# kohya's tags and captions of one image, and those of many: {"<stem or path>": {"caption": ..., "tags": ...}}.
TEXT_SUFFIXES = frozenset((".txt", ".caption"))
META_FILE = re.compile(r"(meta_[A-Za-z0-9_-]{1,64})\.json")


class Found(NamedTuple):
    """A file of a scrape. `mtime_ns` of a zip's member is its CRC-32, of a tar's its own time.

    The archive's own time would make every image look changed when one is added; the CRC changes with the image alone.
    """

    location: str
    size: int
    mtime_ns: int


class Unreadable(Exception):
    """A file of an archive that cannot be unpacked; the others can."""


@dataclass(frozen=True)
class Place:
    """A folder or an open archive: its files that matter, by name within the scrape; unsafe: (name, problem)."""

    read: Callable[[str, int], bytes]  # (name, limit): at most `limit` + 1 bytes
    files: dict[str, Found]
    unsafe: list[tuple[str, str]]

    def sidecars(self) -> list[str]:
        return sorted(name for name in self.files if is_sidecar(name))

    def images(self) -> list[str]:
        return sorted(name for name in self.files if is_image(name))

    def annotations(self) -> list[str]:
        return sorted(name for name in self.files if is_annotation(name))


def is_sidecar(name: str) -> bool:
    """Whether a file is an image's sidecar: the image's full name and `.json`, so not info.json or meta_cap.json."""
    return name[-len(".json") :].lower() == ".json" and is_image(name[: -len(".json")])


def is_image(name: str) -> bool:
    """Whether a file is media by its name; what a Mac leaves beside each file (`._1.png`) is not."""
    own_name = name.rpartition("/")[2]
    return os.path.splitext(own_name)[1].lower() in IMAGE_SUFFIXES and not own_name.startswith("._")


def is_annotation(name: str) -> bool:
    """Whether a file holds captions or tags in kohya's layout: `<stem>.txt`, `<stem>.caption` or `meta_*.json`."""
    own_name = split_name(name)[1]
    is_text = os.path.splitext(own_name)[1].lower() in TEXT_SUFFIXES
    return (is_text or is_meta_file(name)) and not own_name.startswith("._")


def is_meta_file(name: str) -> bool:
    """Whether a file is one of kohya's, of captions and tags of many images: meta_cap.json, meta_clean.json."""
    return META_FILE.fullmatch(split_name(name)[1]) is not None


def split_name(name: str) -> tuple[str, str]:
    """A name within the scrape as its folder (to the last `/`, or the archive's `!`) and the file's own name."""
    path, member = split_location(name)
    own_name = (path if member is None else member).rpartition("/")[2]
    return name.removesuffix(own_name), own_name


def places(source: GalleryDlSource) -> Iterator[Place]:
    """The scrape's folder, or its archives one after the other, each open until the next is asked for.

    Raises: DamagedExport when an archive is not whole, or there is none.
    """
    folder = source.resolve(source.images)
    if folder.is_dir():
        yield _folder(folder)
        return
    for archive in archives(source):
        with opened_archive(archive, base(source)) as place:
            yield place


def archives(source: GalleryDlSource) -> list[Path]:
    """The archives that the pattern names, by name. Raises: DamagedExport when there is none."""
    found = source.files([source.images])
    if not found:
        raise DamagedExport(f"{source.resolve(source.images)}: neither a folder nor an archive; see `images`")
    return found


def base(source: GalleryDlSource) -> Path:
    """The folder that names within the scrape start from: of a pattern, the last before a wildcard."""
    images = source.resolve(source.images)
    if images.is_dir():
        return images
    fixed = images.parent
    if not images.is_file():
        while re.search(r"[*?\[]", str(fixed)):
            fixed = fixed.parent
    return fixed


@contextmanager
def opened_archive(path: Path, start: Path) -> Iterator[Place]:
    """An archive's place. Raises: DamagedExport when its directory cannot be read."""
    if path.suffix.lower() == ".tar":
        with path.open("rb") as file:
            yield _tar_place(file, path, path.relative_to(start).as_posix())
        return
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        if not is_damage(error):
            raise
        raise DamagedExport(f"{path}: not a whole zip archive: {error}; fetch it again") from error
    with archive:
        try:
            place = _members(archive, str(path), path.relative_to(start).as_posix())
        except ValueError as error:
            raise DamagedExport(f"{path}: {error}") from error
        yield place


def _tar_place(file: BinaryIO, path: Path, within: str) -> Place:
    """Raises: DamagedExport when the archive is not whole, or its path cannot stand in a location."""

    def read(offset: int, length: int) -> bytes:
        return os.pread(file.fileno(), length, offset)

    def unpack(name: str, limit: int) -> bytes:
        found = members.safe[str(split_location(name)[1])]
        return read(found.offset, min(found.size, limit + 1))

    try:
        members = sort_out_tar(read, os.fstat(file.fileno()).st_size)
        anywhere, here = member_location(str(path), ""), member_location(within, "")
    except ValueError as error:
        raise DamagedExport(f"{path}: {error}; fetch it again") from error
    files = {
        here + name: Found(anywhere + name, found.size, found.mtime_ns)
        for name, found in members.safe.items()
        if _matters(name)
    }
    return Place(unpack, files, [(here + name, problem) for name, problem in members.unsafe])


def _members(archive: zipfile.ZipFile, path: str, within: str) -> Place:
    """Raises: ValueError when there are too many, or the archive's path cannot stand in a location."""
    anywhere, here = member_location(path, ""), member_location(within, "")
    members = sort_out(archive.infolist())
    return Place(
        read=lambda name, limit: _unpack(archive, name, limit),
        files={
            here + name: Found(anywhere + name, member.file_size, member.CRC)
            for name, member in members.safe.items()
            if _matters(name)
        },
        unsafe=[(here + name, problem) for name, problem in members.unsafe],
    )


def _unpack(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        with archive.open(str(split_location(name)[1])) as member:
            return member.read(limit + 1)
    except DAMAGE as error:
        if not is_damage(error):
            raise
        raise Unreadable(str(error) or type(error).__name__) from error


def _folder(folder: Path) -> Place:
    def read(name: str, limit: int) -> bytes:
        with open(os.path.join(folder, name), "rb") as file:
            fits = os.fstat(file.fileno()).st_size <= limit
            return file.read() if fits else file.read(limit + 1)

    place, within = Place(read, {}, []), len(str(folder)) + 1
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif _matters(entry.name) or os.path.isdir(entry.path):
                    name = entry.path[within:]
                    found = find(folder, name)
                    if isinstance(found, Found):
                        place.files[name] = found
                    else:
                        place.unsafe.append((_printable(name), found))
    return place


def _matters(name: str) -> bool:
    return is_image(name) or is_sidecar(name) or is_annotation(name)


def find(folder: Path, name: str) -> Found | str:
    """A file below a folder, or why it is not read. Raises: OSError when the disk fails."""
    path = os.path.join(folder, name)
    if _printable(path) != path:
        return "the name is not UTF-8"
    if split_location(path)[1] is not None:
        return "the path holds '.zip!', which stands between an archive and its member"
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return f"cannot be opened: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file; links to folders are not followed"
    if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        return LEADS_OUT
    return Found(path, status.st_size, status.st_mtime_ns)


def _printable(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
