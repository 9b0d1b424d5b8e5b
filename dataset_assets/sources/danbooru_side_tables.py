"""What Danbooru publishes beside its posts: pools, artists' commentaries, and notes (translations laid over an image).

A line of a dump that cannot be read is a row of the table with an `error`, and so is one whose record stands again, as
on pages that were fetched while the list moved: the one that was updated last counts.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, TIME, Column, Table
from dataset_assets.sources.danbooru_records import BadRecord
from dataset_assets.sources.json_records import (
    Line,
    Record,
    dump_lines,
    flag,
    moment,
    parse_record,
    required_identifier,
    shown,
    text,
    whole_number,
)

RECORDS_PER_BATCH = 50_000

_IMAGE = Column(
    IMAGE_ID.name, IMAGE_ID.dtype, "the image; null = the source lists no such post", ("image_metadata.image_id",)
)
_POST = Column("post_id", pl.String, "the post, as the dump names it")
_TIMES = (Column("created_at", TIME, "when it was written"), Column("updated_at", TIME, "when it was last changed"))
_PLACE = (
    Column("record_file", pl.String, "the dump (within an archive: archive!member)"),
    Column("record_line", pl.Int64, "1-based line; in a JSON array, number of the element"),
    Column("error", pl.String, "why the record does not count, from a closed list; null = it does"),
    Column("error_detail", pl.String, "what was found, at most 500 characters"),
)

ARTIST_COMMENTARIES = Table(
    "artist_commentaries",
    "post that its artist commented on, or line of a dump that could not be read",
    (
        _IMAGE,
        _POST,
        Column("commentary_id", pl.Int64, "the commentary"),
        Column("original_title", pl.String, "the artist's title; null = none"),
        Column("original_description", pl.String, "the artist's words, in Danbooru's markup"),
        Column("translated_title", pl.String, "the title, translated"),
        Column("translated_description", pl.String, "the words, translated"),
        *_TIMES,
        *_PLACE,
    ),
    sorted_by=("image_id", "post_id", "commentary_id", "record_file", "record_line"),
)

NOTES = Table(
    "notes",
    "note on an image, or line of a dump that could not be read",
    (
        _IMAGE,
        _POST,
        Column("note_id", pl.Int64, "the note"),
        Column("x", pl.Int32, "left edge of its box, in pixels of the original as Danbooru knows it"),
        Column("y", pl.Int32, "upper edge of its box"),
        Column("width", pl.Int32, "width of its box"),
        Column("height", pl.Int32, "height of its box"),
        Column("body", pl.String, "what it says, as HTML; text of strangers, not to be rendered as it is"),
        Column("is_active", pl.Boolean, "false = deleted"),
        *_TIMES,
        *_PLACE,
    ),
    sorted_by=("image_id", "post_id", "note_id", "record_file", "record_line"),
)

POOLS = Table(
    "pools",
    "pool and post in it, or line of a dump that could not be read",
    (
        Column("pool_id", pl.String, "the pool"),
        Column("name", pl.String, "its name; null = no dump tells it"),
        Column("category", pl.String, "series (its order matters) or collection; null = not said"),
        Column("position", pl.Int32, "place in the pool, from 1; null = only the post tells that it is in it"),
        Column("post_id", pl.String, "the post; null = the pool is empty"),
        _IMAGE,
        Column("origin", pl.String, "dump, or post = the post says so and no dump does"),
        Column("is_active", pl.Boolean, "whether posts may be added"),
        Column("is_deleted", pl.Boolean, "whether the pool was deleted"),
        *_TIMES,
        *_PLACE,
    ),
    sorted_by=("pool_id", "position", "post_id", "record_file", "record_line"),
)


@dataclass(frozen=True)
class Dump:
    """How a dump's records are read: the column that numbers them, and the columns with how each is read."""

    says: str  # what one record is
    key: str
    columns: dict[str, tuple[Any, Callable[[Record], Any]]]

    @property
    def schema(self) -> pl.Schema:
        place = {column.name: column.dtype for column in _PLACE}
        return pl.Schema({**{name: dtype for name, (dtype, _) in self.columns.items()}, **place})


def _of(read: Callable[[Record, str], Any], name: str) -> Callable[[Record], Any]:
    return lambda record: read(record, name)


def _post_id(record: Record) -> str:
    return str(required_identifier(record, "post_id"))


_DATED: dict[str, tuple[Any, Callable[[Record], Any]]] = {
    name: (TIME, _of(moment, name)) for name in ("created_at", "updated_at")
}

_COMMENTARIES = Dump(
    "an artist's commentary",
    "commentary_id",
    {
        "post_id": (pl.String, _post_id),
        "commentary_id": (pl.Int64, _of(required_identifier, "id")),
        **{
            name: (pl.String, _of(text, name))
            for name in ("original_title", "original_description", "translated_title", "translated_description")
        },
        **_DATED,
    },
)

_NOTES = Dump(
    "a note",
    "note_id",
    {
        "post_id": (pl.String, _post_id),
        "note_id": (pl.Int64, _of(required_identifier, "id")),
        **{name: (pl.Int32, _of(whole_number, name)) for name in ("x", "y", "width", "height")},
        "body": (pl.String, _of(text, "body")),
        "is_active": (pl.Boolean, _of(flag, "is_active")),
        **_DATED,
    },
)


def _posts(record: Record) -> list[str]:
    """The posts of a pool in their order: a list, or text of numbers between blanks or commas."""
    value = record.get("post_ids")
    if isinstance(value, str):
        value = [part for part in re.split(r"[\s,\[\]{}]+", value) if part]
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRecord("bad_field", f"post_ids is {shown(value)}, expected a list of numbers")
    return [str(required_identifier({"post_ids": post}, "post_ids")) for post in value]


_POOLS = Dump(
    "a pool",
    "pool_id",
    {
        "pool_id": (pl.Int64, _of(required_identifier, "id")),
        "name": (pl.String, _of(text, "name")),
        "category": (pl.String, _of(text, "category")),
        "posts": (pl.List(pl.String), _posts),
        "is_active": (pl.Boolean, _of(flag, "is_active")),
        "is_deleted": (pl.Boolean, _of(flag, "is_deleted")),
        **_DATED,
    },
)


def read_commentaries(files: Sequence[Path], images: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of ARTIST_COMMENTARIES. `images` is `image_metadata` of the whole source.

    Raises: DamagedExport when a dump is cut off or cannot be unpacked. So do the functions below.
    """
    return _with_images(_read(files, _COMMENTARIES).lazy(), images).select(ARTIST_COMMENTARIES.schema.names())


def read_notes(files: Sequence[Path], images: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of NOTES."""
    return _with_images(_read(files, _NOTES).lazy(), images).select(NOTES.schema.names())


def read_pools(files: Sequence[Path], images: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of POOLS: those of the dumps, and what posts say of pools beyond them."""
    pools = _read(files, _POOLS).lazy().with_columns(pl.col("pool_id").cast(pl.String), origin=pl.lit("dump"))
    counts = pl.col("error").is_null()
    numbered = pools.with_columns(
        position=pl.when(pl.col("posts").list.len() > 0).then(pl.int_ranges(1, pl.col("posts").list.len() + 1))
    ).with_columns(posts=pl.when(pl.col("posts").list.len() > 0).then("posts"))
    in_order = numbered.explode("posts", "position").rename({"posts": "post_id"})
    by_post = images.select("post_id", pool_id="pools").filter(pl.col("pool_id").list.len() > 0).explode("pool_id")
    beyond = by_post.unique().join(in_order.filter(counts), on=["pool_id", "post_id"], how="anti")
    about = pools.filter(counts).select("pool_id", "name", "category", "is_active", "is_deleted")
    told = beyond.join(about, on="pool_id", how="left").with_columns(origin=pl.lit("post"))
    both = pl.concat([in_order, told], how="diagonal").with_columns(pl.col("position").cast(pl.Int32))
    return _with_images(both, images).select(POOLS.schema.names())


def _with_images(rows: pl.LazyFrame, images: pl.LazyFrame) -> pl.LazyFrame:
    first = images.filter(pl.col("page") == 0).select("post_id", "image_id")
    return rows.join(first, on="post_id", how="left")


def _read(files: Sequence[Path], dump: Dump) -> pl.DataFrame:
    """The records of a dump, unreadable ones too."""
    batches, rows = [pl.DataFrame(schema=dump.schema)], []
    for line in dump_lines(files):
        rows.append(_row(line, dump))
        if len(rows) == RECORDS_PER_BATCH:
            batches.append(pl.DataFrame(rows, dump.schema, orient="row"))
            rows = []
    batches.append(pl.DataFrame(rows, dump.schema, orient="row"))
    return _without_repetition(pl.concat(batches), dump.key)


def _row(line: Line, dump: Dump) -> tuple[Any, ...]:
    try:
        record = parse_record(line, f"{dump.says}, an object")
        return *(read(record) for _, read in dump.columns.values()), line.file, line.number, None, None
    except BadRecord as error:
        values = [None] * len(dump.columns)
        return *values, line.file, line.number, error.reason, error.detail[:500]


def _without_repetition(records: pl.DataFrame, key: str) -> pl.DataFrame:
    """Mark all but the last updated of the records with one id; of equals the one that stands last counts."""
    age = pl.col("updated_at").fill_null(datetime(1970, 1, 1, tzinfo=UTC)).dt.timestamp()
    place = pl.struct(age, pl.int_range(pl.len()).alias("place"))
    is_last = place.rank("ordinal").over(key) == pl.len().over(key)
    kept = pl.format("id {} counts as it was updated last", key)
    is_repeated = pl.col("error").is_null() & ~is_last
    return records.with_columns(
        error=pl.when(is_repeated).then(pl.lit("duplicate_id")).otherwise("error"),
        error_detail=pl.when(is_repeated).then(kept).otherwise("error_detail"),
    )
