"""Every export of a source that was ever read, kept under a name: what was known then can be looked at again."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from dataset_assets.storage.durable import make_durable, place, scratch_file, sha256_of, write_text


@dataclass(frozen=True)
class Snapshot:
    """One export as it was read.

    position: place among the exports that dataset.yaml declares as earlier ones; null = it was the present one when it
    was read. known_at: the newest time that its records state; null = they state none. years: year to (records,
    version).
    """

    source: str
    name: str
    position: int | None
    known_at: str | None
    read_at: str
    records: int
    last_id: int | None
    recipe: str
    sha256: str
    years: Mapping[int, tuple[int, str]]

    @property
    def order(self) -> tuple[bool, int, str]:
        """Sorts a source's exports by age: the declared earlier ones, then as they were read."""
        return (self.position is None, self.position or 0, self.read_at)


class DamagedSnapshot(OSError):
    """A kept export whose file is lost or changed."""


class Snapshots:
    """The kept exports below a root: one Parquet file and one record each. Removing both forgets the export."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def of(self, source: str) -> list[Snapshot]:
        """The source's kept exports, the oldest first."""
        return sorted(map(_read, self._folder(source).glob("*.json")), key=lambda snapshot: snapshot.order)

    def get(self, source: str, name: str) -> Snapshot | None:
        """The export of that name; null = none is kept."""
        return next((snapshot for snapshot in self.of(source) if snapshot.name == name), None)

    def present(self, source: str) -> Snapshot | None:
        """The export that the source's tables are of; null = none was read."""
        marked = self._folder(source) / "present"
        return self.get(source, marked.read_text("utf-8")) if marked.is_file() else None

    def file(self, source: str, name: str) -> Path:
        """Where the records of a kept export lie: the source's own snapshot columns, sorted by year and image id."""
        return self._folder(source) / f"{name}.parquet"

    def intact(self, snapshot: Snapshot) -> Path:
        """The file of a kept export. Raises: DamagedSnapshot when it does not hold the bytes that were kept."""
        file = self.file(snapshot.source, snapshot.name)
        if not file.is_file() or sha256_of(file) != snapshot.sha256:
            raise DamagedSnapshot(
                f"{file} is not the export that was kept; put it back from a copy, or forget it: remove it and "
                f"{file.with_suffix('.json').name} beside it"
            )
        return file

    def scan(self, snapshot: Snapshot) -> pl.LazyFrame:
        """The records of a kept export. Raises: DamagedSnapshot."""
        return pl.scan_parquet(self.intact(snapshot), hive_partitioning=False)

    def keep(self, snapshot: Snapshot, file: Path) -> None:
        """Keep an export under its name; `file` stays where it is, and its bytes are shared where the disk can."""
        target = self.file(snapshot.source, snapshot.name)
        scratch = self.root / "_tmp"
        with scratch_file(scratch, ".parquet") as copy:
            try:
                os.link(file, copy)
            except OSError:  # no hard links here
                shutil.copyfile(file, copy)
            make_durable(copy)
            place(copy, target)
        write_text(target.with_suffix(".json"), json.dumps(asdict(snapshot), indent=1) + "\n", scratch)

    def mark_present(self, snapshot: Snapshot) -> None:
        """Note that the source's tables are of this export."""
        write_text(self._folder(snapshot.source) / "present", snapshot.name, self.root / "_tmp")

    def _folder(self, source: str) -> Path:
        return self.root / "snapshots" / f"source={source}"


def content_digits(years: Mapping[int, tuple[int, str]]) -> str:
    """Eight hex digits that are the same for exports that say the same, in whatever files they came."""
    return hashlib.sha256(json.dumps(sorted(years.items())).encode()).hexdigest()[:8]


def _read(record: Path) -> Snapshot:
    values = json.loads(record.read_text("utf-8"))
    years = {int(year): (int(records), str(version)) for year, (records, version) in values.pop("years").items()}
    return Snapshot(**values, years=years)
