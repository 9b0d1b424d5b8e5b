"""What the UI shows of a partition at a glance: how its rows came out, and what its images look like."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from dataset_assets.resources import Dataset
from dataset_assets.storage.blobs import BlobMissing
from dataset_assets.storage.tables import Staged, Tables

if TYPE_CHECKING:
    from PIL import Image

SHEET_IMAGES, SHEET_COLUMNS, SHEET_SIDE = 48, 12, 96
INLINE_BYTES = 60_000  # base64 adds a third, and an event should stay below 100 kB


def staged_rows(tables: Tables, staged: Staged) -> pl.LazyFrame:
    """The rows that a run is about to commit."""
    return pl.scan_parquet(staged.file or tables.file(staged.table.name, staged.cell), hive_partitioning=False)


def states(tables: Tables, staged: Staged) -> dict[str, Any]:
    """Rows by state (or made and failed), as numbers that the UI plots over partitions, and the reasons as a table."""
    rows = staged_rows(tables, staged)
    if "state" in staged.table.schema:
        state, reason = pl.col("state"), pl.col("reason")
    else:
        state, reason = (
            pl.when(pl.col("error").is_null()).then(pl.lit("made")).otherwise(pl.lit("failed")),
            pl.col("error"),
        )
    counts = rows.group_by(state=state, reason=reason).len("rows").sort("state", "reason").collect()
    totals = counts.group_by("state").agg(pl.col("rows").sum()).sort("state")
    failures = counts.filter(pl.col("reason").is_not_null())
    table = dg.MetadataValue.table(
        [dg.TableRecord(row) for row in failures.to_dicts()],
        schema=dg.TableSchema([dg.TableColumn("state"), dg.TableColumn("reason"), dg.TableColumn("rows", "int")]),
    )
    return {f"rows_{name}": number for name, number in totals.iter_rows()} | (
        {"reasons": table} if failures.height else {}
    )


def counts_of(rows: pl.DataFrame, column: str) -> dict[str, int]:
    """How many rows have each value of a column, as numbers that the UI plots; null is not counted."""
    counted = rows.filter(pl.col(column).is_not_null()).group_by(column).len().sort(column)
    return {f"rows_{value}": number for value, number in counted.iter_rows()}


def carried_along(facts: pl.LazyFrame) -> dict[str, int]:
    """How many images say where they were taken, and behind how many there is something else, for the UI."""
    counted = facts.select(
        images_with_gps=pl.col("has_gps").sum(), images_with_trailing_bytes=(pl.col("trailing_bytes") > 0).sum()
    )
    return {name: int(number) for name, number in counted.collect().row(0, named=True).items()}


def sheet_name(staged: Staged) -> str:
    """Where the contact sheet of a partition lies, below the root."""
    return f"sheets/{staged.table.name}/{staged.cell.source}_{staged.cell.year}.jpg"


def contact_sheet_of(dataset: Dataset, staged: Staged, rows: pl.LazyFrame) -> dict[str, Any]:
    """Draw a sheet of images spread evenly over a partition: the whole one in the root, a small one in the event.

    `rows` has the `path` of each training image. Only our own JPEGs are decoded here, never a file from outside.
    """
    paths = rows.filter(pl.col("path").is_not_null()).sort("image_id").select("path").collect().get_column("path")
    step = max(1, len(paths) / SHEET_IMAGES)
    chosen = [paths[int(index * step)] for index in range(min(len(paths), SHEET_IMAGES))]
    return sheet_in_order(dataset, sheet_name(staged), chosen, SHEET_COLUMNS, of=len(paths))


def sheet_in_order(
    dataset: Dataset, name: str, paths: Sequence[str], columns: int, of: int | None = None
) -> dict[str, Any]:
    """Draw a sheet of training images in the given order, and keep it under a name below the root."""
    from dataset_assets.domain.contact_sheet import contact_sheet, jpeg_within

    images = [image for path in paths if (image := _open(dataset, path)) is not None]
    if not images:
        dataset.blobs.remove(name)  # the one that is there shows what the partition no longer has
        return {}
    sheet = contact_sheet(images, columns=columns, side=SHEET_SIDE)
    dataset.blobs.replace(name, jpeg_within(sheet, 4_000_000))
    inline = base64.b64encode(jpeg_within(sheet, INLINE_BYTES)).decode()
    total = len(paths) if of is None else of
    return {
        "contact_sheet": dg.MetadataValue.md(f"![{len(images)} of {total} images](data:image/jpeg;base64,{inline})"),
        "contact_sheet_file": dg.MetadataValue.path(dataset.blobs.shown(name)),
    }


def _open(dataset: Dataset, path: str) -> "Image.Image | None":
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(dataset.blobs.get(path)), formats=("JPEG", "PNG", "WEBP"))
        image.load()
    except (BlobMissing, OSError):
        return None  # the row's own error tells; a sheet can do without it
    return image
