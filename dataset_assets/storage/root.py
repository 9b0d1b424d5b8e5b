"""The root of a dataset, on a disk or in a bucket, behind one seam.

Tables, images, shards, locks, kept exports and indexes all lie below it by relative names. A file is replaced whole;
a partition of a table is replaced together with the record that says what it holds.

Readers are always given a file of this machine: on a disk the file itself, of a bucket a copy whose SHA-256 was
compared when it was fetched. So one way of reading serves Polars, DuckDB (whose own S3 support is a download) and
memory maps, a byte that was flipped on the way is met where it can be asked for again, and a table that is read by
ten assets is fetched once. `s3://` is for readers that are not ours.
"""

import json
import os
import stat
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from dataset_assets.places import Place
from dataset_assets.storage.durable import (
    make_durable,
    place,
    remove_tree,
    scratch_file,
    sha256_of,
    write_aside,
    write_through,
)
from dataset_assets.storage.listed import Listed, listed_in_folder, remove_from_folder
from dataset_assets.storage.locks import partition_lock

Item = TypeVar("Item")
Result = TypeVar("Result")


class RootUnavailable(Exception):
    """A bucket that does not answer, or not to these credentials; no fault of any image."""


class WrongRoot(Exception):
    """A bucket that dataset.yaml names and that cannot serve as a root."""


class Replaced(Exception):
    """A file that another run has replaced since it was looked at."""


class Held(NamedTuple):
    """A partition's file as it stands, with its record.

    record: null = never written. size: null = the file is not there. version: what a replacement is held against.
    """

    record: dict[str, Any] | None
    size: int | None
    version: str | None = None


class Root(Protocol):
    """What a root can do. Names are relative, with slashes; those that end in a slash mean all below them."""

    @property
    def is_bucket(self) -> bool: ...

    @property
    def scratch(self) -> Path:
        """A folder of this machine where files are made, apart from all that readers see."""

    def require(self) -> None:
        """Refuse a root that cannot serve as one, by trying it. Raises: WrongRoot; RootUnavailable."""

    def shown(self, name: str) -> str:
        """A name as a person or another program would write it."""

    def get(self, name: str) -> bytes:
        """Raises: FileNotFoundError."""

    def put(self, name: str, data: bytes) -> None:
        """Store bytes, in place of what was there."""

    def write(self, name: str, data: bytes) -> None:
        """The same of one of many files: it outlasts the process at once, and a power cut after `settle`."""

    def keep(self, name: str, data: bytes) -> None:
        """Store bytes whose name tells their content; what is there with this size is left alone.

        They outlast the process at once, and a power cut after `settle`.
        """

    def settle(self) -> None:
        """Make what was kept outlast a power cut: once for many files, before something says that they are there."""

    def put_file(self, name: str, finished: Path) -> Path:
        """Move a finished file into the root; returns where it can be read."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; null = not there."""

    def stamp(self, name: str) -> Hashable:
        """Something that changes when a file is replaced; null = not there."""

    def file(self, name: str) -> Path:
        """A file of this machine that holds what lies there; it does not exist where nothing does."""

    def names(self, below: str) -> list[str]:
        """The files below a folder, in order of name."""

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """The files below a folder with their bytes, in any order; some of them may be gone by then."""

    def listed(self, below: str, skipped: Collection[str] = ()) -> Iterator[Listed]:
        """The files below a folder ("" = all), those of one folder together; folders in `skipped` are not looked into.

        However many there are, memory holds those of one folder or page.
        """

    def remove_listed(self, files: Collection[Listed]) -> list[Listed]:
        """Remove files, as far as they are still as they were listed; a bucket does not look again.

        Returns: those that were removed.
        """

    def sha256(self, name: str) -> str | None:
        """The SHA-256 of a file's bytes, hex; null = not there."""

    def forget_copies(self, name: str) -> None:
        """Remove what this machine keeps of a file's former versions, or of one that is gone."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder and all in it; one that is not there is no error."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a name against other writers. Raises: PartitionLocked."""

    def held(self, name: str, record: str) -> Held:
        """A partition's file and its record, of which the names are given."""

    def has_content(self, name: str, sha256: str) -> bool:
        """Whether a file that is there has this content, by reading it."""

    def publish(self, name: str, record: str, finished: Path | None, values: Mapping[str, Any], over: Held) -> None:
        """Move a finished file to its name, with its record; without a file, only the record changes.

        Raises: Replaced when the file that is there is no longer the one in `over`.
        """

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """A function of each item, in their order; several at a time where waiting is most of the work."""


@dataclass(frozen=True)
class Folder:
    """A root on a disk."""

    path: Path
    is_bucket = False

    @property
    def scratch(self) -> Path:
        return self.path / "_tmp"

    def require(self) -> None:
        """A folder was tried when the settings were checked."""

    def shown(self, name: str) -> str:
        return str(self.path / name)

    def get(self, name: str) -> bytes:
        return Path(self._inside(name)).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        self.write(name, data)
        make_durable(self.path / name)

    def write(self, name: str, data: bytes) -> None:
        write_aside(self._inside(name), data)

    def keep(self, name: str, data: bytes) -> None:
        if self.size(name) != len(data):
            self.write(name, data)

    def settle(self) -> None:
        write_through(self.path)

    def put_file(self, name: str, finished: Path) -> Path:
        place(finished, self.path / name)
        return self.path / name

    def _inside(self, name: str) -> str:
        """Where a name lies, as text: a path object costs as much as the look at the disk that follows."""
        if ".." in name and ".." in name.split("/"):
            raise FileNotFoundError(f"{name} is not below {self.path}")
        return f"{self._text}/{name}"

    @cached_property
    def _text(self) -> str:
        return str(self.path)

    def size(self, name: str) -> int | None:
        try:  # a tenth of what the store's own call takes, and it is asked of every image
            found = os.stat(f"{self._text}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def stamp(self, name: str) -> Hashable:
        try:
            found = os.stat(self.path / name)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def file(self, name: str) -> Path:
        return self.path / name

    def names(self, below: str) -> list[str]:
        files = (file for file in (self.path / below).rglob("*") if file.is_file())
        return sorted(file.relative_to(self.path).as_posix() for file in files)

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self.path / below):
            for file in files:
                path = Path(folder, file)
                with suppress(FileNotFoundError):
                    if not path.is_symlink():
                        yield path.relative_to(self.path).as_posix(), path.stat().st_size

    def listed(self, below: str, skipped: Collection[str] = ()) -> Iterator[Listed]:
        return listed_in_folder(self.path, below, skipped)

    def remove_listed(self, files: Collection[Listed]) -> list[Listed]:
        return remove_from_folder(self.path, files)

    def sha256(self, name: str) -> str | None:
        try:
            return sha256_of(self.path / name)
        except FileNotFoundError:
            return None

    def forget_copies(self, name: str) -> None:
        """There are none: readers are given the file itself."""

    def remove(self, name: str) -> None:
        if name.endswith("/"):
            remove_tree(self.path / name)
        else:
            (self.path / name).unlink(missing_ok=True)

    def lock(self, name: str) -> AbstractContextManager[None]:
        return partition_lock(self.path / name)

    def held(self, name: str, record: str) -> Held:
        try:
            written = json.loads((self.path / record).read_text("utf-8"))
        except FileNotFoundError:
            written = None
        file = self.path / name
        return Held(written, file.stat().st_size if file.is_file() else None)

    def has_content(self, name: str, sha256: str) -> bool:
        return sha256_of(self.path / name) == sha256

    def publish(self, name: str, record: str, finished: Path | None, values: Mapping[str, Any], over: Held) -> None:
        # The record has its bytes on the disk before the file is replaced: on a full disk the old table stays whole.
        with scratch_file(self.scratch) as fresh:
            fresh.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
            make_durable(fresh)
            (self.path / record).parent.mkdir(parents=True, exist_ok=True)
            if finished is not None:
                place(finished, self.path / name)
            place(fresh, self.path / record)

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        return [function(item) for item in items]


@lru_cache(maxsize=8)
def opened(at: Place) -> Root:
    """The root at a place."""
    if isinstance(at, Path):
        return Folder(at)
    from dataset_assets.storage.bucket_root import Bucket

    return Bucket(at)
