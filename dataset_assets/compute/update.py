"""Pay for what changed: rows whose input and recipe are unchanged are carried over, the rest is computed in shards.

A rebuild that is stopped, however, starts again from the shards that it had finished.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from dataset_assets.compute.engine import Engine, Loss, Row, RowFunction
from dataset_assets.compute.next_rows import NextRows
from dataset_assets.domain.schemas import Table
from dataset_assets.domain.wording import counted
from dataset_assets.storage.durable import scratch_file
from dataset_assets.storage.root import opened
from dataset_assets.storage.shards import Shards
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
    least_batches: int = 16  # of few rows, so that each worker has a part of them
    # Which rows may be carried over at all; the others, such as failed fetches, are tried again. None = every row.
    settled: pl.Expr | None = None
    # Bytes of a stored file by its path, None = it is gone: rows whose file is not as they say are made again.
    file_size: Callable[[str], int | None] | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.parts)

    def batch_of(self, rows: int) -> int:
        """How many of so many rows go to a worker at once."""
        return max(1, min(self.rows_per_batch, rows // self.least_batches))


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


@dataclass(frozen=True)
class Job:
    """One table to bring up to date.

    `inputs` has one row per image: image_id, input_key and whatever the recipe's function reads. The rows of the
    table are the function's results, with input_key and recipe added.
    """

    table: Table
    inputs: pl.DataFrame
    recipe: Recipe


def update(tables: Tables, cell: Cell, job: Job, engine: Engine, say: Callable[[str], None]) -> Update:
    """Bring one partition up to date. The caller holds its lock."""
    began = time.monotonic()
    plan = _plan(tables, cell, job, say)
    _compute(plan, plan.missing, engine, say)
    return _finish(plan, began)


def update_together(
    tables: Tables, cell: Cell, jobs: Sequence[Job], together: RowFunction, engine: Engine, say: Callable[[str], None]
) -> list[Update]:
    """Bring partitions of several tables up to date, in one pass over the images that all of them lack.

    `together` makes of each row all tables' rows, by table name, as each job's own function would. The jobs have the
    same inputs. An image that took its worker down is tried again for each table alone: one of them may well have it.
    """
    began = time.monotonic()
    plans = [_plan(tables, cell, job, say) for job in jobs]
    done = _compute_together(plans, together, engine, say)
    for plan in plans:
        _compute(plan, plan.missing.join(done, on="image_id", how="anti"), engine, say)
    return [_finish(plan, began) for plan in plans]


@dataclass(frozen=True)
class _Plan:
    """What of a partition is there already, and which inputs are still to be computed."""

    tables: Tables
    cell: Cell
    job: Job
    shards: Shards
    previous: pl.LazyFrame
    usable: pl.LazyFrame  # of the previous rows, those that may be carried over where they are wanted
    reused: int
    resumed: pl.DataFrame
    missing: pl.DataFrame

    @property
    def name(self) -> str:
        return self.job.table.name

    def write_shard(self, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
        """Finish rows, with the keys of their inputs, as a file: what it holds need not be computed again."""
        mark = self.job.recipe.fingerprint
        complete = [{**row, "input_key": key, "recipe": mark} for row, key in zip(rows, keys, strict=True)]
        frame = self.job.table.frame(complete).sort("image_id")
        name = hashlib.sha256("\n".join(frame.get_column("image_id")).encode()).hexdigest()[:16]
        with scratch_file(self.tables.scratch, ".parquet") as file:
            frame.write_parquet(file, compression="zstd")
            opened(self.tables.root).settle()  # the files that the rows name: the shard says that they are there
            self.shards.add(mark, name, file)


def _plan(tables: Tables, cell: Cell, job: Job, say: Callable[[str], None]) -> _Plan:
    table, inputs, recipe = job.table, job.inputs, job.recipe
    mark = recipe.fingerprint
    shards = tables.shards(table.name, cell)
    shards.forget_others(mark)

    previous = _previous(tables, table, cell, say)
    wanted = inputs.lazy().select("image_id", "input_key")
    usable = previous.filter(pl.col("recipe") == mark)
    if recipe.settled is not None:
        usable = usable.filter(recipe.settled)
    if recipe.file_size is not None:
        usable = usable.join(_vanished(tables, usable, recipe.file_size).lazy(), on="image_id", how="anti")
    have = usable.join(wanted, on=["image_id", "input_key"], how="semi").select("image_id").collect()

    finished = _finished(shards, mark, table).join(wanted, on=["image_id", "input_key"], how="semi")
    finished = finished.join(have.lazy(), on="image_id", how="anti").unique(
        "image_id", keep="any", maintain_order=False
    )
    resumed = finished.select("image_id").collect()
    missing = inputs.join(pl.concat([have, resumed]), on="image_id", how="anti").sort("image_id")
    return _Plan(tables, cell, job, shards, previous, usable, have.height, resumed, missing)


def _finish(plan: _Plan, began: float) -> Update:
    """Stage what was carried over and computed, or keep the table where nothing changed."""
    tables, cell, table = plan.tables, plan.cell, plan.job.table
    wanted = plan.job.inputs.lazy().select("image_id", "input_key")
    gone = plan.previous.join(wanted, on="image_id", how="anti").select(pl.len())
    dropped = gone.collect(engine="streaming").item()
    seconds = time.monotonic() - began
    counts = Counts(plan.missing.height, plan.resumed.height, plan.reused, int(dropped), seconds)
    if not (counts.computed or counts.resumed or counts.dropped) and tables.commit_of(table.name, cell):
        return Update(tables.unchanged(table, cell), counts)
    mark = plan.job.recipe.fingerprint
    made = pl.concat([plan.resumed, plan.missing.select("image_id")]).get_column("image_id")
    rows = NextRows(table, plan.job.inputs, plan.usable, plan.shards.files(mark))
    staged = tables.stage_frames(table, cell, rows.frames(), mark)
    return Update(replace(staged, computed_ids=made.sort()), counts)


def _previous(tables: Tables, table: Table, cell: Cell, say: Callable[[str], None]) -> pl.LazyFrame:
    """The partition's rows, if they can be trusted: no row is carried over from a file that was damaged."""
    if not tables.is_intact(table.name, cell, by_content=True):
        say(f"{table.name} {cell}: the table does not match its checksum; every row is made again")
        return table.empty().lazy()
    previous = tables.scan(table, cell)
    if previous.collect_schema() != table.schema:  # written by an older version of the code
        return table.empty().lazy()
    return previous


def _vanished(tables: Tables, rows: pl.LazyFrame, file_size: Callable[[str], int | None]) -> pl.DataFrame:
    """The images whose stored file is gone or has another size."""
    stored = rows.filter(pl.col("path").is_not_null()).select("image_id", "path", "size").collect()
    sizes = opened(tables.root).each(file_size, stored.get_column("path"))
    wrong = [image_id for (image_id, _, size), found in zip(stored.iter_rows(), sizes, strict=True) if found != size]
    return pl.DataFrame({"image_id": wrong}, schema={"image_id": pl.String})


def _compute(plan: _Plan, missing: pl.DataFrame, engine: Engine, say: Callable[[str], None]) -> None:
    """Compute rows shard by shard; each finished shard becomes a file, so that a stop loses no more than one."""
    recipe = plan.job.recipe
    progress = Progress(f"{plan.name} {plan.cell}", missing.height, say)
    rows: list[dict[str, Any]] = []
    in_hand = _InHand()
    for batch in engine.run(recipe.function, in_hand.batches(missing, recipe.batch_of(missing.height))):
        rows += batch.results + [recipe.lost(row, loss) for row, loss in batch.lost]
        progress.advance(len(batch.results) + len(batch.lost))
        if len(rows) >= ROWS_PER_SHARD:
            plan.write_shard(rows, in_hand.take(rows))
            rows = []
    if rows:
        plan.write_shard(rows, in_hand.take(rows))
    progress.finish()


def _compute_together(
    plans: Sequence[_Plan], together: RowFunction, engine: Engine, say: Callable[[str], None]
) -> pl.DataFrame:
    """Compute the rows that all tables lack, shard by shard. Returns: image_id of those that were made."""
    shared = plans[0].missing
    for plan in plans[1:]:
        shared = shared.join(plan.missing, on=["image_id", "input_key"], how="semi")
    progress = Progress(f"{' and '.join(plan.name for plan in plans)} {plans[0].cell}", shared.height, say)
    rows: list[dict[str, Any]] = []
    done = [pl.Series("image_id", dtype=pl.String)]

    in_hand = _InHand()

    def write() -> None:
        of_first = [row[plans[0].name] for row in rows]
        keys = in_hand.take(of_first)
        for plan in plans:
            plan.write_shard([row[plan.name] for row in rows], keys)
        done.append(pl.Series("image_id", [row["image_id"] for row in of_first]))
        rows.clear()

    size = min(plan.job.recipe.batch_of(shared.height) for plan in plans)
    for batch in engine.run(together, in_hand.batches(shared, size)):
        rows += batch.results
        progress.advance(len(batch.results) + len(batch.lost))
        if len(rows) >= ROWS_PER_SHARD:
            write()
    if rows:
        write()
    progress.finish()
    return pl.concat(done).to_frame()


class _InHand:
    """The inputs that are being computed: only of these are there Python objects, however many a partition has."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def batches(self, missing: pl.DataFrame, size: int) -> Iterator[Sequence[Row]]:
        for part in missing.iter_slices(size):
            rows = part.to_dicts()
            self._keys.update((row["image_id"], row["input_key"]) for row in rows)
            yield rows

    def take(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """The input keys of rows that were computed."""
        return [self._keys.pop(row["image_id"]) for row in rows]


def _finished(shards: Shards, mark: str, table: Table) -> pl.LazyFrame:
    files = shards.files(mark)
    return pl.scan_parquet(files, hive_partitioning=False) if files else table.empty().lazy()


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
            rate = self.done / max(seconds, 1e-9)
            self.say(f"{self.what}: {counted(self.done, 'row')} in {_duration(seconds)}, {rate:,.0f} rows/s")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
