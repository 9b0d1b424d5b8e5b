"""Find images by what they show: nearest to a text, to another image, or to a picture from outside."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset_assets import search
from dataset_assets.config import DatasetConfig, Pd12mSource
from dataset_assets.domain.identity import BadImageId, parse_image_id
from dataset_assets.domain.schemas import IMAGE_METADATA
from dataset_assets.domain.vector_index import VectorIndex
from dataset_assets.domain.vector_scan import Hits, VectorsDamaged, merged, nearest
from dataset_assets.domain.vector_tables import CLIP, PUBLISHED, VECTOR_INDEX
from dataset_assets.places import Place
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Tables

if TYPE_CHECKING:
    from PIL import Image

    from dataset_assets.domain.result_page import Result

ROWS_AT_ONCE = 50_000
SHOWN = ("image_id", "source", "year", "created_at", "rating", "score", "width", "height", "file_ext", "page_url")
THUMBNAIL_SIDE, THUMBNAIL_BYTES = 256, 40_000
RANDOM = "(random weights)"


class LikenessError(search.SearchError):
    """A search by text or likeness that cannot be answered; the message says what to do."""


@dataclass(frozen=True)
class Space:
    """The vectors of one cell, with the model that made them. `note`: why there is no index; null = there is one."""

    cell: Cell
    model: str | None
    recipe: str | None
    index: VectorIndex | None
    note: str | None = None
    file: str | None = None
    stamp: Hashable = None


@dataclass(frozen=True)
class Alike:
    """What was found, best first: the cosine, and what `image_metadata` says, with source and year."""

    tables: Tables
    rows: pl.DataFrame
    notes: list[str]

    def pictures(self) -> "list[Image.Image | None]":
        """A small picture of each image; null = it has no file."""
        ids = self.rows.get_column("image_id").to_list()
        cells = {Cell(source, year) for source, year in self.rows.select("source", "year").iter_rows()}
        files = {one: path for one in ids for path in search.files_of(self.tables, [one], sorted(cells))}
        return [search.picture_of(self.tables.root, files[one]) if one in files else None for one in ids]

    def grid(self) -> "Image.Image | None":
        """The images that have a file on one sheet, best first; null = none has."""
        from dataset_assets.domain.contact_sheet import contact_sheet

        found = [picture for picture in self.pictures() if picture is not None]
        columns = min(search.GRID_COLUMNS, len(found))
        return contact_sheet(found, columns=columns, side=search.GRID_SIDE) if found else None

    def page(self, title: str) -> str:
        """All of it as one HTML page, pictures included."""
        from dataset_assets.domain.result_page import result_page

        rows = zip(self.rows.to_dicts(), self.pictures(), strict=True)
        return result_page(title, [_result(row, picture) for row, picture in rows], self.notes)


def alike(
    config: DatasetConfig,
    *,
    text: str | None = None,
    like: str | Path | None = None,
    query: str = "",
    where: str | None = None,
    sources: Iterable[str] | None = None,
    years: Iterable[int] | None = None,
    limit: int = 20,
    exact: bool = False,
    published: bool = False,
) -> Alike:
    """The images nearest to a text, or to an image (its id, or any picture file), of those that a search finds.

    `query`, `where`, `sources`, `years`: as `search.find` has them; only such images are ranked, so `limit` of them are
    found wherever there are as many. `exact`: compare with all; else with those in the nearest clusters of an index.
    `published`: by the vectors that a source publishes. An image is not found by its own likeness.
    Raises: LikenessError; ModelError of the model; TagQueryError; WhereError; SearchError.
    """
    if (text is None) == (like is None):
        raise LikenessError("name a text or a likeness to search by, one of the two")
    tables, of = Tables(config.root_path), PUBLISHED if published else CLIP
    wanted = (None if sources is None else list(sources)), (None if years is None else list(years))
    spaces = [space for cell in declared_cells(config, of, *wanted) if (space := _space(tables, of, cell))]
    if not spaces:
        raise LikenessError(_no_vector(config, of, wanted[0]))
    asked = _asked(config, tables, of, text, like, spaces)
    _require_one_model(of, spaces, asked.model, asked.recipe)
    found = search.find(config, query, *wanted, where) if query or where else None
    notes = [*(found.notes if found else []), *(f"{s.cell}: {s.note}" for s in spaces if s.note and not exact)]
    hits = [_hits(tables, of, space, asked, limit, exact, found, notes) for space in spaces]
    if RANDOM in (asked.model or ""):
        notes.append("the model's weights are random: the order of these images means nothing")
    return Alike(tables, _rows(tables, of, spaces, hits, limit), notes)


def _no_vector(config: DatasetConfig, of: str, sources: list[str] | None) -> str:
    """Why there is nothing to compare with, and what to do."""
    publishing = [name for name, one in config.sources.items() if isinstance(one, Pd12mSource) and one.embeddings]
    if of == PUBLISHED and not set(publishing) & set(config.sources if sources is None else sources):
        whose = "no source publishes vectors" if not publishing else f"only {', '.join(publishing)} publishes vectors"
        return f"there is no vector to compare with: {whose}; leave --published out to compare those of {CLIP}"
    return f"there is no vector to compare with; build with `dataset-assets rebuild --assets {of}`"


@dataclass(frozen=True)
class Asked:
    """What is searched for: a vector of a model, and the image that it is of, if it is one of the dataset."""

    vector: NDArray[np.float32]
    model: str | None
    recipe: str | None
    image_id: str | None = None


def _asked(
    config: DatasetConfig, tables: Tables, of: str, text: str | None, like: str | Path | None, spaces: list[Space]
) -> Asked:
    if like is not None and not isinstance(like, Path):
        try:
            parse_image_id(like)
            return _of_image(config, tables, of, like)
        except BadImageId:
            like = Path(like)
    if of == PUBLISHED:
        raise LikenessError(
            "published vectors are of a model of their publisher, which is not at hand to make one of a text or a "
            "file; search them with the id of an image that has one, or the others without --published"
        )
    from dataset_assets.assets.annotations import CLIP_VERSION, clip_settings
    from dataset_assets.compute.update import fingerprint
    from dataset_assets.models import clip_weights

    settings = clip_settings(config)
    clip_weights.download(settings)
    recipe, model = fingerprint({"version": CLIP_VERSION, **clip_weights.recipe(settings)}), clip_weights.find(settings)
    _require_one_model(of, spaces, model.shown_name, recipe)  # before it is loaded
    vector = _of_text(config, text) if text is not None else _of_file(config, Path(str(like)))
    return Asked(vector, model.shown_name, recipe)


def _of_text(config: DatasetConfig, text: str) -> NDArray[np.float32]:
    from dataset_assets.assets.annotations import clip_settings
    from dataset_assets.models.clip_text import embed_texts

    if not text.strip():
        raise LikenessError("the text is empty; say what the images should show")
    return np.asarray(embed_texts(clip_settings(config), [text])[0], np.float32)


def _of_file(config: DatasetConfig, file: Path) -> NDArray[np.float32]:
    """The vector of a picture from outside, prepared as the dataset's own are."""
    from dataset_assets.assets.annotations import clip_settings
    from dataset_assets.compute.like_file import UnusablePicture, prepared
    from dataset_assets.domain.training import TrainingRecipe
    from dataset_assets.models.clip import EmbedShard

    try:
        picture = prepared(file, TrainingRecipe(**config.training_images.model_dump()))
    except UnusablePicture as error:
        raise LikenessError(str(error)) from None
    [row] = EmbedShard(lambda path: picture, clip_settings(config))([{"image_id": "file-0-0", "path": str(file)}])
    if row["error"] is not None:
        raise LikenessError(f"{file}: {row['error']}: the model makes no vector of it")
    return np.asarray(row["embedding"], np.float32)


def _of_image(config: DatasetConfig, tables: Tables, of: str, image_id: str) -> Asked:
    """An image's own vector, as its table has it."""
    source = image_id.partition("-")[0]
    for cell in declared_cells(config, of, [source]):
        rows = _scan(tables, of, cell).filter(pl.col("image_id") == image_id).select("embedding", *_marks(of)).collect()
        if rows.height and rows.item(0, "embedding") is not None:
            vector = rows.get_column("embedding").to_numpy()[0].astype(np.float32)
            return Asked(vector, rows.item(0, "model"), rows.item(0, "recipe"), image_id)
    raise LikenessError(f"{of} has no vector of {image_id}; `dataset-assets trace {image_id}` says why")


def _require_one_model(of: str, spaces: list[Space], model: str | None, recipe: str | None) -> None:
    """Refuse vectors that another model made."""
    for space in spaces:
        if (space.model, space.recipe) != (model, recipe):
            raise LikenessError(
                f"{of} {space.cell} was made by {space.model} (recipe {space.recipe}), and this search is by {model} "
                f"(recipe {recipe}): vectors of different models cannot be compared; "
                f"`dataset-assets rebuild --assets {of},{VECTOR_INDEX.name}` makes them again, and --source and "
                "--years leave others out"
            )


def _scan(tables: Tables, of: str, cell: Cell) -> pl.LazyFrame:
    return pl.scan_parquet(tables.file(of, cell), hive_partitioning=False)


def _marks(of: str) -> list[pl.Expr]:
    """What tells vectors of one model from those of another."""
    return [pl.col("model"), pl.col("recipe") if of == CLIP else pl.lit(None, pl.String).alias("recipe")]


def _space(tables: Tables, of: str, cell: Cell) -> Space | None:
    """A cell's vectors; null = it has none. Raises: LikenessError when the table is damaged."""
    if not tables.is_intact(of, cell):
        raise LikenessError(f"{of} {cell} does not match its checksum; `dataset-assets rebuild` makes it again")
    signature = (tables.stamp(of, cell), tables.stamp(VECTOR_INDEX.name, cell))
    space = _opened(tables.root, of, cell, signature)
    # Cut short meanwhile, a mapped file would take the process down.
    if space is not None and space.file is not None and opened(tables.root).stamp(space.file) != space.stamp:
        _opened.cache_clear()
        space = _opened(tables.root, of, cell, signature)
    return space


@lru_cache(maxsize=512)
def _opened(root: Place, of: str, cell: Cell, signature: tuple[Hashable, ...]) -> Space | None:
    tables = Tables(root)
    some = _scan(tables, of, cell).filter(pl.col("embedding").is_not_null()).select(*_marks(of)).head(1).collect()
    if some.is_empty():
        return None
    model, recipe = some.row(0)
    index, file = _index(tables, of, cell)
    stamp = None if file is None else opened(root).stamp(file)
    if isinstance(index, str):
        return Space(cell, model, recipe, None, index, file, stamp)
    return Space(cell, model, recipe, index, None, file, stamp)


def _index(tables: Tables, of: str, cell: Cell) -> tuple[VectorIndex | str, str | None]:
    """The index of a cell's vectors, or why it is not used, and its file."""
    makes = _makes(cell)
    commit, listed = tables.commit_of(of, cell), VECTOR_INDEX.empty()
    if tables.is_intact(VECTOR_INDEX.name, cell):
        listed = tables.scan(VECTOR_INDEX, cell).filter(pl.col("of") == of).collect()
    if listed.height != 1:
        return f"no index of vectors is built, so the table was read; {makes}", None
    row = listed.row(0, named=True)
    if commit is None or commit.sha256 != row["made_from"]:
        return f"the index of vectors is older than {of}, so the table was read; {makes}", None
    try:
        return VectorIndex(IndexFiles(tables.root).read(row["path"], row["size"])), row["path"]
    except (ValueError, OSError) as error:
        return _damaged(cell, error), row["path"]


def _makes(cell: Cell) -> str:
    return f"`dataset-assets rebuild --source {cell.source} --years {cell.year} --assets {VECTOR_INDEX.name}` makes it"


def _damaged(cell: Cell, error: Exception) -> str:
    return f"the index of vectors is damaged ({error}), so the table was read; {_makes(cell)} with --all"


def _hits(
    tables: Tables,
    of: str,
    space: Space,
    asked: Asked,
    limit: int,
    exact: bool,
    found: search.Found | None,
    notes: list[str],
) -> Hits:
    """The best of one cell, as rows of its table; to the notes is added why an index could not answer."""
    own = asked.image_id is not None and asked.image_id.startswith(f"{space.cell.source}-")
    allowed = _allowed(tables, of, space.cell, asked.image_id if own else None, found)
    if space.index is not None and len(asked.vector) == space.index.dim:
        try:
            return space.index.search(asked.vector[np.newaxis], limit, exact=exact, allowed=allowed)[0]
        except VectorsDamaged as error:
            notes.append(f"{space.cell}: {_damaged(space.cell, error)}")
    return _scanned(_scan(tables, of, space.cell), asked.vector, limit, allowed)


def _allowed(
    tables: Tables, of: str, cell: Cell, without: str | None, found: search.Found | None
) -> NDArray[np.bool_] | None:
    """By row of the table, whether it may be found; null = all may."""
    if without is None and found is None:
        return None
    may: pl.Expr = pl.lit(True) if without is None else pl.col("image_id") != without
    rows = _scan(tables, of, cell).select("image_id")
    if found is not None:
        wanted = pl.DataFrame({"image_id": found.ids_of(cell)}, schema={"image_id": pl.String})
        rows = rows.join(wanted.lazy().with_columns(wanted=True), on="image_id", how="left", maintain_order="left")
        may &= pl.col("wanted").fill_null(False)
    return np.asarray(rows.select(pl.repeat(True, pl.len()) & may).collect().to_series().to_numpy(), np.bool_)


def _scanned(rows: pl.LazyFrame, vector: NDArray[np.float32], limit: int, allowed: NDArray[np.bool_] | None) -> Hits:
    """The best of a table without an index, some rows at a time."""
    best = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    batches = rows.select("embedding").with_row_index("row").filter(pl.col("embedding").is_not_null())
    for batch in batches.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=True):
        vectors = np.ascontiguousarray(batch.get_column("embedding").to_numpy(), np.float16)
        numbers = batch.get_column("row").to_numpy().astype(np.int64)
        chosen = None if allowed is None else np.flatnonzero(allowed[numbers])
        found = nearest(vectors, vector[np.newaxis], limit, chosen)[0]
        best = merged([best, Hits(numbers[found.rows], found.scores)], limit)
    return best


def _rows(tables: Tables, of: str, spaces: list[Space], hits: list[Hits], limit: int) -> pl.DataFrame:
    """The best of all cells, with what is known of them."""
    parts = [
        _named(tables, of, space.cell, found) for space, found in zip(spaces, hits, strict=True) if len(found.rows)
    ]
    metadata = IMAGE_METADATA.empty().with_columns(
        source=pl.lit(None, pl.String), year=pl.lit(None, pl.Int32), cosine=pl.lit(None, pl.Float32)
    )
    every = pl.concat([metadata.select("cosine", *SHOWN), *parts])
    return every.sort(-pl.col("cosine"), "source", "year", "image_id").head(limit)


def _named(tables: Tables, of: str, cell: Cell, hits: Hits) -> pl.DataFrame:
    numbered = pl.DataFrame({"row": hits.rows.astype(np.uint32), "cosine": hits.scores})
    ids = _scan(tables, of, cell).select("image_id").with_row_index("row")
    named = numbered.lazy().join(ids, on="row")
    known = tables.scan(IMAGE_METADATA, cell).with_columns(
        source=pl.lit(cell.source, pl.String), year=pl.lit(cell.year, pl.Int32)
    )
    return named.join(known, on="image_id").select("cosine", *SHOWN).collect()


def _result(row: dict[str, object], picture: "Image.Image | None") -> "Result":
    from dataset_assets.domain.contact_sheet import jpeg_within
    from dataset_assets.domain.result_page import Result

    jpeg = None
    if picture is not None:
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        jpeg = jpeg_within(picture.convert("RGB"), THUMBNAIL_BYTES)
    facts = {key: row[key] for key in ("source", "year", "rating", "width", "height")}
    url = row["page_url"]
    return Result(str(row["image_id"]), float(str(row["cosine"])), facts, None if url is None else str(url), jpeg)
