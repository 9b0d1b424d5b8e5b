"""The exports of a source over time: each one read is kept, and what has vanished from the newest stays listed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl

from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DanbooruSource
from dataset_assets.resources import Dataset
from dataset_assets.sources import Adapter
from dataset_assets.sources.snapshots import last_id, newest_time, records_and_versions
from dataset_assets.sources.vanished import Export, YearVersions, changed_years, vanished, vanished_table
from dataset_assets.storage.durable import sha256_of
from dataset_assets.storage.snapshots import DamagedSnapshot, Snapshot, Snapshots, content_digits
from dataset_assets.storage.tables import Cell, Staged

VANISHED_VERSION = "1"
# Fewer records than this may always vanish: they are soon looked at.
FEW_RECORDS = 100


@dataclass(frozen=True)
class Exports:
    """What is known of one source's exports while its present one is being read."""

    dataset: Dataset
    adapter: Adapter
    cell: Cell
    say: Callable[[str], None]

    @property
    def source(self) -> str:
        return str(self.cell.source)

    @property
    def kept(self) -> Snapshots:
        return Snapshots(self.dataset.config.root_path)

    def keep_earlier(self, version: str) -> None:
        """Read and keep the earlier exports that dataset.yaml declares, each once."""
        settings = self.dataset.config.sources[self.source]
        declared = settings.earlier_metadata if isinstance(settings, DanbooruSource) else {}
        for position, (name, patterns) in enumerate(declared.items()):
            export = settings.model_copy(update={"metadata": patterns})
            recipe = fingerprint({"adapter": version, "export": self.adapter.fingerprint(export)})
            held = self.kept.get(self.source, name)
            if held is not None and (held.recipe, held.position) == (recipe, position):
                continue
            with self.dataset.tables.scratch_parquet() as file:
                self.say(f"{self.source}: reading the earlier export {name}")
                if not self.adapter.read_snapshot(self.source, export, file, self.say).records:
                    key = f"sources.{self.source}.earlier_metadata.{name}"
                    raise dg.Failure(f"{key}: {', '.join(patterns)} holds no record", allow_retries=False)
                self.kept.keep(self._described(file, recipe, name, position), file)

    def keep_present(self, staged: Staged) -> tuple[Snapshot, list[Snapshot]]:
        """The present export, kept under its name, and those before it, the oldest first.

        Raises: dg.Failure when it lacks more of the export before it than `max_vanished` allows.
        """
        held = [one for one in self.kept.of(self.source) if one.position is None]
        same = [one for one in held if one.recipe == staged.recipe and self.kept.is_there(one.source, one.name)]
        if same:
            present = same[-1]
        else:
            file = staged.file or self.dataset.tables.file("source_snapshot", self.cell)
            present = self._described(file, staged.recipe)
            self._refuse_what_lacks_too_much(present, file)
            self.kept.keep(present, file)
        self.kept.mark_present(present)
        return present, [one for one in self.kept.of(self.source) if one.name != present.name]

    def _described(self, file: Path, recipe: str, name: str | None = None, position: int | None = None) -> Snapshot:
        records, years = pl.scan_parquet(file, hive_partitioning=False), records_and_versions(file)
        known_at, read_at, digits = newest_time(records), datetime.now(UTC), content_digits(years)
        # An export that was read before keeps its name and its place in time.
        alike = [(one.name, one.read_at) for one in self.kept.of(self.source) if one.name.endswith(digits)]
        fresh = f"{known_at or read_at:%Y-%m-%d}-{digits}", read_at.isoformat(timespec="seconds")
        known_name, first_read = alike[0] if alike else fresh
        return Snapshot(
            source=self.source,
            name=name or known_name,
            position=position,
            known_at=known_at.isoformat() if known_at else None,
            read_at=first_read,
            records=sum(records for records, _ in years.values()),
            last_id=last_id(records),
            recipe=recipe,
            sha256=sha256_of(file),
            years=years,
        )

    def _refuse_what_lacks_too_much(self, present: Snapshot, file: Path) -> None:
        before = self.dataset.tables.scan(self.adapter.SNAPSHOT, self.cell).select("image_id")
        now = pl.scan_parquet(file, hive_partitioning=False).select("image_id")
        missing, held = (
            int(rows.select(pl.len()).collect().item())
            for rows in (before.join(now, on="image_id", how="anti"), before)
        )
        allowed = self.dataset.config.sources[self.source].max_vanished
        if missing >= FEW_RECORDS and missing > allowed * held:
            raise dg.Failure(
                f"{self.source}: the new export lacks {missing:,} of the {held:,} records of the one before it; the "
                f"old tables stay. If that is right: sources.{self.source}.max_vanished: {missing / held:.2f} or more",
                allow_retries=False,
            )

    def stage_vanished(self, present: Snapshot, records: pl.LazyFrame, before: list[Snapshot]) -> Staged:
        """The records of the exports before that the present one lacks."""
        tables, table = self.dataset.tables, vanished_table(self.adapter.SNAPSHOT)
        exports = [(one.name, one.sha256) for one in (*before, present)]
        recipe = fingerprint({"version": VANISHED_VERSION, "exports": exports})
        commit = tables.commit_of(table.name, self.cell)
        if commit is not None and commit.recipe == recipe:
            return tables.unchanged(table, self.cell)
        try:
            earlier = [_export(one, self.kept.scan(one)) for one in before]
        except DamagedSnapshot as damage:
            raise dg.Failure(str(damage), allow_retries=False) from None
        parts = vanished(table, _export(present, records), earlier)
        return tables.stage(table, self.cell, pl.concat([table.empty().lazy(), *parts]), recipe)


def _export(snapshot: Snapshot, records: pl.LazyFrame) -> Export:
    known_at = datetime.fromisoformat(snapshot.known_at) if snapshot.known_at else None
    return Export(snapshot.name, records, snapshot.years, known_at)


def years_that_changed(present: Snapshot, before: list[Snapshot]) -> YearVersions:
    """Each year that differs from the export before, with its records now."""
    last = before[-1].years if before else {}
    return {year: present.years.get(year, (0, "")) for year in changed_years(last, present.years)}
