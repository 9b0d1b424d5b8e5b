"""Everything that Dagster serves, in graph order."""

import warnings
from typing import Any

import dagster as dg

from dataset_assets.assets.agreement import agreement_assets
from dataset_assets.assets.annotations import annotation_assets
from dataset_assets.assets.curation import curation_assets
from dataset_assets.assets.doubts import doubts_asset
from dataset_assets.assets.duplicates import duplicates_asset, hashes_asset
from dataset_assets.assets.families import family_assets
from dataset_assets.assets.graph import (
    ACROSS_JOB,
    CATALOG_JOB,
    MEMBERS_JOB,
    OPTIMIZE_JOB,
    READ_JOB,
    REBUILD_JOB,
    RELEASE_JOB,
    SCRAPE_JOB,
    SOURCE_JOB,
    UNIQUE_JOB,
    Graph,
)
from dataset_assets.assets.id_lists import id_list_assets
from dataset_assets.assets.image_scores import image_scores_assets
from dataset_assets.assets.images import image_assets
from dataset_assets.assets.metadata import metadata_assets
from dataset_assets.assets.model_captions import model_captions_assets
from dataset_assets.assets.optimized import optimized_asset
from dataset_assets.assets.pairs import pairs_asset
from dataset_assets.assets.pixiv_leads import PIXIV_LEADS, leads_assets
from dataset_assets.assets.predicted_tags import predicted_tags_assets
from dataset_assets.assets.published import annotation_tables, read_annotations_asset
from dataset_assets.assets.releases import members_assets, release_assets
from dataset_assets.assets.scrapes import scrape_assets
from dataset_assets.assets.tag_index import tag_index_asset
from dataset_assets.assets.tag_quality import decisions_asset, disagreements_assets
from dataset_assets.assets.takedowns import takedowns_asset
from dataset_assets.assets.vector_index import vector_index_asset
from dataset_assets.assets.works import works_assets
from dataset_assets.catalog import catalog_asset
from dataset_assets.checks import checks
from dataset_assets.config import DatasetConfig
from dataset_assets.environment import config_from_environment
from dataset_assets.resources import Dataset, TableIOManager


def build(config: DatasetConfig) -> dg.Definitions:
    """The graph that a dataset.yaml describes."""
    graph = Graph.of(config)
    published = annotation_tables(graph)
    by_cell = [*image_assets(graph), *model_captions_assets(graph), *published, *annotation_assets(graph)]
    by_cell += agreement_assets(graph)
    by_cell.append(vector_index_asset(graph))
    by_cell.append(takedowns_asset(graph))
    by_cell += [*predicted_tags_assets(graph), *image_scores_assets(graph)]
    by_cell += [decisions_asset(graph), *disagreements_assets(graph)]
    unique = [subset for subset in curation_assets(graph) if dg.AssetKey("near_duplicates") in subset.dependency_keys]
    by_cell += [subset for subset in curation_assets(graph) if subset.key not in {one.key for one in unique}]
    by_cell = [tag_index_asset(graph), *by_cell]
    leads = [read_annotations_asset(graph), *leads_assets(graph), pairs_asset(graph)]
    assets = [*metadata_assets(graph), *by_cell, *leads]
    lists, of_sources = id_list_assets(graph), [*family_assets(graph), doubts_asset(graph), hashes_asset(graph)]
    optimized = optimized_asset(graph)
    scrapes = scrape_assets(graph)
    assets += [*works_assets(graph), *lists, *of_sources, optimized, *scrapes, duplicates_asset(graph), *unique]
    members, releases = members_assets(graph), release_assets(graph)
    assets += [*members, *releases]
    keys = [key for asset in assets for key in (asset.keys if isinstance(asset, dg.AssetsDefinition) else [])]
    usual = by_cell if config.optimized_images is None else [*by_cell, optimized]
    rebuilt = dg.AssetSelection.assets(
        "image_metadata", "tag_metadata", *(key for asset in usual for key in asset.keys)
    )
    dataset = Dataset(config_file=str(config.file.absolute()), folder=str(config.folder))
    return dg.Definitions(
        assets=[*assets, catalog_asset(keys)],
        asset_checks=_checks(graph),
        jobs=[
            dg.define_asset_job(
                READ_JOB,
                dg.AssetSelection.assets("source_snapshot", "rejected_records", "vanished_records", "tag_relations")
                | dg.AssetSelection.assets("source_annotations", "annotation_mismatches")
                | dg.AssetSelection.assets(*(asset.key for asset in lists)),
                description="Look at a source's export again; years whose records changed become stale.",
            ),
            dg.define_asset_job(
                REBUILD_JOB, rebuilt, description="All tables of one source and year, and their checks."
            ),
            *(
                dg.define_asset_job(
                    SCRAPE_JOB, dg.AssetSelection.assets(asset.key), description="Let gallery-dl fetch what is asked."
                )
                for asset in scrapes
            ),
            dg.define_asset_job(
                OPTIMIZE_JOB,
                dg.AssetSelection.assets(optimized.key),
                description="Originals in fewer bytes; a rebuild makes them where dataset.yaml has optimized_images.",
            ),
            dg.define_asset_job(
                SOURCE_JOB,
                dg.AssetSelection.assets("tag_vocabulary", "sketch_pairs", "pixiv_works", *PIXIV_LEADS)
                | dg.AssetSelection.assets(*(asset.key for asset in of_sources)),
                description="Tables of a whole source, over its years.",
            ),
            dg.define_asset_job(
                ACROSS_JOB,
                dg.AssetSelection.assets("same_works", "near_duplicates"),
                description="Tables over all sources.",
            ),
            *(
                dg.define_asset_job(
                    UNIQUE_JOB,
                    dg.AssetSelection.assets(*(subset.key for subset in some)),
                    description="Subsets without duplicates, which are known when all sources are.",
                )
                for some in ([unique] if unique else [])
            ),
            *_release_jobs(members, releases),
            dg.define_asset_job(CATALOG_JOB, dg.AssetSelection.assets("catalog"), description="The DuckDB file."),
        ],
        resources={"dataset": dataset, "tables": TableIOManager(dataset=dataset)},
        # Steps share one process: images are worked on in processes of their own, and a new one for each
        # small table or check would cost more than the table.
        executor=dg.in_process_executor,
    )


def _release_jobs(members: list[dg.AssetsDefinition], releases: list[dg.AssetsDefinition]) -> list[Any]:
    """The jobs of what leaves, which no rebuild runs of itself; none where dataset.yaml has no releases."""
    if not releases:
        return []
    said = {MEMBERS_JOB: "Who is in each release, of one source.", RELEASE_JOB: "Releases, each written once."}
    return [
        dg.define_asset_job(job, dg.AssetSelection.assets(*(asset.key for asset in assets)), description=said[job])
        for job, assets in ((MEMBERS_JOB, members), (RELEASE_JOB, releases))
    ]


def _checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    """The checks. That partitioned ones are a preview is known; the noise would bury warnings that matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return checks(graph)


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster serves. It calls this; whoever else imports this module builds the one graph that it needs."""
    return build(config_from_environment())
