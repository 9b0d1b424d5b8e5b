"""A full disk, as the libraries say it that meet it, and what a person is told."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dataset_assets.config import DatasetConfig

# What the C library, Rust's (Polars), SQLite and DuckDB say; some add the path, some only a number.
SAYINGS = (
    os.strerror(errno.ENOSPC),
    os.strerror(errno.EDQUOT),
    f"os error {errno.ENOSPC})",
    f"os error {errno.EDQUOT})",
    "database or disk is full",
)
LEAST_FREE = 4096  # bytes: below, a failure is taken for one of a full disk, whatever it says


def says_disk_full(text: str) -> bool:
    """Whether an error's message is that of a disk, or a quota on it, which takes no more."""
    return any(saying in text for saying in SAYINGS)


def written_places(config: DatasetConfig, dagster_home: str | None) -> list[tuple[str, Path]]:
    """The folders that a rebuild writes to, each with its name."""
    root = config.root_path
    places = [("root", root) if isinstance(root, Path) else ("s3.cache", root.cache)]
    places += [("DAGSTER_HOME", Path(dagster_home))] if dagster_home else []
    return [*places, ("temporary files", Path(tempfile.gettempdir()))]


def fullest(places: Iterable[tuple[str, Path]]) -> tuple[str, Path, int, int]:
    """The place whose disk has the fewest bytes left: its name, its folder, bytes free, bytes of the disk."""
    found = []
    for name, folder in places:
        there = next(one for one in (folder, *folder.parents) if one.exists())
        usage = shutil.disk_usage(there)
        found.append((name, folder, usage.free, usage.total))
    return min(found, key=lambda one: one[2])


def disk_full_message(met: str, places: Iterable[tuple[str, Path]]) -> str:
    """What happened, where, how much is free, what there is still of it all, and what to do. met: the error itself."""
    name, folder, free, total = fullest(places)
    return (
        f"the disk is full, so the rebuild stopped: {met}; {name} ({folder}) is on a disk with {free:,} of {total:,} "
        "bytes free. Every table is the old one or the new one, and finished shards are kept: free some space (or a "
        f"larger quota, or another place for {name}), then the same command goes on from there"
    )
