"""Ids alone, for sources that may only be referred to: whoever may fetch the images knows by them which ones.

`ids/<source>.txt` has a post's id on each line and nothing else, as pixiv_dataset publishes its own; of a post of which
several pages are members it has one line. `ids/ids.csv` has a line for each image: its hashes tell whether a file that
somebody fetched is the one that was meant, also where the host packed it anew (`pixel_hash`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import polars as pl

from dataset_assets.domain.attribution import credit_columns
from dataset_assets.domain.identity import parse_image_id
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written
from dataset_assets.storage.durable import scratch_file

# The columns of ids.csv; those that describe the file are of the original.
COLUMNS = (
    *("image_id", "source", "post_id", "page", "split", "source_url", "file_url", "sha256", "md5", "pixel_hash"),
    *("extension", "size", "width", "height", "created_at", "rating", "artist", "title", "license", "license_basis"),
)
_OF_ORIGINAL = ("sha256", "md5", "extension", "size", "width", "height")
_READ = (
    *("image_id", "source", "post_id", "page", "split", "page_url", "source_url", "file_url", "pixel_hash"),
    *(f"original_{name}" for name in _OF_ORIGINAL),
    *("created_at", "rating", "artist", "title", "license", "license_basis"),
)
ROWS_AT_ONCE = 10_000


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write the list of each source, and the table of all. Raises: BadImageId.

    Memory holds the ids of posts of several pages.
    """
    posts, images = _Posts.of(members), 0
    with scratch_file(target.scratch, ".csv") as table:
        with table.open("wb") as lines:
            lines.write(",".join(COLUMNS).encode() + b"\n")
            for source, batches in groupby(_of_one_source(members), key=lambda batch: str(batch["source"][0])):
                with scratch_file(target.scratch, ".txt") as ids:
                    with ids.open("w", encoding="ascii", newline="\n") as listed:
                        for batch in batches:
                            images += batch.height
                            listed.writelines(posts.line(image_id) for image_id in batch["image_id"])
                            _cells(batch).write_csv(lines, include_header=False)
                    yield target.take(f"ids/{source}.txt", ids)
        yield target.take("ids/ids.csv", table, images)


def _of_one_source(members: Members) -> Iterator[pl.DataFrame]:
    """Batches of members, each of one source, in order."""
    for batch in members.batches(_READ, ROWS_AT_ONCE):
        yield from batch.partition_by("source", maintain_order=True)


@dataclass(frozen=True)
class _Posts:
    """Which posts have a line already. several: posts of which a later page is a member, the only ones to be told."""

    several: set[tuple[str, str]]
    listed: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, members: Members) -> "_Posts":
        later = members.filter(pl.col("page") > 0).scan().select("source", "post_id").unique()
        return cls(set(later.collect().iter_rows()))

    def line(self, image_id: str) -> str:
        """The line of an image's post; empty where it has one. Raises: BadImageId."""
        name = parse_image_id(image_id)
        post = name.source, name.post_id
        if post in self.listed:
            return ""
        if post in self.several:
            self.listed.add(post)
        return f"{name.post_id}\n"


def _cells(rows: pl.DataFrame) -> pl.DataFrame:
    """Lines of ids.csv: each cell as `credits.safe_cell` has it."""
    of_original = (pl.col(f"original_{name}").alias(name) for name in _OF_ORIGINAL)
    moment = pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    said = rows.with_columns(*of_original, *credit_columns(), moment).select(pl.col(COLUMNS).cast(pl.String))
    cells = said.with_columns(pl.all().str.replace_all(r"[\x00-\x1f\x7f]+", " ").str.strip_chars())
    marked = cells.with_columns(pl.all().str.replace(r"^(['=+\-@＝＋－＠])", "'$1"))
    return marked.with_columns(pl.when(pl.all() != "").then(pl.all()))
