"""COCO: images, all of their captions, and boxes of the notes on them, as pycocotools reads them.

`coco/images/<bucket>/<image_id>.<ext>`, `coco/annotations/captions_<split>.json`, and `instances_<split>.json` where
there are notes; it lists the images that have some. Ids are numbers from 1 on in the order of the release: those of
images the same in all files, and without gaps; `image_id` is the name that stays.
Source: https://cocodataset.org/#format-data
"""

import json
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from dataset_assets.exports.formats import Settings
from dataset_assets.exports.images import bucketed, put_images
from dataset_assets.exports.members import Members
from dataset_assets.exports.note_boxes import boxes_of
from dataset_assets.exports.records import record_columns
from dataset_assets.exports.target import Target, Written
from dataset_assets.storage.durable import scratch_file

NOTE = {"id": 1, "name": "note", "supercategory": "text"}
# What is said of an image beyond COCO's own keys.
_FURTHER = (
    *("image_id", "title", "artist", "source_url", "rating", "score", "is_ai_generated", "tags", "tag_categories"),
    *("caption_model", "original_md5", "post_id", "year", "source"),
)
_LICENSE = ("license", "license_basis")

Item = dict[str, Any]


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write images, and after those of a split its annotations.

    Raises: MemberLost; NotAllowed when a member is no image.
    """
    licenses, first = _licenses(members), 1
    for split, part in members.named_splits():
        yield from put_images(part, target, "coco/images")
        annotated = _Split(part, first, licenses, settings.name)
        for kind, written in (("captions", annotated.write_captions), ("instances", annotated.write_boxes)):
            with scratch_file(target.scratch, ".json") as made:
                if written(made):
                    yield target.take(f"coco/annotations/{kind}_{split}.json", made)
        first += part.count()


def _licenses(members: Members) -> dict[tuple[str | None, str | None], int]:
    """The id of each licence with its basis."""
    found = members.scan().select(_LICENSE).unique().collect().sort(_LICENSE, nulls_last=True)
    return {row: number for number, row in enumerate(found.iter_rows(), 1)}


@dataclass(frozen=True)
class _Split:
    """A split of the release: its members, of which the first has the number `first`."""

    members: Members
    first: int
    licenses: dict[tuple[str | None, str | None], int]
    release: str

    def write_captions(self, file: Path) -> bool:
        """Write all images and all captions."""
        with _Sections(file) as sections:
            sections.add("images", self._images())
            sections.add("annotations", self._captions())
            self._end(sections)
        return True

    def write_boxes(self, file: Path) -> bool:
        """Write boxes, and the images that have some. Returns whether there are notes at all."""
        if self.members.notes is None:
            return False
        boxes = _Boxes()
        with _Sections(file) as sections:
            sections.add("annotations", boxes.annotations(boxes_of(self.members, self.first)))
            sections.add("images", self._images(boxes.images))
            sections.add("categories", [NOTE])
            self._end(sections, boxes_outside_of_their_image=boxes.outside)
        return bool(boxes.images or boxes.outside)

    def _end(self, sections: "_Sections", **counts: int) -> None:
        sections.add("licenses", (_license(number, *stated) for stated, number in self.licenses.items()))
        sections.end("info", {"description": self.release, **counts})

    def _images(self, only: Container[int] | None = None) -> Iterator[Item]:
        number = count(self.first)
        for batch in self.members.batches():
            records = batch.select(record_columns())
            for member, record in zip(batch.iter_rows(named=True), records.iter_rows(named=True), strict=True):
                shown = next(number)
                if only is None or shown in only:
                    yield self._image(shown, member, record)

    def _image(self, number: int, member: Item, record: Item) -> Item:
        time: datetime | None = member["created_at"]
        return {
            "id": number,
            "file_name": bucketed(member),
            "width": member["width"],
            "height": member["height"],
            "license": self.licenses[member["license"], member["license_basis"]],
            "coco_url": member["file_url"] or "",
            "date_captured": f"{time:%Y-%m-%d %H:%M:%S}" if time else "",
            **{name: record[name] for name in _FURTHER},
        }

    def _captions(self) -> Iterator[Item]:
        number, image = count(1), count(self.first)
        for batch in self.members.batches(["captions"]):
            for (captions,) in batch.iter_rows():
                shown = next(image)
                for caption in captions or ():
                    yield {"id": next(number), "image_id": shown, **caption}


class _Boxes:
    """Counts boxes while they are written."""

    def __init__(self) -> None:
        self.images: set[int] = set()
        self.outside = 0

    def annotations(self, frames: Iterable[pl.DataFrame]) -> Iterator[Item]:
        number = count(1)
        for frame in frames:
            for box in frame.iter_rows(named=True):
                if box["width"] > 0 and box["height"] > 0:
                    self.images.add(box["number"])
                    yield _annotation(next(number), box)
                else:
                    self.outside += 1


def _annotation(number: int, box: Item) -> Item:
    x, y, width, height = (box[name] for name in ("x", "y", "width", "height"))
    right, low = round(x + width, 2), round(y + height, 2)
    return {
        "id": number,
        "image_id": box["number"],
        "category_id": NOTE["id"],
        "bbox": [x, y, width, height],
        "area": round(width * height, 2),
        "segmentation": [[x, y, right, y, right, low, x, low]],
        "iscrowd": 0,
        "body": box["body"],
    }


def _license(number: int, name: str | None, basis: str | None) -> Item:
    url = next((text for text in (name, basis) if text and text.startswith(("http://", "https://"))), "")
    return {"id": number, "name": name or "unknown", "url": url, "basis": basis}


class _Sections:
    """A JSON object that is written list by list, an item at a time; in ASCII, as readers open it in any encoding."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> "_Sections":
        self._stream: TextIO = self._file.open("w", encoding="ascii", newline="\n")
        self._stream.write("{")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(self, name: str, items: Iterable[Item]) -> None:
        self._stream.write(f'"{name}": [')
        for place, item in enumerate(items):
            self._stream.write((",\n" if place else "\n") + json.dumps(item, allow_nan=False))
        self._stream.write("],\n")

    def end(self, name: str, value: Item) -> None:
        self._stream.write(f'"{name}": {json.dumps(value)}}}\n')
