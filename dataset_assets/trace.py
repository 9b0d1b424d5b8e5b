"""The story of one image through every table: what each says of it, and which run made that row, when and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from dataset_assets.catalog import table_names
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.identity import ImageName, parse_image_id
from dataset_assets.storage.tables import Cell, Tables

# In the order in which an image meets them; other tables follow by name.
ORDER = (
    "source_snapshot",
    "image_metadata",
    "tag_metadata",
    "takedowns",
    "raw_images",
    "image_facts",
    "optimized_images",
    "training_images",
    "clip_embeddings",
    "model_captions",
)
HIDDEN = ("image_id", "input_key", "recipe")
LONGEST = 100
# Tables with several rows of an image: what tells the rows apart, and what is shown of each.
SEVERAL_ROWS = {
    "captions": ("origin", "caption"),
    "source_annotations": ("origin", "file"),
    "annotation_mismatches": ("kind", "detail"),
    "tag_disagreements": ("tag", "kind"),
}


@dataclass(frozen=True)
class Chapter:
    """What one table says of the image."""

    table: str
    cell: Cell
    facts: dict[str, Any]
    run_id: str
    made_at: str
    recipe: str


def trace(config: DatasetConfig, image_id: str) -> list[Chapter]:
    """The image's rows in every table, in the order in which they were made.

    Raises: BadImageId when the text is no image id; KeyError when no table knows the image.
    """
    name = parse_image_id(image_id)
    tables = Tables(config.root_path)
    known = table_names(tables)
    ordered = [*(table for table in ORDER if table in known), *(table for table in known if table not in ORDER)]
    chapters = [chapter for table in ordered for chapter in _chapters(config, tables, table, image_id, name)]
    if not chapters:
        raise KeyError(image_id)
    return chapters


def _chapters(config: DatasetConfig, tables: Tables, table: str, image_id: str, name: ImageName) -> Iterator[Chapter]:
    for cell in tables.cells(table):
        if cell.source not in (name.source, None) or not tables.is_intact(table, cell):
            continue
        scan = pl.scan_parquet(tables.file(table, cell), hive_partitioning=False)
        if "image_id" in scan.collect_schema():
            rows = scan.filter(pl.col("image_id") == image_id).collect()
        elif table.startswith("id_list/"):
            rows = scan.filter(pl.col("post_id") == name.post_id).collect()
        else:
            continue
        if rows.height:
            facts = _verdict(config, table, rows) if table.startswith("subset/") else _facts(table, rows)
            yield _chapter(tables, table, cell, image_id, rows, facts)


def _chapter(
    tables: Tables, table: str, cell: Cell, image_id: str, rows: pl.DataFrame, facts: dict[str, Any]
) -> Chapter:
    commit = tables.commit_of(table, cell)
    made = tables.history(table, cell).filter(pl.col("image_id") == image_id).collect()
    run_id, made_at = (commit.run_id, commit.written_at) if commit else ("unknown", "unknown")
    if made.height:
        run_id, made_at = made.item(0, "run_id"), made.item(0, "made_at").isoformat(timespec="seconds")
    recipe = rows.item(0, "recipe") if "recipe" in rows.columns else commit.recipe if commit else ""
    return Chapter(table, cell, facts, run_id, made_at, recipe)


def _verdict(config: DatasetConfig, table: str, rows: pl.DataFrame) -> dict[str, Any]:
    """Whether a subset kept the image; if not, the rule that it broke, in the words of dataset.yaml."""
    rule = rows.item(0, "drop_reason")
    definition = config.subsets.get(table.removeprefix("subset/"))
    words = getattr(definition, str(rule), None)
    words = ", ".join(words) if isinstance(words, tuple) else words
    return {"verdict": "kept" if rule is None else f"dropped by the rule {rule!r}" + (f": {words}" if words else "")}


def _facts(table: str, rows: pl.DataFrame) -> dict[str, Any]:
    """A row as it may be shown: what is null or hidden left out, what is long cut short."""
    if table == "tag_metadata":
        tags = rows.sort("category", "tag")
        return {
            category: " ".join(part.get_column("tag"))
            for (category,), part in tags.group_by("category", maintain_order=True)
        }
    if table == "tag_decisions":
        return {str(row["tag"]): _decision(row) for row in rows.sort("decided_at").to_dicts()}
    if table in SEVERAL_ROWS:
        key, value = SEVERAL_ROWS[table]
        return {str(name): _short(found) for name, found in rows.select(key, value).sort(key, value).iter_rows()}
    if table == "published_tags":
        origins = rows.sort("origin", "position").group_by("origin", maintain_order=True)
        return {str(origin): _short(", ".join(part.get_column("tag"))) for (origin,), part in origins}
    if rows.height > 1:  # a table with several rows for an image: each under its number
        return {
            f"{key} {number}": value
            for number in range(1, rows.height + 1)
            for key, value in _facts(table, rows[number - 1]).items()
        }
    row = rows.row(0, named=True)
    return {key: _short(value) for key, value in row.items() if value is not None and key not in HIDDEN and value != []}


def _decision(row: dict[str, Any]) -> str:
    """Who has said what of a tag, in words."""
    what = {True: "is there", False: "is not there", None: "taken back"}[row["is_there"]]
    why = f": {row['why']}" if row["why"] else ""
    return f"{what}, says {row['who']}, {row['decided_at'].isoformat(timespec='seconds')} ({row['state']}){why}"


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict) and "score" in value[0]:
        return _short(", ".join(f"{one['tag']} {one['score']:.2f}" for one in value))
    if isinstance(value, list) and value and isinstance(value[0], float):
        return f"{len(value)} numbers, beginning {', '.join(f'{number:.3f}' for number in value[:4])}"
    text = str(value).replace("\n", " ")
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
