"""Zip archives whose bytes follow from their members alone: no time, no owner, nothing packed.

Nothing is packed because images are already, and because zlib packs otherwise from one release to the next. What needs
more than 32 bits is written as ZIP64, and only that.
"""

import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self

import polars as pl

from dataset_assets.domain.archive_members import name_problem
from dataset_assets.exports.descriptions import as_json, described, safe_batches
from dataset_assets.exports.members import Members
from dataset_assets.exports.shards import dealt, plan
from dataset_assets.exports.tar_files import IMAGE_EXTENSIONS, TEXT_EXTENSIONS, NotAllowed, require_allowed
from dataset_assets.exports.target import Target, Written, key_of

# With four files each and some more, an archive has less than 65,535 members; beyond, not every program reads it.
MOST_IMAGES = 16_000
ALLOWED = IMAGE_EXTENSIONS | TEXT_EXTENSIONS | {"caption", "csv"}

_PACKED_AT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNIX, _REGULAR_FILE = 3, 0o100644 << 16
_IN_MEMORY = 8 << 20
_COPIED_AT_ONCE = 1 << 20
_BESIDE_TEXTS = 3 << 10  # bytes that a member's headers, numbers and names take, about

# Writes the members in some frames to the path where an archive is made.
Fill = Callable[[Members, Iterable[pl.DataFrame], Path], None]


class ZipWriter:
    """Writes members to an archive, one after another."""

    def __init__(self, file: Path) -> None:
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.close()

    def add(self, name: str, data: bytes) -> None:
        """Write a member. Raises: NotAllowed."""
        self._archive.writestr(self._header(name, len(data)), data)

    def add_file(self, name: str, stream: IO[bytes]) -> None:
        """Write a member from the stream's beginning to its end. Raises: NotAllowed."""
        size = stream.seek(0, 2)
        stream.seek(0)
        with self._archive.open(self._header(name, size), "w") as member:
            shutil.copyfileobj(stream, member, _COPIED_AT_ONCE)

    def _header(self, name: str, size: int) -> zipfile.ZipInfo:
        problem = name_problem(name) or ("it is there already" if name in self._archive.NameToInfo else None)
        if problem or name.rpartition(".")[2] not in ALLOWED:
            raise NotAllowed(f"{name!r} cannot be in an archive: {problem or 'a file of this kind does not leave'}")
        header = zipfile.ZipInfo(name, _PACKED_AT)
        header.create_system, header.external_attr, header.file_size = _UNIX, _REGULAR_FILE, size
        return header


def spooled(beside: Path) -> "SpooledTemporaryFile[bytes]":
    """A file in the making that will be a member: in memory, and when it is large, where the archive is made."""
    return SpooledTemporaryFile(_IN_MEMORY, dir=str(beside.parent))


def write_archives(
    members: Members,
    target: Target,
    stem: str,
    recipe: str,
    shard_bytes: int,
    fill: Fill,
    most_images: int = MOST_IMAGES,
) -> Iterator[Written]:
    """Write members to archives of about so many bytes, and at most so many images.

    One is `<stem>.zip`, several are `<stem>-00000.zip` and so on. What an archive holds follows from its members' rows,
    so that it is made anew when these change, and not because of where their files lie.
    Raises: MemberLost; NotAllowed; MembersChanged.
    """
    shards = list(plan(described_batches(members), shard_bytes, most_images))
    for shard, frames in dealt(described_batches(members), shards):
        name = f"{stem}.zip" if len(shards) == 1 else f"{stem}-{shard.number:05d}.zip"
        yield target.file(name, key_of(recipe, name, shard.key), shard.rows, partial(fill, members, frames))


def described_batches(members: Members) -> Iterator[pl.DataFrame]:
    """Rows of MEMBERS with `json`, all that is said of each, and `bytes`, what it takes in an archive, about.

    Raises: NotAllowed.
    """
    caption = pl.col("captions").list.first().struct.field("caption").str.len_bytes()
    tags = pl.col("tags").list.eval(pl.element().struct.field("tag").str.len_bytes()).list.sum()
    texts = pl.sum_horizontal(text.cast(pl.Int64) for text in (caption, tags, pl.col("description").str.len_bytes()))
    for batch in safe_batches(members):
        yield batch.with_columns(as_json(described()), bytes=pl.col("size") + 4 * texts + _BESIDE_TEXTS)


def part_stem(name: str, split: str | None) -> str:
    """The beginning of the names of a part's archives. Raises: NotAllowed when the part cannot name a file."""
    if split is None:
        return name
    require_allowed(split, "txt")
    return f"{name}-{split}"
