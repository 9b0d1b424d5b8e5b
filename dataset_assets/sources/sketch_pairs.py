"""Pairs of a sketch and its colouring, from pixiv_dataset's CSV: grouped for splits, completed by what is stored."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dataset_assets.config import PixivListsSource
from dataset_assets.domain.schemas import REJECTED_RECORDS, Column, Table
from dataset_assets.sources.local_files import names_of
from dataset_assets.sources.pixiv_lines import WORK_ID, no_lines, read_lines, rejected_lines

_LISTED = ("image_metadata.image_id",)

SKETCH_PAIRS = Table(
    "sketch_pairs",
    "colored/sketch pair",
    (
        Column("colored_id", pl.String, "image_id of the colouring", _LISTED),
        Column("sketch_id", pl.String, "image_id of the sketch", _LISTED),
        Column("colorings", pl.Int32, "colourings of this sketch, this one included", _LISTED),
        Column("role_conflict", pl.Boolean, "one of the two is also the other thing in another pair", _LISTED),
        Column("is_chronological", pl.Boolean, "the colouring's Pixiv id is above the sketch's: it is newer", _LISTED),
        Column(
            "split_key",
            pl.String,
            "16 hex digits, equal for pairs that share an image, also through others; split by it, and nothing leaks",
            _LISTED,
        ),
    ),
    sorted_by=("colored_id", "sketch_id"),
)

COMPLETED_SKETCH_PAIRS = Table(
    SKETCH_PAIRS.name,
    SKETCH_PAIRS.one_row_per,
    (
        *SKETCH_PAIRS.columns,
        Column("state", pl.String, "complete or incomplete: whether both images are stored", ("raw_images.state",)),
        Column(
            "missing", pl.String, "which is not stored: colored, sketch or both; null = none", ("raw_images.state",)
        ),
    ),
    SKETCH_PAIRS.sorted_by,
)

_PAIR = rf"^({WORK_ID})\s*,\s*({WORK_ID})$"


def read_pairs(name: str, source: PixivListsSource) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The pairs of the source called `name`, as rows of `SKETCH_PAIRS`, and what `read_pair_lines` rejects.

    Raises: DamagedExport when the file is too large to be one; OSError when it cannot be read.
    """
    lines, rejected = read_pair_lines(source)
    return pairs_of(name, lines), rejected


def pairs_of(name: str, lines: pl.DataFrame) -> pl.DataFrame:
    """Rows of `SKETCH_PAIRS` from distinct pairs of Pixiv ids: colored, sketch."""
    colored, sketch = pl.col("colored"), pl.col("sketch")
    in_two_roles = pl.Series(sorted(set(lines["colored"]) & set(lines["sketch"])), dtype=pl.String).implode()
    pairs = lines.select(
        colored_id=pl.format("{}-{}-0", pl.lit(name), colored),
        sketch_id=pl.format("{}-{}-0", pl.lit(name), sketch),
        colorings=pl.len().over("sketch"),
        role_conflict=colored.is_in(in_two_roles) | sketch.is_in(in_two_roles),
        is_chronological=colored.cast(pl.Int64) > sketch.cast(pl.Int64),
        split_key=pl.Series(_split_keys(lines.select("colored", "sketch").rows()), dtype=pl.String),
    )
    return pairs.cast(SKETCH_PAIRS.schema).sort(SKETCH_PAIRS.sorted_by)


def read_pair_lines(source: PixivListsSource) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines `colored,sketch` as published, and the others as rows of `rejected_records`.

    Of lines with one pair the first counts.
    Returns: file, line, colored, sketch (Pixiv ids, as text), in the order of the file; rejected records.
    """
    files, names = pair_files(source), names_of([*source.files(source.ids), *pair_files(source)])
    lines = pl.concat([no_lines(), *(read_lines(file, names[file]) for file in files)]).with_columns(
        colored=pl.col("content").str.extract(_PAIR, 1), sketch=pl.col("content").str.extract(_PAIR, 2)
    )
    bad, pairs = lines.filter(pl.col("colored").is_null()), lines.drop_nulls("colored")
    is_first = pl.struct("colored", "sketch").is_first_distinct()
    first, repeated = pairs.filter(is_first), pairs.filter(~is_first)
    rejected = [
        rejected_lines(bad, "bad_id", pl.lit("expected two Pixiv ids, `colored,sketch`, each of 1 to 18 digits")),
        rejected_lines(repeated, "duplicate_id", pl.lit("the same pair stands in an earlier line")),
    ]
    return first.drop("content"), pl.concat(rejected).sort(REJECTED_RECORDS.sorted_by)


def pair_files(source: PixivListsSource) -> list[Path]:
    """The files of pairs, by name."""
    return source.files([source.sketch_pairs]) if source.sketch_pairs else []


def completeness(pairs: pl.DataFrame, raw_images: pl.LazyFrame) -> pl.DataFrame:
    """Rows of `COMPLETED_SKETCH_PAIRS`: each pair, and which of its images is not stored."""
    stored = raw_images.filter(pl.col("state") == "stored").select("image_id").collect()["image_id"].implode()
    no_colored, no_sketch = ~pl.col("colored_id").is_in(stored), ~pl.col("sketch_id").is_in(stored)
    missing = (
        pl.when(no_colored & no_sketch)
        .then(pl.lit("both"))
        .when(no_colored)
        .then(pl.lit("colored"))
        .when(no_sketch)
        .then(pl.lit("sketch"))
    )
    is_complete = pl.col("missing").is_null()
    completed = pairs.with_columns(missing=missing).with_columns(
        state=pl.when(is_complete).then(pl.lit("complete")).otherwise(pl.lit("incomplete"))
    )
    return completed.select(*COMPLETED_SKETCH_PAIRS.schema)


def _split_keys(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """For each (colored, sketch): a hash of the sketch; of the group's lowest where a role conflict links several.

    The Pixiv id is hashed, not the image id, so that a split does not change with a source's name.
    """
    parents: dict[str, str] = {}
    for colored, sketch in pairs:
        parents[_root(parents, colored)] = _root(parents, sketch)
    lowest: dict[str, int] = {}
    for _, sketch in pairs:
        root = _root(parents, sketch)
        lowest[root] = min(int(sketch), lowest.get(root, int(sketch)))
    return [hashlib.sha256(str(lowest[_root(parents, sketch)]).encode()).hexdigest()[:16] for _, sketch in pairs]


def _root(parents: dict[str, str], image: str) -> str:
    """The image that stands for the group of this one."""
    parents.setdefault(image, image)
    while (parent := parents[image]) != image:
        parents[image] = parents[parent]  # halves the way for the next who asks
        image = parents[image]
    return image
