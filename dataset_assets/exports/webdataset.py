"""WebDataset: tar shards of `<image_id>.<ext>`, `.txt` (the first caption) and `.json` (all else that is known).

Each split has shards of its own; `sizes.json` tells how many samples a shard has, as open_clip's training reads it.
Source: https://github.com/webdataset/webdataset, https://github.com/mlfoundations/open_clip
"""

import json
from collections.abc import Iterator
from functools import partial

import polars as pl

from dataset_assets.exports.descriptions import (
    as_json,
    described,
    first_caption,
    require_file_word,
    safe_batches,
)
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.samples import with_bytes, write_samples
from dataset_assets.exports.shards import dealt, plan
from dataset_assets.exports.target import Target, Written, key_of

FOLDER = "webdataset"
_LAYOUT = 1  # counted up when the same members would give other bytes


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write the shards, split by split, and last how many samples each has.

    Raises: MemberLost; NotAllowed; MembersChanged.
    """
    sizes = {}
    for split, own in members.named_splits():
        prefix = require_file_word(split)
        shards = list(plan(_samples(own), settings.shard_bytes))
        for shard, rows in dealt(_samples(own), shards):
            name, key = f"{prefix}-{shard.number:05d}.tar", key_of(FOLDER, _LAYOUT, shard.key)
            yield target.file(f"{FOLDER}/{name}", key, shard.rows, partial(write_samples, own, rows))
            sizes[name] = shard.rows
    yield target.put(f"{FOLDER}/sizes.json", (json.dumps(sizes, indent=1) + "\n").encode())


def _samples(members: Members) -> Iterator[pl.DataFrame]:
    """What is written of the members, some at a time."""
    key = pl.col("image_id").alias("key")
    for batch in safe_batches(members):
        said = (first_caption(), as_json(described()))
        yield with_bytes(batch.select("image_id", key, "path", "sha256", "extension", "size", *said))
