"""Every export of a source that was ever read, kept under a name: what was known then can be looked at again."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from dataset_assets.places import Place
from dataset_assets.storage.durable import scratch_file, sha256_of
from dataset_assets.storage.root import opened


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

    def __init__(self, root: Place) -> None:
        self._root = opened(root)

    def of(self, source: str) -> list[Snapshot]:
        """The source's kept exports, the oldest first."""
        records = [name for name in self._root.names(f"{_folder(source)}/") if name.endswith(".json")]
        return sorted(map(_read, self._root.each(self._root.get, records)), key=lambda snapshot: snapshot.order)

    def get(self, source: str, name: str) -> Snapshot | None:
        """The export of that name; null = none is kept."""
        return next((snapshot for snapshot in self.of(source) if snapshot.name == name), None)

    def present(self, source: str) -> Snapshot | None:
        """The export that the source's tables are of; null = none was read."""
        try:
            name = self._root.get(f"{_folder(source)}/present").decode()
        except FileNotFoundError:
            return None
        return self.get(source, name)

    def file(self, source: str, name: str) -> Path:
        """A file of a kept export's records: the source's own snapshot columns, sorted by year and image id."""
        return self._root.file(f"{_folder(source)}/{name}.parquet")

    def is_there(self, source: str, name: str) -> bool:
        """Whether the file of a kept export is still there."""
        return self._root.size(f"{_folder(source)}/{name}.parquet") is not None

    def intact(self, snapshot: Snapshot) -> Path:
        """The file of a kept export. Raises: DamagedSnapshot when it does not hold the bytes that were kept."""
        file = self.file(snapshot.source, snapshot.name)
        if not file.is_file() or sha256_of(file) != snapshot.sha256:
            kept = self._root.shown(f"{_folder(snapshot.source)}/{snapshot.name}.parquet")
            raise DamagedSnapshot(
                f"{kept} is not the export that was kept; put it back from a copy, or forget it: remove it and "
                f"{snapshot.name}.json beside it"
            )
        return file

    def scan(self, snapshot: Snapshot) -> pl.LazyFrame:
        """The records of a kept export. Raises: DamagedSnapshot."""
        return pl.scan_parquet(self.intact(snapshot), hive_partitioning=False)

    def keep(self, snapshot: Snapshot, file: Path) -> None:
        """Keep an export under its name; `file` stays where it is, and its bytes are shared where the disk can."""
        name = f"{_folder(snapshot.source)}/{snapshot.name}"
        with scratch_file(self._root.scratch, ".parquet") as copy:
            try:
                os.link(file, copy)
            except OSError:  # no hard links here
                shutil.copyfile(file, copy)
            self._root.put_file(f"{name}.parquet", copy)
        self._root.put(f"{name}.json", (json.dumps(asdict(snapshot), indent=1) + "\n").encode())

    def mark_present(self, snapshot: Snapshot) -> None:
        """Note that the source's tables are of this export."""
        self._root.put(f"{_folder(snapshot.source)}/present", snapshot.name.encode())


def _folder(source: str) -> str:
    return f"snapshots/source={source}"


def content_digits(years: Mapping[int, tuple[int, str]]) -> str:
    """Eight hex digits that are the same for exports that say the same, in whatever files they came."""
    return hashlib.sha256(json.dumps(sorted(years.items())).encode()).hexdigest()[:8]


def _read(record: bytes) -> Snapshot:
    values = json.loads(record)
    years = {int(year): (int(records), str(version)) for year, (records, version) in values.pop("years").items()}
    return Snapshot(**values, years=years)
