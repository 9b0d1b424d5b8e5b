"""What leaves, pinned: the members of each release, and the release itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import staged_rows
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DatasetConfig
from dataset_assets.domain import membership
from dataset_assets.domain.annotations import CAPTIONS, PUBLISHED_TAGS
from dataset_assets.domain.members import MEMBERS
from dataset_assets.domain.optimized_images import OPTIMIZED_IMAGES
from dataset_assets.domain.predicted_tags import PREDICTED_TAGS, confident, scores
from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, TAG_METADATA, TRAINING_IMAGES, Table
from dataset_assets.domain.vector_tables import CLIP
from dataset_assets.release_settings import Release
from dataset_assets.resources import Dataset, cell_of, rebuild_command, say
from dataset_assets.storage.tables import Cell, Staged

NOTES = "notes"
MEMBERS_VERSION = "1"
RELEASE_VERSION = "1"
MEMBERS_AT_ONCE = 100_000
FILES: dict[membership.ImageKind, Table] = {
    "training": TRAINING_IMAGES,
    "original": RAW_IMAGES,
    "optimized": OPTIMIZED_IMAGES,
}
TAGS: dict[membership.TagKind, Table] = {
    "source": TAG_METADATA,
    "predicted": PREDICTED_TAGS,
    "published": PUBLISHED_TAGS,
}


def members_table(name: str) -> Table:
    """The table of one release's members."""
    return replace(MEMBERS, name=f"{MEMBERS.name}/{name}")


def members_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets `release_members/<name>`, by source: years are gathered here, so that the release has few parents."""
    return [
        graph.asset(
            members_of(name),
            members_table(name),
            group="releases",
            kinds={"polars", "parquet"},
            version=MEMBERS_VERSION,
            settings=[_settings(graph.config, release), _licenses(graph.config)],
            deps=[dg.AssetKey(table.split("/")) for table in _needed(graph.config, release)],
            by_source=True,
        )
        for name, release in graph.config.releases.items()
    ]


def _settings(config: DatasetConfig, release: Release) -> dict[str, Any]:
    """What of dataset.yaml decides a release's members. Thresholds are applied here: no table changes with them."""
    said = release.model_dump(include={"subset", "until", "images", "tags", "captions"}, mode="json")
    if release.tags != "predicted" or config.tagger is None:
        return said
    return {**said, "thresholds": config.tagger.thresholds.model_dump()}


def _licenses(config: DatasetConfig) -> dict[str, Any]:
    return {name: source.license.model_dump() for name, source in config.sources.items()}


def _needed(config: DatasetConfig, release: Release) -> list[str]:
    """The tables that members are made from."""
    always = [f"subset/{release.subset}", IMAGE_METADATA.name, RAW_IMAGES.name, IMAGE_FACTS.name, TAG_METADATA.name]
    chosen = [FILES[release.images].name, TAGS[release.tags].name, CAPTIONS.name]
    return list(dict.fromkeys([*always, *chosen]))


def members_of(name: str) -> Callable[..., dg.MaterializeResult[Staged]]:
    """The function of one release's members."""

    def members(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
        cell, table, release = cell_of(context), members_table(name), dataset.config.releases[name]
        years = [Cell(cell.source, year) for year in dataset.config.sources[str(cell.source)].years]
        recipe = _recipe(dataset, release, years)
        commit = dataset.tables.commit_of(table.name, cell)
        if commit is not None and commit.recipe == recipe and dataset.tables.is_intact(table.name, cell):
            staged = dataset.tables.unchanged(table, cell)
        else:
            frames = (frame for year in years for frame in members_in(dataset, release, year))
            staged = dataset.tables.stage_frames(table, cell, frames, recipe)
        rows = staged_rows(dataset.tables, staged)
        lacking = int(rows.filter(pl.col("path").is_null()).select(pl.len()).collect().item())
        return dataset.result(context, staged, {"members": staged.rows - lacking, "without_file": lacking})

    members.__doc__ = (
        f"Who is in the release {name}, with all that leaves with each: one row per image of a source that the subset "
        "keeps and the release's time has. `path` is null where the file that would leave was not made."
    )
    return members


def _recipe(dataset: Dataset, release: Release, years: Sequence[Cell]) -> str:
    """A fingerprint of all that a source's members are made from: the tables' contents, whoever built them."""
    names = _needed(dataset.config, release)
    commits = {name: [commit and commit.sha256 for commit in dataset.tables.commits(name, years)] for name in names}
    settings = [_settings(dataset.config, release), _licenses(dataset.config)]
    return fingerprint({"version": MEMBERS_VERSION, "settings": settings, "tables": commits})


def members_in(dataset: Dataset, release: Release, cell: Cell) -> Iterator[pl.DataFrame]:
    """The members of one source and year, some at a time. Raises: dg.Failure when a table is not built."""
    source = dataset.config.sources[str(cell.source)]
    scan = partial(read_built, dataset, cell=cell)
    subset, metadata = scan(f"subset/{release.subset}"), scan(IMAGE_METADATA.name)
    ids = membership.member_ids(subset, metadata, release.until.get(str(cell.source))).collect()
    source_tags = scan(TAG_METADATA.name).select("image_id", "tag", "category")
    tables = membership.YearTables(
        metadata=metadata,
        raw=scan(RAW_IMAGES.name),
        facts=scan(IMAGE_FACTS.name),
        files=scan(FILES[release.images].name),
        captions=scan(CAPTIONS.name),
        tags=_tags(dataset, release, scan) if release.tags != "source" else source_tags,
        artists=source_tags,
    )
    stated = membership.Stated(
        source=str(cell.source),
        year=int(cell.year or 0),
        license=source.license.name,
        license_basis=source.license.basis,
        may_redistribute=source.license.redistribute,
        names_artists=source.kind in ("gallery_dl", "pixiv_lists"),
    )
    for some in ids.iter_slices(MEMBERS_AT_ONCE):
        yield membership.members(some.lazy(), tables, stated, release.captions).collect()


def read_built(dataset: Dataset, name: str, cell: Cell) -> pl.LazyFrame:
    """A partition that must be there. Raises: dg.Failure with the command that builds it."""
    if dataset.tables.commit_of(name, cell) is None or not dataset.tables.is_intact(name, cell):
        said = f"{name} of {cell} is not built or damaged; build it: {rebuild_command(name, cell)}"
        raise dg.Failure(said, allow_retries=False)
    return pl.scan_parquet(dataset.tables.file(name, cell), hive_partitioning=False)


def _tags(dataset: Dataset, release: Release, scan: Callable[[str], pl.LazyFrame]) -> pl.LazyFrame:
    """image_id, tag and category of what a tagger saw, above its thresholds, or of what was published."""
    rows = scan(TAGS[release.tags].name)
    if release.tags == "published":
        return rows.select("image_id", "tag", category=pl.lit("general"))
    assert dataset.config.tagger is not None
    seen = confident(scores(rows), dataset.config.tagger.thresholds.model_dump())
    return seen.select("image_id", "tag", "category")


def release_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets `release/<name>`, across all sources."""
    return [
        graph.asset(
            release_of(name),
            files_table(name),
            group="releases",
            kinds={"parquet"},
            version=RELEASE_VERSION,
            settings=release.model_dump(mode="json"),
            deps=[dg.AssetKey([MEMBERS.name, name]), *_beside(release)],
            across_sources=True,
        )
        for name, release in graph.config.releases.items()
    ]


def files_table(name: str) -> Table:
    """The table of one release's files."""
    from dataset_assets.exports.release import RELEASE_FILES

    return replace(RELEASE_FILES, name=f"release/{name}")


def _beside(release: Release) -> list[dg.AssetKey]:
    """The tables that some formats take beside the members."""
    wanted = {CLIP: {"clip_retrieval", "pd12m"}, NOTES: {"coco"}}
    return [dg.AssetKey(table) for table, formats in wanted.items() if formats & set(release.formats)]


def release_of(name: str) -> Callable[..., dg.MaterializeResult[Staged]]:
    """The function of one release's asset."""

    def release(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
        from dataset_assets.assets import release_writing

        cell, table = cell_of(context), files_table(name)
        with dataset.tables.lock(table.name, cell):
            try:
                made = release_writing.write(dataset, name, say(context))
            except release_writing.CannotRelease as error:
                raise dg.Failure(str(error), allow_retries=False) from None
        staged = dataset.tables.stage(table, cell, made.files)
        return dataset.result(context, staged, made.metadata)

    release.__doc__ = (
        f"The release {name}, written once and never changed: one row per exported file, with its SHA-256. "
        "Its manifest pins every member and file."
    )
    return release
