"""Where an export is written: a folder, or a place in a bucket.

What was finished before a stop is not written again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from dataset_assets.places import Place
from dataset_assets.storage.durable import scratch_file, sha256_of
from dataset_assets.storage.root import opened

Item = TypeVar("Item")

FINISHED = "_finished"  # notes of files that are whole, until the export is


@dataclass(frozen=True, order=True)
class Written:
    """A file that was written: its name below the export, its SHA-256, bytes, and the members that it has."""

    name: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Target:
    """The place of an export, and a folder of this machine where its files are made."""

    place: Place
    scratch: Path

    def file(self, name: str, key: str, rows: int, write: Callable[[Path], object]) -> Written:
        """Write a file by a function of the path where it is made; it then has its name at once, and whole.

        key: what the file's content follows from, such as `key_of` its members; a file that was finished under this
        key is left as it is.
        """
        root, note = opened(self.place), f"{FINISHED}/{name}.json"
        before = self._finished(name, note, key)
        if before is not None:
            return before
        with scratch_file(self.scratch, Path(name).suffix) as made:
            write(made)
            written = Written(name, sha256_of(made), made.stat().st_size, rows)
            root.put_file(name, made)
        root.put(note, json.dumps({"key": key, **asdict(written)}).encode())
        return written

    def put(self, name: str, data: bytes, rows: int = 0) -> Written:
        """Write a small file. One that is there with these bytes is left alone."""
        root, digest = opened(self.place), hashlib.sha256(data).hexdigest()
        if root.size(name) != len(data) or not root.has_content(name, digest):
            root.write(name, data)
        return Written(name, digest, len(data), rows)

    def take(self, name: str, made: Path, rows: int = 0) -> Written:
        """Move a file that is made already, below `scratch`, to its name. One that is there with its content stays."""
        root, written = opened(self.place), Written(name, sha256_of(made), made.stat().st_size, rows)
        if root.size(name) != written.bytes or not root.has_content(name, written.sha256):
            root.put_file(name, made)
        return written

    def each(self, key: str, items: Sequence[Item], write: Callable[[Item], Sequence[Written]]) -> list[Written]:
        """Write the small files of some items, by a function that puts those of one; in a bucket several at a time.

        key: what all these files follow from, also their names. Files that were finished under this key, and are there
        with as many bytes, are left as they are.
        """
        root, note = opened(self.place), f"{FINISHED}/several/{key}.json"
        before = self._all_finished(note)
        if before is not None:
            return before
        written = [file for files in root.each(write, items) for file in files]
        root.settle()
        root.put(note, json.dumps([asdict(file) for file in written]).encode())
        return written

    def settle(self) -> None:
        """Make what was written outlast a power cut."""
        opened(self.place).settle()

    def finish(self) -> None:
        """Forget what was noted for going on after a stop."""
        self.settle()
        opened(self.place).remove(f"{FINISHED}/")

    def _finished(self, name: str, note: str, key: str) -> Written | None:
        root = opened(self.place)
        try:
            noted = json.loads(root.get(note))
        except (FileNotFoundError, ValueError):
            return None
        if noted.pop("key", None) != key or root.size(name) != noted["bytes"]:
            return None
        return Written(**noted)

    def _all_finished(self, note: str) -> list[Written] | None:
        root = opened(self.place)
        try:
            files = [Written(**noted) for noted in json.loads(root.get(note))]
        except (FileNotFoundError, ValueError):
            return None
        sizes = root.each(root.size, [file.name for file in files])
        return files if sizes == [file.bytes for file in files] else None


def key_of(*parts: object) -> str:
    """A key of a file: a digest of what its content follows from."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
