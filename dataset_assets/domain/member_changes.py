"""What changed of an image from one release to the next, row by row."""

import polars as pl

# Of an image that both releases have; it may be several. In the order in which they are told.
CHANGES: dict[str, str] = {
    "replaced": "another picture under the same id",
    "bytes": "the same picture in another file",
    "captions": "other captions",
    "tags": "other tags",
    "rating": "another rating",
    "license": "another licence, basis or permission",
    "split": "another split",
    "year": "another year",
    "artist": "another artist",
    "stated": "another title, address, parent or AI label",
    "score": "another score or number of favourites",
}
ALL_CHANGES: dict[str, str] = {"added": "new", "removed": "gone", **CHANGES, "unchanged": "the same in every way"}

_STATED = ("title", "page_url", "source_url", "file_url", "parent_id", "is_ai_generated")
COMPARED = (
    *("source", "year", "split", "sha256", "size", "original_sha256", "original_size", "pixel_hash", "rating", "score"),
    *("fav_count", "license", "license_basis", "may_redistribute", "artist", "captions", "tags", *_STATED),
)


def joined(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Rows of either release in order of image_id, with COMPARED of the later one under the suffix `_after`.

    is_before, is_after: which has the image. has_<change>: each of ALL_CHANGES.
    """
    rows = before.with_columns(is_before=pl.lit(True)).join(
        after.with_columns(is_after=pl.lit(True)), on="image_id", how="full", coalesce=True, suffix="_after"
    )
    rows = rows.with_columns(pl.col("is_before", "is_after").fill_null(False)).sort("image_id")
    stays = pl.col("is_before") & pl.col("is_after")
    rows = rows.with_columns((stays & differs).alias(f"has_{change}") for change, differs in _differences().items())
    changed = pl.any_horizontal(f"has_{change}" for change in CHANGES)
    return rows.with_columns(
        has_added=~pl.col("is_before"), has_removed=~pl.col("is_after"), has_unchanged=stays & ~changed
    )


def _differences() -> dict[str, pl.Expr]:
    """CHANGES. Where the pixels of either were not hashed, another original is another picture."""
    is_hashed = pl.col("pixel_hash").is_not_null() & pl.col("pixel_hash_after").is_not_null()
    is_replaced = pl.when(is_hashed).then(_differs("pixel_hash")).otherwise(_differs("original_sha256"))
    return {
        "replaced": is_replaced,
        "bytes": ~is_replaced & _differs("sha256", "original_sha256"),
        "license": _differs("license", "license_basis", "may_redistribute"),
        "stated": _differs(*_STATED),
        "score": _differs("score", "fav_count"),
        **{name: _differs(name) for name in ("captions", "tags", "rating", "split", "year", "artist")},
    }


def _differs(*names: str) -> pl.Expr:
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in names)
