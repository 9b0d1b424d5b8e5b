"""Rebuild what is missing or stale, cell by cell, in this process: no daemon is needed."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from dataset_assets.assets.fetched_images import FETCH_TAG
from dataset_assets.assets.graph import (
    ACROSS_JOB,
    CATALOG_JOB,
    FED_FROM_OUTSIDE,
    MEMBERS_JOB,
    OPTIMIZE_JOB,
    READ_JOB,
    REBUILD_JOB,
    RELEASE_JOB,
    SCRAPE_JOB,
    SOURCE_JOB,
    UNIQUE_JOB,
)
from dataset_assets.assets.scrapes import scraping_sources
from dataset_assets.assets.takedowns import TAKEDOWNS_ONLY_TAG, not_noted
from dataset_assets.compute.fetch_inputs import Mode
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.members import MEMBERS
from dataset_assets.domain.schemas import TAG_INDEX
from dataset_assets.domain.takedowns import TAKEDOWNS, BadTakedown
from dataset_assets.domain.vector_tables import VECTOR_INDEX
from dataset_assets.domain.wording import counted
from dataset_assets.full_disk import LEAST_FREE, disk_full_message, fullest, says_disk_full, written_places
from dataset_assets.interrupts import hearing_stops
from dataset_assets.resources import progress_to, table_name
from dataset_assets.staleness import Staleness, keys_of
from dataset_assets.storage.bucket_access import SourceDown
from dataset_assets.storage.index_files import index_is_there
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import RootUnavailable
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_removal import remove_what_is_out
from dataset_assets.unbuilt import Unbuilt, unbuilt_in_words

# Only warnings on the console; the event log has everything.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
INDEXES = {table.name: table for table in (TAG_INDEX, VECTOR_INDEX)}


@dataclass
class Outcome:
    """What became of one partition."""

    cell: Cell
    assets: list[str] = field(default_factory=list)
    computed: int = 0
    reused: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_locked: bool = False
    is_unavailable: bool = False
    is_interrupted: bool = False
    is_disk_full: bool = False

    def __str__(self) -> str:
        what = (
            f"{counted(len(self.assets), 'table')} looked at, {counted(self.computed, 'row')} computed, "
            f"{self.reused:,} reused"
        )
        return f"{self.cell}: {what}, {self.seconds:.1f} s" + (f", {len(self.errors)} failed" if self.errors else "")


@dataclass(frozen=True)
class Rebuild:
    """A rebuild of some cells of one dataset."""

    definitions: dg.Definitions
    config: DatasetConfig
    instance: dg.DagsterInstance
    say: Callable[[str], None]
    fetch: Mode = "due"  # which files are asked for again
    takedowns_only: bool = False  # look at no source: only take out what was taken down
    sources: Collection[str] = ()  # whose tables over all years are looked at, beside those of the cells' sources

    def run(
        self, cells: Sequence[tuple[str, int]], assets: Iterable[str] | None = None, everything: bool = False
    ) -> Iterator[Outcome]:
        """Rebuild cells, each source's export first; yields each partition's outcome as it is done.

        `assets` limits the rebuild to these; `everything` looks at fresh assets too (their unchanged rows are still
        carried over). A full disk ends it: nothing after it could be written either.
        """
        wanted = None if assets is None else {dg.AssetKey(name.split("/")) for name in assets}
        yield from self._until_full(self._partitions(cells, wanted, everything))

    def _until_full(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Outcomes up to the first that met a full disk, whose one error says so."""
        places = written_places(self.config, self.instance.root_directory)
        try:
            for outcome in outcomes:
                outcome.is_disk_full |= bool(outcome.errors) and fullest(places)[2] < LEAST_FREE
                if outcome.is_disk_full:
                    met = next(filter(says_disk_full, outcome.errors), outcome.errors[0])
                    outcome.errors = [disk_full_message(met, places)]
                yield outcome
                if outcome.is_disk_full:
                    return
        except Exception as error:  # of whatever library meets it first, outside of any step
            if not says_disk_full(str(error)):
                raise
            yield Outcome(Cell(), errors=[disk_full_message(str(error).partition("\n")[0], places)], is_disk_full=True)

    def _partitions(
        self, cells: Sequence[tuple[str, int]], wanted: set[dg.AssetKey] | None, everything: bool
    ) -> Iterator[Outcome]:
        with progress_to(self.say):
            for source in sorted({source for source, _ in cells} & set(scraping_sources(self.config))):
                yield self._cell(SCRAPE_JOB, Cell(source), wanted, everything)
            for source in sorted({source for source, _ in cells}):
                yield from self._once(READ_JOB, Cell(source), wanted)
            for source, year in cells:
                yield self._cell(REBUILD_JOB, Cell(source, year), wanted, everything)
                if self._is_asked_for(OPTIMIZE_JOB, wanted):
                    yield self._cell(OPTIMIZE_JOB, Cell(source, year), wanted, everything)
            for source in sorted({source for source, _ in cells} | set(self.sources)):
                yield self._cell(SOURCE_JOB, Cell(source), wanted, everything)
            yield self._cell(ACROSS_JOB, Cell(), wanted, everything)
            for source, year in cells if self.config.has_unique_subsets else []:
                yield self._cell(UNIQUE_JOB, Cell(source, year), wanted, everything)
            yield from self._once(CATALOG_JOB, Cell(), wanted)
            remove_what_is_out(self.config, {Cell(*cell) for cell in cells}, self.say)

    def releases(self, names: Sequence[str]) -> Iterator[Outcome]:
        """Write these releases: who is in them, source by source, then each; what is written already is left alone."""
        yield from self._until_full(self._releases(names))

    def _releases(self, names: Sequence[str]) -> Iterator[Outcome]:
        members = {dg.AssetKey([MEMBERS.name, name]) for name in names}
        with progress_to(self.say):
            gathered = self._gathered(members)
            yield from gathered
            if any(outcome.errors for outcome in gathered):
                return  # a table of members that was left as it is may be of before a takedown
            for name in names:
                outcome = Outcome(Cell())
                self._run(RELEASE_JOB, [dg.AssetKey(["release", name])], outcome)
                yield outcome
            yield from self._once(CATALOG_JOB, Cell(), None)

    def _gathered(self, members: set[dg.AssetKey]) -> list[Outcome]:
        """Who is in releases, source by source. One at a time: of two that begin together, the first goes through."""
        try:
            with Tables(self.config.root_path).lock("_release_members", Cell()):
                sources = sorted(self.config.sources)
                return [self._cell(MEMBERS_JOB, Cell(source), members, everything=True) for source in sources]
        except PartitionLocked as locked:
            return [Outcome(Cell(), errors=[str(locked)], is_locked=True)]

    def _is_asked_for(self, job: str, wanted: set[dg.AssetKey] | None) -> bool:
        """Whether a job that no rebuild runs of itself is named by one of its assets that a rebuild leaves out."""
        usual = set(keys_of(self.definitions, REBUILD_JOB))
        return bool((wanted or set()) & (set(keys_of(self.definitions, job)) - usual))

    def _once(self, job: str, cell: Cell, wanted: set[dg.AssetKey] | None) -> Iterator[Outcome]:
        keys = keys_of(self.definitions, job)
        if wanted is None or wanted & set(keys):
            outcome = Outcome(cell)
            self._run(job, keys, outcome)
            yield outcome

    def _cell(self, job: str, cell: Cell, wanted: set[dg.AssetKey] | None, everything: bool) -> Outcome:
        """Run what is missing or stale until nothing is: a rebuilt table makes stale what truly depends on it."""
        outcome = Outcome(cell)
        try:
            # One rebuild at a time for each cell: two would take its tables from one another, and neither would finish.
            with Tables(self.config.root_path).lock("_rebuild", cell):
                self._waves(job, outcome, wanted, everything)
        except PartitionLocked as locked:
            outcome.is_locked = True
            outcome.errors.append(str(locked))
        return outcome

    def _waves(self, job: str, outcome: Outcome, wanted: set[dg.AssetKey] | None, everything: bool) -> None:
        """Run what is missing, stale or damaged until nothing is."""
        cell = outcome.cell
        keys = [key for key in keys_of(self.definitions, job) if wanted is None or key in wanted]
        graph = self.definitions.resolve_asset_graph()
        tables = Tables(self.config.root_path)
        if self.takedowns_only:  # what was never built here has nothing to lose
            keys = [k for k in keys if table_name(k) == TAKEDOWNS.name or tables.commit_of(table_name(k), cell)]
        first = {
            key
            for key in keys
            if everything or FED_FROM_OUTSIDE in graph.get(key).tags or not _is_whole(tables, table_name(key), cell)
        }
        done: set[dg.AssetKey] = set()
        for _ in keys:  # a wave for each asset is the most there can be
            verdicts = Staleness(self.definitions, self.instance, self.config).of(keys, cell)
            stale = {verdict.asset for verdict in verdicts} | (first - done) | self._met_since(cell, keys, done)
            # What was asked for again in the first wave is not asked for once more in the next.
            run = [key for key in keys if key in stale]
            self._run(job, run if wanted is None else self._makeable(run, outcome), outcome, self._mode(done))
            done |= stale
            if not stale or outcome.errors:
                break

    def _mode(self, done: set[dg.AssetKey]) -> Mode:
        return "due" if done else self.fetch

    def _makeable(self, keys: Sequence[dg.AssetKey], outcome: Outcome) -> list[dg.AssetKey]:
        """Those of some assets, upstream first, for which all is there; of the others, all that lacks is an error."""
        unbuilt = Unbuilt(self.definitions.resolve_asset_graph(), self.config)
        can: list[dg.AssetKey] = []
        cannot: dict[dg.AssetKey, list[dg.AssetKey]] = {}
        for key in keys:
            if lacking := unbuilt.below(key, outcome.cell, can):
                cannot[key] = lacking
            else:
                can.append(key)
        if cannot:
            order = unbuilt.graph.toposorted_asset_keys
            lacking = [key for key in order if key not in cannot and any(key in one for one in cannot.values())]
            outcome.errors.append(unbuilt_in_words(list(cannot), outcome.cell, lacking))
        return can

    def _met_since(self, cell: Cell, keys: Sequence[dg.AssetKey], done: set[dg.AssetKey]) -> set[dg.AssetKey]:
        """`takedowns`, where a request meets an image that was taken in since: its bytes or pixels were known."""
        key = dg.AssetKey(TAKEDOWNS.name)
        if key not in keys or key not in done:
            return set()
        try:
            requests = TakedownFiles(self.config.root_path).active()
        except BadTakedown:
            return set()  # the asset itself says so
        return {key} if not_noted(self.config, cell, requests) else set()

    def _run(self, job: str, keys: Sequence[dg.AssetKey], outcome: Outcome, fetch: Mode = "due") -> None:
        if not keys:
            return
        began = time.monotonic()
        with hearing_stops() as is_stop_heard:
            result = self.definitions.resolve_job_def(job).execute_in_process(
                run_config=QUIET,
                instance=self.instance,
                partition_key=outcome.cell.key,
                asset_selection=list(keys),
                raise_on_error=False,
                tags={FETCH_TAG: fetch, TAKEDOWNS_ONLY_TAG: str(self.takedowns_only).lower()},
            )
            outcome.is_interrupted |= is_stop_heard()
        outcome.seconds += time.monotonic() - began
        for event in result.all_events:
            _note(event, outcome)
        for check in result.get_asset_check_evaluations():
            if not check.passed:
                found = {name: value.value for name, value in check.metadata.items()}
                said = f"check {check.check_name} of {check.asset_key.to_user_string()} failed: {found}"
                is_error = check.severity == dg.AssetCheckSeverity.ERROR
                (outcome.errors if is_error else outcome.warnings).append(said)
        if outcome.is_interrupted:
            raise KeyboardInterrupt
        if not result.success and not outcome.errors:
            outcome.errors.append(f"run {result.run_id} failed; the UI has its log")


def _is_whole(tables: Tables, name: str, cell: Cell) -> bool:
    return tables.is_intact(name, cell) and (name not in INDEXES or index_is_there(tables, INDEXES[name], cell))


def _note(event: dg.DagsterEvent, outcome: Outcome) -> None:
    """Add what one event says to the outcome."""
    if event.is_step_materialization:
        materialization = event.step_materialization_data.materialization
        outcome.assets.append(materialization.asset_key.to_user_string())
        numbers = {name: value.value for name, value in materialization.metadata.items()}
        outcome.computed += _number(numbers.get("rows_computed"))
        outcome.reused += _number(numbers.get("rows_reused"))
    elif event.is_step_failure:
        data = event.step_failure_data
        if _root_of(data.error).cls_name == "DagsterAssetCheckFailedError":
            return  # the check itself says more
        outcome.is_interrupted |= _was_interrupted(data.error)
        outcome.is_disk_full |= says_disk_full(_root_of(data.error).message)
        outcome.is_unavailable |= _root_of(data.error).cls_name in (RootUnavailable.__name__, SourceDown.__name__)
        outcome.is_locked |= _root_of(data.error).cls_name == PartitionLocked.__name__
        said = data.user_failure_data and data.user_failure_data.description
        asset = str(event.step_key).replace("__", "/")  # as `--assets` takes it
        outcome.errors.append(f"{asset}: {said or _message(data.error)}")
    elif event.is_job_failure and (error := event.job_failure_data.error) is not None:
        outcome.is_interrupted |= _was_interrupted(error)
        outcome.is_disk_full |= says_disk_full(_root_of(error).message)
        outcome.errors += [] if outcome.errors else [_message(error)]


def _was_interrupted(error: SerializableErrorInfo | None) -> bool:
    """Whether someone asked the run to stop; Dagster takes the signal for an error of the step."""
    while error is not None:
        if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
            return True
        error = error.cause
    return False


def _root_of(error: SerializableErrorInfo | None) -> SerializableErrorInfo:
    """The error that began it, beneath those that Dagster wraps around it."""
    if error is None:
        return SerializableErrorInfo("no error was recorded", [], None)
    is_root = error.cause is None or error.cause.cls_name == "RemoteTraceback"  # where in a worker it arose, as text
    return error if is_root else _root_of(error.cause)


def _message(error: SerializableErrorInfo | None) -> str:
    root = _root_of(error)
    return root.message.strip().rpartition(f"{root.cls_name}: ")[2] or str(root.cls_name)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
