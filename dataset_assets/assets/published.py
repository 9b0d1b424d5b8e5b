"""What the sources publish about images beside their records: captions, tags and how these disagree."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import FED_FROM_OUTSIDE, OWNERS, Graph, table_metadata
from dataset_assets.assets.pictures import states
from dataset_assets.assets.takedowns import is_takedowns_only, without_taken_down
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import GalleryDlSource, Pd12mSource, Source
from dataset_assets.domain.annotations import (
    ANNOTATION_MISMATCHES,
    CAPTIONS,
    PUBLISHED_EMBEDDINGS,
    PUBLISHED_TAGS,
    SOURCE_ANNOTATIONS,
)
from dataset_assets.domain.model_captions import MODEL_CAPTIONS
from dataset_assets.domain.schemas import Table
from dataset_assets.domain.takedowns import TAKEDOWNS
from dataset_assets.resources import Dataset, cell_of, rebuild_command, say
from dataset_assets.storage.tables import Cell, Staged

READ_VERSION = TAGS_VERSION = EMBEDDINGS_VERSION = "1"
CAPTIONS_VERSION = "2"
CAPTIONS_PER_BATCH = 200_000
NO_SCORE = pl.lit(None, pl.Float32).alias("score")
SNAPSHOT_YEAR = dg.AssetKey("snapshot_year")


def read_annotations_asset(graph: Graph) -> dg.AssetsDefinition:
    """The assets that are read from files beside the images."""
    return dg.multi_asset(
        name="read_annotations",
        specs=[
            _spec(SOURCE_ANNOTATIONS, "What stands in files beside the images: one row per caption or list of tags."),
            _spec(
                ANNOTATION_MISMATCHES,
                "Where these files do not fit the images or one another: one row per mismatch, with its kind.",
            ),
        ],
        partitions_def=graph.partitions.source,
    )(read_annotations)


def _spec(table: Table, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        table.name,
        deps=["source_snapshot"],
        description=description,
        metadata=table_metadata(table),
        group_name="metadata",
        kinds={"polars", "parquet"},
        owners=OWNERS,
        code_version=READ_VERSION,
        tags={FED_FROM_OUTSIDE: "true"},
    ).with_io_manager_key("tables")


def annotation_tables(graph: Graph) -> list[dg.AssetsDefinition]:
    """The published captions and tags of each source and year."""
    models = {name: source.models.model_dump() for name, source in graph.config.sources.items()}
    patterns = {name: s.embeddings for name, s in graph.config.sources.items() if isinstance(s, Pd12mSource)}
    common: dict[str, Any] = {"group": "annotations", "kinds": {"polars", "parquet"}}
    captioner = graph.config.captioner
    return [
        graph.asset(
            captions,
            CAPTIONS,
            version=CAPTIONS_VERSION,
            settings=[models, captioner and captioner.kind],
            deps=[
                *(SNAPSHOT_YEAR, SOURCE_ANNOTATIONS.name, TAKEDOWNS.name),
                *([MODEL_CAPTIONS.name] if captioner else []),
            ],
            **common,
        ),
        graph.asset(
            published_tags,
            PUBLISHED_TAGS,
            version=TAGS_VERSION,
            settings=models,
            deps=[SOURCE_ANNOTATIONS.name, TAKEDOWNS.name],
            **common,
        ),
        graph.asset(
            published_embeddings,
            PUBLISHED_EMBEDDINGS,
            version=EMBEDDINGS_VERSION,
            settings=[models, patterns],
            deps=[SNAPSHOT_YEAR, TAKEDOWNS.name],
            fed_from_outside=True,
            **common,
        ),
    ]


def read_annotations(context: dg.AssetExecutionContext, dataset: Dataset) -> Iterator[dg.MaterializeResult[Staged]]:
    """Read the captions and tags beside a source's images once; files that are unchanged are not read again."""
    cell = cell_of(context)
    name, source = str(cell.source), dataset.config.sources[str(cell.source)]
    tables = dataset.tables
    if not isinstance(source, GalleryDlSource):
        for table in (SOURCE_ANNOTATIONS, ANNOTATION_MISMATCHES):
            yield dataset.result(context, tables.stage(table, cell, table.empty()))
        return
    from dataset_assets.sources import gallery_dl, gallery_dl_annotations

    snapshot = tables.commit_of("source_snapshot", cell)
    files = gallery_dl_annotations.fingerprint(source)
    recipe = fingerprint({"version": READ_VERSION, "files": files, "snapshot": snapshot and snapshot.sha256})
    both = (SOURCE_ANNOTATIONS, ANNOTATION_MISMATCHES)
    if all(_is_current(dataset, table, cell, recipe) for table in both):
        for table in both:
            yield dataset.result(context, tables.unchanged(table, cell))
        return
    rows = tables.scan(gallery_dl.SNAPSHOT, cell)
    read = gallery_dl_annotations.read_annotations(name, source, rows, say(context))
    kinds = dict(read.mismatches.group_by("kind").len().sort("kind").iter_rows())
    yield dataset.result(context, tables.stage(SOURCE_ANNOTATIONS, cell, read.found, recipe))
    yield dataset.result(context, tables.stage(ANNOTATION_MISMATCHES, cell, read.mismatches, recipe), {"kinds": kinds})


def captions(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Every caption of an image, published or by a model, with what wrote it: one row per image and origin."""
    cell, source = _of(context, dataset)
    tables, model = dataset.tables, pl.lit(source.models.captions, pl.String).alias("caption_model")
    if isinstance(source, Pd12mSource) and dataset.is_declared(cell):
        from dataset_assets.sources import pd12m

        of_year = tables.scan(pd12m.SNAPSHOT, Cell(cell.source)).filter(pl.col("year") == cell.year)
        rows = pd12m.captions(of_year).with_columns(model, NO_SCORE, origin=pl.lit("source")).select(*CAPTIONS.schema)
        # A snapshot's year is in the order of its images, and so are the captions of a model.
        rows = without_taken_down(dataset, _by_model(dataset, cell).merge_sorted(rows, key="image_id"), cell)
        batches = rows.collect_batches(chunk_size=CAPTIONS_PER_BATCH, maintain_order=True)
        return dataset.result(context, tables.stage_frames(CAPTIONS, cell, batches))
    of_files = _annotations(dataset, cell).filter(pl.col("caption").is_not_null()).with_columns(model, NO_SCORE)
    by_model = without_taken_down(dataset, _by_model(dataset, cell), cell)
    every = pl.concat([of_files.select(*CAPTIONS.schema), by_model])
    return dataset.result(context, tables.stage(CAPTIONS, cell, every))


def _by_model(dataset: Dataset, cell: Cell) -> pl.LazyFrame:
    """The captions that the captioner wrote, in the order of images."""
    captioner, name = dataset.config.captioner, MODEL_CAPTIONS.name
    if captioner is None:
        return CAPTIONS.empty().lazy()
    tables = dataset.tables
    if tables.commit_of(name, cell) is None or not tables.is_intact(name, cell):
        found = "is not built yet" if tables.commit_of(name, cell) is None else "does not match its checksum"
        said = f"{name} of {cell} {found}; build it: {rebuild_command(name, cell)}"
        raise dg.Failure(said, allow_retries=False)
    written = tables.scan(MODEL_CAPTIONS, cell).filter(pl.col("caption").is_not_null())
    marks = {"origin": pl.lit(captioner.kind), "file": pl.lit(None, pl.String)}
    return written.with_columns(**marks).select(*CAPTIONS.schema)


def published_tags(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Tags that files beside the images give them, never those of the records: one row per image, origin and tag."""
    cell, source = _of(context, dataset)
    listed = _annotations(dataset, cell).filter(pl.col("tags").list.len() > 0)
    tags = listed.select(
        "image_id", "origin", "file", tag="tags", position=pl.int_ranges(pl.col("tags").list.len(), dtype=pl.Int32)
    ).explode("tag", "position")
    # A tag that stands twice in one list is one tag, at its first place; the other is among the mismatches.
    of_list = ("image_id", "origin", "tag")
    once = tags.group_by(*of_list).agg(pl.col("position").min(), pl.col("file").first())
    rows = once.with_columns(
        tag_model=pl.lit(source.models.tags, pl.String), tag_threshold=pl.lit(source.models.tag_threshold, pl.Float64)
    )
    return dataset.result(context, dataset.tables.stage(PUBLISHED_TAGS, cell, rows.select(*PUBLISHED_TAGS.schema)))


def published_embeddings(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Image vectors as published, of length 1: one row per listed image of a source that publishes any."""
    cell, source = _of(context, dataset)
    tables, table = dataset.tables, PUBLISHED_EMBEDDINGS
    if not isinstance(source, Pd12mSource) or not source.embeddings or not dataset.is_declared(cell):
        return dataset.result(context, tables.stage(table, cell, table.empty()))
    if is_takedowns_only(context) and tables.commit_of(table.name, cell) is not None:
        return dataset.result(context, _less_taken_down(dataset, table, cell))
    from dataset_assets.sources import pd12m, pd12m_embeddings
    from dataset_assets.sources.local_files import fingerprint_of

    files, shards = source.files(source.embeddings), source.files(source.metadata)
    snapshot = tables.commit_of("source_snapshot", Cell(cell.source))
    parts = [fingerprint_of(files), snapshot and snapshot.sha256, source.models.embeddings]
    recipe = fingerprint({"version": EMBEDDINGS_VERSION, "parts": parts})
    rows = tables.scan(pd12m.SNAPSHOT, Cell(cell.source)).filter(pl.col("year") == cell.year)
    rows = without_taken_down(dataset, rows, cell)
    if _is_current(dataset, table, cell, recipe) and _has_all(tables.scan(table, cell), rows):
        return dataset.result(context, _less_taken_down(dataset, table, cell))
    alignment = pd12m_embeddings.align(files, pd12m_embeddings.rows_of_shards(shards))
    model = pl.lit(source.models.embeddings, pl.String).alias("model")
    vectors = (batch.with_columns(model) for batch in pd12m_embeddings.read_embeddings(alignment, rows))
    staged = tables.stage_frames(table, cell, vectors, recipe)
    refused = [problem for _, problem in sorted(alignment.problems.items())]
    return dataset.result(context, staged, {**states(tables, staged), "refused_files": refused})


def _has_all(table: pl.LazyFrame, wanted: pl.LazyFrame) -> bool:
    """Whether no wanted image is lacking, as one is that was taken down before and lifted since."""
    lacking = wanted.select("image_id").join(table.select("image_id"), on="image_id", how="anti")
    return bool(lacking.select(pl.len()).collect().item() == 0)


def _less_taken_down(dataset: Dataset, table: Table, cell: Cell) -> Staged:
    """A table as it stands, less the images that were taken down since: its source is not read."""
    rows, commit = dataset.tables.scan(table, cell), dataset.tables.commit_of(table.name, cell)
    left = without_taken_down(dataset, rows, cell)
    if commit is None or left.select(pl.len()).collect().item() == commit.rows:
        return dataset.tables.unchanged(table, cell)
    batches = left.collect_batches(chunk_size=CAPTIONS_PER_BATCH, maintain_order=True)
    return dataset.tables.stage_frames(table, cell, batches, commit.recipe)


def _is_current(dataset: Dataset, table: Table, cell: Cell, recipe: str) -> bool:
    """Whether the partition is there, whole, and made of the same files by the same code."""
    commit = dataset.tables.commit_of(table.name, cell)
    return commit is not None and commit.recipe == recipe and dataset.tables.is_intact(table.name, cell)


def _of(context: dg.AssetExecutionContext, dataset: Dataset) -> tuple[Cell, Source]:
    cell = cell_of(context)
    return cell, dataset.config.sources[str(cell.source)]


def _annotations(dataset: Dataset, cell: Cell) -> pl.LazyFrame:
    """What files beside the images say of a year's images, less what cannot be used."""
    whole, is_declared = Cell(cell.source), dataset.is_declared(cell)
    has_files = isinstance(dataset.config.sources[str(cell.source)], GalleryDlSource)
    if has_files and is_declared and dataset.tables.commit_of(SOURCE_ANNOTATIONS.name, whole) is None:
        raise dg.Failure(f"source_annotations of {whole} is not built yet; build it first", allow_retries=False)
    rows = dataset.tables.scan(SOURCE_ANNOTATIONS, whole)
    of_year = rows.filter(pl.col("year") == cell.year) if is_declared else rows.clear()
    return without_taken_down(dataset, of_year.filter(pl.col("problem").is_null()), cell)
