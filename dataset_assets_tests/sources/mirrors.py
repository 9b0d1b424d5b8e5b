"""Small Danbooru mirrors for tests: records of both schemas whose keys can be changed, exports and trees of images."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from dataset_assets.config import DanbooruSource
from dataset_assets.sources import danbooru


def old_record(post_id: int = 148510, **changes: Any) -> dict[str, Any]:
    """A record of the old schema, its numbers text; a key changed to `...` is left out."""
    keys = {
        "id": str(post_id),
        "created_at": "2007-10-26 22:19:44.22335 UTC",
        "uploader_id": "13056",
        "score": "3",
        "source": "http://saga.example/akumako.jpg",
        "md5": "4A1298C84FCE46268594E7262768E1C6",
        "last_commented_at": "1970-01-01 00:00:00 UTC",
        "rating": "s",
        "image_width": "456",
        "image_height": "629",
        "is_note_locked": True,
        "file_ext": "JPG",
        "last_noted_at": "2009-01-02 03:04:05 UTC",
        "is_rating_locked": True,
        "parent_id": "0",
        "has_children": False,
        "approver_id": "0",
        "file_size": "56812",
        "is_status_locked": False,
        "up_score": "4",
        "down_score": "-1",
        "is_pending": False,
        "is_flagged": False,
        "is_deleted": False,
        "updated_at": "2013-10-02 23:50:45.44882 UTC",
        "is_banned": False,
        "pixiv_id": "0",
        "tags": [
            {"id": "470575", "name": "1girl", "category": "0"},
            {"id": "389109", "name": "aoneko", "category": "1"},
            {"id": "484628", "name": "copyright_request", "category": "5"},
        ],
        "pools": ["10152", "4162", "series", "collection"],
        "favs": ["48450", "197553"],
    }
    return _changed(keys, changes)


def new_record(post_id: int = 148510, **changes: Any) -> dict[str, Any]:
    """The same record in the new schema, as BigQuery exports it; a key changed to `...` is left out."""
    keys = {
        "id": str(post_id),
        "created_at": "2007-10-26 22:19:44.22335 UTC",
        "updated_at": "2013-10-02 23:50:45.44882 UTC",
        "uploader_id": "13056",
        "score": "3",
        "up_score": "4",
        "down_score": "-1",
        "fav_count": "2",
        "source": "http://saga.example/akumako.jpg",
        "md5": "4a1298c84fce46268594e7262768e1c6",
        "last_noted_at": "2009-01-02 03:04:05 UTC",
        "rating": "s",
        "image_width": "456",
        "image_height": "629",
        "file_ext": "jpg",
        "file_size": "56812",
        "tag_string": "1girl aoneko copyright_request",
        "tag_string_general": "1girl",
        "tag_string_artist": "aoneko",
        "tag_string_copyright": "",
        "tag_string_character": "",
        "tag_string_meta": "copyright_request",
        "tag_count": "3",
        "pool_string": "pool:10152 pool:4162 pool:series",
        "is_note_locked": True,
        "is_rating_locked": True,
        "is_status_locked": False,
        "is_pending": False,
        "is_flagged": False,
        "is_deleted": False,
        "is_banned": False,
        "has_children": False,
    }
    return _changed(keys, changes)


def api_record(post_id: int = 148510, **changes: Any) -> dict[str, Any]:
    """The same record as the live API answers: real types, and nulls."""
    numbers = ("id", "uploader_id", "score", "up_score", "down_score", "fav_count", "file_size", "tag_count")
    keys = new_record(post_id)
    keys |= {key: int(keys[key]) for key in (*numbers, "image_width", "image_height")}
    keys |= {"created_at": "2007-10-26T18:19:44.22335-04:00", "updated_at": "2013-10-02T19:50:45.44882-04:00"}
    keys |= {"last_noted_at": "2009-01-01T22:04:05-05:00", "last_commented_at": None, "parent_id": None}
    keys |= {"approver_id": None, "pixiv_id": None, "media_asset": {"id": 1, "variants": [{"type": "original"}]}}
    return _changed(keys, changes)


def _changed(keys: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (keys | changes).items() if value is not ...}


def lines(records: Iterable[dict[str, Any]]) -> bytes:
    """JSON Lines."""
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def source_of(folder: Path, metadata: str = "metadata/*", images: str = "original") -> DanbooruSource:
    """The block of dataset.yaml for a mirror."""
    return DanbooruSource(
        kind="danbooru",
        metadata=str(folder / metadata),
        images=str(folder / images),
        years="2005..2021",
        license={"name": "various", "basis": "site terms"},
    )


class Export(NamedTuple):
    """What reading an export gave."""

    snapshot: pl.DataFrame
    rejected: pl.DataFrame
    said: list[str]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """(line, reason) of every rejected line."""
        return self.rejected.select("line", "reason").rows()


def read_export(folder: Path, files: dict[str, bytes]) -> Export:
    """Write the files of an export and read it."""
    (folder / "metadata").mkdir(parents=True)
    for name, content in files.items():
        (folder / "metadata" / name).write_bytes(content)
    said: list[str] = []
    snapshot = folder / "snapshot.parquet"
    report = danbooru.read_snapshot("danbooru", source_of(folder), snapshot, said.append)
    rows = pl.read_parquet(snapshot)
    assert rows.height == report.records
    return Export(rows, report.rejected, said)
