"""What must hold of a release before anyone has it."""

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.releases import members_table, read_built
from dataset_assets.resources import Dataset, cell_of

SHOWN = 5


def release_checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    """The checks of all releases: of their members source by source, of their files as a whole."""
    return [check for name in graph.config.releases for check in (_has_each_image_once(graph, name), _is_whole(name))]


def _has_each_image_once(graph: Graph, name: str) -> dg.AssetChecksDefinition:
    table = members_table(name).name

    def each_once(context: dg.AssetCheckExecutionContext, dataset: Dataset) -> dg.AssetCheckResult:
        """Each image is a member once."""
        rows = read_built(dataset, table, cell_of(context))
        counted = rows.select(members=pl.len(), images=pl.col("image_id").n_unique()).collect().row(0, named=True)
        return dg.AssetCheckResult(passed=counted["members"] == counted["images"], metadata=counted)

    decorate = dg.asset_check(
        asset=dg.AssetKey(table.split("/")),
        name="has_each_image_once",
        description=each_once.__doc__,
        blocking=True,
        partitions_def=graph.partitions.source,
    )
    return decorate(each_once)


def _is_whole(name: str) -> dg.AssetChecksDefinition:
    def is_whole(dataset: Dataset) -> dg.AssetCheckResult:
        """Every file of the release is there with the bytes that its manifest pins: all of them are read again."""
        from dataset_assets.assets.release_writing import release_target
        from dataset_assets.exports.release import verify

        found = list(verify(release_target(dataset.config, name), lambda line: None))
        shown = ", ".join(f"{damage.name}: {damage.what}" for damage in found[:SHOWN])
        return dg.AssetCheckResult(passed=not found, metadata={"damaged": len(found), "files": shown})

    decorate = dg.asset_check(
        asset=dg.AssetKey(["release", name]), name="is_whole", description=is_whole.__doc__, blocking=True
    )
    return decorate(is_whole)
