"""Lists of ids that subsets leave out, or are limited to."""

from collections.abc import Callable, Iterable

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of
from dataset_assets.resources import Dataset, cell_of, rebuild_command, say
from dataset_assets.sources.id_lists import id_list, read_ids
from dataset_assets.storage.tables import Cell, Staged

LISTS_VERSION = "1"


def id_list_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage: one for each list, so that a changed one makes stale only the subsets that use it."""
    return [
        graph.asset(
            list_of(name),
            id_list(name),
            group="curation",
            kinds={"polars", "parquet"},
            version=LISTS_VERSION,
            settings=listed.model_dump(),
            by_source=True,
            fed_from_outside=True,
        )
        for name, listed in graph.config.id_lists.items()
    ]


def list_of(name: str) -> Callable[..., dg.MaterializeResult[Staged]]:
    """The function of one list's asset."""

    def listed(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
        cell, table = cell_of(context), id_list(name)
        settings = dataset.config.id_lists[name]
        if settings.source != cell.source:
            return dataset.result(context, dataset.tables.stage(table, cell, table.empty()))
        dataset.config.require_inputs([settings.source])
        are_numbers = dataset.config.sources[settings.source].kind != "pd12m"
        rows = read_ids(settings.files(settings.file), are_numbers=are_numbers)
        bad = rows.filter(pl.col("error").is_not_null()).height
        if bad:
            say(context)(f"{table.name}: {bad:,} of {rows.height:,} lines are no new ids; the table says why")
        counted = {"ids": rows.filter(pl.col("error").is_null()).height, **counts_of(rows, "error")}
        return dataset.result(context, dataset.tables.stage(table, cell, rows), counted)

    listed.__doc__ = (
        f"The list {name} of post ids: one row per line of its files; `error` says of a line that is no id."
    )
    return listed


def listed_posts(dataset: Dataset, names: Iterable[str], source: str) -> pl.LazyFrame:
    """post_id of the posts of a source that stand in any of the lists.

    Raises: Failure when a list is not built: an empty one in its place would leave nothing out, in silence.
    """
    cell, posts = Cell(source), [pl.LazyFrame(schema={"post_id": pl.String})]
    for name in names:
        table = id_list(name)
        if dataset.tables.commit_of(table.name, cell) is None or not dataset.tables.is_intact(table.name, cell):
            said = f"{table.name} of {cell} is not built or damaged; build it: {rebuild_command(table.name, cell)}"
            raise dg.Failure(said, allow_retries=False)
        posts.append(dataset.tables.scan(table, cell).filter(pl.col("error").is_null()).select("post_id"))
    return pl.concat(posts)
