"""Lists of post ids as people publish them beside a mirror: duplicates, photos, posts that are no images."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dataset_assets.domain.identity import POST_ID
from dataset_assets.domain.schemas import Column, Table
from dataset_assets.sources.local_files import names_of
from dataset_assets.sources.pixiv_lines import WORK_ID, no_lines, read_lines

ID_LIST = Table(
    "id_list",
    "line of a list of ids",
    (
        Column("post_id", pl.String, "the post; null = the line is no id"),
        Column("record_file", pl.String, "the list's file"),
        Column("record_line", pl.Int64, "1-based line"),
        Column("error", pl.String, "bad_id, or duplicate_id where the id stands before; null = it counts"),
        Column("content", pl.String, "a line that is no id, at most 200 characters; null = it is one"),
    ),
    sorted_by=("post_id", "record_file", "record_line"),
)


def id_list(name: str) -> Table:
    """The table of one list."""
    return Table(f"id_list/{name}", ID_LIST.one_row_per, ID_LIST.columns, ID_LIST.sorted_by)


def read_ids(files: Sequence[Path], *, are_numbers: bool) -> pl.DataFrame:
    """Rows of ID_LIST: one id a line; blank lines, and what follows a `#`, are passed over.

    `are_numbers`: whether the source's ids are, as Danbooru's and Pixiv's; if not, any lawful post id is taken.
    Raises: DamagedExport when a file is far too large to be a list of ids.
    """
    names = names_of(files)
    lines = pl.concat([no_lines(), *(read_lines(file, names[file]) for file in files)])
    said = lines.with_columns(pl.col("content").str.replace("#.*$", "").str.strip_chars())
    form = WORK_ID if are_numbers else POST_ID.pattern
    is_id = pl.col("content").str.contains(f"^(?:{form})$")
    error = (
        pl.when(~is_id).then(pl.lit("bad_id")).when(~pl.col("content").is_first_distinct()).then(pl.lit("duplicate_id"))
    )
    return said.filter(pl.col("content") != "").select(
        post_id=pl.when(is_id).then("content"),
        record_file="file",
        record_line="line",
        error=error,
        content=pl.when(~is_id).then(pl.col("content").str.slice(0, 200)),
    )
