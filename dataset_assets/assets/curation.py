"""Which images are kept, and why the others are not."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.duplicates import dropped_duplicates, near_duplicates_of
from dataset_assets.assets.graph import Graph
from dataset_assets.assets.id_lists import listed_posts
from dataset_assets.assets.pictures import contact_sheet_of, staged_rows
from dataset_assets.config import DatasetConfig, Subset
from dataset_assets.domain import schemas, selection, tag_query
from dataset_assets.domain.image_scores import IMAGE_SCORES
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.tables import Staged

SUBSET_VERSION = "1"


def curation_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage: one for each subset of dataset.yaml."""
    return [
        graph.asset(
            subset_of(name),
            schemas.subset(name),
            group="curation",
            kinds={"polars", "parquet"},
            version=SUBSET_VERSION,
            settings=[definition.model_dump(exclude_defaults=True), _licenses(graph.config)],
            deps=[
                *(dg.AssetKey(["id_list", one]) for one in dict.fromkeys((*definition.exclude, *definition.only))),
                *(["near_duplicates"] if definition.asks_duplicates else []),
                *([IMAGE_SCORES.name] if definition.scores else []),
            ],
        )
        for name, definition in graph.config.subsets.items()
    ]


def subset_of(name: str) -> Callable[..., dg.MaterializeResult[Staged]]:
    """The function of one subset's asset."""

    def subset(
        context: dg.AssetExecutionContext,
        dataset: Dataset,
        image_metadata: pl.LazyFrame,
        tag_metadata: pl.LazyFrame,
        raw_images: pl.LazyFrame,
        image_facts: pl.LazyFrame,
        training_images: pl.LazyFrame,
    ) -> dg.MaterializeResult[Staged]:
        rules = rules_of(dataset.config, name, str(cell_of(context).source))
        scores = dataset.tables.scan(IMAGE_SCORES, cell_of(context)) if dataset.config.subsets[name].scores else None
        groups = near_duplicates_of(dataset) if dataset.config.subsets[name].asks_duplicates else None
        candidates = selection.candidates(image_metadata, raw_images, image_facts, scores, groups)
        definition, source = dataset.config.subsets[name], str(cell_of(context).source)
        for column, lists in (("is_excluded", definition.exclude), ("is_listed", definition.only)):
            if lists:
                candidates = selection.mark_listed(candidates, column, listed_posts(dataset, lists, source))
        if definition.duplicates == "drop":
            leaves_out = dropped_duplicates(dataset, keeps_families=definition.families == "keep")
            candidates = candidates.join(
                leaves_out.with_columns(is_duplicate=True), on="image_id", how="left", maintain_order="left"
            ).with_columns(pl.col("is_duplicate").fill_null(False))
        judged = judge(candidates, image_metadata, tag_metadata, definition, rules)
        table = schemas.subset(name)
        staged = dataset.tables.stage(table, cell_of(context), judged)
        rows = staged_rows(dataset.tables, staged)
        kept = training_images.join(rows.filter(pl.col("drop_reason").is_null()), on="image_id", how="semi")
        sheet = contact_sheet_of(dataset, staged, kept)
        return dataset.result(context, staged, {**_funnel(rows, [rule.name for rule in rules]), **sheet})

    subset.__doc__ = (
        f"The subset {name}: one row per candidate image, with the first rule that it broke; null = kept. "
        "No image is copied."
    )
    return subset


def rules_of(config: DatasetConfig, name: str, source: str) -> list[selection.Rule]:
    """A subset's rules for the images of one source, in the order in which they are asked."""
    definition = config.subsets[name]
    return selection.subset_rules(
        is_source_wanted=definition.sources is None or source in definition.sources,
        is_license_enough=definition.license == "any" or config.sources[source].license.redistribute,
        excludes_listed=bool(definition.exclude),
        only_listed=bool(definition.only),
        asks_tags=definition.tags is not None,
        where=definition.where,
        drops_duplicates=definition.duplicates == "drop",
    )


def judge(
    candidates: pl.LazyFrame,
    image_metadata: pl.LazyFrame,
    tag_metadata: pl.LazyFrame,
    definition: Subset,
    rules: list[selection.Rule],
) -> pl.LazyFrame:
    """Each candidate with the first rule that it breaks."""
    if definition.tags is not None:
        found = tag_query.matches(tag_query.parse(definition.tags), image_metadata, tag_metadata)
        candidates = candidates.join(found, on="image_id", how="left")
    return candidates.select("image_id", drop_reason=selection.drop_reason(rules))


def _licenses(config: DatasetConfig) -> dict[str, bool]:
    return {name: source.license.redistribute for name, source in config.sources.items()}


def _funnel(rows: pl.LazyFrame, rules: list[str]) -> dict[str, Any]:
    """How many images each rule took, and how many were left after it."""
    funnel = selection.funnel(rows.collect(), rules)
    table = dg.MetadataValue.table(
        [dg.TableRecord(row) for row in funnel.to_dicts()],
        schema=dg.TableSchema(
            [dg.TableColumn("rule"), dg.TableColumn("dropped", "int"), dg.TableColumn("left", "int")]
        ),
    )
    return {
        "kept": int(funnel.get_column("left")[-1]),
        "candidates": int(funnel.get_column("left")[0]),
        "funnel": table,
    }
