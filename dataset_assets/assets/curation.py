"""Which images are kept, and why the others are not."""

import base64
import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.candidates import LINKS, YearTables, candidates_of, splits_of, with_splits
from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import contact_sheet_of, staged_rows
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DatasetConfig, License
from dataset_assets.domain import schemas, selection
from dataset_assets.domain.image_scores import IMAGE_SCORES
from dataset_assets.domain.wording import counted
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Staged
from dataset_assets.subset_settings import Subset

SUBSET_VERSION = "2"


def curation_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage: one for each subset of dataset.yaml."""
    return [
        graph.asset(
            subset_of(name),
            schemas.subset(name),
            group="curation",
            kinds={"polars", "parquet"},
            version=SUBSET_VERSION,
            settings=definition_of(graph.config, name),
            deps=[
                *(dg.AssetKey(["id_list", one]) for one in dict.fromkeys((*definition.exclude, *definition.only))),
                *(["near_duplicates"] if definition.asks_duplicates else []),
                *([IMAGE_SCORES.name] if definition.asked_scores else []),
                *_linked(definition),
            ],
        )
        for name, definition in graph.config.subsets.items()
    ]


def _linked(definition: Subset) -> list[dg.AssetDep]:
    """What its splits must not tear apart, over all sources: duplicates are found across them."""
    if not definition.splits or definition.split_by not in LINKS:
        return []
    return [dg.AssetDep(LINKS[definition.split_by], partition_mapping=dg.AllPartitionMapping())]


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
        cell, config = cell_of(context), dataset.config
        rules = rules_of(config, name, str(cell.source))
        candidates = candidates_of(
            dataset, name, cell, YearTables(image_metadata, tag_metadata, raw_images, image_facts)
        )
        judged = candidates.select("image_id", selection.drop_reason(rules))
        splits = splits_of(dataset, config.subsets[name], image_metadata)
        recipe = keep_definition(dataset, name)
        staged = dataset.tables.stage(schemas.subset(name), cell, with_splits(judged, splits), recipe)
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
        is_license_enough=_is_license_enough(definition.license, config.sources[source].license),
        excludes_listed=bool(definition.exclude),
        only_listed=bool(definition.only),
        keeps_without_file=definition.without_file == "keep",
        min_side=definition.min_side,
        max_aspect=definition.max_aspect,
        scores=definition.scores,
        asks_tags=definition.tags is not None,
        where=definition.where,
        drops_duplicates=definition.duplicates == "drop",
    )


def _is_license_enough(asked: str | tuple[str, ...], license: License) -> bool:
    if isinstance(asked, str):
        return asked == "any" or license.redistribute
    return license.name in asked


def definition_of(config: DatasetConfig, name: str) -> dict[str, Any]:
    """All of dataset.yaml that decides about a subset, as it can be kept and compared."""
    definition = config.subsets[name]
    said = definition.model_dump(mode="json", exclude_defaults=True)
    if definition.splits:
        said["splits"] = list(definition.splits.items())  # their order counts
    if definition.license == "redistributable":
        said["redistributable"] = [one for one, source in config.sources.items() if source.license.redistribute]
    elif definition.license != "any":
        said["licenses"] = {one: source.license.name for one, source in config.sources.items()}
    return said


def definition_mark(config: DatasetConfig, name: str) -> str:
    """What the tables of a subset bear as their recipe: another definition is another mark."""
    return fingerprint({"version": SUBSET_VERSION, "settings": definition_of(config, name)})


def keep_definition(dataset: Dataset, name: str) -> str:
    """Keep a subset's definition below the root, under its mark, so that a later one can be told apart."""
    recipe = definition_mark(dataset.config, name)
    text = json.dumps(definition_of(dataset.config, name), indent=1, ensure_ascii=False, sort_keys=True)
    opened(dataset.config.root_path).keep(kept_definition(name, recipe), text.encode())
    return recipe


def kept_definition(name: str, recipe: str) -> str:
    """Where a definition of a subset is kept, below the root."""
    return f"_definitions/subset/{name}/{recipe}.json"


def _funnel(rows: pl.LazyFrame, rules: list[str]) -> dict[str, Any]:
    """How many images each rule took, and how many were left after it."""
    funnel = selection.funnel(rows, rules)
    table = dg.MetadataValue.table(
        [dg.TableRecord(row) for row in funnel.to_dicts()],
        schema=dg.TableSchema(
            [dg.TableColumn("rule"), dg.TableColumn("dropped", "int"), dg.TableColumn("left", "int")]
        ),
    )
    parts = rows.filter(pl.col("split").is_not_null()).group_by("split").len().sort("split").collect()
    return {
        "kept": int(funnel.get_column("left")[-1]),
        "candidates": int(funnel.get_column("left")[0]),
        **{f"rows_{part}": number for part, number in parts.iter_rows()},
        "funnel": table,
        "funnel_plot": _plot(funnel),
    }


def _plot(funnel: pl.DataFrame) -> dg.MetadataValue[Any]:
    """The funnel as a picture within the event."""
    from dataset_assets.domain.funnel_plot import funnel_plot

    title = f"{funnel['left'][-1]:,} of {counted(funnel['left'][0], 'image')}"
    plot = base64.b64encode(funnel_plot(funnel, title)).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{plot})")
