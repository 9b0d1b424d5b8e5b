"""What gallery-dl fetches, before a source's records are read."""

from functools import partial
from pathlib import Path
from typing import get_args

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import counts_of
from dataset_assets.config import DatasetConfig, GalleryDlSource
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.sources.scrape_requests import SCRAPE, State, outcome_rows, requests_of, still_to_ask
from dataset_assets.storage.tables import Cell, Staged, Tables

SCRAPE_VERSION = "1"


def scraping_sources(config: DatasetConfig) -> list[str]:
    """The sources whose images gallery-dl fetches."""
    return [name for name, source in config.sources.items() if isinstance(source, GalleryDlSource) and source.scrape]


def scrape_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The asset `scrape`, where some source has a `scrape` block."""
    names = scraping_sources(graph.config)
    if not names:
        return []
    asked = {name: graph.config.sources[name].scrape.model_dump() for name in names}  # type: ignore[union-attr]
    return [
        graph.asset(
            scrape,
            SCRAPE,
            group="metadata",
            kinds={"python", "parquet"},
            version=SCRAPE_VERSION,
            settings=asked,
            by_source=True,
        )
    ]


def scrape(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """What gallery-dl was asked for, and whether it came: one row per address, search or work of a `scrape` block."""
    cell, tables = cell_of(context), dataset.tables
    source = dataset.config.sources[str(cell.source)]
    if not isinstance(source, GalleryDlSource) or source.scrape is None:
        return dataset.result(context, tables.stage(SCRAPE, cell, SCRAPE.empty()))
    dataset.config.require_inputs([str(cell.source)])
    with tables.lock(SCRAPE.name, cell):
        rows, numbers = _scraped(dataset, source, cell, partial(say(context)))
        staged = tables.stage(SCRAPE, cell, rows)
    if numbers["stopped_at"] != "the end":
        say(context)(f"the scrape of {cell} stopped at its limit; `rebuild --assets scrape --all` goes on")
    return dataset.result(context, staged, {**numbers, **counts_of(rows, "state")})


def _scraped(
    dataset: Dataset, source: GalleryDlSource, cell: Cell, tell: "partial[None]"
) -> tuple[pl.DataFrame, dict[str, object]]:
    """Rows of SCRAPE, and what this run did."""
    from dataset_assets.environment import gallery_dl_program, pixiv_refresh_token
    from dataset_assets.sources.gallery_dl_program import find_program
    from dataset_assets.sources.scrape import Scraper

    assert source.scrape is not None
    scraper = Scraper(
        program=find_program(gallery_dl_program()),
        scrape=source.scrape,
        folder=Path(source.images),
        state=Path(source.images).parent / f"_{cell.source}",
        token=pixiv_refresh_token(),
        say=tell,
    )
    requests, before = requests_of(source), _before(dataset.tables, cell)
    done = scraper.run(still_to_ask(requests, before))
    known: dict[str, tuple[State, str | None]] = {
        url: (state, None) for url, state in before.items() if state == "done"
    }
    if done.limit is None:
        scraper.forget()
    numbers: dict[str, object] = {
        "files_fetched": done.files,
        "files_known": done.known,
        "bytes_fetched": done.bytes,
        "stopped_at": f"the limit of {done.limit}" if done.limit else "the end",
    }
    return outcome_rows(requests, known | done.states), numbers


def _before(tables: Tables, cell: Cell) -> dict[str, State]:
    """What the last scrape says of each request; nothing where there is no trustworthy table."""
    if tables.commit_of(SCRAPE.name, cell) is None or not tables.is_intact(SCRAPE.name, cell):
        return {}
    rows = tables.scan(SCRAPE, cell).select("request", "state").collect()
    return {url: state for url, state in rows.iter_rows() if state in get_args(State)}
