"""The layout of Danbooru20xx: `original/BBBB/ID.EXT` or `512px/BBBB/ID.jpg`, and records in `metadata/YEAR.json`.

BBBB is the id modulo 1000. The records are JSON lines in the schema of 2021 as BigQuery wrote it: numbers are text,
what is not known has no key, tags stand by category between blanks. They describe the original, also where the file
that leaves was made of it. Keys of our own stand behind Danbooru's: who made it, under which licence, which file it is.
Images of several sources lie in a folder for each, which is a mirror of its own.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

import polars as pl

from dataset_assets.domain.attribution import credit
from dataset_assets.exports.danbooru_terms import CATEGORIES, number_of, rating_letters, require_own_numbers
from dataset_assets.exports.descriptions import safe_batches
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import Members, Row
from dataset_assets.exports.target import Target, Written, key_of
from dataset_assets.storage.durable import scratch_file

USUAL_SIDE = 512  # of the training images that Danbooru20xx publishes; a folder of larger ones says so
IMAGES_AT_ONCE = 500

# What reads a line by `splitlines` would end it here too.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write images, and the records of a year after its images.

    Raises: MemberLost; NotAllowed; TwoOfOneNumber.
    """
    require_own_numbers(members)
    letters, prepared = rating_letters(members), _prepared_folder(members)
    images = (row for batch in safe_batches(members) for row in batch.iter_rows(named=True))
    for (source, year), rows in groupby(images, key=lambda row: (row["source"], row["year"])):
        mirror = f"danbooru/{source}" if len(letters) > 1 else "danbooru"
        with scratch_file(target.scratch, ".json") as made:
            with made.open("w", encoding="utf-8", newline="\n") as lines:
                while some := list(islice(rows, IMAGES_AT_ONCE)):
                    named = [(_file_name(row, prepared), row) for row in some]
                    yield from _put(members, target, mirror, named)
                    said = (record(row, letters[source]) | _own_keys(row, name) for name, row in named)
                    lines.writelines(map(line, said))
            yield target.take(f"{mirror}/metadata/{year}.json", made)


def _put(members: Members, target: Target, mirror: str, named: Sequence[tuple[str, Row]]) -> list[Written]:
    """Write some images under their names in a mirror."""

    def put(image: tuple[str, Row]) -> list[Written]:
        name, row = image
        return [target.put(f"{mirror}/{name}", members.read(row), rows=1)]

    key = key_of(mirror, [(name, row["sha256"]) for name, row in named])
    return target.each(key, named, put)


def record(member: Row, letters: Mapping[str, str]) -> dict[str, Any]:
    """What a member's row says, under Danbooru's keys. letters: of its source's ratings."""
    known = {
        "id": number_of(member),
        "created_at": member["created_at"] and f"{member['created_at']:%Y-%m-%d %H:%M:%S.%f} UTC",
        "uploader_id": member["uploader_id"],
        "uploader_name": member["uploader_name"],
        "score": member["score"],
        "fav_count": member["fav_count"],
        "source": member["source_url"] or "",
        "md5": member["original_md5"],
        "rating": letters.get(member["rating"]),
        "image_width": member["original_width"],
        "image_height": member["original_height"],
        "file_ext": member["original_extension"],
        "file_size": member["original_size"],
        "parent_id": member["parent_id"],
        "pixiv_id": member["pixiv_id"],
        "file_url": member["file_url"],
    }
    stated = {key: str(value) for key, value in known.items() if value is not None}
    return stated | _tags(member["tags"] or ())


def line(keys: Mapping[str, Any]) -> str:
    """A record as a line of JSON, without what ends lines or texts elsewhere."""
    text = json.dumps(keys, ensure_ascii=False, separators=(",", ":")).replace("\\u0000", "\\ufffd")
    return text.translate(_LINE_ENDS) + "\n"


def _tags(tags: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Tags as words, by category. Those of any other, or of none, stand in `tags` as the schema before had it."""
    words = [(re.sub(r"\s", "_", tag["tag"]), tag["category"]) for tag in tags if tag["tag"]]
    keys: dict[str, Any] = {"tag_string": " ".join(sorted({word for word, _ in words}))}
    for category in CATEGORIES:
        named = sorted({word for word, found in words if found == category})
        keys |= {f"tag_string_{category}": " ".join(named), f"tag_count_{category}": str(len(named))}
    others = [{"name": word, "category": category} for word, category in words if category not in CATEGORIES]
    return {"tag_count": str(len(keys["tag_string"].split())), **keys} | ({"tags": others} if others else {})


def _own_keys(member: Row, name: str) -> dict[str, Any]:
    """What Danbooru has no key for. `file` is named from the mirror's folder."""
    of_file = {f"file_{key}": member[key] for key in ("sha256", "width", "height")}
    stated = {key: member[key] for key in ("page_url", "pixel_hash", "split", "is_ai_generated", "captions")}
    keys = credit(member, name) | of_file | stated
    return {key: value for key, value in keys.items() if value not in (None, [])}


def _file_name(member: Row, prepared: str) -> str:
    """The name of a file in its mirror. prepared: the folder of training images."""
    folder, number = "original" if member["scale_x"] is None else prepared, number_of(member)
    return f"{folder}/{number % 1000:04d}/{number}.{member['extension']}"


def _prepared_folder(members: Members) -> str:
    """The folder of training images: `512px`, or that of the largest side where one is larger."""
    sides = members.filter(pl.col("scale_x").is_not_null()).scan().select(pl.max_horizontal("width", "height").max())
    return f"{max(sides.collect().item() or 0, USUAL_SIDE)}px"
