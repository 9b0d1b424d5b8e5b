"""Index files below the root: named after their content, written whole, read through a memory map."""

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dataset_assets.domain.schemas import TAG_INDEX
from dataset_assets.storage.durable import place, scratch_file
from dataset_assets.storage.tables import Cell, Tables

FOLDER = "indexes"
SUFFIX = ".index"


class IndexFileMissing(FileNotFoundError):
    """An index file that a table lists is not in the root."""


class Written(NamedTuple):
    """An index file: where it lies below the root, and what it holds."""

    path: str
    sha256: str
    bytes: int


class IndexFiles:
    """The index files below a root. They are never changed: a new index is a new file, and the old one is left."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, pieces: Iterable[bytes]) -> Written:
        """Write a file as `indexes/<name>.<12 hex of SHA-256>.index`; one of this content that is there is replaced,
        since it may have been damaged."""
        digest, size = hashlib.sha256(), 0
        with scratch_file(self.root / "_tmp", SUFFIX) as scratch:
            with scratch.open("wb") as stream:
                for piece in pieces:
                    stream.write(piece)
                    digest.update(piece)
                    size += len(piece)
            path = f"{FOLDER}/{name}.{digest.hexdigest()[:12]}{SUFFIX}"
            place(scratch, self.root / path)
        return Written(path, digest.hexdigest(), size)

    def read(self, path: str, size: int) -> memoryview:
        """A file's bytes, mapped.

        Raises: IndexFileMissing; ValueError when it is not of this size, or the name leads out of the index folder.
        """
        file = self.root / path
        if not file.resolve().is_relative_to((self.root / FOLDER).resolve()):
            raise ValueError(f"{path} is not below {FOLDER}/")
        try:
            with file.open("rb") as stream:
                found = file.stat().st_size
                if found != size or not found:
                    raise ValueError(f"{path} has {found} bytes, written were {size}")
                return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise IndexFileMissing(f"{path} is not in {self.root}") from None

    def unlisted(self, listed: Iterable[str]) -> list[str]:
        """The files that none of these names; left behind by newer ones, and free to be removed."""
        files = (self.root / FOLDER).glob(f"**/*{SUFFIX}")
        return sorted({file.relative_to(self.root).as_posix() for file in files} - set(listed))


def index_is_there(tables: Tables, cell: Cell) -> bool:
    """Whether the index file that a cell's `tag_index` lists lies there whole, by its size."""
    listed = (
        tables.scan(TAG_INDEX, cell).select("path", "size").collect()
        if tables.is_intact(TAG_INDEX.name, cell)
        else None
    )
    if listed is None or listed.is_empty():
        return True
    file, size = tables.root / listed.item(0, "path"), listed.item(0, "size")
    return file.is_file() and bool(file.stat().st_size == size)
