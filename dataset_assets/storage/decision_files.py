"""Files of decisions below the root: one for each sitting and partition, to which lines are only added."""

from dataclasses import dataclass, field

from dataset_assets.places import Place
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell

FOLDER = "decisions/tags"


@dataclass(frozen=True)
class DecisionFiles:
    """What people have decided, below one root."""

    root: Place

    def of(self, cell: Cell) -> list[tuple[str, bytes]]:
        """Name and content of each file of a partition, in order of name, which is that of time."""
        root = opened(self.root)
        names = [name for name in root.names(f"{FOLDER}/{cell.folder}/") if name.endswith(".jsonl")]
        return list(zip(names, root.each(root.get, names), strict=True))


@dataclass
class Sitting:
    """One person's decisions of one sitting: each is safe in the root before the next is asked.

    `name` must be no other sitting's: a root in a bucket has no way to add to a file that two are writing.
    """

    root: Place
    name: str
    _written: dict[Cell, bytes] = field(default_factory=dict)

    def add(self, cell: Cell, line: bytes) -> None:
        """Add a line to the sitting's file of a partition."""
        content = self._written.get(cell, b"") + line
        opened(self.root).put(f"{FOLDER}/{cell.folder}/{self.name}.jsonl", content)
        self._written[cell] = content
