"""The images of a Danbooru mirror, `BBBB/ID.EXT`: which file is a record's, and which is nobody's."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from dataset_assets.domain.identity import bucket
from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.sources.json_lines import printable
from dataset_assets.sources.links import LEADS_OUT, link_problem

_LOCATED = pl.Schema(
    {"image_id": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64, "problem": pl.String}
)
_IMAGE_NAME = re.compile(r"([1-9][0-9]{0,18})\.[A-Za-z0-9]{1,16}", re.ASCII)
_EXTENSION = re.compile(r"[a-z0-9]{1,16}", re.ASCII)
_BUCKETS = 1000


class Found(NamedTuple):
    """A regular file of the tree."""

    location: str
    size: int
    mtime_ns: int


def locate_images(folder: Path, listed: pl.DataFrame) -> pl.DataFrame:
    """Where the image of each row of `image_metadata` lies; see `Adapter.locate`.

    That is ID.EXT with the claimed extension, else with the first other by name, in the bucket of the id. A link that
    leads out of the folder is no file of the tree: it could name any file of this machine.
    Returns: with `problem`, why a file that has the image's name is not read. Raises: OSError when the disk fails.
    """
    ids, extensions = listed["post_id"].to_list(), listed["file_ext"].to_list()
    buckets = [bucket(post_id) for post_id in ids]
    found: list[Found | None] = [None] * len(ids)
    problems: list[str | None] = [None] * len(ids)
    for name, rows in groupby(sorted(range(len(ids)), key=buckets.__getitem__), key=buckets.__getitem__):
        files = _Bucket(folder, name)
        for row in rows:
            found[row] = files.image(ids[row], extensions[row])
            problems[row] = files.problem(ids[row]) if found[row] is None else None
    places = [
        (image_id, *(place or (None, None, None)), problem)
        for image_id, place, problem in zip(listed["image_id"], found, problems, strict=True)
    ]
    return pl.DataFrame(places, schema=_LOCATED, orient="row")


def orphan_files(folder: Path, snapshot: pl.LazyFrame) -> pl.DataFrame:
    """Every file below the folder that is no record's image, as rows of `rejected_records`, by path.

    Besides the list, memory holds the ids and extensions of the snapshot, some 30 bytes a record.
    """
    records = _Records(snapshot)
    rows: list[dict[str, object]] = [
        {"file": printable(file), "reason": "orphan_file", "detail": detail}
        for entry in _entries(folder)
        for file, detail in _orphans_at(folder, entry, records)
    ]
    return REJECTED_RECORDS.frame(rows).sort("file")


class _Bucket:
    """The images in one folder of the tree."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._path = os.path.join(folder, name)
        self._is_there = os.path.isdir(self._path) and _is_inside(self._path, folder)

    def image(self, post_id: str, claimed: str | None) -> Found | None:
        if not (self._is_there and post_id.isascii() and post_id.isdigit()):
            return None
        if claimed and _EXTENSION.fullmatch(claimed) and (found := self._find(f"{post_id}.{claimed}")):
            return found
        return next(filter(None, map(self._find, self._names.get(post_id, ()))), None)

    def problem(self, post_id: str) -> str | None:
        """Why a file named after a post is not read: it, or the bucket, is a link that is not followed."""
        if os.path.islink(self._path) and not self._is_there:
            return link_problem(self._name, self._path)
        if self._is_there and (name := self._links.get(post_id)):
            return link_problem(f"{self._name}/{name}", os.path.join(self._path, name))
        return None

    def image_name(self, post_id: str, claimed: str | None) -> str:
        """The name of an image that is there, by the folder's list alone."""
        names = self._names[post_id]
        return name if (name := f"{post_id}.{claimed}") in names else names[0]

    def _find(self, name: str) -> Found | None:
        path = os.path.join(self._path, name)
        try:
            status = os.stat(path, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode) and _is_inside(path, self._folder):
                status = os.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        return Found(path, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None

    @cached_property
    def _links(self) -> dict[str, str]:
        """The links that have an image's name, by id, the first of each."""
        entries = reversed(_entries(self._path))
        names = [entry.name for entry in entries if entry.is_symlink() and _IMAGE_NAME.fullmatch(entry.name)]
        return {name.partition(".")[0]: printable(name) for name in names}

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """The names of images by id, each list ascending."""
        named = [
            entry.name for entry in _entries(self._path) if _is_image(entry) and _is_inside(entry.path, self._folder)
        ]
        return {post_id: list(names) for post_id, names in groupby(named, lambda name: name.partition(".")[0])}


class _Records:
    """The ids of a snapshot and the extension that each claims."""

    def __init__(self, snapshot: pl.LazyFrame) -> None:
        by_bucket = snapshot.select("id", "file_ext", bucket=pl.col("id") % _BUCKETS).sort("bucket", "id").collect()
        self._ids, self._extensions = by_bucket["id"].to_numpy(), by_bucket["file_ext"]
        self._starts = np.searchsorted(by_bucket["bucket"].to_numpy(), range(_BUCKETS + 1))

    def of_bucket(self, number: int) -> dict[int, str | None]:
        start, end = self._starts[number : number + 2].tolist()
        return dict(zip(self._ids[start:end].tolist(), self._extensions[start:end].to_list(), strict=True))

    def __contains__(self, post_id: int) -> bool:
        start, end = self._starts[post_id % _BUCKETS :][:2].tolist()
        at = start + int(np.searchsorted(self._ids[start:end], post_id))
        return at < end and int(self._ids[at]) == post_id


def _orphans_at(folder: Path, entry: os.DirEntry[str], records: _Records) -> Iterator[tuple[str, str]]:
    """The orphans at an entry of the folder and below it: (path within the folder, why)."""
    if not _is_inside(entry.path, folder):
        yield entry.name, LEADS_OUT
    elif not os.path.isdir(entry.path):
        yield entry.name, "lies in no bucket"
    elif re.fullmatch("0[0-9]{3}", entry.name):
        yield from _orphans_in_bucket(folder, entry.name, records)
    else:
        yield from ((file, f"{entry.name} is no bucket") for file in _files_below(entry.path, entry.name))


def _orphans_in_bucket(folder: Path, name: str, records: _Records) -> Iterator[tuple[str, str]]:
    files, extensions = _Bucket(folder, name), records.of_bucket(int(name))
    for entry in _entries(os.path.join(folder, name)):
        path, post_id = f"{name}/{entry.name}", entry.name.partition(".")[0]
        if entry.is_dir(follow_symlinks=False):
            yield from ((file, "lies in a folder within a bucket") for file in _files_below(entry.path, path))
        elif not _is_inside(entry.path, folder):
            yield path, LEADS_OUT
        elif not _is_image(entry):
            yield path, "no file named ID.EXT"
        elif int(post_id) not in extensions:
            is_known = int(post_id) in records
            yield path, f"belongs in bucket {bucket(post_id)}" if is_known else f"no record has the id {post_id}"
        elif (image := files.image_name(post_id, extensions[int(post_id)])) != entry.name:
            yield path, f"the image of {post_id} is {image}"


def _entries(path: str | Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name."""
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _files_below(path: str, name: str) -> Iterator[str]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        yield from (os.path.join(name + folder.removeprefix(path), file) for file in sorted(files))


def _is_image(entry: os.DirEntry[str]) -> bool:
    is_file = entry.is_file(follow_symlinks=False) or (entry.is_symlink() and os.path.isfile(entry.path))
    return is_file and bool(_IMAGE_NAME.fullmatch(entry.name))


def _is_inside(path: str, folder: Path) -> bool:
    """Whether a path, links followed, lies below the folder."""
    return not os.path.islink(path) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
