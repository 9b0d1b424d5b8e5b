"""What workers do for `optimized_images`: recompress a stored image without loss, prove it, and store it.

Imported by worker processes, so it must stay light: no polars, no Dagster.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataset_assets.compute.engine import Loss, Row
from dataset_assets.compute.image_work import UnusableFile, read_raw
from dataset_assets.domain.identity import parse_image_id
from dataset_assets.domain.images import Limits
from dataset_assets.domain.lossless import LosslessRecipe, Smaller, Unchanged, optimize
from dataset_assets.domain.states import FILE_ERRORS, KeptBecause
from dataset_assets.domain.trailing import end_of_image
from dataset_assets.storage.blobs import Blobs, image_path


@dataclass(frozen=True)
class Optimize:
    """Recompresses each stored image; what cannot be made smaller keeps its original, which is not copied.

    Rows: image_id, path, sha256, size, md5, format and extension of `raw_images`; facts_error and pixel_hash of
    `image_facts`. Results: columns of `optimized_images`.
    """

    blobs: Blobs
    recipe: LosslessRecipe
    limits: Limits

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        os.environ["RAYON_NUM_THREADS"] = "1"  # the pool's workers are the threads
        return [self._optimize(row) for row in rows]

    def _optimize(self, row: Row) -> dict[str, Any]:
        facts_error = row["facts_error"]
        if facts_error is not None and facts_error not in FILE_ERRORS:
            return kept(row, "unreadable", facts_error)
        try:
            data = read_raw(self.blobs, row)
            smaller = optimize(data, self.recipe, self.limits)
        except UnusableFile as error:
            return {"image_id": row["image_id"], "error": error.reason, "error_detail": error.detail[:500]}
        except Unchanged as unchanged:
            return kept(row, unchanged.reason, unchanged.detail)
        if row["pixel_hash"] not in (None, smaller.pixel_hash):
            return kept(row, "pixels_differ", "from what image_facts says")
        return self._store(row, data, smaller)

    def _store(self, row: Row, data: bytes, smaller: Smaller) -> dict[str, Any]:
        sha256 = hashlib.sha256(smaller.bytes).hexdigest()
        path = image_path("optimized", parse_image_id(row["image_id"]), sha256, row["extension"])
        self.blobs.put(path, smaller.bytes)
        if hashlib.sha256(self.blobs.get(path)).hexdigest() != sha256:  # damage of the same size lay there before
            self.blobs.replace(path, smaller.bytes)
        end = end_of_image(row["format"], data)
        return {
            **_original(row),
            "path": path,
            "sha256": sha256,
            "size": len(smaller.bytes),
            "trailing_bytes": 0 if end is None else len(data) - end,
            "pixel_hash": smaller.pixel_hash,
        }


def kept(row: Row, reason: KeptBecause, detail: str | None = None) -> dict[str, Any]:
    """The row of an image whose original stands as it is."""
    return {
        **_original(row),
        "kept_because": reason,
        "detail": None if detail is None else detail[:500],
        "path": row["path"],
        "sha256": row["sha256"],
        "size": row["size"],
        "pixel_hash": row["pixel_hash"],
    }


def lost_optimized_image(row: Row, loss: Loss) -> dict[str, Any]:
    """The row of an image that took the worker down: its original stands."""
    return kept(row, loss)


def _original(row: Row) -> dict[str, Any]:
    return {
        "image_id": row["image_id"],
        "format": row["format"],
        "original_md5": row["md5"],
        "original_size": row["size"],
    }
