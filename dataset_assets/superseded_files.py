"""Files below a root that nothing refers to any more: found, counted, and, where that is asked for, removed.

The root is looked through once. What seems superseded is asked for again with the partitions locked that could come to
name it, and only then removed; where a run holds one of them, its source is left alone. Nothing is written down, so
that the next look goes on where one that was killed has stopped.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby, islice

from dataset_assets.config import DatasetConfig
from dataset_assets.domain import superseded
from dataset_assets.domain.superseded import MANIFEST, NOTES, OF_IMAGES, PartitionFile
from dataset_assets.domain.wording import counted
from dataset_assets.exports.release import BESIDE
from dataset_assets.storage.listed import Listed
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import Folder, Root, opened
from dataset_assets.storage.tables import Cell
from dataset_assets.superseded_parts import IMAGE_TABLES, REBUILD, Parts, Spared, cell_in, locked
from dataset_assets.superseded_references import References
from dataset_assets.superseded_report import Report, Sum

AT_ONCE = 500_000  # names, asked for together
SAID_EVERY_S = 5.0
# What scrapes fetch is a source's originals, and no file of the root's own.
ORIGINALS, SCRATCH, RELEASES = "fetched/", "_tmp/", "releases/"
Lock = Callable[[DatasetConfig, Iterable[str], Iterable[Cell]], AbstractContextManager[None]]
SCRATCH_AGE_S = 24 * 3600.0  # at least: no lock tells that a run still needs what it makes


@dataclass(frozen=True)
class Asked:
    """What is looked for. now: seconds since 1970."""

    older_than: timedelta
    now: float
    delete: bool = False


def collect(config: DatasetConfig, asked: Asked, say: Callable[[str], None], lock: Lock = locked) -> Report:
    """Find what is superseded, and remove it where that is asked for.

    lock: holds partitions while files are removed that an update of them could come to name.
    Raises: CannotTell when what names files is damaged; BadTakedown; OSError when the disk fails.
    """
    parts = Parts(config)
    references = References(config.root_path, parts.columns)
    references.require_whole()
    look = _Look(config, asked, say, parts, references, lock, Spared.of(config), Report(asked.delete))
    look.through()
    return look.report


@dataclass
class _Look:
    """One look through a root."""

    config: DatasetConfig
    asked: Asked
    say: Callable[[str], None]
    parts: Parts
    references: References
    lock: Lock
    spared: Spared
    report: Report
    going: set[str] = field(default_factory=set)  # shards that would go, where nothing is removed
    said_at: float = field(default_factory=time.monotonic)

    @property
    def root(self) -> Root:
        return opened(self.config.root_path)

    def through(self) -> None:
        """Judge all files, folder by folder. Shards come first: what they name is then nobody's."""
        files = self._told(self.root.listed("", (ORIGINALS, SCRATCH)))
        for group, some in groupby(files, key=lambda file: superseded.group_of(file.name)):
            self._judge(group, self._known(some))
        self._scratch()

    def _judge(self, group: str, files: Iterator[Listed]) -> None:
        if group == "_work/":
            self._shards(list(self._of_kind(files, superseded.shard_file)))
        elif group == "_history/":
            histories = self._of_kind(files, superseded.history_file)
            self._take("row histories", (file for file in histories if self.parts.is_old_history(file.name)))
        elif group == "indexes/":
            self._unnamed("index files", self._of_kind(files, superseded.is_index_file), nullcontext)
        elif group.startswith("images/") and group.count("/") == 3:
            _, kind, source, _ = group.split("/")
            images = self._of_kind(files, superseded.image_file)
            self._unnamed(OF_IMAGES.get(kind, kind), images, lambda: self._locked(source))
        elif group.startswith(RELEASES) and group != RELEASES:
            self._release(group, files)
        else:
            for file in files:
                self.report.add_unknown(file.name, file.bytes)

    def _told(self, files: Iterable[Listed]) -> Iterator[Listed]:
        for file in files:
            self.report.looked_at += 1
            if time.monotonic() - self.said_at >= SAID_EVERY_S:
                self.said_at = time.monotonic()
                found = f"{counted(self.report.total.files, 'file')} superseded"
                self.say(f"{self.report.looked_at:,} files looked at, {found}; at {file.name.rpartition('/')[0]}")
            yield file

    def _known(self, files: Iterable[Listed]) -> Iterator[Listed]:
        """The files that are judged further; those that tell enough by their names are dealt with here."""
        for file in files:
            if not file.is_plain:
                self.report.add_unknown(file.name, 0)
            elif superseded.is_half_written(file.name):
                self._take("half-written files", [file])
            elif superseded.is_probe(file.name):
                self._take("probes", [file])
            elif not superseded.is_kept(file.name):
                yield file

    def _of_kind(self, files: Iterable[Listed], what: Callable[[str], object]) -> Iterator[Listed]:
        for file in files:
            if what(file.name):
                yield file
            else:
                self.report.add_unknown(file.name, file.bytes)

    def _take(self, kind: str, files: Iterable[Listed]) -> None:
        """Remove what is superseded and old enough, or say that it would be."""
        old = self._old(files)
        for file in self.root.remove_listed(old) if self.asked.delete else old:
            self.report.found[kind].add(file.bytes)

    def _old(self, files: Iterable[Listed]) -> list[Listed]:
        """Those that may go by their age, and are not left to a takedown; the others are counted."""
        old = []
        for file in files:
            if self.spared.has(file.name):
                self.report.left_to_takedowns.add(file.bytes)
            elif self._is_old(file.changed_at):
                old.append(file)
            else:
                self.report.young.add(file.bytes)
        return old

    def _is_old(self, at: float, least_s: float = 0.0) -> bool:
        return self.asked.now - at >= max(self.asked.older_than.total_seconds(), least_s)

    def _unnamed(self, kind: str, files: Iterator[Listed], lock: Callable[[], AbstractContextManager[None]]) -> None:
        """Take the files that nothing names, some at a time."""
        waiting: list[Listed] = []
        for some in _batches(files):
            waiting += self._old(self._not_named(some))
            if len(waiting) >= AT_ONCE:
                self._take_locked(kind, waiting, lock)
                waiting = []
        if waiting:
            self._take_locked(kind, waiting, lock)

    def _not_named(self, files: Sequence[Listed]) -> list[Listed]:
        named = self.references.of([file.name for file in files], self.going)
        return [file for file in files if file.name not in named]

    def _take_locked(self, kind: str, files: list[Listed], lock: Callable[[], AbstractContextManager[None]]) -> None:
        """Take files that nothing named, where nothing does now either, and nobody is at work who could."""
        if self.asked.delete:
            try:
                with lock():
                    self.spared = Spared.of(self.config)
                    files = self.root.remove_listed(self._old(self._not_named(files)))
            except PartitionLocked as held:
                self.report.skipped.append(f"{counted(len(files), 'file')} of {kind}: {held}")
                return
        for file in files:
            self.report.found[kind].add(file.bytes)

    def _locked(self, source: str) -> AbstractContextManager[None]:
        return self.lock(self.config, (REBUILD, *IMAGE_TABLES), self.parts.cells_of(source))

    def _shards(self, files: Sequence[Listed]) -> None:
        for (table, partition), some in groupby(files, key=_rebuild_of):
            cell, shards = cell_in(partition), list(some)
            held = self.lock(self.config, (REBUILD, table), [cell]) if self.asked.delete else nullcontext()
            try:
                with held:
                    kinds = self.parts.superseded_shards(table, cell, [file.name for file in shards])
                    for file in shards:
                        if file.name in kinds:
                            self._take_shard(kinds[file.name], file)
            except PartitionLocked as by:
                self.report.skipped.append(f"{counted(len(shards), 'shard')} of {table} {cell}: {by}")

    def _take_shard(self, kind: str, file: Listed) -> None:
        before = self.report.found[kind].files
        self._take(kind, [file])
        if not self.asked.delete and self.report.found[kind].files > before:
            self.going.add(file.name)

    def _release(self, folder: str, files: Iterable[Listed]) -> None:
        """A release's notes if it is finished, all of it if nobody will ever finish it."""
        notes, held, newest, beside = [], Sum(), 0.0, set[str]()
        for file in files:
            inside = file.name.removeprefix(folder)
            held.add(file.bytes)
            newest = max(newest, file.changed_at)
            beside |= {inside} & {MANIFEST, *BESIDE}
            notes += [file] if inside.startswith(NOTES) else []
        name = folder.removeprefix(RELEASES).rstrip("/")
        if MANIFEST in beside:
            self._take("release notes", notes)
        elif not self.parts.is_abandoned_release(name):
            return
        elif beside or not notes:  # by its looks it was finished once
            self.report.add_unknown(folder, held.bytes, held.files)
        elif not self._is_old(newest):
            self.report.young.add(held.bytes, held.files)
        else:
            self._take_release(name, folder, notes, held)

    def _take_release(self, name: str, folder: str, notes: Sequence[Listed], held: Sum) -> None:
        """The notes go last: by them it is known for what it is, should this be stopped."""
        found = self.report.found["release tries"]
        if not self.asked.delete:
            found.add(held.bytes, held.files)
            return
        try:
            with self.lock(self.config, (f"release/{name}",), [Cell()]):
                files = (file for file in self.root.listed(folder, (f"{folder}{NOTES}",)) if file.is_plain)
                for some in [*_batches(files), notes]:
                    for file in self.root.remove_listed(some):
                        found.add(file.bytes)
        except PartitionLocked as by:
            self.report.skipped.append(f"{folder}: {by}")

    def _scratch(self) -> None:
        """What killed runs were making, on this machine. A file that is read still is as young as its last reading."""
        folder = Folder(self.root.scratch.parent)
        for file in self._told(folder.listed(SCRATCH)) if not self.root.scratch.is_symlink() else ():
            if superseded.is_kept(file.name):
                continue
            if not file.is_plain or not superseded.is_scratch(file.name):
                self.report.add_unknown(file.name, file.bytes)
            elif not self._is_old(file.used_at, SCRATCH_AGE_S):
                self.report.young.add(file.bytes)
            elif not self.asked.delete or folder.remove_listed([file]):
                self.report.found["scratch files"].add(file.bytes)
                if self.asked.delete and file.name.count("/") > 1:
                    with suppress(OSError):  # it holds others yet
                        (folder.path / file.name).parent.rmdir()


def _rebuild_of(file: Listed) -> tuple[str, str]:
    of = superseded.shard_file(file.name) or PartitionFile("", "", "")
    return of.table, of.partition


def _batches(files: Iterator[Listed]) -> Iterator[list[Listed]]:
    while some := list(islice(files, AT_ONCE)):
        yield some
