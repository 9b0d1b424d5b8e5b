"""Index files below the root: named after their content, written whole, read through a memory map."""

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from dataset_assets.domain.schemas import Table
from dataset_assets.places import Place
from dataset_assets.storage.durable import scratch_file
from dataset_assets.storage.root import opened
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

    def __init__(self, root: Place) -> None:
        self._root = opened(root)

    def write(self, name: str, pieces: Iterable[bytes]) -> Written:
        """Write a file as `indexes/<name>.<12 hex of SHA-256>.index`; one of this content that is there is replaced,
        since it may have been damaged."""
        digest, size = hashlib.sha256(), 0
        with scratch_file(self._root.scratch, SUFFIX) as scratch:
            with scratch.open("wb") as stream:
                for piece in pieces:
                    stream.write(piece)
                    digest.update(piece)
                    size += len(piece)
            path = f"{FOLDER}/{name}.{digest.hexdigest()[:12]}{SUFFIX}"
            self._root.put_file(path, scratch)
        return Written(path, digest.hexdigest(), size)

    def read(self, path: str, size: int) -> memoryview:
        """A file's bytes, mapped.

        Raises: IndexFileMissing; ValueError when it is not of this size, or the name leads out of the index folder.
        """
        named = PurePosixPath(path)
        if named.parts[:1] != (FOLDER,) or ".." in named.parts:
            raise ValueError(f"{path} is not below {FOLDER}/")
        file = self._root.file(path)
        try:
            with file.open("rb") as stream:
                found = file.stat().st_size
                if found != size or not found:
                    raise ValueError(f"{path} has {found} bytes, written were {size}")
                return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise IndexFileMissing(f"{self._root.shown(path)} is not there") from None

    def unlisted(self, listed: Iterable[str]) -> list[str]:
        """The files that none of these names; left behind by newer ones, and free to be removed."""
        files = {name for name in self._root.names(f"{FOLDER}/") if name.endswith(SUFFIX)}
        return sorted(files - set(listed))


def index_is_there(tables: Tables, table: Table, cell: Cell) -> bool:
    """Whether the index files that a cell's `tag_index` or `vector_index` lists lie there whole, by their size."""
    listed = (
        tables.scan(table, cell).select("path", "size").collect()
        if tables.is_intact(table.name, cell)
        else table.empty().select("path", "size")
    )
    return all(opened(tables.root).size(path) == size for path, size in listed.iter_rows())
