"""Files of the root by relative name, through one library for local disk and buckets."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dataset_assets.domain.identity import ImageName, bucket
from dataset_assets.places import Place
from dataset_assets.storage.locations import Locations
from dataset_assets.storage.root import opened

# What is kept of an image: the first folder of its path.
IMAGE_KINDS = ("raw", "quarantine", "optimized", "training")


class BlobMissing(FileNotFoundError):
    """A file that a table names is not in the root."""


@dataclass(frozen=True)
class Blobs:
    """The files below a root. Small and picklable: workers get one each, and open their own store."""

    root: Place
    # What reads files that lie outside of the root: a mirror's own, members of archives, objects of other buckets.
    outside: Locations = field(default_factory=Locations)

    def put(self, name: str, data: bytes) -> None:
        """Store bytes under a name. A name tells its content, so one that is there with this size is left alone."""
        opened(self.root).keep(name, data)

    def replace(self, name: str, data: bytes) -> None:
        """Store bytes under a name that does not tell its content, in place of what was there."""
        opened(self.root).put(name, data)

    def get(self, name: str) -> bytes:
        """The bytes under a name; an absolute one is read where it lies. Raises: BlobMissing."""
        try:
            if Path(name).is_absolute():
                return Path(name).read_bytes()
            return opened(self.root).get(name)
        except FileNotFoundError:
            raise BlobMissing(f"{name} is not in {self.root}") from None

    def size(self, name: str) -> int | None:
        """Bytes under a name; null = not there."""
        if not Path(name).is_absolute():
            return opened(self.root).size(name)
        try:
            return Path(name).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove what lies under a name, if anything does."""
        opened(self.root).remove(name)

    def of_image(self, image: ImageName) -> list[str]:
        """Every file that is kept of an image, whatever table names it: former versions too."""
        place = f"{image.source}/{bucket(image.post_id)}"
        names = [name for kind in IMAGE_KINDS for name in opened(self.root).names(f"images/{kind}/{place}/")]
        return [name for name in names if PurePosixPath(name).name.startswith(f"{image.post_id}_p{image.page}.")]

    def shown(self, name: str) -> str:
        """A name as a person or another program would write it: a path, or an s3:// URL."""
        return opened(self.root).shown(name)

    def link(self, name: str, original: Path) -> None:
        """Give a file of the same disk a second name in the root, without copying it.

        Raises: OSError when the file lies on another disk, or the root has no hard links.
        """
        if not isinstance(self.root, Path):
            raise OSError(f"{self.root} is a bucket, which has no hard links; use store: copy")
        target = self.root / name
        if target.exists() and target.samefile(original):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}#{os.getpid()}")
        fresh.unlink(missing_ok=True)
        os.link(original, fresh)
        os.replace(fresh, target)


def image_path(kind: str, name: ImageName, sha256: str, extension: str) -> str:
    """Where an image lies below the root: `images/raw/danbooru/0146/1525146_p0.0a1b2c3d4e5f.png`."""
    source, post_id, page = name
    return f"images/{kind}/{source}/{bucket(post_id)}/{post_id}_p{page}.{sha256[:12]}.{extension}"
