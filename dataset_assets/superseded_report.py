"""What a look for superseded files has found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from dataset_assets.domain.superseded import REASONS

SHOWN = 20


@dataclass
class Sum:
    """Files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int, files: int = 1) -> None:
        """Count a file, or some together, of so many bytes."""
        self.files += files
        self.bytes += size


@dataclass
class Report:
    """What was found, by kind. removed: whether that was removed, or would be.

    young: superseded, but changed too lately. left_to_takedowns: of images whose takedown is not done, and whose proof
    is to list them. unknown: of no kind that a root is known to have; the first names of them. skipped: what was left
    alone, since a run was at work there.
    """

    removed: bool
    found: dict[str, Sum] = field(default_factory=lambda: {kind: Sum() for kind in REASONS})
    young: Sum = field(default_factory=Sum)
    left_to_takedowns: Sum = field(default_factory=Sum)
    unknown: Sum = field(default_factory=Sum)
    unknown_names: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    looked_at: int = 0

    @property
    def total(self) -> Sum:
        """All that was found."""
        return Sum(sum(one.files for one in self.found.values()), sum(one.bytes for one in self.found.values()))

    def add_unknown(self, name: str, size: int, files: int = 1) -> None:
        """Count a file that no pattern knows, or a folder of some."""
        self.unknown.add(size, files)
        if len(self.unknown_names) < SHOWN:
            self.unknown_names.append(name if name.isprintable() else ascii(name)[1:-1])

    def as_record(self) -> dict[str, Any]:
        """As other programs read it."""
        kinds = [{"kind": kind, **asdict(one), "why": REASONS[kind]} for kind, one in self.found.items() if one.files]
        return {"kinds": kinds, "total": asdict(self.total), **{k: v for k, v in asdict(self).items() if k != "found"}}
