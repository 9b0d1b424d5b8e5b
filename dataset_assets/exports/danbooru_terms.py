"""What Danbooru's own layout and the databases made of it share: a number for each image, a letter for each rating.

Danbooru's posts have one image each and are known by a number of at most 63 bits; other sources' images are not. So
that a reader who takes `int(record["id"])` can read them too, an image's number is

- its post's id, where that is a number and the image the post's first;
- of a later page, `page * PAGE_STEP + post id`: the bucket stays, and both can be told from it;
- else (UUIDs, names, numbers too large) 2^62 and more: 62 bits of the SHA-256 of its image_id.

It is the same in every release.
"""

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from dataset_assets.exports.members import Members, Row

PAGE_STEP = 10**13
# Between the last number of a later page and the first that is hashed, a post's id stands for itself again.
FIRST_AFTER_PAGES, FIRST_HASHED = 10**18, 1 << 62

CATEGORIES = {"general": 0, "artist": 1, "copyright": 3, "character": 4, "meta": 5}  # there never was a 2

_BEFORE_2022 = {"general": "s", "questionable": "q", "explicit": "e"}
_SINCE_2022 = {"general": "g", "sensitive": "s", "questionable": "q", "explicit": "e"}

_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)


class TwoOfOneNumber(Exception):
    """Two images of a source whose numbers would be the same."""


def number_of(member: Mapping[str, Any]) -> int:
    """The number of an image, from 1 to 2^63 - 1."""
    post_id = int(member["post_id"]) if _NUMBER.fullmatch(member["post_id"]) else 0
    if 0 < post_id < PAGE_STEP:
        return int(member["page"]) * PAGE_STEP + post_id
    if FIRST_AFTER_PAGES <= post_id < FIRST_HASHED and member["page"] == 0:
        return post_id
    digest = hashlib.sha256(member["image_id"].encode()).digest()
    return FIRST_HASHED | (int.from_bytes(digest[:8], "big") & (FIRST_HASHED - 1))


def whole_number(text: str | None) -> int | None:
    """A number of 64 bits, as text; null = it is none."""
    found = int(text) if text and _WHOLE_NUMBER.fullmatch(text) else None
    return found if found is not None and -(1 << 63) <= found < 1 << 63 else None


def rating_letters(members: Members) -> dict[str, Mapping[str, str]]:
    """The letter of each rating by source, in order of source.

    That is s, q and e, as all of Danbooru20xx has it; where a source has images that are rated sensitive, g, s, q and
    e, of which s then means them.
    """
    sensitive = (pl.col("rating") == "sensitive").any()
    found = members.scan().group_by("source").agg(sensitive.alias("is_finer")).sort("source").collect()
    return {source: _SINCE_2022 if is_finer else _BEFORE_2022 for source, is_finer in found.iter_rows()}


def require_own_numbers(members: Members) -> None:
    """Refuse members of which two of one source have one number; of 12 million hashed ones, once in 60,000 releases.

    Memory holds 8 bytes for each of those of one source. Raises: TwoOfOneNumber.
    """
    source, hashed = None, array("Q")
    for member in _hashed(members):
        if member["source"] != source:
            _require_distinct(source, hashed)
            source, hashed = member["source"], array("Q")
        hashed.append(number_of(member))
    _require_distinct(source, hashed)


def _hashed(members: Members) -> Iterator[Row]:
    plain = pl.col("post_id").str.contains(r"^[1-9][0-9]{0,12}$")
    for batch in members.filter(~plain).batches(["source", "image_id", "post_id", "page"]):
        yield from batch.iter_rows(named=True)


def _require_distinct(source: str | None, numbers: "array[int]") -> None:
    found = pl.Series(numbers, dtype=pl.UInt64)
    if repeated := found.filter(found.is_duplicated()).head(1).to_list():
        raise TwoOfOneNumber(f"{source}: two images would have the number {repeated[0]}; leave one of them out")
