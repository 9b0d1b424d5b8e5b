"""What is said of a member beside its pixels: its first caption, and all else as one line of JSON."""

import re
from collections.abc import Iterator, Sequence

import polars as pl

from dataset_assets.domain.attribution import credit_columns
from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.members import Members
from dataset_assets.exports.tar_files import IMAGE_EXTENSIONS, NotAllowed

# Where the file lies here is no one else's business; whether it may leave was asked before.
_UNSAID = {"path", "may_redistribute"}
_CREDITED = {"artist", "source_url", "license", "license_basis"}
_IMAGE_ID = r"^[a-z0-9][a-z0-9_]{0,31}-[A-Za-z0-9][A-Za-z0-9_-]{0,127}-(0|[1-9][0-9]{0,4})$"
_FILE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def first_caption() -> pl.Expr:
    """The caption of the preferred origin; empty where there is none, so that each image has its text."""
    return pl.col("captions").list.first().struct.field("caption").fill_null("").alias("caption")


def described() -> list[pl.Expr]:
    """The columns of MEMBERS as they are handed on, with credits as every format has them.

    artists and stated_source_url are what MEMBERS calls artist and source_url. created_at is text, in UTC.
    """
    plain = [name for name in MEMBERS.schema.names() if name not in {*_UNSAID, *_CREDITED, "created_at"}]
    return [
        *(pl.col(name) for name in plain),
        pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        pl.col("artist").alias("artists"),
        pl.col("source_url").alias("stated_source_url"),
        *credit_columns(),
    ]


def as_json(columns: Sequence[pl.Expr]) -> pl.Expr:
    """Columns as `json`: an object of one line for each row."""
    return pl.struct(*columns).struct.json_encode().alias("json")


def safe_batches(members: Members) -> Iterator[pl.DataFrame]:
    """The rows of MEMBERS, some at a time, none of which could become a file with a name or of a kind that is unsafe.

    Raises: NotAllowed.
    """
    for batch in members.batches():
        unnamed = batch.filter(~pl.col("image_id").str.contains(_IMAGE_ID).fill_null(value=False))
        if unnamed.height:
            raise NotAllowed(f"{unnamed['image_id'][0]!r} is no image id; expected <source>-<post_id>-<page>")
        other = batch.filter(~pl.col("extension").is_in(sorted(IMAGE_EXTENSIONS)).fill_null(value=False))
        if other.height:
            image_id, extension = other.select("image_id", "extension").row(0)
            raise NotAllowed(
                f"{image_id} is a file of kind {extension!r}; only images leave: keep it out of the subset"
            )
        yield batch


def require_file_word(split: str) -> str:
    """A split's name, when it can be part of a file's. Raises: NotAllowed."""
    if not _FILE_WORD.fullmatch(split):
        raise NotAllowed(f"split {split!r} cannot name a file; use letters, digits, _ and -")
    return split
