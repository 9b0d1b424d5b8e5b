"""Files of the root by relative name, through one library for local disk and buckets."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import obstore
from obstore.store import LocalStore, ObjectStore

from dataset_assets.domain.identity import ImageName, bucket
from dataset_assets.storage.durable import make_durable


class BlobMissing(FileNotFoundError):
    """A file that a table names is not in the root."""


@dataclass(frozen=True)
class Blobs:
    """The files below a root. Small and picklable: workers get one each, and open their own store."""

    root: Path

    def put(self, name: str, data: bytes) -> None:
        """Store bytes under a name. A name tells its content, so one that is there with this size is left alone."""
        if self.size(name) != len(data):
            obstore.put(_store(self.root), name, data)
            make_durable(self.root / name)  # before any table can name it

    def replace(self, name: str, data: bytes) -> None:
        """Store bytes under a name that does not tell its content, in place of what was there."""
        obstore.put(_store(self.root), name, data)

    def get(self, name: str) -> bytes:
        """The bytes under a name; an absolute one is read where it lies. Raises: BlobMissing."""
        try:
            if Path(name).is_absolute():
                return Path(name).read_bytes()
            return bytes(obstore.get(_store(self.root), name).bytes())
        except FileNotFoundError:
            raise BlobMissing(f"{name} is not in {self.root}") from None

    def size(self, name: str) -> int | None:
        """Bytes under a name; null = not there."""
        try:
            if Path(name).is_absolute():
                return Path(name).stat().st_size
            return obstore.head(_store(self.root), name)["size"]
        except FileNotFoundError:
            return None

    def link(self, name: str, original: Path) -> None:
        """Give a file of the same disk a second name in the root, without copying it.

        Raises: OSError when the file lies on another disk, or the disk has no hard links.
        """
        target = self.root / name
        if target.exists() and target.samefile(original):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}#{os.getpid()}")
        fresh.unlink(missing_ok=True)
        os.link(original, fresh)
        os.replace(fresh, target)


@lru_cache(maxsize=4)
def _store(root: Path) -> ObjectStore:
    return LocalStore(root, mkdir=True)


def image_path(kind: str, name: ImageName, sha256: str, extension: str) -> str:
    """Where an image lies below the root: `images/raw/danbooru/0146/1525146_p0.0a1b2c3d4e5f.png`."""
    source, post_id, page = name
    return f"images/{kind}/{source}/{bucket(post_id)}/{post_id}_p{page}.{sha256[:12]}.{extension}"
