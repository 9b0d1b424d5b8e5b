"""Published annotations against one another: second ones of an image, empty ones, and files that do not agree."""

import polars as pl

from dataset_assets.domain.annotations import ANNOTATION_MISMATCHES, disagreement

CLEANED = "clean"  # stands in the names of meta files whose tags were edited: meta_clean.json


def compare(annotations: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Mark what cannot be used, and say what does not agree.

    Returns: the rows of `source_annotations`, now with every problem, and rows of `annotation_mismatches`.
    """
    marked = _mark_repeated(_mark_empty(annotations))
    newly = annotations["problem"].is_null() & marked["problem"].is_not_null()
    problems = marked.filter(newly).select(
        kind="problem",
        file="file",
        key="key",
        image_id="image_id",
        detail=pl.when(pl.col("problem") == "empty_caption")
        .then(pl.lit("the caption has no words"))
        .otherwise(pl.format("{} has one from the same origin already", "image_id")),
    )
    used = marked.filter(pl.col("problem").is_null())
    parts = [problems, _repeated_tags(used), _tags_that_disagree(used), _captions_that_disagree(used)]
    return marked, pl.concat([ANNOTATION_MISMATCHES.empty(), *parts])


def _mark_empty(annotations: pl.DataFrame) -> pl.DataFrame:
    is_empty = (pl.col("caption") == "").fill_null(False) & pl.col("tags").is_null() & pl.col("problem").is_null()
    return annotations.with_columns(problem=pl.when(is_empty).then(pl.lit("empty_caption")).otherwise("problem"))


def _mark_repeated(annotations: pl.DataFrame) -> pl.DataFrame:
    """Of an image's annotations of one origin, all but the first; its `.txt` and its `.caption` are two."""
    is_used = pl.col("problem").is_null()
    what = pl.col("tags").is_null() & (pl.col("origin") == "sidecar")
    is_first = pl.struct("image_id", "origin", what.alias("what"), is_used.alias("used")).is_first_distinct()
    ordered = annotations.with_row_index("read").sort("file", "read")
    repeated = is_used & ~is_first
    return (
        ordered.with_columns(problem=pl.when(repeated).then(pl.lit("repeated_annotation")).otherwise("problem"))
        .sort("read")
        .drop("read")
    )


def _repeated_tags(used: pl.DataFrame) -> pl.DataFrame:
    twice = used.filter(pl.col("tags").list.n_unique() < pl.col("tags").list.len())
    lost = pl.col("tags").list.len() - pl.col("tags").list.n_unique()
    return _mismatches(twice, "repeated_tag", pl.format("{} tags stand in the list before", lost))


def _tags_that_disagree(used: pl.DataFrame) -> pl.DataFrame:
    both = _beside_sidecar(used, "tags")
    details = [
        disagreement(sidecar, meta, is_cleaned=CLEANED in origin)
        for sidecar, meta, origin in both.select("tags_of_sidecar", "tags", "origin").iter_rows()
    ]
    found = both.with_columns(said=pl.Series(details, dtype=pl.String)).filter(pl.col("said").is_not_null())
    return _mismatches(found, "tags_disagree", pl.col("said"))


def _captions_that_disagree(used: pl.DataFrame) -> pl.DataFrame:
    """Captions of meta files that are neither the `.caption`'s text nor its first line; cleaned ones may differ."""
    both = _beside_sidecar(used, "caption").filter(~pl.col("origin").str.contains(CLEANED, literal=True))
    first_line = pl.col("caption_of_sidecar").str.extract(r"^([^\r\n]*)").str.strip_chars()
    differs = (pl.col("caption") != pl.col("caption_of_sidecar")) & (pl.col("caption") != first_line)
    shown = pl.format("{} / {}", pl.col("caption").str.slice(0, 200), pl.col("caption_of_sidecar").str.slice(0, 200))
    return _mismatches(both.filter(differs), "captions_disagree", shown)


def _beside_sidecar(used: pl.DataFrame, column: str) -> pl.DataFrame:
    """Meta files' rows that have a value, and the value of the sidecar of the same image."""
    present = used.filter(pl.col(column).is_not_null())
    sidecars = present.filter(origin="sidecar").select("image_id", pl.col(column).alias(f"{column}_of_sidecar"))
    return present.filter(pl.col("origin") != "sidecar").join(sidecars, on="image_id", maintain_order="left")


def _mismatches(rows: pl.DataFrame, kind: str, detail: pl.Expr) -> pl.DataFrame:
    return rows.select(
        kind=pl.lit(kind), file="file", key="key", image_id="image_id", detail=detail.str.slice(0, 500)
    ).cast(ANNOTATION_MISMATCHES.schema)
