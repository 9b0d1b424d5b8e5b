"""Find images by Danbooru's search syntax: in the index of each cell, or in its tables where there is none."""

import zlib
from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain import tag_facets, tag_index, tag_query
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES
from dataset_assets.domain.image_scores import IMAGE_SCORES
from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, TAG_INDEX, TAG_METADATA
from dataset_assets.domain.selection import COLUMNS, candidates, where_expression
from dataset_assets.domain.tag_index_build import CATEGORIES, bitmap_of
from dataset_assets.domain.tag_index_file import IndexDamaged, IndexFile
from dataset_assets.domain.tag_query_metatags import TAG_COUNTS
from dataset_assets.domain.takedowns import TAKEDOWNS
from dataset_assets.places import Place
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Tables

if TYPE_CHECKING:
    from PIL import Image
    from pyroaring import BitMap

GRID_IMAGES, GRID_COLUMNS, GRID_SIDE = 48, 8, 160
# Of more images than these, every n-th is a candidate for the sample.
SAMPLED_FROM = 20_000
TABLES = (IMAGE_METADATA.name, TAG_METADATA.name, TAKEDOWNS.name, TAG_INDEX.name)


class SearchError(Exception):
    """A search that cannot be answered; the message says what to do."""


def search(
    config: DatasetConfig, query: str, sources: Iterable[str] | None = None, years: Iterable[int] | None = None
) -> pl.LazyFrame:
    """The rows of `image_metadata` that a query finds, with source and year, in order of these and of image_id.

    Raises: TagQueryError when the query cannot be read; SearchError.
    """
    return find(config, query, sources, years).rows()


def count(
    config: DatasetConfig, query: str, sources: Iterable[str] | None = None, years: Iterable[int] | None = None
) -> int:
    """How many images a query finds. Raises: TagQueryError; SearchError."""
    return find(config, query, sources, years).count


def facets(
    config: DatasetConfig,
    query: str,
    sources: Iterable[str] | None = None,
    years: Iterable[int] | None = None,
    limit: int = 10,
) -> pl.DataFrame:
    """The most frequent tags of the images that a query finds: category, tag, images. Raises: as `search`."""
    return find(config, query, sources, years).facets(limit)


def grid(
    config: DatasetConfig, query: str, sources: Iterable[str] | None = None, years: Iterable[int] | None = None
) -> "Image.Image | None":
    """A sheet of some of the images that a query finds; null = none of them has a file. Raises: as `search`."""
    return find(config, query, sources, years).grid()


def find(
    config: DatasetConfig,
    query: str,
    sources: Iterable[str] | None = None,
    years: Iterable[int] | None = None,
    where: str | None = None,
) -> "Found":
    """What a query finds, to be counted, listed and looked at.

    `where`: a condition over the public columns, as a subset has one; what it is null for is not found.
    Raises: as `search`; WhereError.
    """
    parsed, tables = tag_query.parse(query), Tables(config.root_path)
    cells = declared_cells(config, IMAGE_METADATA.name, sources, years)
    parts = opened(tables.root).each(lambda cell: _part(tables, cell, parsed), cells)
    if where is not None:
        condition = where_expression(where)
        parts = [_narrowed(tables, part, condition) for part in parts]
    if parts and not any(part.is_answered for part in parts):
        raise SearchError(f"{parts[0].cell}: {parts[0].note}" + (", and so of the others" if len(parts) > 1 else ""))
    return Found(tables, parts)


@dataclass
class Part:
    """What a query finds in one cell: positions among its images, in order of image_id."""

    cell: Cell
    positions: "BitMap"
    index: tag_index.TagIndex | None
    # Why the tables were read; null = the index answered.
    note: str | None = None
    is_answered: bool = True  # no = a table that the query asks is not built; the note says which


@dataclass
class Found:
    """What a query finds."""

    tables: Tables
    parts: list[Part]

    @cached_property
    def count(self) -> int:
        return sum(len(part.positions) for part in self.parts)

    @property
    def notes(self) -> list[str]:
        """Which cells were answered without an index, and why."""
        return [f"{part.cell}: {part.note}" for part in self.parts if part.note is not None]

    def image_ids(self, limit: int | None = None) -> list[str]:
        """The ids, in order of source, year and id; at most so many."""
        return [image_id for part, positions in self._first(limit) for image_id in self._ids(part, positions)]

    def ids_of(self, cell: Cell) -> list[str]:
        """The ids of one cell."""
        return [
            one
            for part in self.parts
            if part.cell == cell and part.positions
            for one in self._ids(part, part.positions)
        ]

    def rows(self, limit: int | None = None) -> pl.LazyFrame:
        """The rows of `image_metadata`, with source and year; at most so many."""
        chosen = self._first(limit)
        parts = [_rows_at(self.tables, part.cell, positions) for part, positions in chosen]
        empty = _with_cell(IMAGE_METADATA.empty().lazy(), Cell())
        return pl.concat([empty, *parts])

    def facets(self, limit: int = 10) -> pl.DataFrame:
        """The most frequent tags by category, with how many of the images have each: category, tag, images."""
        indexed = [(part.index, part.positions) for part in self.parts if part.index is not None and part.positions]
        others = [part for part in self.parts if part.index is None and part.positions]
        try:
            found = tag_facets.facets(indexed, limit) if not others else tag_facets.all_tags(indexed)
        except IndexDamaged:
            others = [part for part in self.parts if part.positions]
            found = {category: Counter() for category in CATEGORIES}
        for part in others:
            _add_tags(self.tables, part, found)
        rows = [
            (category, tag, images)
            for category, counts in found.items()
            for tag, images in tag_facets.most_common(counts, limit).items()
        ]
        schema = {"category": pl.String, "tag": pl.String, "images": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def sample(self, size: int) -> list[str]:
        """Some of the ids: always the same ones of the same images, from everywhere."""
        step = -(-self.count // SAMPLED_FROM) or 1
        spread = [(part, bitmap_of(part.positions[::step])) for part in self.parts]
        ids = [image_id for part, positions in spread if positions for image_id in self._ids(part, positions)]
        return sorted(ids, key=lambda image_id: (zlib.crc32(image_id.encode()), image_id))[:size]

    def grid(self, size: int = GRID_IMAGES) -> "Image.Image | None":
        """A sheet of a sample of the images that have a file; null = none has."""
        from dataset_assets.domain.contact_sheet import contact_sheet

        images: list[Image.Image] = []
        for path in files_of(self.tables, self.sample(8 * size), [part.cell for part in self.parts]):
            picture = picture_of(self.tables.root, path)
            images += [] if picture is None else [picture]
            if len(images) == size:
                break
        return contact_sheet(images, columns=min(GRID_COLUMNS, len(images)), side=GRID_SIDE) if images else None

    def _first(self, limit: int | None) -> list[tuple[Part, "BitMap"]]:
        """The positions of the first images, by cell; no cell without any."""
        chosen, left = [], limit
        for part in self.parts:
            positions = part.positions if left is None else bitmap_of(part.positions[:left])
            left = None if left is None else left - len(positions)
            chosen += [(part, positions)] if positions else []
        return chosen

    def _ids(self, part: Part, positions: "BitMap") -> list[str]:
        if part.index is not None:
            try:
                return part.index.image_ids(positions)
            except IndexDamaged:
                pass  # the table has them too
        return _rows_at(self.tables, part.cell, positions).select("image_id").collect().to_series().to_list()


def _part(tables: Tables, cell: Cell, query: tag_query.Query) -> Part:
    index = _index(tables, cell)
    if isinstance(index, tag_index.TagIndex):
        try:
            return Part(cell, tag_index.find(query, index, partial(_listed, tables, cell)), index)
        except IndexDamaged as damage:
            index = _damaged(cell, damage)
    _require_intact(tables, cell)
    if _asks_tags(query) and tables.commit_of(TAG_METADATA.name, cell) is None:
        return Part(cell, bitmap_of(array("I")), None, _not_built([TAG_METADATA.name], "tags", cell), is_answered=False)
    images = _listed(tables, cell)
    answers = tag_query.matches(query, images, tables.scan(TAG_METADATA, cell)).collect().get_column("matches")
    found = answers.arg_true().cast(pl.UInt32).to_numpy()
    return Part(cell, bitmap_of(array("I", found.tobytes())), None, index)


def _asks_tags(query: tag_query.Query) -> bool:
    return bool(query.tags) or any(meta.name in TAG_COUNTS for meta in query.metatags)


def _not_built(tables: Sequence[str], asked: str, cell: Cell) -> str:
    names, are = ", ".join(tables), "is" if len(tables) == 1 else "are"
    command = f"dataset-assets rebuild --source {cell.source} --years {cell.year} --assets {','.join(tables)}"
    return f"{names} {are} not built, so {asked} cannot be searched; `{command}` makes it"


def _lacking(tables: Tables, cell: Cell, condition: pl.Expr) -> list[str]:
    """The tables that hold the columns of a condition and are not built."""
    asked = set(condition.meta.root_names())
    holders = {column.comes_from[0].partition(".")[0] for column in COLUMNS if column.name in asked}
    cells = {name: Cell() if name == NEAR_DUPLICATES.name else cell for name in sorted(holders)}
    return [name for name, at in cells.items() if tables.commit_of(name, at) is None]


def _narrowed(tables: Tables, part: Part, condition: pl.Expr) -> Part:
    """The part's images for which a condition over the public columns is true."""
    if part.is_answered and (lacking := _lacking(tables, part.cell, condition)):
        note = _not_built(lacking, "the columns of --where", part.cell)
        return replace(part, positions=bitmap_of(array("I")), note=note, is_answered=False)
    if not part.positions:
        return part
    scans = [tables.scan(table, part.cell) for table in (RAW_IMAGES, IMAGE_FACTS, IMAGE_SCORES)]
    scans = [_listed(tables, part.cell), *scans]
    scans.append(tables.scan(NEAR_DUPLICATES, Cell()))
    # As long as the rows, since a condition without a column is one value long.
    kept = candidates(*scans).select(pl.repeat(True, pl.len()) & condition.fill_null(False)).collect().to_series()
    found = kept.arg_true().cast(pl.UInt32).to_numpy()
    return replace(part, positions=part.positions & bitmap_of(array("I", found.tobytes())))


def _listed(tables: Tables, cell: Cell) -> pl.LazyFrame:
    """The rows of `image_metadata` that a search may find, in their order: all but what was taken down."""
    rows, commit = tables.scan(IMAGE_METADATA, cell), tables.commit_of(TAKEDOWNS.name, cell)
    if commit is None or not commit.rows:
        return rows
    down = tables.scan(TAKEDOWNS, cell).select("image_id").collect().to_series()
    return rows.filter(~pl.col("image_id").is_in(down.implode()))


def _require_intact(tables: Tables, cell: Cell) -> None:
    for name in (IMAGE_METADATA.name, TAG_METADATA.name, TAKEDOWNS.name):
        if not tables.is_intact(name, cell):
            raise SearchError(
                f"{name} {cell} does not match its checksum; `dataset-assets rebuild --source {cell.source} "
                f"--years {cell.year}` makes it again"
            )


def _signature(tables: Tables, cell: Cell) -> tuple[Hashable, ...]:
    """What changes when one of the tables is replaced: a partition's file is never changed in place."""
    return tuple(tables.stamp(name, cell) for name in TABLES)


def _index(tables: Tables, cell: Cell) -> tag_index.TagIndex | str:
    """The index of a cell, or why it is not used; one that was opened stays open while its files are the same."""
    signature = _signature(tables, cell)
    index, file, stamp = _opened(tables.root, cell, signature)
    # Cut short meanwhile, a mapped file would take the process down.
    if file is not None and opened(tables.root).stamp(file) != stamp:
        _opened.cache_clear()
        index, file, stamp = _opened(tables.root, cell, signature)
    return index


@lru_cache(maxsize=512)
def _opened(
    root: Place, cell: Cell, signature: tuple[Hashable, ...]
) -> tuple[tag_index.TagIndex | str, str | None, Hashable]:
    """The index of a cell, or why it is not used, and its file."""
    index, path = _open(Tables(root), cell)
    return index, path, None if path is None else opened(root).stamp(path)


def _open(tables: Tables, cell: Cell) -> tuple[tag_index.TagIndex | str, str | None]:
    listed = tables.scan(TAG_INDEX, cell).collect() if tables.is_intact(TAG_INDEX.name, cell) else TAG_INDEX.empty()
    if listed.height != 1:
        return f"no index is built, so the tables were read; {_rebuild(cell)}", None
    row = listed.row(0, named=True)
    for name in (IMAGE_METADATA.name, TAG_METADATA.name, TAKEDOWNS.name):
        commit = tables.commit_of(name, cell)
        is_needed = name != TAKEDOWNS.name  # where nothing was ever taken down, that table need not be
        if (commit is None and is_needed) or (commit and commit.sha256) != row.get(name):
            return f"the index is older than {name}, so the tables were read; {_rebuild(cell)}", None
    try:
        index = tag_index.TagIndex(IndexFile(IndexFiles(tables.root).read(row["path"], row["size"])))
        if index.rows != row["images"]:
            raise IndexDamaged(f"{row['path']} knows {index.rows} images, its table says {row['images']}")
    except (ValueError, OSError) as error:
        return _damaged(cell, error), row["path"]
    return index, row["path"]


def _rebuild(cell: Cell) -> str:
    return f"`dataset-assets rebuild --source {cell.source} --years {cell.year} --assets tag_index` makes it"


def _damaged(cell: Cell, error: Exception) -> str:
    return f"the index is damaged ({error}), so the tables were read; {_rebuild(cell)} with --all"


def _rows_at(tables: Tables, cell: Cell, positions: "BitMap") -> pl.LazyFrame:
    """The rows of `image_metadata` at these positions, of which there is one at least."""
    first = positions.min()
    wanted = pl.Series(list(positions), dtype=pl.UInt32).implode()
    rows = _listed(tables, cell).slice(first, positions.max() - first + 1).with_row_index("position", first)
    return _with_cell(rows.filter(pl.col("position").is_in(wanted)).drop("position"), cell)


def _with_cell(rows: pl.LazyFrame, cell: Cell) -> pl.LazyFrame:
    return rows.with_columns(source=pl.lit(cell.source, pl.String), year=pl.lit(cell.year, pl.Int32))


def _add_tags(tables: Tables, part: Part, found: tag_facets.Counts) -> None:
    """Add the tags of a part's images, counted in the table. Raises: SearchError when that is damaged."""
    _require_intact(tables, part.cell)
    images = _rows_at(tables, part.cell, part.positions).select("image_id")
    tags = tables.scan(TAG_METADATA, part.cell).join(images, on="image_id", how="semi")
    counted = tags.group_by("category", "tag").agg(images=pl.col("image_id").n_unique()).drop_nulls().collect()
    for category, tag, number in counted.iter_rows():
        if category in found:
            found[category][tag] += number


def files_of(tables: Tables, image_ids: Sequence[str], cells: Iterable[Cell]) -> list[str]:
    """The training image, or else the stored original, of those that have one, in the order of the ids."""
    paths: dict[str, str] = {}
    wanted = pl.col("image_id").is_in(image_ids) & pl.col("path").is_not_null()
    for cell in cells:
        for name in ("raw_images", "training_images"):
            file = tables.file(name, cell)
            if file.exists() and tables.is_intact(name, cell):
                scan = pl.scan_parquet(file, hive_partitioning=False).filter(wanted)
                paths |= dict(scan.select("image_id", "path").collect().iter_rows())
    return [paths[image_id] for image_id in image_ids if image_id in paths]


def picture_of(root: Place, path: str) -> "Image.Image | None":
    """An image in RGB; null where it is gone or cannot be decoded, which its own tables tell."""
    from dataset_assets.domain import images
    from dataset_assets.storage.blobs import BlobMissing, Blobs

    try:
        return images.read(Blobs(root).get(path), at_least=GRID_SIDE).image
    except (BlobMissing, OSError, images.UnreadableImage):
        return None
