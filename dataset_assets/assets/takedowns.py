"""Which images were taken down, and what keeps them out of every table."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of
from dataset_assets.assets.works import KINDS_OF_PIXIV
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, TAG_METADATA
from dataset_assets.domain.takedown_matching import YearTables, found_in, not_yet_noted, rows_of
from dataset_assets.domain.takedowns import TAKEDOWNS, BadTakedown, Hit, Takedown, found_line
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.storage.tables import Cell, Staged, Tables
from dataset_assets.storage.takedown_files import TakedownFiles

TAKEDOWNS_VERSION = "1"
TAKEDOWNS_ONLY_TAG = "dataset_assets/takedowns_only"  # of a run that takes images out and looks at no source


def takedowns_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `takedowns`."""
    return graph.asset(
        takedowns,
        TAKEDOWNS,
        group="curation",
        kinds={"polars", "parquet"},
        version=TAKEDOWNS_VERSION,
        deps=[TAG_METADATA.name],
        fed_from_outside=True,
    )


def takedowns(
    context: dg.AssetExecutionContext, dataset: Dataset, image_metadata: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """What `dataset-assets takedown` has taken down and not lifted: one row per listed image that is to stay out.

    Images that a request meets for the first time, by a hash or its artist, are added to its file.
    """
    cell, files = cell_of(context), TakedownFiles(dataset.config.root_path)
    requests = requests_of(dataset)
    if lacking := not_noted(dataset.config, cell, requests):
        for request, hits in sorted(lacking.items()):
            say(context)(f"takedown {request}: {cell} has {', '.join(hit.image_id for hit in hits[:5])}, too")
        files.add(found_line(request, hits, datetime.now(UTC)) for request, hits in sorted(lacking.items()))
        requests = requests_of(dataset)
    rows = rows_of(requests, image_metadata.select("image_id").collect().to_series())
    staged = dataset.tables.stage(TAKEDOWNS, cell, rows)
    return dataset.result(context, staged, {"images": rows.height, **counts_of(rows, "met_by")})


def requests_of(dataset: Dataset) -> list[Takedown]:
    """The requests that count. Raises: dg.Failure when one cannot be read: what it keeps out might come in."""
    try:
        return TakedownFiles(dataset.config.root_path).active()
    except BadTakedown as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def not_noted(config: DatasetConfig, cell: Cell, requests: list[Takedown]) -> dict[str, list[Hit]]:
    """What requests hit in a partition and their files do not say yet, by request."""
    if not requests:
        return {}
    return not_yet_noted(requests, found_in(requests, year_tables(config, cell)))


def year_tables(config: DatasetConfig, cell: Cell) -> YearTables:
    """The tables of one source and year that requests are held against, as they stand."""
    tables, source = Tables(config.root_path), config.sources.get(str(cell.source))
    return YearTables(
        source=str(cell.source),
        year=cell.year,
        names_artists=source is not None and source.kind in KINDS_OF_PIXIV,
        metadata=tables.scan(IMAGE_METADATA, cell),
        tags=tables.scan(TAG_METADATA, cell),
        raw=tables.scan(RAW_IMAGES, cell),
        facts=tables.scan(IMAGE_FACTS, cell),
    )


def taken_down(dataset: Dataset, image_ids: pl.Series) -> pl.DataFrame:
    """Which of these images are taken down, by the files of requests as they are now: image_id, taken_down.

    The latter says by which request, and why. The files are asked, not the table: what came in after the table was
    made stays out too. Raises: dg.Failure.
    """
    requests = requests_of(dataset)
    rows = rows_of(requests, image_ids) if requests else TAKEDOWNS.empty()
    return rows.select("image_id", taken_down=pl.format("{}: {}", "request", "reason"))


def without_taken_down(dataset: Dataset, rows: pl.LazyFrame, cell: Cell) -> pl.LazyFrame:
    """Rows of a partition, less those of images that `takedowns` has, in their order."""
    return rows_left(dataset.tables, rows, cell)


def rows_left(tables: Tables, rows: pl.LazyFrame, cell: Cell) -> pl.LazyFrame:
    """The same, where tables are all there is."""
    commit = tables.commit_of(TAKEDOWNS.name, cell)
    if commit is None or not commit.rows:
        return rows
    down = tables.scan(TAKEDOWNS, cell).select("image_id").collect().to_series()
    return rows.filter(~pl.col("image_id").is_in(down.implode()))


def is_takedowns_only(context: dg.AssetExecutionContext) -> bool:
    """Whether the run takes images out and does nothing else."""
    return context.run.tags.get(TAKEDOWNS_ONLY_TAG) == "true"
