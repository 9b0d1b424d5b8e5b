"""What a file below a root is, told by its name, and in what words it may be superseded.

What no pattern here knows is nobody's to remove.
"""

import re
from datetime import timedelta
from typing import Literal, NamedTuple, get_args

from dataset_assets.domain.identity import POST_ID, SOURCE_NAME

ImageKind = Literal["raw", "quarantine", "optimized", "training"]
# What is superseded, by kind, and why, in words for people.
REASONS = {
    "raw images": "no table, unfinished rebuild or release names them any more",
    "quarantined images": "no table names them any more",
    "optimized images": "no table, unfinished rebuild or release names them any more",
    "training images": "no table, unfinished rebuild or release names them any more",
    "index files": "their tables name newer ones",
    "finished shards": "a stopped rebuild left them; their rows are all in the table",
    "abandoned shards": "of an unfinished rebuild of what dataset.yaml no longer has",
    "row histories": "their tables name newer ones",
    "release tries": "stopped before they were finished, and dataset.yaml no longer has the release",
    "release notes": "for going on after a stop, of a release that is finished",
    "scratch files": "a killed run left what it was making",
    "half-written files": "a killed run left them beside the file that they were to replace",
    "probes": "of whether the bucket can serve as a root",
}
OF_IMAGES: dict[str, str] = {
    "raw": "raw images",
    "quarantine": "quarantined images",
    "optimized": "optimized images",
    "training": "training images",
}
assert set(OF_IMAGES) == set(get_args(ImageKind))

NOTES, MANIFEST = "_finished/", "manifest.json"

_IMAGE = re.compile(
    rf"images/({'|'.join(OF_IMAGES)})/({SOURCE_NAME.pattern})/\d{{4}}/"
    rf"({POST_ID.pattern})_p(0|[1-9]\d{{0,4}})\.[0-9a-f]{{12}}\.[a-z0-9]{{1,8}}"
)
_PARTITION = r"(?:source=[^/]+/)?(?:year=\d+/)?"
_INDEX = re.compile(r"indexes/(?:tag_index|vector_index/[a-z_]+)/[^/]+/\d+\.[0-9a-f]{12}\.index")
_SHARD = re.compile(rf"_work/((?:[^/=]+/)+?)({_PARTITION})([0-9a-f]{{16}})/[0-9a-f]{{16}}\.parquet")
_HISTORY = re.compile(rf"_history/((?:[^/=]+/)+?)({_PARTITION})([0-9a-f]{{16}}|data)\.parquet")
_RELEASE = re.compile(r"releases/([^/]+)/(.+)")
_HALF_WRITTEN = re.compile(r".+[^/]#\d+(?:-\d+)?")
_PROBE = re.compile(r"_probe/[0-9a-f]{32}")
_SCRATCH = re.compile(r"_tmp/(?:(?:staged-)?[0-9a-f]{32}(?:[.-].*)?|duckdb_temp_[^/]*)")
_KEPT = re.compile(
    rf"(?:tables|_before)/.+/data\.parquet|(?:_checksums|_before)/.+/data\.json|_locks/.+|_tmp/journal/.+\.jsonl"
    rf"|_definitions/subset/[^/]+/[0-9a-f]{{16}}\.json|_compared/\d+/[0-9a-f-]+\.json|sheets/.+\.(?:jpg|json)"
    rf"|snapshots/source=[^/]+/(?:present|[^/]+\.json|[^/]+\.parquet)|decisions/tags/{_PARTITION}[^/]+\.jsonl"
    rf"|takedowns/(?:[^/]+\.jsonl|proofs/[^/]+\.json)|catalog\.(?:duckdb|sql)|releases/(?:feed\.xml|CHANGELOG\.md)"
)
_AGE = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class ImageFile(NamedTuple):
    """A file of an image: what is kept of it, and of which."""

    kind: str
    source: str
    post_id: str
    page: int


class PartitionFile(NamedTuple):
    """A file of a table's partition: the partition's folders (source=.../year=...), and the recipe or version."""

    table: str
    partition: str
    mark: str


def image_file(name: str) -> ImageFile | None:
    """Which image a file is of; null = it is no file of an image."""
    found = _IMAGE.fullmatch(name)
    return None if found is None else ImageFile(found[1], found[2], found[3], int(found[4]))


def shard_file(name: str) -> PartitionFile | None:
    """Of which unfinished rebuild a file is a shard; null = it is none."""
    return _partition_file(_SHARD, name)


def history_file(name: str) -> PartitionFile | None:
    """Of which partition a file is the row history; null = it is none."""
    return _partition_file(_HISTORY, name)


def _partition_file(pattern: re.Pattern[str], name: str) -> PartitionFile | None:
    found = pattern.fullmatch(name)
    return None if found is None else PartitionFile(found[1].rstrip("/"), found[2].rstrip("/"), found[3])


def release_file(name: str) -> tuple[str, str] | None:
    """The release that a file lies in, and its name there; null = it lies in none."""
    found = _RELEASE.fullmatch(name)
    return None if found is None else (found[1], found[2])


def is_index_file(name: str) -> bool:
    """Whether a file is one that searches read."""
    return _INDEX.fullmatch(name) is not None


def is_half_written(name: str) -> bool:
    """Whether a file is one in the making, beside the one that it is to replace."""
    return _HALF_WRITTEN.fullmatch(name) is not None


def is_probe(name: str) -> bool:
    """Whether a file was put to try a bucket."""
    return _PROBE.fullmatch(name) is not None


def is_scratch(name: str) -> bool:
    """Whether a file is one that a run makes aside."""
    return _SCRATCH.fullmatch(name) is not None


def is_kept(name: str) -> bool:
    """Whether a file is of what a root keeps for good: tables, their records, exports, decisions, requests, locks."""
    return _KEPT.fullmatch(name) is not None


def group_of(name: str) -> str:
    """The folder whose files are judged together: of images those of a kind and source, of a release its own."""
    parts = name.split("/")
    depth = {"images": 3, "releases": 2}.get(parts[0], 1)
    return "/".join(parts[: min(depth, len(parts) - 1)]) + "/" if len(parts) > 1 else ""


def parse_age(text: str) -> timedelta:
    """An age such as `1d`, `12h` or `90m`. Raises: ValueError."""
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no age; write a number and one of s, m, h, d, w: 1d, 12h")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
