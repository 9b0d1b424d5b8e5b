"""What a partition held before its content last changed: one table and its record, kept apart from the tables.

Only of tables that ask for it; the next change replaces it, so there is never more than one.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_assets.storage.durable import scratch_file
from dataset_assets.storage.root import Root

FOLDER = "_before"


def keep(root: Root, partition: str, file: Path, record: Mapping[str, Any], replaced_at: str) -> None:
    """Keep a partition's file, which is about to be replaced, with its record."""
    with scratch_file(root.scratch, ".parquet") as copy:
        shutil.copyfile(file, copy)
        root.put_file(f"{FOLDER}/{partition}/data.parquet", copy)
    root.put(_record(partition), json.dumps({**record, "replaced_at": replaced_at}).encode())


def forget(root: Root, partition: str) -> None:
    """The last change left the partition's content as it was: nothing stood there before but what does now."""
    root.remove(f"{FOLDER}/{partition}/")


def record_of(root: Root, partition: str) -> dict[str, Any] | None:
    """The record of what is kept, with `replaced_at`; null = nothing is, or not whole."""
    try:
        record: dict[str, Any] = json.loads(root.get(_record(partition)))
    except FileNotFoundError:
        return None
    return record if root.size(f"{FOLDER}/{partition}/data.parquet") == record["bytes"] else None


def file_of(root: Root, partition: str) -> Path:
    """Where what is kept can be read."""
    return root.file(f"{FOLDER}/{partition}/data.parquet")


def _record(partition: str) -> str:
    return f"{FOLDER}/{partition}/data.json"
