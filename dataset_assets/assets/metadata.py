"""What the sources say about their images: the export as published, then the shared tables by year."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import FED_FROM_OUTSIDE, OWNERS, Graph, table_metadata
from dataset_assets.assets.tags import DUMP, RELATIONS, related, stage_relations, vocabulary_asset
from dataset_assets.compute.update import fingerprint
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS, TAG_METADATA, Table
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.sources import Adapter, adapters
from dataset_assets.sources.snapshots import declared_versions, records_and_versions
from dataset_assets.storage.tables import Cell, Staged

SNAPSHOT_YEAR = dg.AssetKey("snapshot_year")
SNAPSHOT_VERSION = "1"


def metadata_assets(graph: Graph) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of this stage."""
    partitions = graph.partitions
    snapshot = dg.multi_asset(
        name="read_source",
        specs=[
            _read_spec("source_snapshot", "A source's own export as published, typed: one row per record."),
            _read_spec(
                "rejected_records",
                "What was no record: one row per line or file that could not be read, or image that no record names.",
                metadata=table_metadata(REJECTED_RECORDS),
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
        graph.asset(image_metadata, IMAGE_METADATA, **common, deps=[SNAPSHOT_YEAR]),
        graph.asset(tag_metadata, TAG_METADATA, **common, deps=[SNAPSHOT_YEAR, "tag_relations"]),
        vocabulary_asset(graph),
    ]


def _read_spec(name: str, description: str, metadata: dict[str, Any] | None = None) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
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
    source = dataset.config.sources[name]
    adapter = adapters()[source.kind]
    with dataset.tables.lock("source_snapshot", cell):
        snapshot, unreadable = _read(dataset, adapter, cell, say(context))
        file = snapshot.file or dataset.tables.file("source_snapshot", cell)
        scan = pl.scan_parquet(file, hive_partitioning=False)
        relations, bad_relations = stage_relations(dataset, adapter, cell, scan, snapshot.recipe)
        rejected = pl.concat([unreadable, bad_relations, adapter.orphans(source, scan)])
        years = records_and_versions(file)
    for year, version in declared_versions(years, source.years).items():
        tags = {"dagster/data_version": version}
        context.log_event(dg.AssetObservation(SNAPSHOT_YEAR, partition=f"{name}|{year}", tags=tags))
    undeclared = sum(records for year, (records, _) in years.items() if year not in source.years)
    by_year = {str(year): records for year, (records, _) in years.items()}
    yield dataset.result(context, snapshot, {"records_by_year": by_year, "records_of_undeclared_years": undeclared})
    yield dataset.result(context, dataset.tables.stage(REJECTED_RECORDS, cell, rejected))
    yield dataset.result(context, relations)


def _read(dataset: Dataset, adapter: Adapter, cell: Cell, report: Callable[[str], None]) -> tuple[Staged, pl.DataFrame]:
    """The staged snapshot and its rejected records; it is read anew only when the export's files changed."""
    tables, source = dataset.tables, dataset.config.sources[str(cell.source)]
    recipe = fingerprint({"adapter": SNAPSHOT_VERSION, "export": adapter.fingerprint(source)})
    commit = tables.commit_of("source_snapshot", cell)
    if commit is not None and commit.recipe == recipe:
        report(f"source_snapshot {cell}: the export is unchanged, {commit.rows:,} records")
        of_records = (pl.col("reason") != "orphan_file") & ~pl.col("file").str.starts_with(DUMP)
        return tables.unchanged(adapter.SNAPSHOT, cell), tables.scan(REJECTED_RECORDS, cell).filter(
            of_records
        ).collect()
    with tables.scratch_parquet() as file:
        rejected = adapter.read_snapshot(str(cell.source), source, file, report).rejected
        return tables.adopt(adapter.SNAPSHOT, cell, file, recipe), rejected


def image_metadata(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """What the source says of its images, in columns that all sources share: one row per image that it lists."""
    rows = _of_year(context, dataset, IMAGE_METADATA, lambda adapter: adapter.image_metadata)
    return dataset.result(context, rows)


def tag_metadata(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Who is tagged with what, after the source's aliases and implications: one row per image and tag."""
    by_relations = related(dataset, str(cell_of(context).source))
    rows = _of_year(
        context, dataset, TAG_METADATA, lambda adapter: lambda year: by_relations(adapter.tag_metadata(year))
    )
    return dataset.result(context, rows)


def _of_year(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    table: Table,
    reader: Callable[[Adapter], Callable[[pl.LazyFrame], pl.LazyFrame]],
) -> Staged:
    """One year of a source's snapshot as a shared table; a year that the source does not declare is empty."""
    cell = cell_of(context)
    if not dataset.is_declared(cell):
        return dataset.tables.stage(table, cell, table.empty())
    adapter = adapters()[dataset.config.sources[str(cell.source)].kind]
    whole = Cell(cell.source)
    if dataset.tables.commit_of("source_snapshot", whole) is None:
        raise dg.Failure(f"source_snapshot of {whole} is not built yet; build it first", allow_retries=False)
    year = dataset.tables.scan(adapter.SNAPSHOT, whole).filter(pl.col("year") == cell.year)
    return dataset.tables.stage(table, cell, reader(adapter)(year))
