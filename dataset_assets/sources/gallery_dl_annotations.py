"""Captions and tags beside the images of a scrape, in kohya's layout: `<stem>.txt`, `<stem>.caption`, `meta_*.json`.

They stand beside the images of `images`, or in a second folder or archive, `preprocessed`, that has the same works.
Source: Linaqruf/kohya-trainer at c6b50b6, whose scripts wrote those of the Niji dataset.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from dataset_assets.config import GalleryDlSource
from dataset_assets.domain.annotations import ANNOTATION_MISMATCHES, SOURCE_ANNOTATIONS, split_tags
from dataset_assets.domain.identity import MAX_PAGE, image_id
from dataset_assets.sources.annotation_comparison import compare
from dataset_assets.sources.annotation_images import ImagesByName
from dataset_assets.sources.gallery_dl_files import (
    TEXT_SUFFIXES,
    Place,
    Unreadable,
    archives,
    base,
    is_annotation,
    is_image,
    is_meta_file,
    places,
    split_name,
)
from dataset_assets.sources.gallery_dl_sidecars import MAX_SIDECAR_BYTES, BadSidecar, parse_sidecar
from dataset_assets.sources.json_members import BrokenObject, members
from dataset_assets.sources.kohya_texts import MAX_TEXT_BYTES, BadAnnotation, as_json, entry, printable, text

MAX_META_BYTES = 512 << 20  # of one meta file: some million images
MAX_ENTRY_CHARACTERS = 1 << 20
ROWS_PER_BATCH = 20_000

# Names that gallery-dl gives: what an image is when no sidecar says it.
_WORK_AND_PAGE = re.compile(r"([1-9]\d{0,17})_p(\d{1,5})")


class Annotations(NamedTuple):
    """Rows of `source_annotations`, and of `annotation_mismatches`."""

    found: pl.DataFrame
    mismatches: pl.DataFrame


class Listed(NamedTuple):
    """What the snapshot lists: year by image id, and image id by the image's name within the scrape."""

    years: Mapping[str, int]
    names: Mapping[str, str]


def fingerprint(source: GalleryDlSource) -> str:
    """Hex digest of name, size and time of each archive, or of each file of a folder that says something of images."""
    lines = []
    for scrape in scrapes(source):
        start = base(scrape)
        if scrape.resolve(scrape.images).is_dir():
            place = next(iter(places(scrape)))
            stats = [(name, found.size, found.mtime_ns) for name, found in sorted(place.files.items())]
            lines += [(name, *found) if not is_image(name) else (name,) for name, *found in stats]
        else:
            files = [(path.relative_to(start).as_posix(), path.stat()) for path in archives(scrape)]
            lines += [(name, found.st_size, found.st_mtime_ns) for name, found in files]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def scrapes(source: GalleryDlSource) -> list[GalleryDlSource]:
    """The source as it is, and, where it has one, its preprocessed variant as if that were the scrape."""
    variants = [source.images, *([source.preprocessed] if source.preprocessed else [])]
    return [source.model_copy(update={"images": images}) for images in variants]


def read_annotations(
    name: str, source: GalleryDlSource, snapshot: pl.LazyFrame, say: Callable[[str], None]
) -> Annotations:
    """Read all captions and tags of the source called `name`, and compare them with its images and one another.

    Rows are packed as they come and sorted in memory at the end.
    Raises: DamagedExport when an archive is not whole, or there is none; OSError when the disk fails.
    """
    columns = snapshot.select("image_id", "year", "file_name").collect()
    listed = Listed(
        dict(columns.select("image_id", "year").iter_rows()),
        dict(columns.select("file_name", "image_id").iter_rows()),
    )
    raw, *preprocessed = scrapes(source)
    reading = _Reading(name, listed)
    for place in places(raw):
        reading.take(place, listed.names)
        reading.note_bad_sidecars(place)
    for scrape in preprocessed:
        for place in places(scrape):
            reading.take_preprocessed(place)
    if preprocessed:
        reading.compare_variants()
    found, mismatches = compare(reading.annotations())
    together = pl.concat([ANNOTATION_MISMATCHES.frame(reading.mismatches), mismatches])
    say(f"{name}: {found.height:,} captions and lists of tags read, {together.height:,} mismatches")
    return Annotations(
        found.sort(SOURCE_ANNOTATIONS.sorted_by, nulls_last=True),
        together.unique().sort(ANNOTATION_MISMATCHES.sorted_by, nulls_last=True),
    )


@dataclass
class _Reading:
    """What was read so far."""

    source: str
    listed: Listed
    mismatches: list[dict[str, object]] = field(default_factory=list)
    _preprocessed: set[str] = field(default_factory=set)  # image ids
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _batches: list[pl.DataFrame] = field(default_factory=list)

    def take(self, place: Place, ids: Mapping[str, str]) -> None:
        """Read a place whose images have these ids, by name within the scrape."""
        images = place.images()
        self._note_unsafe(place)
        self._note_lonely_images(place, images, ids)
        self._note_lonely_sidecars(place, images)
        by_name = ImagesByName(images)
        for file in place.annotations():
            if is_meta_file(file):
                self._read_meta(place, file, by_name, ids)
            else:
                self._read_text(place, file, by_name, ids)

    def note_bad_sidecars(self, place: Place) -> None:
        """Note images of the scrape itself whose sidecar is no record."""
        for image in place.images():
            if f"{image}.json" in place.files and image not in self.listed.names:
                self._mismatch("bad_sidecar", f"{image}.json", "it is no record of its own, so its image is not listed")

    def take_preprocessed(self, place: Place) -> None:
        """Read a place whose images are those of the scrape over again: by their sidecars, or by name without one."""
        ids: dict[str, str] = {}
        for image in place.images():
            found = self._id_of_preprocessed(place, image)
            if found is None:
                continue
            self._preprocessed.add(found)
            if found in self.listed.years:
                ids[image] = found
            else:
                self._mismatch("not_in_images", image, f"{found} is not listed", image_id=found)
        self.take(place, ids)

    def _id_of_preprocessed(self, place: Place, image: str) -> str | None:
        sidecar = f"{image}.json"
        if sidecar in place.files:
            try:
                content = _unpacked(place, sidecar, MAX_SIDECAR_BYTES)
                return str(parse_sidecar(content, sidecar, self.source)["image_id"])
            except (BadSidecar, BadAnnotation) as error:
                self._mismatch("bad_sidecar", sidecar, error.args[1])
        named = _WORK_AND_PAGE.fullmatch(_stem(image))
        if named is None or int(named[2]) > MAX_PAGE:
            return None
        return image_id(self.source, named[1], int(named[2]))

    def compare_variants(self) -> None:
        """Note the listed images that the preprocessed variant has not."""
        by_id = {image: name for name, image in self.listed.names.items()}
        for image in sorted(self.listed.years.keys() - self._preprocessed):
            self._mismatch("not_in_preprocessed", by_id[image], "`preprocessed` has no such image", image_id=image)

    def annotations(self) -> pl.DataFrame:
        """The rows of `source_annotations` that were read, in the order of their files."""
        self._pack()
        return pl.concat(self._batches)

    def _note_unsafe(self, place: Place) -> None:
        for file, problem in place.unsafe:
            if is_annotation(file):
                self._mismatch("unsafe_file", file, problem)

    def _note_lonely_images(self, place: Place, images: list[str], ids: Mapping[str, str]) -> None:
        """Note images without a sidecar of each kind that the place has."""
        stems = _stems_of_texts(place)
        for image in images:
            known = ids.get(image)
            if f"{image}.json" not in place.files:
                self._mismatch("image_without_sidecar", image, "there is no sidecar beside it", image_id=known)
            for suffix, kind in ((".caption", "image_without_caption"), (".txt", "image_without_tags")):
                if stems[suffix] and os.path.splitext(image)[0] not in stems[suffix]:
                    detail = f"there is no file with its stem and {suffix} beside it"
                    self._mismatch(kind, image, detail, image_id=known)

    def _note_lonely_sidecars(self, place: Place, images: list[str]) -> None:
        """Note sidecars that stand beside no image of theirs."""
        for sidecar in place.sidecars():
            if sidecar[: -len(".json")] not in place.files:
                self._mismatch("sidecar_without_image", sidecar, "there is no image beside it")
        own = {os.path.splitext(image)[0] for image in images}
        for file in place.annotations():
            if not is_meta_file(file) and os.path.splitext(file)[0] not in own:
                self._mismatch("sidecar_without_image", file, "no image beside it has this stem")

    def _read_text(self, place: Place, file: str, images: ImagesByName, ids: Mapping[str, str]) -> None:
        """Read the caption or the tags of one image."""
        row: dict[str, Any] = {"file": file, "origin": "sidecar"}
        try:
            said = text(_unpacked(place, file, MAX_TEXT_BYTES), MAX_TEXT_BYTES)
            if file.lower().endswith(".txt"):
                row["tags"] = split_tags(said)
            else:
                row["caption"] = said.strip()
        except BadAnnotation as bad:
            self._refuse(row, bad)
        self._add(row, images.beside(file), ids)

    def _read_meta(self, place: Place, file: str, images: ImagesByName, ids: Mapping[str, str]) -> None:
        """Read the captions and tags of many images; what is read before the file goes wrong counts."""
        origin = split_name(file)[1].removesuffix(".json")
        try:
            content = text(_unpacked(place, file, MAX_META_BYTES), MAX_META_BYTES)
            for key, value in members(content, MAX_ENTRY_CHARACTERS):
                row: dict[str, Any] = {"file": file, "key": printable(key), "origin": origin}
                try:
                    row |= entry(value)
                except BadAnnotation as bad:
                    row["extra"] = as_json(value)
                    self._refuse(row, bad)
                self._add(row, images.of_key(file, key), ids)
        except BadAnnotation as bad:
            self._mismatch(bad.kind, file, bad.detail)
        except BrokenObject as error:
            self._mismatch("not_json", file, str(error))

    def _add(self, row: dict[str, Any], images: list[str], ids: Mapping[str, str]) -> None:
        """Keep a row under the one image that it names; of none or several, under no image."""
        if len(images) == 1:
            row["image"] = images[0]
            row["image_id"] = ids.get(images[0])
            row["year"] = self.listed.years.get(row["image_id"])
            row.setdefault("problem", None if row["image_id"] else "not_listed")
        elif images:
            self._refuse(
                row, BadAnnotation("stem_conflict", f"it is that of {len(images)} images: {', '.join(images[:4])}")
            )
        elif row.get("key") is not None:
            self._refuse(row, BadAnnotation("key_names_no_image", "no image has this stem or path"))
        else:
            row["problem"] = "sidecar_without_image"
        self._rows.append(row)
        if len(self._rows) >= ROWS_PER_BATCH:
            self._pack()

    def _refuse(self, row: dict[str, Any], bad: BadAnnotation) -> None:
        row["problem"] = bad.kind
        self._mismatch(bad.kind, row["file"], bad.detail, key=row.get("key"))

    def _mismatch(
        self, kind: str, file: str, detail: str, *, key: str | None = None, image_id: str | None = None
    ) -> None:
        detail = printable(detail)[:500]
        self.mismatches.append({"kind": kind, "file": file, "key": key, "image_id": image_id, "detail": detail})

    def _pack(self) -> None:
        self._batches.append(SOURCE_ANNOTATIONS.frame(self._rows))
        self._rows.clear()


def _stems_of_texts(place: Place) -> dict[str, set[str]]:
    """Names without extension of a place's `.txt` and `.caption` files, by extension."""
    stems: dict[str, set[str]] = {suffix: set() for suffix in TEXT_SUFFIXES}
    for file in place.annotations():
        start, suffix = os.path.splitext(file)
        if suffix.lower() in stems:
            stems[suffix.lower()].add(start)
    return stems


def _unpacked(place: Place, file: str, limit: int) -> bytes:
    """The file's bytes, of one that is too long some more than `limit`. Raises: BadAnnotation."""
    try:
        return place.read(file, limit)
    except Unreadable as error:
        raise BadAnnotation("unreadable_file", f"cannot be unpacked: {error}") from None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM):
            raise
        raise BadAnnotation("unreadable_file", f"cannot be opened: {error.strerror}") from None


def _stem(name: str) -> str:
    return os.path.splitext(split_name(name)[1])[0]
