"""How good the tags are: where a tagger disagrees with the source, and what people have decided about it."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of, staged_rows
from dataset_assets.assets.predicted_tags import tagger_settings
from dataset_assets.assets.tags import RELATIONS, closed
from dataset_assets.config import DanbooruSource
from dataset_assets.domain.predicted_tags import trained_on
from dataset_assets.domain.tag_decisions import TAG_DECISIONS, in_effect, rows_of
from dataset_assets.domain.tag_disagreements import TAG_DISAGREEMENTS, Comparison, agreement, compare, disagreements
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.decision_files import DecisionFiles
from dataset_assets.storage.tables import Cell, Staged

DECISIONS_VERSION = DISAGREEMENTS_VERSION = "1"


def decisions_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `tag_decisions`."""
    return graph.asset(
        tag_decisions,
        TAG_DECISIONS,
        group="curation",
        kinds={"polars", "parquet"},
        version=DECISIONS_VERSION,
        fed_from_outside=True,
    )


def tag_decisions(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """What people have decided about tags, in `dataset-assets review`: one row per decision, the undone ones too."""
    cell = cell_of(context)
    rows = rows_of(DecisionFiles(dataset.config.root_path).of(cell))
    staged = dataset.tables.stage(TAG_DECISIONS, cell, rows)
    return dataset.result(context, staged, counts_of(rows, "state"))


def disagreements_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The asset `tag_disagreements`; none where dataset.yaml names no tagger."""
    tagger = graph.config.tagger
    if tagger is None:
        return []
    return [
        graph.asset(
            tag_disagreements,
            TAG_DISAGREEMENTS,
            group="curation",
            kinds={"polars", "parquet"},
            version=DISAGREEMENTS_VERSION,
            settings=tagger.model_dump(include={"thresholds", "learnt_from"}),
            deps=["tag_relations"],
        )
    ]


def tag_disagreements(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    predicted_tags: pl.LazyFrame,
    tag_metadata: pl.LazyFrame,
    tag_decisions: pl.LazyFrame,
) -> dg.MaterializeResult[Staged]:
    """Where tagger and source disagree, the clearest cases first: one row per image and tag.

    Images that the tagger has learnt from come last, marked; they are left out of what is measured.
    """
    cell = cell_of(context)
    comparison = comparison_of(dataset, cell)
    pairs = compare(predicted_tags, tag_metadata, in_effect(tag_decisions), comparison).collect()
    staged = dataset.tables.stage(TAG_DISAGREEMENTS, cell, disagreements(pairs.lazy(), comparison.floor))
    kinds = counts_of(staged_rows(dataset.tables, staged).select("kind").collect(), "kind")
    return dataset.result(context, staged, {**kinds, **agreement(pairs.lazy())})


def comparison_of(dataset: Dataset, cell: Cell) -> Comparison:
    """How a source's tags are compared with those of the tagger that dataset.yaml names."""
    from dataset_assets.models import tagger_files, tagger_labels

    tagger = dataset.config.tagger
    assert tagger is not None
    labels = tagger_labels.read_labels(tagger_files.find(tagger_settings(dataset.config)).labels)
    relations = dataset.tables.scan(RELATIONS, Cell(cell.source)).collect()
    is_danbooru = isinstance(dataset.config.sources[str(cell.source)], DanbooruSource)
    return Comparison(
        labels=[(label.name, label.category) for label in labels],
        thresholds=tagger.thresholds.model_dump(),
        floor=tagger.floor,
        trained=trained_on(tagger.model),
        is_danbooru=is_danbooru,
        has_learnt=is_danbooru if tagger.learnt_from is None else cell.source in tagger.learnt_from,
        aliases=closed(relations).aliases,
    )
