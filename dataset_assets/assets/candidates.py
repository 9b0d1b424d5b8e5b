"""What a subset's rules are asked of, and what its splits follow from, gathered from the tables."""

from dataclasses import dataclass

import dagster as dg
import polars as pl

from dataset_assets.assets.duplicates import dropped_duplicates, near_duplicates_of
from dataset_assets.assets.id_lists import listed_posts
from dataset_assets.domain import selection, splits, tag_query
from dataset_assets.domain.image_scores import IMAGE_SCORES
from dataset_assets.resources import Dataset, rebuild_command
from dataset_assets.storage.tables import Cell
from dataset_assets.subset_settings import Subset

# What splits must not tear apart, beside near-duplicates: of all sources, since duplicates are found across them.
LINKS = {"sketch": "sketch_pairs", "family": "families"}


@dataclass(frozen=True)
class YearTables:
    """The tables of one source and year that every subset is judged by."""

    image_metadata: pl.LazyFrame
    tag_metadata: pl.LazyFrame
    raw_images: pl.LazyFrame
    image_facts: pl.LazyFrame


def candidates_of(dataset: Dataset, name: str, cell: Cell, tables: YearTables) -> pl.LazyFrame:
    """Every listed image, with all columns that the rules of a subset read.

    Raises: Failure when a table that the subset needs is not built.
    """
    definition = dataset.config.subsets[name]
    scores = dataset.tables.scan(IMAGE_SCORES, cell) if definition.asked_scores else None
    groups = near_duplicates_of(dataset) if definition.asks_duplicates else None
    found = selection.candidates(tables.image_metadata, tables.raw_images, tables.image_facts, scores, groups)
    for column, lists in (("is_excluded", definition.exclude), ("is_listed", definition.only)):
        if lists:
            found = selection.mark_listed(found, column, listed_posts(dataset, lists, str(cell.source)))
    if definition.duplicates == "drop":
        leaves_out = dropped_duplicates(dataset, keeps_families=definition.families == "keep")
        leaves_out = leaves_out.join(tables.image_metadata.select("image_id"), on="image_id", how="semi")
        marked = found.join(leaves_out.with_columns(is_duplicate=True), on="image_id", how="left")
        found = marked.with_columns(pl.col("is_duplicate").fill_null(False))
    if definition.tags is not None:
        query = tag_query.parse(definition.tags)
        found = found.join(tag_query.matches(query, tables.image_metadata, tables.tag_metadata), on="image_id")
    return found


def splits_of(dataset: Dataset, definition: Subset, images: pl.LazyFrame) -> pl.LazyFrame | None:
    """image_id and split of each image, were it kept; null = the subset has no splits.

    Raises: Failure when a table that they follow from is not built.
    """
    if not definition.splits:
        return None
    groups = None if definition.split_by == "image" else near_duplicates_of(dataset)
    keys = splits.keys_of(images, groups, _links(dataset, definition, images, groups))
    return keys.select("image_id", split=splits.split_of(pl.col("key"), definition.splits))


def _links(
    dataset: Dataset, definition: Subset, images: pl.LazyFrame, groups: pl.LazyFrame | None
) -> pl.LazyFrame | None:
    if groups is None or definition.split_by not in LINKS:
        return None
    rows = _of_all_sources(dataset, LINKS[definition.split_by])
    if definition.split_by == "sketch":
        return splits.sketch_links(rows)
    duplicates = groups.filter(pl.col("group_size") > 1).select("image_id")
    return splits.family_links(rows, pl.concat([images.select("image_id"), duplicates]).unique())


def _of_all_sources(dataset: Dataset, name: str) -> pl.LazyFrame:
    """A table of whole sources. Raises: Failure when one of them is not built: its images would be torn apart."""
    for source in dataset.config.sources:
        cell = Cell(source)
        if dataset.tables.commit_of(name, cell) is None or not dataset.tables.is_intact(name, cell):
            said = f"{name} of {cell} is not built or damaged; build it: {rebuild_command(name, cell)}"
            raise dg.Failure(said, allow_retries=False)
    rows = dataset.tables.scan_all(name, [Cell(source) for source in dataset.config.sources])
    assert rows is not None, "every source has its partition, so there is one"
    return rows


def with_splits(judged: pl.LazyFrame, split: pl.LazyFrame | None) -> pl.LazyFrame:
    """Rows of a subset, of `image_id` and `drop_reason`: what is kept is in a part, where there are parts."""
    if split is None:
        return judged.with_columns(split=pl.lit(None, pl.String))
    found = judged.join(split, on="image_id", how="left")
    return found.with_columns(split=pl.when(pl.col("drop_reason").is_null()).then("split"))
