"""`make bench-metadata`: who reads the metadata of how many posts in how much time, as a Markdown table."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.danbooru_export import Export, Schema, write_export
from benchmarks.pd12m_shards import write_shards
from benchmarks.processes import Cost, run
from benchmarks.vocabulary import Vocabulary, invented_vocabulary, read_vocabulary

_SCHEMAS: tuple[Schema, ...] = ("old", "new")


class Run(NamedTuple):
    """What is run, on what."""

    name: str
    contender: str
    data: Path
    records: int


@dataclass(frozen=True)
class Sizes:
    """How much is drawn, in records or rows."""

    records: int
    archived: int
    pd12m: int


class Data:
    """The drawn files below one folder; what is there already is not drawn again."""

    def __init__(self, folder: Path, sizes: Sizes, vocabulary: Path | None) -> None:
        self.folder, self.sizes, self._vocabulary = folder, sizes, vocabulary
        self._tag = vocabulary.stem if vocabulary else "invented"

    def export(self, schema: Schema, records: int) -> Path:
        folder = self.folder / f"{schema}-{self._tag}-{records}"
        if not (folder / "counts.json").exists():
            _say(f"drawing {records:,} records of the {schema} schema")
            write_export(Export(schema, records, self._words()), folder, os.cpu_count() or 1)
        return folder

    def archive(self) -> Path:
        """The records of the new schema that are archived, as one .tar.xz of a single block."""
        folder = self.export("new", self.sizes.archived)
        file = folder / "metadata.tar.xz"
        if not file.exists():
            _say(f"packing {self.sizes.archived:,} records")
            tar, partial = folder / "metadata.tar", folder / "metadata.tar.xz.part"
            with tarfile.open(tar, "w") as archive:
                for posts in sorted(folder.glob("posts*.json")):
                    archive.add(posts, f"metadata/{posts.name}")
            with partial.open("wb") as packed:
                subprocess.run(["xz", "-6", "--threads=1", "-c", str(tar)], stdout=packed, check=True)
            tar.unlink()
            partial.rename(file)
        return file

    def shards(self) -> Path:
        folder = self.folder / f"pd12m-{self.sizes.pd12m}"
        if not (folder / "counts.json").exists():
            _say(f"drawing {self.sizes.pd12m:,} rows of PD12M")
            write_shards(self.sizes.pd12m, folder)
        return folder

    def _words(self) -> Vocabulary:
        return read_vocabulary(self._vocabulary) if self._vocabulary else invented_vocabulary()


def runs(data: Data) -> list[Run]:
    """All that is measured, in the order of a round; drawn if it is not there."""
    sizes = data.sizes
    found: list[Run] = []
    for schema in _SCHEMAS:
        export = data.export(schema, sizes.records)
        for contender in ("sqlite", "tables", "snapshot"):
            found.append(Run(f"{schema}: {contender}", contender, export, sizes.records))
    archive = data.archive()
    found.append(Run(".tar.xz: xz -dc", "xz", archive, sizes.archived))
    found.append(Run(".tar.xz: snapshot", "snapshot", archive, sizes.archived))
    found.append(Run("PD12M: snapshot", "pd12m", data.shards(), sizes.pd12m))
    found.append(Run("new: one year again", "year", data.folder / "snapshot.parquet", sizes.records))
    return found


def measure(data: Data, rounds: int, skipped: frozenset[str] = frozenset()) -> Iterator[tuple[Run, Cost]]:
    """Run each contender once in each round, and check that it lost nothing.

    Raises: RuntimeError when what a contender found is not what was drawn.
    """
    for _ in range(rounds):
        for one in runs(data):
            if one.contender in skipped:
                continue
            keep = data.folder / "snapshot.parquet" if one.name == "new: snapshot" else None
            found, cost = run(one.contender, one.data, data.folder, keep)
            require_nothing_lost(one, found)
            _say(f"{one.name}: {cost.cpu:.2f} CPU s, {cost.wall:.2f} s, {cost.memory:,.0f} MB")
            yield one, cost


def require_nothing_lost(one: Run, found: dict[str, int]) -> None:
    """Compare what a contender found with what the generator wrote. Raises: RuntimeError when they differ."""
    file = (one.data if one.data.is_dir() else one.data.parent) / "counts.json"
    if not file.exists() or not found:
        return
    drawn = json.loads(file.read_text("utf-8"))
    expected = {name: rows for name, rows in drawn.items() if name in found or name.startswith("rejected:")}
    found = {name: rows for name, rows in found.items() if name != "images"}
    if one.contender == "sqlite":  # it gives the tags of a second record with one id to the first, and rejects nothing
        expected, found = {"stored": drawn["stored"]}, {"stored": found["stored"]}
    if {name: rows for name, rows in expected.items() if rows} != found:
        raise RuntimeError(f"{one.name}: found {found}, expected {expected}")


def report(costs: dict[Run, list[Cost]]) -> str:
    """The Markdown table, the ratios below it, and where it was measured."""
    of = {one.name: (Cost.of(found), one) for one, found in costs.items()}
    head = f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, Python {platform.python_version()}"
    lines = [head, "", "| what | records | CPU s | wall s | records per CPU s | peak MB |", "|---|--:|--:|--:|--:|--:|"]
    for name, (cost, one) in of.items():
        rate = one.records / cost.cpu
        lines.append(
            f"| {name} | {one.records:,} | {cost.cpu:.2f} | {cost.wall:.2f} | {rate:,.0f} | {cost.memory:,.0f} |"
        )
    return "\n".join([*lines, "", *_ratios({name: cost for name, (cost, _) in of.items()}, of), ""])


def _ratios(cost: dict[str, Cost], of: dict[str, tuple[Cost, Run]]) -> Iterator[str]:
    for schema in _SCHEMAS:
        for contender, what in (("tables", "all tables"), ("snapshot", "the snapshot alone")):
            if f"{schema}: sqlite" in cost and f"{schema}: {contender}" in cost:
                ratio = cost[f"{schema}: sqlite"].cpu / cost[f"{schema}: {contender}"].cpu
                yield f"- {schema} schema, {what}: {ratio:.1f} times the SQLite loader by CPU"
    if ".tar.xz: xz -dc" in cost and ".tar.xz: snapshot" in cost:
        ratio = cost[".tar.xz: xz -dc"].wall / cost[".tar.xz: snapshot"].wall
        yield f"- .tar.xz into the snapshot: {ratio:.2f} of the rate of `xz -dc` by wall"
    if "PD12M: snapshot" in cost:
        found, one = of["PD12M: snapshot"]
        yield f"- PD12M: {found.cpu * 1e6 / one.records:.1f} CPU s for a million rows"
    if "new: one year again" in cost and "new: tables" in cost:
        share = cost["new: one year again"].cpu / cost["new: tables"].cpu
        yield f"- one year out of seventeen again: {100 * share:.1f} % of all tables by CPU"


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records of each schema")
    parser.add_argument("--archived", type=int, help="records in the .tar.xz; a quarter of the records by default")
    parser.add_argument("--pd12m", type=int, help="rows of PD12M; as many as records by default")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs; medians are shown")
    parser.add_argument("--vocabulary", type=Path, help="CSV of tags: name, category, number of posts")
    parser.add_argument("--data", type=Path, required=True, help="folder for the drawn files")
    parser.add_argument("--skip", nargs="*", default=[], help="contenders that are not run, such as sqlite")
    chosen = parser.parse_args()
    sizes = Sizes(chosen.records, chosen.archived or -(-chosen.records // 4), chosen.pd12m or chosen.records)
    costs: dict[Run, list[Cost]] = {}
    for one, cost in measure(Data(chosen.data, sizes, chosen.vocabulary), chosen.rounds, frozenset(chosen.skip)):
        costs.setdefault(one, []).append(cost)
    sys.stdout.write(report(costs))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
