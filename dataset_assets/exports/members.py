"""The members of a release as a format reads them: in order, some at a time, each file proven."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from dataset_assets.domain.members import MEMBERS

Row = dict[str, Any]
ROWS_AT_ONCE = 1000
# Held at once. One scan of a whole file reads ahead by row groups, a score of them: 4.7 GB at 3 million rows.
ROWS_READ = 65_536

# Where people give a source as `https://name:password@host/`, the name and password stay here.
_USER_OF_URL = r"(^|:)//[^/?#\s\\]*@"


class CannotExport(Exception):
    """Members that cannot be written as asked; the message says which and why. Nothing of the kind is left out."""


class MemberLost(CannotExport):
    """A member's file that is gone, or is not the one that its row names: a release is whole, or is not written."""


@dataclass(frozen=True)
class Members:
    """Rows of MEMBERS, in order of source, year and image_id.

    parts: scans of MEMBERS, each sorted, one after another in that order. read: bytes of a `path`.
    embeddings: image_id, embedding (Array of Float16, length 1) and model; null = there are none.
    notes: image_id, x, y, width, height (pixels of the upright original) and body of boxes; null = there are none.
    """

    parts: Sequence[pl.LazyFrame]
    read_path: Callable[[str], bytes]
    embeddings: pl.LazyFrame | None = None
    notes: pl.LazyFrame | None = None
    _kept: tuple[pl.Expr, ...] = field(default=())

    def filter(self, kept: pl.Expr) -> "Members":
        """Those of which an expression over the columns of MEMBERS is true."""
        return replace(self, _kept=(*self._kept, kept))

    def scan(self) -> pl.LazyFrame:
        """All rows."""
        return pl.concat([MEMBERS.empty().lazy(), *map(self._leaving, self.parts)])

    def splits(self) -> list[tuple[str | None, "Members"]]:
        """The parts of the release by name, each with its members; one without a name where it has no parts."""
        names = self.scan().select(pl.col("split").unique()).collect().get_column("split").sort().to_list()
        return [(name, self.filter(pl.col("split").eq_missing(pl.lit(name, pl.String)))) for name in names]

    def named_splits(self) -> list[tuple[str, "Members"]]:
        """As `splits`, for formats whose files are named for one: what is in no part is in `train`."""
        named = pl.col("split").fill_null("train")
        names = self.scan().select(named.unique()).collect().get_column("split").sort().to_list()
        return [(name, self.filter(named == name)) for name in names]

    def count(self) -> int:
        """How many there are."""
        return int(self.scan().select(pl.len()).collect().item())

    def batches(self, columns: Sequence[str] | None = None, rows: int = ROWS_AT_ONCE) -> Iterator[pl.DataFrame]:
        """The rows in order, at most `rows` at a time; each call begins anew."""
        for part in self.parts:
            for start in range(0, part.select(pl.len()).collect().item(), ROWS_READ):
                kept = self._leaving(part.slice(start, ROWS_READ)).select(columns or MEMBERS.schema.names())
                for piece in kept.collect().iter_slices(rows):
                    if piece.height:
                        yield piece

    def rows(self) -> Iterator[Row]:
        """The rows in order, one at a time."""
        for batch in self.batches():
            yield from batch.iter_rows(named=True)

    def read(self, row: Row) -> bytes:
        """The bytes of a member's file. Raises: MemberLost."""
        try:
            data = self.read_path(row["path"])
        except OSError as error:
            raise MemberLost(f"{row['image_id']}: {row['path']} cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != row["sha256"]:
            raise MemberLost(f"{row['image_id']}: {row['path']} is no longer the file that its table names")
        return data

    def _leaving(self, part: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of a part that are kept, as they leave."""
        urls = pl.col("page_url", "source_url", "file_url")
        return part.filter(*self._kept).with_columns(urls.str.replace_all(_USER_OF_URL, "${1}//"))
