"""Where images come from: one module for each system, its records in, rows of the shared schemas out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from dataset_assets.domain.schemas import Table


class DamagedExport(Exception):
    """An export that ends too early or cannot be unpacked; a shorter table would be a silent loss."""


@dataclass(frozen=True)
class ReadReport:
    """What reading an export found beside its records."""

    records: int
    rejected: pl.DataFrame


class Adapter(Protocol):
    """What each source module offers. `name` is the source's name in dataset.yaml, `source` its block there."""

    # One row per record, columns as published, typed; `image_id`, `year`, `record_file`, `record_line` come first.
    # Sorted by year, then image_id, so that a year is read alone.
    SNAPSHOT: Table

    def fingerprint(self, source: Any) -> str:
        """Hex digest that changes when the export's files do (names, sizes, modification times)."""

    def read_snapshot(self, name: str, source: Any, into: Path, say: Callable[[str], None]) -> ReadReport:
        """Stream the export into the Parquet file `into`; `say` receives a line of progress every few seconds.

        Raises: DamagedExport when a file is cut off.
        """

    def image_metadata(self, snapshot: pl.LazyFrame) -> pl.LazyFrame:
        """Rows of `image_metadata` from rows of the snapshot."""

    def tag_metadata(self, snapshot: pl.LazyFrame) -> pl.LazyFrame:
        """Rows of `tag_metadata` from rows of the snapshot, in any order; one may repeat."""

    def locate(self, source: Any, listed: pl.DataFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
        """Where the image of each row of `image_metadata` lies.

        `files` are those of a bucket or of archives (see `storage.listings`); null = the source finds its own.
        Returns: image_id, location (a path, `archive!member` or `s3://bucket/key`; null = not there), size and mtime_ns
        of that file (null = not known before it is read); perhaps `problem`, why a file that has the image's name is
        not read, such as a link that leads elsewhere.
        """

    def orphans(self, source: Any, snapshot: pl.LazyFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
        """Files of the source that no record names, as rows of `rejected_records`."""


def adapters() -> Mapping[str, Adapter]:
    """The adapter of each kind of source."""
    from dataset_assets.sources import danbooru, gallery_dl, pd12m, pixiv_lists

    return {"danbooru": danbooru, "gallery_dl": gallery_dl, "pixiv_lists": pixiv_lists, "pd12m": pd12m}
