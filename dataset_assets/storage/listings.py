"""The files of a bucket's prefix or of archives as one table, which the sources find their images in."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock

import polars as pl

from dataset_assets.domain.archive_members import member_location, name_problem
from dataset_assets.storage.archives import list_members, member_stats
from dataset_assets.storage.bucket_access import SCHEME, Access, split_uri

# name: within the prefix or archive; location: what reads it; mtime_ns: a number that changes with the content;
# problem: why it cannot be read, null = it can.
LISTING = pl.Schema(
    {"name": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64, "problem": pl.String}
)
SECONDS_BETWEEN_REPORTS = 5.0
# A listing of millions of keys takes minutes: the years of one rebuild share it.
KEPT_S = 3600.0


def list_bucket(uri: str, access: Access, say: Callable[[str], None], *, anew: bool = False) -> pl.DataFrame:
    """Every object below `s3://bucket/prefix`, as rows of LISTING, by key.

    One that this process made within the hour serves again, unless it is to be made anew.
    Raises: BucketUnusable; SourceDown.
    """
    with _LOCK:
        made, kept = _KEPT.get((uri, access), (0.0, None))
        if kept is None or anew or time.monotonic() - made > KEPT_S:
            _KEPT.clear()
            kept = _packed(_objects(uri, access, say))
            _KEPT[(uri, access)] = (time.monotonic(), kept)
        return kept


def list_archives(archives: Iterable[Path]) -> pl.DataFrame:
    """Every member of the archives, as rows of LISTING, by archive and name; folders are left out.

    Raises: DamagedMember when an archive is not whole; LocationMissing; OSError when the disk fails.
    """
    return _packed(_members_of(path) for path in archives)


def _objects(uri: str, access: Access, say: Callable[[str], None]) -> Iterator[list[tuple[object, ...]]]:
    from dataset_assets.storage.buckets import list_objects  # brings obstore's S3, which few sources need

    bucket, prefix = split_uri(uri)
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    found, reported = 0, time.monotonic()
    for page in list_objects(bucket, prefix, access):
        found += len(page)
        if (now := time.monotonic()) - reported >= SECONDS_BETWEEN_REPORTS:
            reported = now
            say(f"{uri}: {found:,} objects listed")
        named = ((key.removeprefix(prefix), key, size, mark) for key, size, mark in page)
        yield [(name, f"{SCHEME}{bucket}/{key}", size, mark, name_problem(key)) for name, key, size, mark in named]


def _members_of(path: Path) -> list[tuple[object, ...]]:
    members = list_members(path)
    safe = [(name, member_location(str(path), name), *found, None) for name, found in member_stats(members)]
    unsafe = [(_printable(name), None, None, None, problem) for name, problem in members.unsafe]
    return sorted([*safe, *unsafe], key=lambda row: str(row[0]))


def _packed(batches: Iterable[list[tuple[object, ...]]]) -> pl.DataFrame:
    return pl.concat([LISTING.to_frame(), *(pl.DataFrame(rows, schema=LISTING, orient="row") for rows in batches)])


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


_LOCK = Lock()
_KEPT: dict[tuple[str, Access], tuple[float, pl.DataFrame]] = {}
