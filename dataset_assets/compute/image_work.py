"""What workers do to images: take them in, judge them, prepare them for training.

Imported by every worker process, so it must stay light: no polars, no Dagster.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dataset_assets.compute.engine import Loss, Row
from dataset_assets.domain import file_kinds, image_facts, images, training
from dataset_assets.domain.blocked import NOTHING, REASON, Blocked
from dataset_assets.domain.identity import parse_image_id
from dataset_assets.storage import archives
from dataset_assets.storage.blobs import BlobMissing, Blobs, image_path
from dataset_assets.storage.bucket_access import AccessDenied, Unread
from dataset_assets.storage.locations import is_remote

MAX_FILE_BYTES = 512 << 20
READERS = 6  # of objects at once in one worker, which mostly waits for them
PREPARED_FACTS = (
    "width",
    "height",
    "upright_width",
    "upright_height",
    "scale_x",
    "scale_y",
    "offset_x",
    "offset_y",
    "background",
    "was_rotated",
    "was_converted",
)


@dataclass(frozen=True)
class TakeIn:
    """Reads the file of each listed image, says what it is, and keeps it in the way that the source asks for.

    Rows: image_id, location (null = not there), problem (why a file of its name is not read, where that is known),
    size, claimed md5 and file_ext, taken_down (why it is not even read; null = it is). Results: columns of
    `raw_images`. A file of blocked hashes is read, and not kept.
    """

    blobs: Blobs
    store: Literal["copy", "link", "reference"]
    max_bytes: int = MAX_FILE_BYTES
    blocked: Blocked = NOTHING

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        if not any(is_remote(row["location"] or "") for row in rows):
            return [self._take_in(row) for row in rows]
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(self._take_in, rows))

    def _take_in(self, row: Row) -> dict[str, Any]:
        location = row["location"]
        if row.get("taken_down") is not None:
            return kept_out(row)
        if location is None:
            problem = row.get("problem") or "the source has no file for this image"
            return _not_stored(row, "pending", "file_missing", problem)
        try:
            data = self.blobs.outside.read(location, self.max_bytes)
        except archives.LocationMissing as error:
            return _not_stored(row, "pending", "file_missing", str(error))
        except archives.TooLarge as error:
            return _not_stored(row, "quarantined", "too_large", str(error))
        except (archives.DamagedMember, OSError) as error:
            return _not_stored(row, "quarantined", "unreadable_file", str(error))
        except AccessDenied as error:
            return _not_stored(row, "pending", "refused", str(error))
        except Unread as error:
            return _not_stored(row, "pending", "cut_off", str(error))
        return self._judge(row, data)

    def _judge(self, row: Row, data: bytes) -> dict[str, Any]:
        if row["size"] not in (None, len(data)):
            return _not_stored(
                row, "pending", "changed_while_read", f"{row['size']} bytes were listed, {len(data)} read"
            )
        observed = _observed(row, data)
        kind = file_kinds.sniff(data[: file_kinds.SNIFF_BYTES])
        if why := self.blocked.file(observed["sha256"], observed["md5"]):
            return {**observed, **_not_stored(row, "excluded", REASON, why)}
        if not data:
            return {**observed, **_not_stored(row, "quarantined", "empty_file", "0 bytes")}
        if kind is None or kind.format == "html":
            beginning = ascii(data[:80])
            return {**observed, **_not_stored(row, "quarantined", "not_an_image", f"begins {beginning}")}
        observed |= {"format": kind.format, "extension": kind.extension}
        observed["extension_matches"] = kind.fits(row["file_ext"]) if row["file_ext"] else None
        if kind.family != "image":
            return {**observed, **_not_stored(row, "excluded", kind.family, f"the file is {kind.format}")}
        return {**observed, "state": "stored", "path": self._keep(row, data, observed)}

    def _keep(self, row: Row, data: bytes, observed: dict[str, Any]) -> str:
        location = str(row["location"])
        if self.store == "reference":
            return location
        name = image_path("raw", parse_image_id(row["image_id"]), observed["sha256"], observed["extension"])
        if self.store == "link":
            self.blobs.link(name, Path(location))
        else:
            self.blobs.put(name, data)
        return name


def kept_out(row: Row) -> dict[str, Any]:
    """The row of an image that was taken down; `taken_down` says by what."""
    return _not_stored({**row, "location": None}, "excluded", REASON, f"takedown {row['taken_down']}")


def _observed(row: Row, data: bytes) -> dict[str, Any]:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return {
        "image_id": row["image_id"],
        "location": row["location"],
        "size": len(data),
        "md5_claimed": row["md5"],
        "md5": md5,
        "md5_matches": None if row["md5"] is None else row["md5"] == md5,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _not_stored(row: Row, state: str, reason: str, detail: str) -> dict[str, Any]:
    return {
        "image_id": row["image_id"],
        "location": row["location"],
        "md5_claimed": row["md5"],
        "state": state,
        "reason": reason,
        "detail": detail[:500],
    }


def lost_raw_image(row: Row, loss: Loss) -> dict[str, Any]:
    """The row of an image whose file took the worker down."""
    return _not_stored(row, "quarantined", loss, "the worker that read this file did not come back")


@dataclass(frozen=True)
class Judge:
    """Decodes each stored image once and writes down what it is. Results: columns of `image_facts`."""

    blobs: Blobs
    limits: images.Limits

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [self._judge(row) for row in rows]

    def _judge(self, row: Row) -> dict[str, Any]:
        named = {"image_id": row["image_id"], "sha256": row["sha256"]}
        try:
            data = read_raw(self.blobs, row)
        except UnusableFile as error:
            return {**named, "error": error.reason, "error_detail": error.detail}
        return {**named, **image_facts.judge(data, self.limits)}


@dataclass(frozen=True)
class JudgeAndPrepare:
    """Does both of each stored image, which is read once, and decoded once where the pixels serve both.

    Results: by table name, the rows that `Judge` and `Prepare` would make. Of a picture whose pixels are blocked no
    training image is made: `takedowns` finds it by its facts, and takes it out.
    """

    judge: Judge
    prepare: "Prepare"
    blocked: Blocked = NOTHING

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [self._both(row) for row in rows]

    def _both(self, row: Row) -> dict[str, Any]:
        named = {"image_id": row["image_id"]}
        try:
            data = read_raw(self.judge.blobs, row)
        except UnusableFile as error:
            failed = {**named, "error": error.reason, "error_detail": error.detail}
            return {"image_facts": {**failed, "sha256": row["sha256"]}, "training_images": failed}
        facts, picture = image_facts.judged(data, self.judge.limits)
        if request := self.blocked.pixel_hash.get(str(facts.get("pixel_hash"))):
            refused = {**named, "error": REASON, "error_detail": f"takedown {request}: these pixels were taken down"}
            return {"image_facts": {**named, "sha256": row["sha256"], **facts}, "training_images": refused}
        training_row = self.prepare.of_bytes(row["image_id"], data, picture)
        return {"image_facts": {**named, "sha256": row["sha256"], **facts}, "training_images": training_row}


def lost_facts(row: Row, loss: Loss) -> dict[str, Any]:
    """The row of an image whose decoding took the worker down."""
    detail = "the decoder died or ran out of memory" if loss == "worker_died" else "decoding took too long"
    return {"image_id": row["image_id"], "sha256": row["sha256"], "error": loss, "error_detail": detail}


@dataclass(frozen=True)
class Prepare:
    """Makes the training image of each stored image. Results: columns of `training_images`."""

    blobs: Blobs
    recipe: training.TrainingRecipe
    limits: images.Limits

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [self._prepare(row) for row in rows]

    def _prepare(self, row: Row) -> dict[str, Any]:
        try:
            return self.of_bytes(row["image_id"], read_raw(self.blobs, row))
        except UnusableFile as error:
            return {"image_id": row["image_id"], "error": error.reason, "error_detail": error.detail}

    def of_bytes(self, image_id: str, data: bytes, decoded: images.Picture | None = None) -> dict[str, Any]:
        """The row of an image whose bytes are at hand, and maybe its pixels."""
        named = {"image_id": image_id}
        try:
            prepared = training.prepare(data, self.recipe, self.limits, decoded)
        except images.UnreadableImage as error:
            return {**named, "error": error.reason, "error_detail": error.detail}
        sha256 = hashlib.sha256(prepared.bytes).hexdigest()
        path = image_path("training", parse_image_id(image_id), sha256, prepared.extension)
        self.blobs.put(path, prepared.bytes)
        facts = {name: getattr(prepared, name) for name in PREPARED_FACTS}
        return {**named, **facts, "path": path, "sha256": sha256, "size": len(prepared.bytes)}


def lost_training_image(row: Row, loss: Loss) -> dict[str, Any]:
    """The row of an image whose preparation took the worker down."""
    return {key: value for key, value in lost_facts(row, loss).items() if key != "sha256"}


class UnusableFile(Exception):
    """A stored file that is gone, or is not the one that was stored."""

    def __init__(self, reason: Literal["missing_file", "damaged_file"], detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_raw(blobs: Blobs, row: Row) -> bytes:
    """The bytes of a stored image, proven to be the ones that were taken in.

    Raises: UnusableFile when the file is gone or has another SHA-256.
    """
    try:
        in_root = not (Path(row["path"]).is_absolute() or is_remote(row["path"]))
        data = blobs.get(row["path"]) if in_root else blobs.outside.read(row["path"], MAX_FILE_BYTES)
    except (BlobMissing, archives.LocationMissing) as error:
        raise UnusableFile("missing_file", str(error)) from None
    except (archives.DamagedMember, archives.TooLarge, AccessDenied, Unread, OSError) as error:
        raise UnusableFile("damaged_file", str(error)) from None
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise UnusableFile("damaged_file", f"{row['path']} is no longer the file that was taken in; rebuild raw_images")
    return data
