"""How a plain function becomes an asset of the graph: partitions, group, storage and description in one place."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dataset_assets.assets.partitions import Partitions
from dataset_assets.compute.update import fingerprint
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import Table
from dataset_assets.resources import column_lineage, column_schema

OWNERS = ["team:datasets"]
READ_JOB, REBUILD_JOB, SOURCE_JOB, CATALOG_JOB = "read_sources", "rebuild", "rebuild_sources", "write_catalog"
ACROSS_JOB, UNIQUE_JOB = "rebuild_across_sources", "rebuild_unique_subsets"
OPTIMIZE_JOB = "optimize_images"
SCRAPE_JOB = "scrape_sources"
MEMBERS_JOB, RELEASE_JOB = "gather_release_members", "write_releases"
# Assets fed from outside Dagster's sight: `rebuild` looks at them each time, since only they can tell what changed.
FED_FROM_OUTSIDE = "dataset_assets/fed_from_outside"


@dataclass(frozen=True)
class Graph:
    """The settings and partitions that all assets share."""

    config: DatasetConfig
    partitions: Partitions

    @classmethod
    def of(cls, config: DatasetConfig) -> "Graph":
        return cls(config, Partitions.of(config))

    def asset(
        self,
        function: Callable[..., Any],
        table: Table,
        *,
        group: str,
        kinds: Iterable[str],
        version: str,
        settings: object = None,
        deps: Sequence[str | dg.AssetKey | dg.AssetSpec | dg.AssetDep] = (),
        by_source: bool = False,
        across_sources: bool = False,
        fed_from_outside: bool = False,
        pool: str | None = None,
    ) -> dg.AssetsDefinition:
        """An asset of source x year, of the source as a whole, or across all sources, whose value is `table`.

        `version` changes, in the same commit, with what the code makes; `settings` is what dataset.yaml says about it.
        """
        partitions = self.partitions
        return dg.asset(
            key=dg.AssetKey(table.name.split("/")),
            partitions_def=None if across_sources else partitions.source if by_source else partitions.source_year,
            group_name=group,
            kinds=set(kinds),
            owners=OWNERS,
            description=f"{inspect.getdoc(function)}",
            code_version=code_version(version, settings),
            io_manager_key="tables",
            deps=list(deps),
            metadata=table_metadata(table),
            tags={FED_FROM_OUTSIDE: "true"} if fed_from_outside else None,
            pool=pool,
        )(function)


def code_version(version: str, settings: object = None) -> str:
    """A version of code and settings together: a change in dataset.yaml makes what it touches stale."""
    return version if settings is None else f"{version}-{fingerprint({'settings': settings})}"


def table_metadata(table: Table) -> dict[str, Any]:
    """What the UI knows of a table before it is ever built."""
    return {"dagster/column_schema": column_schema(table), "dagster/column_lineage": column_lineage(table)}
