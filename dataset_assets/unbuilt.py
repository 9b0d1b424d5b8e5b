"""Which tables an asset cannot be made without and that are not built: all at once, also those behind others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode  # for their types alone

from dataset_assets.config import DatasetConfig
from dataset_assets.resources import rebuild_command, table_name
from dataset_assets.storage.tables import Cell, Tables

SUBSET = "subset"  # the first part of such an asset's key


@dataclass(frozen=True)
class Unbuilt:
    """Looks below assets of a graph for what the root does not have."""

    graph: AssetGraph
    config: DatasetConfig

    def below(self, asset: dg.AssetKey, cell: Cell, made: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
        """What is missing of that which an asset's partition is made from, upstream first.

        made: assets that the same run makes before it. A missing table is looked behind: what it is made from may be
        missing too, and then also what it can be made without, since a rebuild makes both.
        """
        found: set[dg.AssetKey] = set()
        there = set(made)
        needed = [parent for parent in self._needed(asset) if parent not in there]
        waiting = [parent for parent in needed if not any(self._is_built(parent, cell))]
        while waiting:
            found.add(key := waiting.pop())
            behind = [parent for parent in self._parents(key) if parent not in found | there]
            waiting += [parent for parent in behind if not all(self._is_built(parent, cell))]
        return [key for key in self.graph.toposorted_asset_keys if key in found]

    def _needed(self, asset: dg.AssetKey) -> Iterator[dg.AssetKey]:
        """The tables without which an asset fails: those handed to it, the export, and all that a subset asks for."""
        node = self.graph.get(asset)
        handed = set(_handed(node)) if asset.path[0] != SUBSET else node.parent_keys
        for parent in node.parent_keys:
            if self.graph.get(parent).is_external:
                yield from self.graph.get(parent).parent_keys
            elif parent in handed:
                yield parent

    def _parents(self, asset: dg.AssetKey) -> Iterator[dg.AssetKey]:
        for parent in self.graph.get(asset).parent_keys:
            node = self.graph.get(parent)
            yield from node.parent_keys if node.is_external else [parent]

    def _is_built(self, asset: dg.AssetKey, below: Cell) -> list[bool]:
        """Whether each partition is there of those that a partition below it is made from."""
        tables, name = Tables(self.config.root_path), table_name(asset)
        kind = self.graph.get(asset).partitions_def
        by_year = isinstance(kind, dg.MultiPartitionsDefinition)
        if kind is None:
            cells = [Cell()]
        elif below.source is None or (by_year and below.year is None):
            every = [Cell(*cell) for cell in self.config.cells(None if below.source is None else [below.source])]
            cells = every if by_year else sorted({Cell(cell.source) for cell in every})
        else:
            cells = [below if by_year else Cell(below.source)]
        return [commit is not None for commit in tables.commits(name, cells)]


def _handed(node: AssetNode) -> Iterator[dg.AssetKey]:
    """The tables that an asset's function takes as arguments."""
    definition = node.assets_def
    inputs = definition.node_def.input_dict
    for name, key in definition.keys_by_input_name.items():
        if not inputs[name].dagster_type.is_nothing:
            yield key


def unbuilt_in_words(assets: Sequence[dg.AssetKey], cell: Cell, lacking: Sequence[dg.AssetKey]) -> str:
    """What is missing for some assets of a partition, and the one command that builds all of it, and them."""
    asked, missing = (", ".join(map(table_name, keys)) for keys in (assets, lacking))
    command = rebuild_command(",".join(map(table_name, [*lacking, *assets])), cell)
    which = "which is" if len(lacking) == 1 else "which are"
    return f"{asked} of {cell} cannot be made before {missing}, {which} not built yet; build all of it: {command}"
