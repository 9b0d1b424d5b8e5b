"""What a release asks for and no table has: said before anything of it is gathered or written."""

from collections.abc import Iterator

import polars as pl

from dataset_assets.domain.annotations import CAPTIONS, PUBLISHED_TAGS
from dataset_assets.domain.vector_tables import CLIP
from dataset_assets.release_settings import Release
from dataset_assets.resources import Dataset, rebuild_command
from dataset_assets.storage.tables import Cell


def lacking(dataset: Dataset, release: Release) -> list[str]:
    """What it cannot be made without, in words that say what to do."""
    return [*_unknown_origins(dataset, release), *_no_tags(dataset, release), *_no_vectors(dataset, release)]


def _unknown_origins(dataset: Dataset, release: Release) -> Iterator[str]:
    captions = dataset.tables.scan_all(CAPTIONS.name, dataset.cells_of(CAPTIONS.name)) if release.captions else None
    if captions is None:
        return  # without the table there are no members, which is said where they are gathered
    captioner = dataset.config.captioner
    known = {*captions.select(pl.col("origin").unique()).collect()["origin"], *([captioner.kind] if captioner else [])}
    for origin in release.captions:
        if origin not in known:
            yield f"captions: there is no origin {origin!r}; there are: {', '.join(sorted(known)) or 'none'}"


def _no_tags(dataset: Dataset, release: Release) -> Iterator[str]:
    if release.tags == "published" and not _has_rows(dataset, PUBLISHED_TAGS.name, pl.lit(True)):
        yield (
            f"tags: published: no source has published tags beside its images, or {PUBLISHED_TAGS.name} is not built: "
            f"{rebuild_command(PUBLISHED_TAGS.name, Cell())}"
        )


def _no_vectors(dataset: Dataset, release: Release) -> Iterator[str]:
    if "clip_retrieval" in release.formats and not _has_rows(dataset, CLIP, pl.col("embedding").is_not_null()):
        yield (
            f"clip_retrieval: there are no vectors; build them: {rebuild_command(CLIP, Cell())}, "
            "or leave the format out"
        )


def _has_rows(dataset: Dataset, table: str, which: pl.Expr) -> bool:
    rows = dataset.tables.scan_all(table, dataset.cells_of(table))
    return rows is not None and rows.filter(which).head(1).select(pl.len()).collect().item() > 0
