"""What the sources say about their images: the export as published, then the shared tables by year."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.exports import Exports, years_that_changed
from dataset_assets.assets.graph import FED_FROM_OUTSIDE, OWNERS, Graph, table_metadata
from dataset_assets.assets.origins import listed_files
from dataset_assets.assets.scrapes import scraping_sources
from dataset_assets.assets.tags import DUMP, RELATIONS, consequences_of, stage_relations, vocabulary_asset
from dataset_assets.compute.update import fingerprint
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS, TAG_METADATA, Table
from dataset_assets.domain.tag_decisions import TAG_DECISIONS, in_effect
from dataset_assets.domain.wording import counted
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.sources import Adapter, adapters
from dataset_assets.sources.shared_tables import image_frames, tag_frames
from dataset_assets.sources.snapshots import declared_versions, records_and_versions
from dataset_assets.sources.vanished import vanished_table
from dataset_assets.storage.snapshots import Snapshot
from dataset_assets.storage.tables import Cell, Staged

SNAPSHOT_YEAR = dg.AssetKey("snapshot_year")
SNAPSHOT_VERSION = "1"


def metadata_assets(graph: Graph) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of this stage."""
    partitions = graph.partitions
    snapshot = dg.multi_asset(
        name="read_source",
        specs=[
            _read_spec(
                "source_snapshot",
                "A source's own export as published, typed: one row per record.",
                deps=["scrape"] if scraping_sources(graph.config) else [],
            ),
            _read_spec(
                "rejected_records",
                "What was no record: one row per line or file that could not be read, or image that no record names.",
                metadata=table_metadata(REJECTED_RECORDS),
            ),
            _read_spec(
                "vanished_records",
                "What stood in an earlier export and is gone from the newest: one row per record, as it was last seen.",
            ),
            _read_spec(
                "tag_relations",
                "The source's relations between tags: one row per active alias or implication.",
                metadata=table_metadata(RELATIONS),
            ),
        ],
        partitions_def=partitions.source,
    )(read_source)
    snapshot_year = dg.AssetSpec(
        SNAPSHOT_YEAR,
        deps=["source_snapshot"],
        partitions_def=partitions.source_year,
        group_name="metadata",
        owners=OWNERS,
        description="No table: the content version of one year of a snapshot. `source_snapshot` reports it for each "
        "year, so that a new export makes stale only the years whose records it changes.",
    )
    common: dict[str, Any] = {"group": "metadata", "kinds": {"polars", "parquet"}, "version": "1"}
    return [
        snapshot,
        snapshot_year,
        graph.asset(image_metadata, IMAGE_METADATA, **common, settings=_pages(graph), deps=[SNAPSHOT_YEAR]),
        graph.asset(tag_metadata, TAG_METADATA, **common, deps=[SNAPSHOT_YEAR, "tag_relations", TAG_DECISIONS.name]),
        vocabulary_asset(graph),
    ]


def _pages(graph: Graph) -> dict[str, str] | None:
    """Where the posts of sources are shown that are of no site that their adapter knows; null = there is none such."""
    return {name: source.shown_at for name, source in graph.config.sources.items() if source.shown_at} or None


def _read_spec(
    name: str, description: str, metadata: dict[str, Any] | None = None, deps: Sequence[str] = ()
) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=list(deps),
        description=description,
        metadata=metadata,
        group_name="metadata",
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        code_version=SNAPSHOT_VERSION,
        tags={FED_FROM_OUTSIDE: "true"},
    ).with_io_manager_key("tables")


def read_source(context: dg.AssetExecutionContext, dataset: Dataset) -> Iterator[dg.MaterializeResult[Staged]]:
    """Read a source's export once; an export whose files are unchanged is not read again."""
    cell = cell_of(context)
    name = str(cell.source)
    dataset.config.require_inputs([name])
    files = listed_files(dataset, name, say(context), anew=True)
    source = dataset.config.sources[name]
    adapter = adapters()[source.kind]
    with dataset.tables.lock("source_snapshot", cell):
        exports = Exports(dataset, adapter, cell, say(context))
        exports.keep_earlier(SNAPSHOT_VERSION)
        snapshot, unreadable = _read(dataset, adapter, cell, say(context))
        scan = _rows_of(dataset, snapshot)
        present, before = exports.keep_present(snapshot)
        vanished = exports.stage_vanished(present, scan, before)
        relations, bad_relations = stage_relations(dataset, adapter, cell, scan, snapshot.recipe)
        listed = pl.concat([scan, _rows_of(dataset, vanished).select(scan.collect_schema().names())])
        rejected = pl.concat([unreadable, bad_relations, adapter.orphans(source, listed, files)])
    for year, (records, _) in sorted(present.years.items()):
        if year not in source.years:
            say(context)(f"{name}: {counted(records, 'record')} of {year}, which is none of its years")
    gone = records_and_versions(_file_of(dataset, vanished))
    for year, version in declared_versions(present.years, source.years, gone).items():
        tags = {"dagster/data_version": version}
        context.log_event(dg.AssetObservation(SNAPSHOT_YEAR, partition=f"{name}|{year}", tags=tags))
    yield dataset.result(context, snapshot, _about(present, before, source.years))
    yield dataset.result(context, dataset.tables.stage(REJECTED_RECORDS, cell, rejected))
    yield dataset.result(
        context, vanished, {"records_by_year": {str(year): records for year, (records, _) in gone.items()}}
    )
    yield dataset.result(context, relations)


def _about(present: Snapshot, before: list[Snapshot], declared: Sequence[int]) -> dict[str, Any]:
    """What the UI shows of an export."""
    changed = years_that_changed(present, before)
    return {
        "export": present.name,
        "export_before": before[-1].name if before else "none",
        "years_changed": ", ".join(map(str, changed)) or "none",
        "records_by_year": {str(year): records for year, (records, _) in present.years.items()},
        "records_of_undeclared_years": sum(
            records for year, (records, _) in present.years.items() if year not in declared
        ),
    }


def _file_of(dataset: Dataset, staged: Staged) -> Path:
    return staged.file or dataset.tables.file(staged.table.name, staged.cell)


def _rows_of(dataset: Dataset, staged: Staged) -> pl.LazyFrame:
    return pl.scan_parquet(_file_of(dataset, staged), hive_partitioning=False)


def _read(dataset: Dataset, adapter: Adapter, cell: Cell, report: Callable[[str], None]) -> tuple[Staged, pl.DataFrame]:
    """The staged snapshot and its rejected records; it is read anew only when the export's files changed."""
    tables, source = dataset.tables, dataset.config.sources[str(cell.source)]
    recipe = fingerprint({"adapter": SNAPSHOT_VERSION, "export": adapter.fingerprint(source)})
    commit = tables.commit_of("source_snapshot", cell)
    if commit is not None and commit.recipe == recipe:
        report(f"source_snapshot {cell}: the export is unchanged, {counted(commit.rows, 'record')}")
        of_records = (pl.col("reason") != "orphan_file") & ~pl.col("file").str.starts_with(DUMP)
        return tables.unchanged(adapter.SNAPSHOT, cell), tables.scan(REJECTED_RECORDS, cell).filter(
            of_records
        ).collect()
    with tables.scratch_parquet() as file:
        rejected = adapter.read_snapshot(str(cell.source), source, file, report).rejected
        return tables.adopt(adapter.SNAPSHOT, cell, file, recipe), rejected


def image_metadata(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """What the source says of its images, in columns that all sources share: one row per image that it lists.

    Images of records that have vanished from the source's newest export are listed still, and marked so.
    """
    gone = _vanished(dataset, cell_of(context)).select("image_id").collect().get_column("image_id")
    source = dataset.config.sources[str(cell_of(context).source)]
    frames = partial(image_frames, vanished=gone, page_url=source.shown_at)
    return dataset.result(context, _of_year(context, dataset, IMAGE_METADATA, frames))


def tag_metadata(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Who is tagged with what: one row per image and tag, after the source's relations and people's decisions."""
    relations = dataset.tables.scan(RELATIONS, Cell(cell_of(context).source)).collect()
    closure, categories = consequences_of(relations)
    decisions = in_effect(dataset.tables.scan(TAG_DECISIONS, cell_of(context))).collect()
    frames = partial(tag_frames, closure=closure, categories=categories, decisions=decisions)
    return dataset.result(context, _of_year(context, dataset, TAG_METADATA, frames))


def _of_year(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    table: Table,
    frames: Callable[[Adapter, pl.LazyFrame], Iterable[pl.DataFrame]],
) -> Staged:
    """One year of a source's snapshot as a shared table; a year that the source does not declare is empty."""
    cell = cell_of(context)
    if not dataset.is_declared(cell):
        return dataset.tables.stage(table, cell, table.empty())
    adapter = _adapter(dataset, cell)
    whole = Cell(cell.source)
    if dataset.tables.commit_of("source_snapshot", whole) is None:
        raise dg.Failure(f"source_snapshot of {whole} is not built yet; build it first", allow_retries=False)
    year = dataset.tables.scan(adapter.SNAPSHOT, whole).filter(pl.col("year") == cell.year)
    return dataset.tables.stage_frames(table, cell, frames(adapter, pl.concat([year, _vanished(dataset, cell)])))


def _vanished(dataset: Dataset, cell: Cell) -> pl.LazyFrame:
    """The vanished records of a cell's year, as rows of the source's snapshot."""
    snapshot = _adapter(dataset, cell).SNAPSHOT
    rows = dataset.tables.scan(vanished_table(snapshot), Cell(cell.source)).filter(pl.col("year") == cell.year)
    return rows.select(snapshot.schema.names())


def _adapter(dataset: Dataset, cell: Cell) -> Adapter:
    return adapters()[dataset.config.sources[str(cell.source)].kind]
