"""Near-duplicates over all sources, and what they are told by."""

from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of, sheet_in_order
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES, PICTURE_HASHES, dropped, picture_hashes_of
from dataset_assets.domain.vector_tables import CLIP
from dataset_assets.resources import Dataset, cell_of, rebuild_command
from dataset_assets.storage.durable import scratch_file
from dataset_assets.storage.tables import Cell, Staged

if TYPE_CHECKING:
    from dataset_assets.domain.close_vectors import VectorPairs

ROWS_AT_ONCE = 50_000
HASHES_VERSION = DUPLICATES_VERSION = "3"
SHOWN_GROUPS, SHOWN_OF_GROUP = 12, 4


def hashes_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `picture_hashes`, of each source as a whole."""
    compares = graph.config.near_duplicates.min_cosine is not None
    return graph.asset(
        picture_hashes,
        PICTURE_HASHES,
        group="images",
        kinds={"polars", "parquet"},
        version=HASHES_VERSION,
        settings=compares or None,
        deps=[CLIP] if compares else [],
        by_source=True,
    )


def duplicates_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `near_duplicates`, across all sources."""
    return graph.asset(
        near_duplicates,
        NEAR_DUPLICATES,
        group="curation",
        kinds={"polars", "numpy", "parquet"},
        version=DUPLICATES_VERSION,
        settings=_settings(graph.config),
        across_sources=True,
    )


def picture_hashes(
    context: dg.AssetExecutionContext, dataset: Dataset, image_facts: pl.LazyFrame, families: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """What tells duplicates of a source's images, gathered from its years: one row per decoded image."""
    cell = cell_of(context)
    compares = dataset.config.near_duplicates.min_cosine is not None
    embeddings = dataset.tables.scan_all(CLIP, dataset.cells_of(CLIP, cell.source)) if compares else None
    rows = picture_hashes_of(image_facts, families, embeddings)
    return dataset.result(context, dataset.tables.stage(PICTURE_HASHES, cell, rows))


def near_duplicates(
    context: dg.AssetExecutionContext, dataset: Dataset, picture_hashes: pl.LazyFrame, sketch_pairs: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """The image that each one duplicates, by pixels, looks or a model: one row per decoded image, of all sources.

    New images are held against the leaders of the groups that there are; a leader stays one while its pixels do.
    """
    from dataset_assets.domain import duplicates

    images = picture_hashes.select(PICTURE_HASHES.schema.names()).collect()
    # Groups that were judged by another model's vectors are judged anew.
    models = images["vector_key"].drop_nulls().str.split(" ").list.last().unique().sort().to_list()
    recipe = fingerprint({"version": DUPLICATES_VERSION, "models": models, **_settings(dataset.config)})
    distance, least = dataset.config.near_duplicates.max_distance, dataset.config.near_duplicates.min_cosine
    sources = list(dataset.config.sources)
    pairs = sketch_pairs.select("colored_id", "sketch_id").collect()
    facts = duplicates.Facts(
        images.drop("root_id", "vector_key"), images.select("image_id", "root_id").drop_nulls(), pairs
    )
    semantic = None if least is None else partial(similar_images, dataset, least)
    rows = duplicates.near_duplicates(facts, _previous(dataset, recipe), sources, distance, semantic)
    staged = dataset.tables.stage(NEAR_DUPLICATES, cell_of(context), rows, recipe)
    return dataset.result(context, staged, {**_counted(rows), **_largest_groups(dataset, staged, rows)})


def similar_images(dataset: Dataset, least: float, image_ids: pl.Series) -> "VectorPairs":
    """Pairs of images whose vectors have a high cosine. The vectors lie in a file meanwhile: memory may not hold them.

    Raises: Failure when they are of several models, whose vectors cannot be compared.
    """
    import numpy as np

    from dataset_assets.domain.close_vectors import close_vectors
    from dataset_assets.domain.duplicates import NO_LIKES

    wanted = pl.DataFrame({"image_id": image_ids}).with_row_index("place").lazy()
    files = dataset.tables.files(CLIP, dataset.cells_of(CLIP))
    scans = [pl.scan_parquet(file, hive_partitioning=False) for file in files]
    models = {row for scan in scans for row in scan.select("recipe").unique().collect()["recipe"]}
    if len(models) > 1:
        names = ", ".join(sorted(str(model) for model in models))
        raise dg.Failure(f"{CLIP} is of several models (recipes {names}); rebuild it with one", allow_retries=False)
    sizes = {scan.collect_schema()["embedding"].shape for scan in scans}  # type: ignore[attr-defined]  # an Array
    if not scans or image_ids.is_empty():
        return NO_LIKES
    ((dim,),) = sizes
    with scratch_file(dataset.tables.scratch, ".vectors") as file:
        vectors = np.memmap(file, np.float16, "w+", shape=(len(image_ids), dim))
        for scan in scans:
            rows = scan.filter(pl.col("embedding").is_not_null()).select("image_id", "embedding")
            for batch in rows.join(wanted, on="image_id").collect_batches(chunk_size=ROWS_AT_ONCE):
                vectors[batch["place"].to_numpy()] = batch["embedding"].to_numpy()
        return close_vectors(vectors, least)


def _settings(config: DatasetConfig) -> dict[str, object]:
    settings = config.near_duplicates
    compared = {} if settings.min_cosine is None else {"min_cosine": settings.min_cosine}
    return {"max_distance": settings.max_distance, "sources": list(config.sources), **compared}


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
    prepared = dataset.tables.scan_all("training_images", dataset.cells_of("training_images"))
    groups = rows.filter(pl.col("kind").is_in(("perceptual", "semantic"))).select("group_id", "group_size").unique()
    shown = groups.sort(-pl.col("group_size"), "group_id").head(SHOWN_GROUPS).with_row_index("place")
    if prepared is None or shown.is_empty():
        return sheet_in_order(dataset, f"sheets/{staged.table.name}.jpg", [], SHOWN_OF_GROUP * 3)
    members = rows.join(shown.select("group_id", "place"), on="group_id").sort(
        "place", pl.col("duplicate_of").is_not_null(), pl.col("kind") == "exact", "image_id"
    )
    some = members.group_by("place", maintain_order=True).head(SHOWN_OF_GROUP).lazy()
    paths = some.join(prepared.select("image_id", "path"), on="image_id", how="left", maintain_order="left")
    found = paths.filter(pl.col("path").is_not_null()).select("path").collect().get_column("path")
    return sheet_in_order(dataset, f"sheets/{staged.table.name}.jpg", found.to_list(), SHOWN_OF_GROUP * 3)


def dropped_duplicates(dataset: Dataset, *, keeps_families: bool) -> pl.LazyFrame:
    """image_id of the duplicates that a subset leaves out. Raises: as `near_duplicates_of`."""
    return dropped(near_duplicates_of(dataset), keeps_families=keeps_families)


def near_duplicates_of(dataset: Dataset) -> pl.LazyFrame:
    """The table over all sources.

    Raises: Failure when it is not built: without it nothing would be left out, in silence.
    """
    name, cell = NEAR_DUPLICATES.name, Cell()
    if dataset.tables.commit_of(name, cell) is None or not dataset.tables.is_intact(name, cell):
        said = f"{name} is not built or damaged; build it: {rebuild_command(name, cell)}"
        raise dg.Failure(said, allow_retries=False)
    return dataset.tables.scan(NEAR_DUPLICATES, cell)
