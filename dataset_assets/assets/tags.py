"""Tags: the source's relations between them, who is tagged with what, and the vocabulary."""

import base64
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DanbooruSource
from dataset_assets.domain.schemas import REJECTED_RECORDS, Column, Table
from dataset_assets.domain.tag_relations import TAG_RELATIONS, Closure, TagCycle, close, main_categories
from dataset_assets.domain.tag_vocabulary import TAG_VOCABULARY, count_by_year, most_frequent, trend
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.sources import Adapter
from dataset_assets.sources.tag_relations import read_relations
from dataset_assets.storage.tables import Cell, Staged

RELATIONS_VERSION = VOCABULARY_VERSION = "1"
# Where the lines of a relation dump stand in `rejected_records`, apart from those of the export.
DUMP = "tag_relations/"

# The relations, with what the source's own tagging says the consequent's category is: an implied character or
# copyright may occur in no other image of the year.
RELATIONS = Table(
    TAG_RELATIONS.name,
    TAG_RELATIONS.one_row_per,
    (*TAG_RELATIONS.columns, Column("category", pl.String, "category of the consequent; null = no image has it")),
    TAG_RELATIONS.sorted_by,
)


def stage_relations(
    dataset: Dataset, adapter: Adapter, cell: Cell, snapshot: pl.LazyFrame, snapshot_recipe: str
) -> tuple[Staged, pl.DataFrame]:
    """A source's relations, staged, and the lines of its dumps that are none.

    Tags are looked up in the snapshot only when it or the relations changed: that is a pass over all of its tags.
    """
    tables, source = dataset.tables, dataset.config.sources[str(cell.source)]
    if not isinstance(source, DanbooruSource):
        return tables.stage(RELATIONS, cell, RELATIONS.empty()), REJECTED_RECORDS.empty()
    dumps = source.tag_relations
    relations, rejected = read_relations(source.files(dumps.aliases), source.files(dumps.implications))
    rejected = rejected.with_columns(file=DUMP + pl.col("file"))
    rows = relations.hash_rows(seed=0).sort().to_list()
    recipe = fingerprint({"version": RELATIONS_VERSION, "snapshot": snapshot_recipe, "relations": rows})
    commit = tables.commit_of(RELATIONS.name, cell)
    if commit is not None and commit.recipe == recipe:
        return tables.unchanged(RELATIONS, cell), rejected
    wanted = relations.lazy().select(tag="consequent").unique()
    tagged = adapter.tag_metadata(snapshot).join(wanted, on="tag", how="semi").unique()
    categories = main_categories(tagged).rename({"tag": "consequent"})
    with_category = relations.lazy().join(categories, on="consequent", how="left")
    return tables.stage(RELATIONS, cell, with_category.select(RELATIONS.schema.names()), recipe), rejected


def consequences_of(relations: pl.DataFrame) -> tuple[Closure | None, pl.LazyFrame | None]:
    """What follows from rows of `tag_relations`, and the categories (tag, category) of the tags they lead to."""
    if relations.is_empty():
        return None, None
    categories = relations.lazy().select("category", tag="consequent").drop_nulls().unique("tag")
    return closed(relations), categories.select("tag", "category")


def closed(relations: pl.DataFrame) -> Closure:
    """All that follows from relations; a cycle among them fails the run, since no retry can mend it."""
    try:
        return close(relations.select(TAG_RELATIONS.schema.names()))
    except TagCycle as cycle:
        raise dg.Failure(str(cycle), allow_retries=False) from None


def vocabulary_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `tag_vocabulary`."""
    return graph.asset(
        tag_vocabulary,
        TAG_VOCABULARY,
        group="metadata",
        kinds={"polars", "parquet"},
        version=VOCABULARY_VERSION,
        by_source=True,
    )


def tag_vocabulary(
    context: dg.AssetExecutionContext, dataset: Dataset, tag_metadata: pl.LazyFrame, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """How often each tag is used, in all and by year: one row per tag of a source."""
    staged = dataset.tables.stage(
        TAG_VOCABULARY, cell_of(context), count_by_year(with_year(tag_metadata, dataset, context))
    )
    rows = pl.read_parquet(
        staged.file or dataset.tables.file(TAG_VOCABULARY.name, staged.cell), hive_partitioning=False
    )
    images = with_year(image_metadata, dataset, context).group_by("year").agg(images=pl.len()).collect()
    return dataset.result(context, staged, trends(rows, images))


def with_year(rows: pl.LazyFrame, dataset: Dataset, context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Rows with their `year`; the rows of a single partition carry none, since its path says it."""
    if "year" in rows.collect_schema():
        return rows
    [year] = dataset.config.sources[str(cell_of(context).source)].years
    return rows.with_columns(year=pl.lit(year, pl.Int32))


def trends(vocabulary: pl.DataFrame, images: pl.DataFrame) -> dict[str, Any]:
    """Plots of the most frequent general tags and franchises over the years, for the UI."""
    from dataset_assets.domain.trend_plot import MAX_LINES, trend_plot

    plots: dict[str, Any] = {}
    for name, category in (("trend_of_top_tags", "general"), ("trend_of_franchises", "copyright")):
        top = most_frequent(vocabulary, category, MAX_LINES).get_column("tag").to_list()
        if top:
            plot = base64.b64encode(trend_plot(trend(vocabulary, top, images))).decode()
            plots[name] = dg.MetadataValue.md(f"![{category} tags by year](data:image/png;base64,{plot})")
    return plots
