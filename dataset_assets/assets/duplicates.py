"""Near-duplicates over all sources, and what they are told by."""

from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of, sheet_in_order
from dataset_assets.compute.update import fingerprint
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES, PICTURE_HASHES, dropped, picture_hashes_of
from dataset_assets.resources import Dataset, cell_of, rebuild_command
from dataset_assets.storage.tables import Cell, Staged

HASHES_VERSION = DUPLICATES_VERSION = "1"
SHOWN_GROUPS, SHOWN_OF_GROUP = 12, 4


def hashes_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `picture_hashes`, of each source as a whole."""
    kinds = {"polars", "parquet"}
    return graph.asset(
        picture_hashes, PICTURE_HASHES, group="images", kinds=kinds, version=HASHES_VERSION, by_source=True
    )


def duplicates_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `near_duplicates`, across all sources."""
    return graph.asset(
        near_duplicates,
        NEAR_DUPLICATES,
        group="curation",
        kinds={"polars", "numpy", "parquet"},
        version=DUPLICATES_VERSION,
        settings=_settings(graph.config.near_duplicates.max_distance, list(graph.config.sources)),
        across_sources=True,
    )


def picture_hashes(
    context: dg.AssetExecutionContext, dataset: Dataset, image_facts: pl.LazyFrame, families: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """What tells duplicates of a source's images, gathered from its years: one row per decoded image."""
    rows = picture_hashes_of(image_facts, families)
    return dataset.result(context, dataset.tables.stage(PICTURE_HASHES, cell_of(context), rows))


def near_duplicates(
    context: dg.AssetExecutionContext, dataset: Dataset, picture_hashes: pl.LazyFrame, sketch_pairs: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """The image that each one duplicates, by equal pixels or by looks: one row per decoded image, of all sources.

    New images are held against the leaders of the groups that there are; a leader stays one while its pixels do.
    """
    from dataset_assets.domain import duplicates

    distance, sources = dataset.config.near_duplicates.max_distance, list(dataset.config.sources)
    recipe = fingerprint({"version": DUPLICATES_VERSION, **_settings(distance, sources)})
    images = picture_hashes.select(PICTURE_HASHES.schema.names()).collect()
    pairs = sketch_pairs.select("colored_id", "sketch_id").collect()
    facts = duplicates.Facts(images.drop("root_id"), images.select("image_id", "root_id").drop_nulls(), pairs)
    rows = duplicates.near_duplicates(facts, _previous(dataset, recipe), sources, distance)
    staged = dataset.tables.stage(NEAR_DUPLICATES, cell_of(context), rows, recipe)
    return dataset.result(context, staged, {**_counted(rows), **_largest_groups(dataset, staged, rows)})


def _settings(distance: int, sources: list[str]) -> dict[str, object]:
    return {"max_distance": distance, "sources": sources}


def _previous(dataset: Dataset, recipe: str) -> pl.DataFrame:
    """The groups that there are, if they were made in the same way and can be trusted."""
    tables, cell = dataset.tables, Cell()
    commit = tables.commit_of(NEAR_DUPLICATES.name, cell)
    is_ours = commit is not None and commit.recipe == recipe
    if not (is_ours and tables.is_intact(NEAR_DUPLICATES.name, cell, by_content=True)):
        return NEAR_DUPLICATES.empty()
    return tables.scan(NEAR_DUPLICATES, cell).collect()


def _counted(rows: pl.DataFrame) -> dict[str, Any]:
    groups = rows.filter(pl.col("duplicate_of").is_null(), pl.col("group_size") > 1)
    sizes = groups.group_by(images="group_size").agg(groups=pl.len()).sort("images")
    table = dg.MetadataValue.table(
        [dg.TableRecord(row) for row in sizes.to_dicts()],
        schema=dg.TableSchema([dg.TableColumn("images", "int"), dg.TableColumn("groups", "int")]),
    )
    largest = groups.select(pl.col("group_size").max()).item() or 1
    return {"groups": groups.height, "largest_group": largest, "groups_by_size": table, **counts_of(rows, "kind")}


def _largest_groups(dataset: Dataset, staged: Staged, rows: pl.DataFrame) -> dict[str, Any]:
    """A look at the largest groups of images that are not merely equal, the leader of each first."""
    prepared = dataset.tables.scan_all("training_images")
    groups = rows.filter(pl.col("kind") == "perceptual").select("group_id", "group_size").unique()
    shown = groups.sort(-pl.col("group_size"), "group_id").head(SHOWN_GROUPS).with_row_index("place")
    if prepared is None or shown.is_empty():
        return {}
    members = rows.join(shown.select("group_id", "place"), on="group_id").sort(
        "place", pl.col("duplicate_of").is_not_null(), pl.col("kind") == "exact", "image_id"
    )
    some = members.group_by("place", maintain_order=True).head(SHOWN_OF_GROUP).lazy()
    paths = some.join(prepared.select("image_id", "path"), on="image_id", how="left", maintain_order="left")
    found = paths.filter(pl.col("path").is_not_null()).select("path").collect().get_column("path")
    return sheet_in_order(dataset, f"sheets/{staged.table.name}.jpg", found.to_list(), SHOWN_OF_GROUP * 3)


def dropped_duplicates(dataset: Dataset, *, keeps_families: bool) -> pl.LazyFrame:
    """image_id of the duplicates that a subset leaves out.

    Raises: Failure when near_duplicates is not built: without it nothing would be left out, in silence.
    """
    name, cell = NEAR_DUPLICATES.name, Cell()
    if dataset.tables.commit_of(name, cell) is None or not dataset.tables.is_intact(name, cell):
        said = f"{name} is not built or damaged; build it: {rebuild_command(name, cell)}"
        raise dg.Failure(said, allow_retries=False)
    return dropped(dataset.tables.scan(NEAR_DUPLICATES, cell), keeps_families=keeps_families)
