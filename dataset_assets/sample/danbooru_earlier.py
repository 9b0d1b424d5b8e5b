"""The sample's export of a year before, as a mirror keeps them: `metadata/2020/posts.json`."""

import hashlib
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from dataset_assets.sample.danbooru_records import Listed, old_record

UNTIL = 2020
VANISHED_ID = 4_100_517  # a post that the newest export lacks; its file is still there
AGREED_LATER = 0.05  # share of tags that were added after the first year


def earlier_export(listed: Sequence[Listed], vanished: bytes, size: tuple[int, int]) -> str:
    """Lines of what was known at the end of 2020: fewer votes and tags, and a post that has vanished since.

    vanished: the JPEG of that post; size: its width and height.
    """
    records = [_as_then(old_record(post)) for post in listed if post.created_at.year <= UNTIL]
    records.append(_vanished(records[-1], vanished, size))
    return "".join(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in records)


def _as_then(record: dict[str, Any]) -> dict[str, Any]:
    chance = Random(f"known of {record['id']}")
    votes = int(record["up_score"])
    cast = votes - chance.randrange(votes // 3 + 1)
    return record | {
        "up_score": str(cast),
        "score": str(cast + int(record["down_score"])),
        "tags": [tag for tag in record["tags"] if tag["category"] != "0" or chance.random() >= AGREED_LATER],
    }


def _vanished(like: dict[str, Any], data: bytes, size: tuple[int, int]) -> dict[str, Any]:
    tags = [tag for tag in like["tags"] if tag["category"] != "4"]
    return like | {
        "id": str(VANISHED_ID),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "file_ext": "jpg",
        "file_size": str(len(data)),
        "image_width": str(size[0]),
        "image_height": str(size[1]),
        "parent_id": "0",
        "has_children": False,
        "tags": tags,
    }
