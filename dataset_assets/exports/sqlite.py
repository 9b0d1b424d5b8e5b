"""A SQLite database for each source, in the schema that the community makes of Danbooru20xx: images, tags, imageTags.

Its columns bear the names of fire-eggs' `makedb.py` (2018 to 2020) and `make_db.py` (2021), so that queries and
browsers written for either find them; a column that no member says anything of is left out, and a query of it fails
rather than find nothing. Columns of our own follow: the image's name, who made it, under which licence, its hashes.
`about` says what the database is.

Equal members give equal bytes: rows are written in order, in one transaction, into pages of one size.
Source: https://github.com/fire-eggs/Danbooru2021, database/makedb.py and database2021/make_db.py.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.attribution import artist_of
from dataset_assets.exports.danbooru_terms import (
    CATEGORIES,
    number_of,
    rating_letters,
    require_own_numbers,
    whole_number,
)
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import Members, Row
from dataset_assets.exports.target import Target, Written
from dataset_assets.storage.durable import scratch_file

ROWS_AT_ONCE = 5000

Values = tuple[Any, ...]

# Images are appended and indexed at the end, and pairs are put in order before: into the tree of a primary key, ids in
# no order would each be written somewhere else. A column without a type keeps a number as one and a text as it is; INT
# would turn long digits into a float.
_TABLES = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    """CREATE TABLE images (image_id INT NOT NULL, created_at TEXT, uploader_id, score INT, source TEXT,
        md5 TEXT, rating TEXT, image_width INT, image_height INT, file_ext TEXT, file_size INT, parent_id, pixiv_id,
        hidden INT, name TEXT, post_id TEXT, page INT, year INT, split TEXT, title TEXT, artist TEXT,
        uploader_name TEXT, page_url TEXT, file_url TEXT, license TEXT, license_basis TEXT, fav_count INT,
        is_ai_generated INT, sha256 TEXT, pixel_hash TEXT,
        w INT AS (image_width) VIRTUAL, h INT AS (image_height) VIRTUAL, uploaded_id AS (uploader_id) VIRTUAL)""",
    "CREATE TABLE tags (tag_id INT NOT NULL, name TEXT, category, count INT)",
    "CREATE TABLE imageTags (image_id INT, tag_id INT, PRIMARY KEY (image_id, tag_id)) WITHOUT ROWID",
    "CREATE TABLE aside.pairs (image_id INT, tag_id INT)",
    "CREATE TABLE captions (image_id INT NOT NULL, position INT NOT NULL, origin TEXT, caption TEXT)",
    "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, image_id INT, body TEXT, x INT, y INT, w INT, h INT)",
)
# As the community has them, and those of what it has as primary keys.
_INDEXES = (
    "CREATE UNIQUE INDEX image_ids ON images (image_id)",
    "CREATE UNIQUE INDEX tags_ids ON tags (tag_id)",
    "CREATE INDEX tags_dex ON tags (name, tag_id)",
    "CREATE INDEX image_rate ON images (image_id, rating)",
    "CREATE INDEX image_hide ON images (image_id, hidden)",
    "CREATE INDEX image_tags ON imageTags (tag_id)",
    "CREATE INDEX image_names ON images (name)",
    "CREATE UNIQUE INDEX image_captions ON captions (image_id, position)",
    "CREATE INDEX image_notes ON notes (image_id)",
)
_NOTES = """
    INSERT INTO notes (image_id, body, x, y, w, h)
    SELECT image_id, body, x, y, boxes.w, boxes.h FROM aside.boxes JOIN images USING (name)
    ORDER BY image_id, y, x, boxes.h, boxes.w, body
"""
_SETTINGS = """
    PRAGMA page_size = 4096; PRAGMA encoding = 'UTF-8'; PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536;
"""
# Where a database names the SQLite that wrote it, for people alone: https://sqlite.org/fileformat2.html#database_header
_WRITER_OFFSET, _WRITER = 96, (3_031_000).to_bytes(4, "big")  # the first that reads columns made of others

_MEANING_OF_IMAGE_ID = (
    "the post's id; of a later page, page * 10^13 + post id; of posts without a number, 62 bits of a hash of `name`"
)


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write `sqlite/<source>.db` for each source; without members, one with empty tables that is called as the release.

    Memory holds the tags of one source. Raises: TwoOfOneNumber.
    """
    require_own_numbers(members)
    letters = rating_letters(members)
    for source, rows in groupby(members.rows(), key=lambda row: row["source"]):
        yield _database(members, target, settings, source, rows, letters[source])
    if not letters:
        yield _database(members, target, settings, settings.name, iter(()), {})


def _database(
    members: Members, target: Target, settings: Settings, source: str, rows: Iterator[Row], letters: Mapping[str, str]
) -> Written:
    about = {"release": settings.name, "source": source, "image_id": _MEANING_OF_IMAGE_ID}
    with scratch_file(target.scratch, ".db") as made, scratch_file(target.scratch, ".db") as aside:
        with closing(sqlite3.connect(made, isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS aside", (str(aside),))
            connection.executescript(_SETTINGS)
            filling = _Filling(connection, letters)
            filling.run("BEGIN", *_TABLES)
            filling.insert("about", sorted(about.items()))
            filling.add_images(rows)
            filling.add_tags()
            filling.add_notes(members, source)
            filling.run(*_INDEXES, "COMMIT")
        _name_no_writer(made)
        return target.take(f"sqlite/{source}.db", made, filling.images)


@dataclass
class _Filling:
    """A database while it is filled."""

    connection: sqlite3.Connection
    letters: Mapping[str, str]
    images: int = 0
    tags: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)  # of each: its number, and its count

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)

    def insert(self, table: str, rows: Sequence[Values]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names

    def add_images(self, rows: Iterator[Row]) -> None:
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            self.images += len(batch)
            self.insert("images", [_image(row, self.letters) for row in batch])
            self.insert("aside.pairs", [pair for row in batch for pair in self._pairs(row)])
            self.insert("captions", [caption for row in batch for caption in _captions(row)])
        self.run("INSERT INTO imageTags SELECT * FROM aside.pairs ORDER BY image_id, tag_id")

    def _pairs(self, row: Row) -> Iterator[Values]:
        number = number_of(row)
        for tag in dict.fromkeys((tag["tag"], tag["category"]) for tag in row["tags"] or ()):
            found = self.tags.get(tag)
            if found is None:
                found = self.tags[tag] = [len(self.tags) + 1, 0]
            found[1] += 1
            yield number, found[0]

    def add_tags(self) -> None:
        """The tags in order of number, with their counts."""
        tags = (
            (number, _text(name), _category(category), count) for (name, category), (number, count) in self.tags.items()
        )
        while batch := list(islice(tags, ROWS_AT_ONCE)):
            self.insert("tags", batch)

    def add_notes(self, members: Members, source: str) -> None:
        """The boxes of the images that are here, in order of image and place."""
        if members.notes is None:
            return
        self.run("CREATE TABLE aside.boxes (name TEXT, body TEXT, x INT, y INT, w INT, h INT)")
        columns = ("image_id", "body", "x", "y", "width", "height")
        boxes = members.notes.filter(pl.col("image_id").str.starts_with(f"{source}-")).select(columns)
        for batch in boxes.collect_batches(chunk_size=ROWS_AT_ONCE):
            self.insert("aside.boxes", [(name, _text(body), *box) for name, body, *box in batch.iter_rows()])
        self.run(_NOTES)


def _image(row: Row, letters: Mapping[str, str]) -> Values:
    """A row of `images`."""
    values = (
        *(number_of(row), row["created_at"] and f"{row['created_at']:%Y-%m-%d %H:%M:%S.%f} UTC"),
        *(_number_or_text(row["uploader_id"]), row["score"], row["source_url"], row["original_md5"]),
        *(letters.get(row["rating"]), row["original_width"], row["original_height"]),
        *(row["original_extension"], row["original_size"]),
        *(_number_or_text(row["parent_id"]), _number_or_text(row["pixiv_id"]), 0),
        *(row["image_id"], *(row[name] for name in ("post_id", "page", "year", "split", "title"))),
        *(artist_of(row), row["uploader_name"], row["page_url"], row["file_url"]),
        *(row["license"], row["license_basis"], row["fav_count"], row["is_ai_generated"]),
        *(row["original_sha256"], row["pixel_hash"]),
    )
    return tuple(_text(value) if isinstance(value, str) else value for value in values)


def _captions(row: Row) -> Iterator[Values]:
    for position, caption in enumerate(row["captions"] or ()):
        yield number_of(row), position, _text(caption["origin"]), _text(caption["caption"])


def _category(category: str | None) -> int | str | None:
    """A category's number at Danbooru; others as they are called."""
    return None if category is None else CATEGORIES.get(category, _number_or_text(category))


def _number_or_text(text: str | None) -> int | str | None:
    number = whole_number(text)
    return _text(text) if number is None else number


def _text(text: str | None) -> str | None:
    """A text without NUL, at which SQLite's functions and shell would end it."""
    return text and text.replace("\0", "\ufffd")


def _name_no_writer(database: Path) -> None:
    """Take out of a database which SQLite wrote it, so that another gives the same bytes."""
    with database.open("r+b") as file:
        file.seek(_WRITER_OFFSET)
        file.write(_WRITER)
