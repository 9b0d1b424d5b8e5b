"""Why an image is in a subset, or is not: on one page, in the words of dataset.yaml."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import dagster as dg
import polars as pl

from dataset_assets.assets.candidates import YearTables, candidates_of
from dataset_assets.assets.curation import definition_mark, rules_of
from dataset_assets.assets.id_lists import listed_posts
from dataset_assets.config import DatasetConfig
from dataset_assets.domain import schemas
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES
from dataset_assets.domain.identity import ImageName, parse_image_id
from dataset_assets.resources import Dataset
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.why_rules import REASONS, Asked

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What one subset made of the image.

    is_kept: null = the subset is not built for its year. broken: every rule that it breaks as dataset.yaml and the
    tables now stand, in their order, each with its reasons. note: why these may not be what the subset was built by.
    """

    subset: str
    is_kept: bool | None
    drop_reason: str | None
    split: str | None
    broken: dict[str, list[str]]
    note: str | None


@dataclass(frozen=True)
class Answer:
    """All that decides where an image is.

    duplicates: null = not known. takedowns: their reasons, by name. releases: the part that it is in, by name.
    """

    image_id: str
    cell: str
    state: str | None
    reason: str | None
    detail: str | None
    duplicates: str | None
    takedowns: dict[str, str]
    subsets: list[Verdict]
    releases: dict[str, str | None]


def why(config: DatasetConfig, image_id: str) -> Answer:
    """Where an image is, and by what.

    Raises: BadImageId when the text is no image id; KeyError when neither a source nor a takedown knows the image.
    """
    name, dataset = (
        parse_image_id(image_id),
        Dataset(config_file=str(config.file.absolute()), folder=str(config.folder)),
    )
    takedowns = {one.id: one.reason for one in TakedownFiles(config.root_path).active() if image_id in one.image_ids}
    cell = _cell_of(dataset.tables, name, image_id)
    if cell is None and not takedowns:
        raise KeyError(image_id)
    image = _Image(dataset, image_id, name, cell or Cell(name.source), takedowns)
    raw = image.row(schemas.RAW_IMAGES)
    subsets = config.subsets if name.source in config.sources and cell is not None else {}
    return Answer(
        image_id,
        str(image.cell),
        raw.get("state"),
        raw.get("reason"),
        raw.get("detail"),
        image.duplicates(),
        takedowns,
        [image.verdict(subset) for subset in subsets],
        dict(_releases(dataset.tables, image_id)),
    )


def _cell_of(tables: Tables, name: ImageName, image_id: str) -> Cell | None:
    listed = schemas.IMAGE_METADATA
    for cell in tables.cells(listed.name):
        if cell.source == name.source and tables.is_intact(listed.name, cell):
            rows = tables.scan(listed, cell).filter(pl.col("image_id") == image_id)
            if rows.select(pl.len()).collect().item():
                return cell
    return None


def _releases(tables: Tables, image_id: str) -> Iterator[tuple[str, str | None]]:
    """The releases that have the image, each with the part that it is in."""
    root = opened(tables.root)
    for name in root.names("releases/"):
        if PurePosixPath(name).match("releases/*/members.parquet"):
            rows = pl.scan_parquet(root.file(name), hive_partitioning=False).filter(pl.col("image_id") == image_id)
            for (split,) in rows.select("split").collect().iter_rows():
                yield name.split("/")[1], split


@dataclass(frozen=True)
class _Image:
    dataset: Dataset
    image_id: str
    name: ImageName
    cell: Cell
    takedowns: Mapping[str, str]

    def row(self, table: schemas.Table, cell: Cell | None = None) -> Row:
        """Its row of a table; nothing where it has none."""
        rows = self.rows(table, cell)
        return rows.row(0, named=True) if rows.height else {}

    def rows(self, table: schemas.Table, cell: Cell | None = None) -> pl.DataFrame:
        at = cell or self.cell
        if not self.dataset.tables.is_intact(table.name, at):
            return table.empty()
        return self.dataset.tables.scan(table, at).filter(pl.col("image_id") == self.image_id).collect()

    def duplicates(self) -> str | None:
        """What it duplicates, or that it leads others."""
        row = self.row(NEAR_DUPLICATES, Cell())
        if not row:
            return None
        if row["duplicate_of"] is None:
            others = row["group_size"] - 1
            return f"leads {others} near-duplicate{'s' if others > 1 else ''} of it" if others else "none"
        return f"near-duplicate of {_leader(row)}"

    def verdict(self, subset: str) -> Verdict:
        """What a subset made of it, and which rules it breaks now."""
        config, tables = self.dataset.config, self.dataset.tables
        built = self.rows(schemas.subset(subset))
        commit = tables.commit_of(f"subset/{subset}", self.cell)
        broken, problem = self._broken(subset)
        if built.is_empty() or commit is None:
            return Verdict(subset, None, None, None, broken, problem or "not built for this year; run a rebuild")
        reason, split = built.item(0, "drop_reason"), built.to_dicts()[0].get("split")
        if commit.recipe != definition_mark(config, subset):
            note: str | None = "built by another definition than dataset.yaml now has; a rebuild judges it anew"
        elif problem is None and reason != next(iter(broken), None):
            note = "the tables have changed since it was built; a rebuild judges it anew"
        else:
            note = problem
        return Verdict(subset, reason is None, reason, split, broken, note)

    def _broken(self, subset: str) -> tuple[dict[str, list[str]], str | None]:
        """Every rule that it breaks, with the reasons; or what keeps them from being asked."""
        tags = self.rows(schemas.TAG_METADATA)
        frames = [self.rows(table) for table in (schemas.IMAGE_METADATA, schemas.RAW_IMAGES, schemas.IMAGE_FACTS)]
        year = YearTables(frames[0].lazy(), tags.lazy(), frames[1].lazy(), frames[2].lazy())
        try:
            row = candidates_of(self.dataset, subset, self.cell, year).collect()
        except dg.Failure as failure:
            return {}, str(failure.description)
        broken: dict[str, list[str]] = {}
        asked = Asked(
            definition=self.dataset.config.subsets[subset],
            source=self.name.source,
            license=self.dataset.config.sources[self.name.source].license,
            row=row,
            listed=frames[0],
            tags=tags,
            stands_on=self._stands_on,
            duplicates=self.duplicates,
            takedowns=self.takedowns,
        )
        for rule in rules_of(self.dataset.config, subset, self.name.source):
            kept = row.select(rule.keeps).to_series().item()
            # What is not known of an image without a file, or of one that is not decoded, says nothing more about it.
            is_asked = "not_stored" not in broken if rule.name == "undecodable" else row.item(0, "is_decoded")
            if kept is not True and (is_asked or (kept is False and rule.name != "undecodable")):
                broken[rule.name] = REASONS[rule.name](asked)
        return broken, None

    def _stands_on(self, id_list: str) -> bool:
        posts = listed_posts(self.dataset, [id_list], self.name.source).filter(pl.col("post_id") == self.name.post_id)
        return bool(posts.select(pl.len()).collect().item())


def _leader(row: Row) -> str:
    """The leader of a duplicate, and what tells it."""
    if row["kind"] == "semantic":
        return f"{row['duplicate_of']} (by a model, cosine {row['cosine']:.3f})"
    how = "equal pixels" if row["kind"] == "exact" else f"by looks, {row['distance']} of 64 bits differ"
    return f"{row['duplicate_of']} ({how})"
