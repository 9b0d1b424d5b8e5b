"""The baseline: Danbooru's metadata as the community loads it, into SQLite by Python's own json and sqlite3.

Its layout and manner are those of fire-eggs/makedb: images, tags and image_tags with both indexes, rows in batches by
`executemany`, all in one transaction. A line that is no post is passed over and counted.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.vocabulary import CATEGORIES

_RECORDS_PER_BATCH = 10_000
_COLUMNS = [
    "id",
    "created_at",
    "uploader_id",
    "score",
    "source",
    "md5",
    "rating",
    "image_width",
    "image_height",
    "file_ext",
    "file_size",
    "parent_id",
    "pixiv_id",
    "is_deleted",
]
_TABLES = """
    CREATE TABLE images (image_id INTEGER PRIMARY KEY, created_at TEXT, uploader_id INTEGER, score INTEGER, source TEXT,
        md5 TEXT, rating TEXT, image_width INTEGER, image_height INTEGER, file_ext TEXT, file_size INTEGER,
        parent_id INTEGER, pixiv_id INTEGER, is_deleted INTEGER);
    CREATE TABLE tags (tag_id INTEGER PRIMARY KEY, name TEXT, category TEXT);
    CREATE TABLE image_tags (image_id INTEGER, tag_id INTEGER, PRIMARY KEY (image_id, tag_id));
    CREATE INDEX tag_images ON image_tags (tag_id);
"""


def load(files: Iterable[Path], database: Path) -> dict[str, int]:
    """Load exports of either schema. Returns: how many records are stored, and how many image and tag pairs."""
    connection = sqlite3.connect(database)
    connection.executescript(_TABLES)
    tag_ids: dict[str, int] = {}
    records = _records(files)
    while batch := list(islice(records, _RECORDS_PER_BATCH)):
        _insert(connection, batch, tag_ids)
    connection.commit()
    tables = (("stored", "images"), ("tags", "image_tags"))
    counts = {name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for name, table in tables}  # noqa: S608 - our own names
    connection.close()
    return counts


def _records(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if record.get("id") and record.get("created_at"):
                    yield record


def _insert(connection: sqlite3.Connection, batch: list[dict[str, Any]], tag_ids: dict[str, int]) -> None:
    images = [[record.get(column) for column in _COLUMNS] for record in batch]
    marks = ", ".join("?" * len(_COLUMNS))
    connection.executemany(f"INSERT OR IGNORE INTO images VALUES ({marks})", images)  # noqa: S608 - question marks
    new_tags, pairs = [], []
    for record in batch:
        for name, category in _tags(record):
            tag_id = tag_ids.get(name)
            if tag_id is None:
                tag_id = tag_ids[name] = len(tag_ids)
                new_tags.append((tag_id, name, category))
            pairs.append((record["id"], tag_id))
    connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", new_tags)
    connection.executemany("INSERT OR IGNORE INTO image_tags VALUES (?, ?)", pairs)


def _tags(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "tags" in record:
        for tag in record["tags"]:
            yield tag["name"], tag["category"]
        return
    for category in CATEGORIES.values():
        for name in record[f"tag_string_{category}"].split():
            yield name, category
