"""Writes the sample's posts as a mirror of Danbooru: `metadata/*.json` in both schemas and `original/BBBB/ID.EXT`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from dataset_assets.domain.identity import bucket
from dataset_assets.sample import encoding
from dataset_assets.sample.danbooru_earlier import UNTIL, VANISHED_ID, earlier_export
from dataset_assets.sample.danbooru_posts import Post, posts
from dataset_assets.sample.danbooru_records import Listed, new_record, old_record, withheld
from dataset_assets.sample.drawing import Landscape, Snowfall
from dataset_assets.sample.scenery import Scene

# First and last id of each year; the last ones are those of the yearly releases.
# Source: gwern.net/danbooru2021, "Danbooru2018" to "Danbooru2021".
IDS = {2019: (3_368_714, 3_734_660), 2020: (3_734_661, 4_279_845), 2021: (4_279_846, 5_020_995)}
SHARES = {2019: 0.3, 2020: 0.35, 2021: 0.35}
NEW_SCHEMA_SINCE = 2021
VIDEO_SIZE = (640, 360)
ORPHAN_ID = 3_999_123  # its file has no record
CUT_OFF = (
    '{"id":"4012345","created_at":"2020-06-30 08:12:44.51802 UTC","uploader_id":"13056","score":"5","source":"http'
)


def write_danbooru(folder: Path) -> int:
    """Write the mirror and return how many posts it has."""
    listed = _listed(posts())
    for post in listed:
        _write_file(folder / "original", post)
    stray = Landscape(Scene("spring", "lake", ("petals", "pines"), 11), (560, 420))
    _write(_place(folder / "original", ORPHAN_ID, "jpg"), _jpeg(stray))
    _write_metadata(folder / "metadata", listed)
    gone = Landscape(Scene("autumn", "hills", ("birds", "pines"), 12), (600, 450))
    _write(_place(folder / "original", VANISHED_ID, "jpg"), _jpeg(gone))
    earlier = earlier_export(listed, _jpeg(gone), gone.size)
    _write(folder / "metadata" / str(UNTIL) / "posts.json", earlier.encode())
    return len(listed)


def _jpeg(scene: Landscape) -> bytes:
    return encoding.ENCODINGS["jpeg"][1](scene.draw())


def _listed(ordered: list[Post]) -> list[Listed]:
    """The posts with ids and times that rise together, and the files that were uploaded."""
    numbered = dict(zip((post.name for post in ordered), _ids_and_times(len(ordered)), strict=True))
    parents = {post.parent for post in ordered}
    listed = []
    for post in ordered:
        size, extension, data = _uploaded(post)
        post_id, created_at = numbered[post.name]
        parent_id = numbered[post.parent][0] if post.parent else None
        listed.append(Listed(post, post_id, created_at, size, extension, data, parent_id, post.name in parents))
    return listed


def _ids_and_times(count: int) -> list[tuple[int, datetime]]:
    """Spread over the years, as far through a year's ids as through its days."""
    chance, spread = Random("danbooru ids"), []
    ends = [round(count * sum(list(SHARES.values())[: place + 1])) for place in range(len(SHARES))]
    for year, begin, end in zip(IDS, [0, *ends], ends, strict=False):
        first, last = IDS[year]
        start = datetime(year, 1, 1, tzinfo=UTC)
        for place in range(end - begin):
            share = (place + chance.uniform(0.1, 0.9)) / (end - begin)
            moment = start + timedelta(days=364.9 * share)
            spread.append((first + int(share * (last - first)), moment.replace(microsecond=chance.randrange(10**6))))
    return spread


def _uploaded(post: Post) -> tuple[tuple[int, int], str, bytes]:
    """Size in pixels as stored, extension and bytes."""
    if post.order is None:
        return VIDEO_SIZE, "mp4", encoding.video()
    if isinstance(post.order, Snowfall):
        return post.order.size, "gif", encoding.animated_gif(post.order.frames())
    extension, encode = encoding.ENCODINGS[post.encoding]
    picture = post.order.draw()
    width, height = picture.size
    size = (height, width) if post.encoding == "turned_jpeg" else (width, height)
    return size, extension, encode(picture)


def _write_file(originals: Path, listed: Listed) -> None:
    """The file as the mirror has it today, which is not always what was uploaded."""
    data = listed.data
    match listed.post.fault:
        case "missing":
            return
        case "empty":
            data = b""
        case "truncated":
            data = encoding.truncated(data)
        case "optimised":
            data = encoding.optimised_png(data)
    _write(_place(originals, listed.id, listed.extension), data)


def _place(originals: Path, post_id: int, extension: str) -> Path:
    return originals / bucket(str(post_id)) / f"{post_id}.{extension}"


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _write_metadata(folder: Path, listed: list[Listed]) -> None:
    """A file for each year, its records in no order; one stands twice, one is cut off, one is withheld."""
    for year in IDS:
        schema = new_record if year >= NEW_SCHEMA_SINCE else old_record
        records = [schema(post) for post in listed if post.created_at.year == year]
        lines = [_line(record) for record in records]
        match year:
            case 2019:
                lines.append(lines[7])
            case 2020:
                lines.append(CUT_OFF)
            case 2021:
                lines.append(_line(withheld(records[20])))
        Random(f"lines of {year}").shuffle(lines)
        text = "\n".join(lines) + ("" if year == 2020 else "\n")
        _write(folder / f"{year}.json", text.encode())


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
