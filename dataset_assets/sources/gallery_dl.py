"""Scrapes of Pixiv by gallery-dl: images with a `.json` sidecar beside each, in a folder or inside zip archives."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.config import GalleryDlSource
from dataset_assets.domain.archive_members import split_location
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS
from dataset_assets.sources import ReadReport
from dataset_assets.sources.gallery_dl_fields import SNAPSHOT
from dataset_assets.sources.gallery_dl_files import (
    Found,
    Place,
    Unreadable,
    archives,
    base,
    find,
    opened_archive,
    places,
)
from dataset_assets.sources.gallery_dl_sidecars import MAX_SIDECAR_BYTES, BadSidecar, parse_sidecar
from dataset_assets.sources.links import link_problem

__all__ = ["SNAPSHOT", "fingerprint", "image_metadata", "locate", "orphans", "read_snapshot", "tag_metadata"]

ROWS_PER_BATCH = 5_000
ROWS_PER_GROUP = 100_000
SECONDS_BETWEEN_REPORTS = 5.0

# Tags that Pixiv's users give to works with many bookmarks: "オリジナル1000users入り".
POPULARITY_TAG = r"^.+?\d+users入り$"

_RATING_WORDS = {0: "General", 1: "R-18", 2: "R-18G"}  # of x_restrict
_RATINGS = {"General": "general", "R-18": "explicit", "R-18G": "explicit"}
_LOCATED = pl.Schema(
    {"image_id": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64, "problem": pl.String}
)


def fingerprint(source: GalleryDlSource) -> str:
    """Hex digest of name, size and time of each archive, or of each sidecar of a folder."""
    start = base(source)
    if source.resolve(source.images).is_dir():
        place = next(iter(places(source)))
        files = [(name, place.files[name].size, place.files[name].mtime_ns) for name in place.sidecars()]
    else:
        stats = [(path.relative_to(start).as_posix(), path.stat()) for path in archives(source)]
        files = [(name, found.st_size, found.st_mtime_ns) for name, found in stats]
    return hashlib.sha256(
        "\n".join(f"{name}\0{size}\0{mtime_ns}" for name, size, mtime_ns in files).encode()
    ).hexdigest()


def read_snapshot(name: str, source: GalleryDlSource, into: Path, say: Callable[[str], None]) -> ReadReport:
    """Read every sidecar into the Parquet file `into`.

    Sidecars are read in the order of their names; of two for one image the first is the record. Rows are packed as they
    come and sorted in memory at the end: about 6 KB for each sidecar, 6 GB for a million.
    Raises: DamagedExport when an archive is not whole, or there is none; OSError when the disk fails.
    """
    reading = _Reading(name, say)
    for place in places(source):
        reading.take(place)
    snapshot = reading.snapshot()
    snapshot.write_parquet(into, compression="zstd", compression_level=3, row_group_size=ROWS_PER_GROUP)
    say(f"{name}: {reading.read:,} sidecars read, {snapshot.height:,} are records")
    return ReadReport(snapshot.height, _rejected(reading.rejected))


@dataclass
class _Reading:
    """The sidecars read so far."""

    name: str
    say: Callable[[str], None]
    found: int = 0
    read: int = 0
    rejected: list[dict[str, object]] = field(default_factory=list)
    _first: dict[str, str] = field(default_factory=dict)  # image_id: the sidecar that is its record
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _batches: list[pl.DataFrame] = field(default_factory=list)
    _reported: float = field(default_factory=time.monotonic)

    def take(self, place: Place) -> None:
        self.rejected += [_rejection(file, "unsafe_path", problem) for file, problem in place.unsafe]
        sidecars = place.sidecars()
        self.found += len(sidecars)
        for file in sidecars:
            try:
                self._rows.append(self._row(place, file))
            except BadSidecar as error:
                self.rejected.append(_rejection(file, error.reason, error.detail))
            self._count()

    def _row(self, place: Place, file: str) -> dict[str, Any]:
        try:
            content = place.read(file, MAX_SIDECAR_BYTES)
        except Unreadable as error:
            raise BadSidecar("unreadable_file", f"cannot be unpacked: {error}") from None
        row = parse_sidecar(content, file, self.name)
        if (first := self._first.setdefault(row["image_id"], file)) != file:
            raise BadSidecar("duplicate_id", f"{row['image_id']} is already described by {first}")
        return row

    def _count(self) -> None:
        self.read += 1
        if len(self._rows) >= ROWS_PER_BATCH:
            self._pack()
        if (now := time.monotonic()) - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self.say(f"{self.name}: {self.read:,} of {self.found:,} sidecars read, {len(self.rejected):,} rejected")

    def _pack(self) -> None:
        self._batches.append(SNAPSHOT.frame(self._rows))
        self._rows.clear()

    def snapshot(self) -> pl.DataFrame:
        self._pack()
        return pl.concat(self._batches).sort(SNAPSHOT.sorted_by)


def image_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `image_metadata`; width and height, which sidecars repeat from page 0, are claimed for page 0 alone."""
    page = pl.col("image_id").str.extract(r"-(\d+)$").cast(pl.Int32)
    restricted = pl.col("x_restrict").replace_strict(_RATING_WORDS, default=None, return_dtype=pl.String)
    rating_source = pl.coalesce("rating", restricted)
    rating = pl.coalesce(restricted, "rating").replace_strict(_RATINGS, default=None, return_dtype=pl.String)
    columns = {
        "image_id": pl.col("image_id"),
        "post_id": pl.col("id"),
        "page": page,
        "page_count": pl.col("page_count"),
        "created_at": pl.coalesce("create_date", "date"),
        "title": pl.col("title"),
        "description": pl.col("caption"),
        "uploader_id": pl.col("user_id"),
        "uploader_name": pl.col("user_name"),
        "page_url": pl.format("https://www.pixiv.net/artworks/{}", pl.col("id")),
        "file_url": pl.col("url"),
        "file_name": pl.col("file_name"),
        "file_ext": pl.col("extension").str.to_lowercase(),
        "width": pl.when(page == 0).then("width"),
        "height": pl.when(page == 0).then("height"),
        "rating": rating,
        "rating_source": rating_source,
        "rating_scale": pl.when(rating_source.is_not_null()).then(pl.lit("pixiv")),
        "fav_count": pl.col("total_bookmarks"),
        "view_count": pl.col("total_view"),
        "pixiv_id": pl.col("id"),
        "is_ai_generated": pl.col("illust_ai_type").replace_strict({1: False, 2: True}, default=None),
    }
    return snapshot.select(
        columns.get(column.name, pl.lit(None)).cast(column.dtype).alias(column.name)
        for column in IMAGE_METADATA.columns
    )


def tag_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `tag_metadata`, each tag of an image once, as its work's page published it."""
    tags = snapshot.select(tag="tags", image_id="image_id").explode("tag").filter(pl.col("tag").str.strip_chars() != "")
    category = pl.when(pl.col("tag").str.contains(POPULARITY_TAG)).then(pl.lit("meta")).otherwise(pl.lit("general"))
    return tags.unique().select("tag", "image_id", category=category, origin=pl.lit("source"))


def locate(source: GalleryDlSource, listed: pl.DataFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Where each listed image lies; size and, as mtime_ns, the CRC-32 of an archive's members are its directory's.

    Raises: DamagedExport when an archive is not whole; OSError when the disk fails.
    """
    names = listed["file_name"]
    start = base(source)
    found = _locations(start, names.drop_nulls())
    lying = [(*found[name], None) if name in found else (None, None, None, _problem(start, name)) for name in names]
    rows = [(image_id, *place) for image_id, place in zip(listed["image_id"], lying, strict=True)]
    return pl.DataFrame(rows, schema=_LOCATED, orient="row")


def _problem(start: Path, name: str | None) -> str | None:
    """Why a file that has an image's name is not read: it is a link."""
    path = None if name is None else os.path.join(start, name)
    return link_problem(str(name), path) if path is not None and os.path.islink(path) else None


def _locations(start: Path, names: Iterable[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    by_archive: dict[str, list[str]] = {}
    for name in names:
        path, member = split_location(name)
        if member is not None:
            by_archive.setdefault(path, []).append(name)
        elif isinstance(file := find(start, name), Found):
            found[name] = file
    for path, members in sorted(by_archive.items()):
        if (start / path).is_file():
            with opened_archive(start / path, start) as place:
                found |= {name: place.files[name] for name in members if name in place.files}
    return found


def orphans(source: GalleryDlSource, snapshot: pl.LazyFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Images that no record names: without a sidecar, or with a rejected one, which has a row of its own."""
    named = set(snapshot.select("file_name").collect().to_series())
    rows = []
    for place in places(source):
        for name in place.images():
            if name not in named:
                described = f"{name}.json" in place.files
                detail = "its sidecar was rejected" if described else "there is no sidecar beside it"
                rows.append(_rejection(name, "orphan_file", detail))
    return _rejected(rows)


def _rejection(file: str, reason: str, detail: str) -> dict[str, object]:
    return {"file": file, "reason": reason, "detail": detail[:500]}


def _rejected(rows: list[dict[str, object]]) -> pl.DataFrame:
    return REJECTED_RECORDS.frame(rows).sort(REJECTED_RECORDS.sorted_by, nulls_last=True)
