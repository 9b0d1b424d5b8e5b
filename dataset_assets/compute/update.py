"""Pay for what changed: rows whose input and recipe are unchanged are carried over, the rest is computed in shards.

A rebuild that is stopped, however, starts again from the shards that it had finished.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.compute.engine import Engine, Loss, Row, RowFunction
from dataset_assets.domain.schemas import Table
from dataset_assets.storage.durable import place, remove_tree, scratch_file
from dataset_assets.storage.tables import Cell, Staged, Tables

ROWS_PER_SHARD = 512
PROGRESS_EVERY_S = 5.0


def fingerprint(parts: Mapping[str, object]) -> str:
    """A recipe's fingerprint: 16 hex digits that change with any of its parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Recipe:
    """How rows are made: the function, the parts of its fingerprint, and what a row is when its worker was lost."""

    parts: Mapping[str, object]
    function: RowFunction
    lost: Callable[[Row, Loss], dict[str, Any]]
    rows_per_batch: int = 16
    # Which rows may be carried over at all; the others, such as failed fetches, are tried again. None = every row.
    settled: pl.Expr | None = None
    # Bytes of a stored file by its path, None = it is gone: rows whose file is not as they say are made again.
    file_size: Callable[[str], int | None] | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.parts)


@dataclass(frozen=True)
class Counts:
    """What an update did, in rows."""

    computed: int  # made in this run
    resumed: int  # made in an earlier run that was stopped
    reused: int  # carried over from the table
    dropped: int  # in the old table, no longer in the input
    seconds: float

    @property
    def rate(self) -> float:
        """Rows computed per second; 0 when none was."""
        return self.computed / self.seconds if self.computed and self.seconds else 0.0


@dataclass(frozen=True)
class Update:
    """A partition's next content, and what it took."""

    staged: Staged
    counts: Counts


def update(
    tables: Tables,
    table: Table,
    cell: Cell,
    inputs: pl.DataFrame,
    recipe: Recipe,
    engine: Engine,
    say: Callable[[str], None],
) -> Update:
    """Bring one partition up to date.

    `inputs` has one row per image: image_id, input_key and whatever the recipe's function reads. The rows of the
    table are the function's results, with input_key and recipe added. The caller holds the partition's lock.
    """
    began = time.monotonic()
    mark = recipe.fingerprint
    work = tables.work_folder(table.name, cell)
    _forget_other_recipes(work, mark)

    previous = _previous(tables, table, cell, say)
    wanted = inputs.lazy().select("image_id", "input_key")
    usable = previous.filter(pl.col("recipe") == mark)
    if recipe.settled is not None:
        usable = usable.filter(recipe.settled)
    if recipe.file_size is not None:
        usable = usable.join(_vanished(usable, recipe.file_size).lazy(), on="image_id", how="anti")
    carried = usable.join(wanted, on=["image_id", "input_key"], how="semi")
    have = carried.select("image_id").collect()

    finished = _finished_shards(work / mark, table).join(wanted, on=["image_id", "input_key"], how="semi")
    finished = finished.join(have.lazy(), on="image_id", how="anti").unique(
        "image_id", keep="any", maintain_order=False
    )
    resumed = finished.select("image_id").collect()

    missing = inputs.join(pl.concat([have, resumed]), on="image_id", how="anti").sort("image_id")
    progress = Progress(f"{table.name} {cell}", missing.height, say)
    _compute(missing, table, recipe, engine, tables.scratch, work / mark, progress)

    dropped = previous.join(wanted, on="image_id", how="anti").select(pl.len()).collect().item()
    counts = Counts(missing.height, resumed.height, have.height, int(dropped), time.monotonic() - began)
    if not (counts.computed or counts.resumed or counts.dropped) and tables.commit_of(table.name, cell):
        return Update(tables.unchanged(table, cell), counts)
    made = pl.concat([resumed, missing.select("image_id")]).get_column("image_id")
    computed = _finished_shards(work / mark, table).join(made.to_frame().lazy(), on="image_id", how="semi")
    computed = computed.join(wanted, on=["image_id", "input_key"], how="semi").unique("image_id", keep="any")
    staged = tables.stage(table, cell, pl.concat([carried, computed]), mark)
    return Update(replace(staged, computed_ids=tuple(made.sort())), counts)


def _previous(tables: Tables, table: Table, cell: Cell, say: Callable[[str], None]) -> pl.LazyFrame:
    """The partition's rows, if they can be trusted: no row is carried over from a file that was damaged."""
    if not tables.is_intact(table.name, cell, by_content=True):
        say(f"{table.name} {cell}: the table does not match its checksum; every row is made again")
        return table.empty().lazy()
    previous = tables.scan(table, cell)
    if previous.collect_schema() != table.schema:  # written by an older version of the code
        return table.empty().lazy()
    return previous


def _vanished(rows: pl.LazyFrame, file_size: Callable[[str], int | None]) -> pl.DataFrame:
    """The images whose stored file is gone or has another size."""
    stored = rows.filter(pl.col("path").is_not_null()).select("image_id", "path", "size").collect()
    wrong = [image_id for image_id, path, size in stored.iter_rows() if file_size(path) != size]
    return pl.DataFrame({"image_id": wrong}, schema={"image_id": pl.String})


def _compute(
    missing: pl.DataFrame,
    table: Table,
    recipe: Recipe,
    engine: Engine,
    scratch: Path,
    folder: Path,
    progress: "Progress",
) -> None:
    """Compute rows shard by shard; each finished shard becomes a file, so that a stop loses no more than one."""
    keys = dict(missing.select("image_id", "input_key").iter_rows())
    rows: list[dict[str, Any]] = []
    for batch in engine.run(recipe.function, _batches(missing, recipe.rows_per_batch)):
        rows += batch.results + [recipe.lost(row, loss) for row, loss in batch.lost]
        progress.advance(len(batch.results) + len(batch.lost))
        if len(rows) >= ROWS_PER_SHARD:
            _write_shard(rows, keys, table, recipe.fingerprint, scratch, folder)
            rows = []
    if rows:
        _write_shard(rows, keys, table, recipe.fingerprint, scratch, folder)
    progress.finish()


def _batches(frame: pl.DataFrame, size: int) -> Iterator[Sequence[Row]]:
    for part in frame.iter_slices(size):
        yield part.to_dicts()


def _write_shard(
    rows: list[dict[str, Any]], keys: Mapping[str, str], table: Table, mark: str, scratch: Path, folder: Path
) -> None:
    complete = [{**row, "input_key": keys[row["image_id"]], "recipe": mark} for row in rows]
    frame = table.frame(complete).sort("image_id")
    name = hashlib.sha256("\n".join(frame.get_column("image_id")).encode()).hexdigest()[:16]
    with scratch_file(scratch, ".parquet") as file:
        frame.write_parquet(file, compression="zstd")
        place(file, folder / f"{name}.parquet")


def _finished_shards(folder: Path, table: Table) -> pl.LazyFrame:
    files = sorted(folder.glob("*.parquet"))
    return pl.scan_parquet(files, hive_partitioning=False) if files else table.empty().lazy()


def _forget_other_recipes(work: Path, mark: str) -> None:
    """Shards of a recipe that is no longer asked for can never be used."""
    for folder in work.glob("*"):
        if folder.name != mark:
            remove_tree(folder)


class Progress:
    """Says how far a partition is: at the start, every few seconds, and at the end."""

    def __init__(
        self, what: str, total: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.what, self.total, self.say, self.clock = what, total, say, clock
        self.done, self.began, self.said = 0, clock(), clock()

    def advance(self, rows: int) -> None:
        self.done += rows
        if self.clock() - self.said >= PROGRESS_EVERY_S:
            self.said = self.clock()
            rate = self.done / max(self.said - self.began, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            share = f"{self.done:,} of {self.total:,} ({100 * self.done / self.total:.1f} %)"
            self.say(f"{self.what}: {share}, {rate:,.0f} rows/s, {_duration(left)} left")

    def finish(self) -> None:
        if self.total:
            seconds = self.clock() - self.began
            self.say(
                f"{self.what}: {self.done:,} rows in {_duration(seconds)}, {self.done / max(seconds, 1e-9):,.0f} rows/s"
            )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
