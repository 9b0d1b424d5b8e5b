"""Shards: members one after another in files of about one size, planned before the first is written.

A plan reads what is said of the members, never their files, and holds a line for each shard. Its keys follow from all
that a shard will hold, so that a stopped export goes on with the first shard that is not finished.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import polars as pl

from dataset_assets.exports.members import CannotExport


class MembersChanged(CannotExport):
    """Members that are no longer those that were planned."""


@dataclass(frozen=True)
class Shard:
    """The members of one file: from which number on, how many, their bytes there, and a key of what is said of them."""

    number: int
    rows: int
    bytes: int
    key: str


@dataclass
class _Open:
    """A shard that may take more."""

    rows: int = 0
    bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, size: int, said: str) -> None:
        self.rows += 1
        self.bytes += size
        _take_in(self.digest, said)

    def closed(self, number: int) -> Shard:
        return Shard(number, self.rows, self.bytes, self.digest.hexdigest())


def plan(frames: Iterable[pl.DataFrame], most_bytes: int, most_rows: int | None = None) -> Iterator[Shard]:
    """Cut members into shards of at most so many bytes and rows; a member that is larger alone has its own.

    frames: of `bytes`, what a member takes in a shard, and `json`, which says all that its content follows from.
    """
    number, shard = 0, _Open()
    for frame in frames:
        for size, said in frame.select("bytes", "json").iter_rows():
            if shard.rows and (shard.bytes + size > most_bytes or shard.rows == most_rows):
                yield shard.closed(number)
                number, shard = number + 1, _Open()
            shard.add(size, said)
    if shard.rows:
        yield shard.closed(number)


def dealt(frames: Iterable[pl.DataFrame], shards: Iterable[Shard]) -> Iterator[tuple[Shard, Iterator[pl.DataFrame]]]:
    """Each planned shard with its rows, some at a time; rows that are not asked for are passed over.

    Raises: MembersChanged at the end of a shard's rows, when they are not those that were planned.
    """
    stream = _Stream(iter(frames))
    for shard in shards:
        rows = stream.take(shard)
        yield shard, rows
        for _ in rows:
            pass


@dataclass
class _Stream:
    """Frames of any height, handed out by number of rows."""

    frames: Iterator[pl.DataFrame]
    rest: pl.DataFrame | None = None

    def take(self, shard: Shard) -> Iterator[pl.DataFrame]:
        missing, digest = shard.rows, hashlib.sha256()
        while missing and (frame := self._next()) is not None:
            rows, self.rest = frame.head(missing), frame.slice(missing)
            missing -= rows.height
            for said in rows["json"]:
                _take_in(digest, said)
            yield rows
        if missing or digest.hexdigest() != shard.key:
            raise MembersChanged(
                f"shard {shard.number}: its {shard.rows} members changed while they were written; write them again"
            )

    def _next(self) -> pl.DataFrame | None:
        if self.rest is not None and self.rest.height:
            return self.rest
        return next(self.frames, None)


def _take_in(digest: "hashlib._Hash", said: str) -> None:
    digest.update(said.encode())
    digest.update(b"\n")  # JSON of one line has none
