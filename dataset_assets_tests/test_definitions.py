"""The graph's shape is golden: a change of it shows here, in the same commit."""

from pathlib import Path

import dagster as dg
import pytest

from dataset_assets_tests.mirror import Mirror

SHAPE = {
    "source_snapshot": ("metadata", "source", []),
    "rejected_records": ("metadata", "source", []),
    "vanished_records": ("metadata", "source", []),
    "tag_relations": ("metadata", "source", []),
    "tag_vocabulary": ("metadata", "source", ["image_metadata", "tag_metadata"]),
    "pixiv_works": ("metadata", "source", ["image_metadata"]),
    "metadata_doubts": ("metadata", "source", ["image_metadata", "tag_metadata"]),
    "families": ("metadata", "source", ["image_metadata"]),
    "pools": ("metadata", "source", ["image_metadata"]),
    "artist_commentaries": ("metadata", "source", ["image_metadata"]),
    "notes": ("metadata", "source", ["image_metadata"]),
    "same_works": ("metadata", None, ["pixiv_works"]),
    "picture_hashes": ("images", "source", ["families", "image_facts"]),
    "near_duplicates": ("curation", None, ["picture_hashes", "sketch_pairs"]),
    "sketch_pairs": ("curation", "source", ["raw_images", "source_snapshot"]),
    "source_annotations": ("metadata", "source", ["source_snapshot"]),
    "annotation_mismatches": ("metadata", "source", ["source_snapshot"]),
    "bookmark_tags": ("metadata", "source", []),
    "pair_candidates": ("curation", "source", ["source_snapshot"]),
    "snapshot_year": ("metadata", "source|year", ["source_snapshot"]),
    "image_metadata": ("metadata", "source|year", ["snapshot_year"]),
    "tag_metadata": ("metadata", "source|year", ["snapshot_year", "tag_decisions", "tag_relations"]),
    "tag_decisions": ("curation", "source|year", []),
    "takedowns": ("curation", "source|year", ["image_metadata", "tag_metadata"]),
    "tag_index": ("metadata", "source|year", ["image_metadata", "tag_metadata", "takedowns"]),
    "raw_images": ("images", "source|year", ["image_metadata", "takedowns"]),
    "image_facts": ("images", "source|year", ["raw_images"]),
    "optimized_images": ("images", "source|year", ["image_facts", "raw_images"]),
    "training_images": ("images", "source|year", ["raw_images"]),
    "captions": ("annotations", "source|year", ["snapshot_year", "source_annotations", "takedowns"]),
    "published_tags": ("annotations", "source|year", ["source_annotations", "takedowns"]),
    "published_embeddings": ("annotations", "source|year", ["snapshot_year", "takedowns"]),
    "clip_embeddings": ("annotations", "source|year", ["training_images"]),
    "vector_index": ("annotations", "source|year", ["clip_embeddings", "published_embeddings"]),
    "subset/girls": (
        "curation",
        "source|year",
        ["image_facts", "image_metadata", "raw_images", "tag_metadata", "training_images"],
    ),
    "subset/everything": (
        "curation",
        "source|year",
        ["image_facts", "image_metadata", "raw_images", "tag_metadata", "training_images"],
    ),
    "catalog": ("releases", None, None),
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return Mirror.make(tmp_path_factory.mktemp("graph"), posts_by_year=0).definitions


def test_the_graph_has_this_shape(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        dimensions = getattr(node.partitions_def, "partition_dimension_names", ["source"])
        partitions = "|".join(dimensions) if node.partitions_def else None
        parents = sorted("/".join(parent.path) for parent in node.parent_keys)
        name = "/".join(key.path)
        found[name] = (node.group_name, partitions, None if name == "catalog" else parents)

    assert found == SHAPE


def test_every_asset_says_what_one_row_is_who_owns_it_and_what_made_it(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert "one row per" in (node.description or ""), key
        assert node.owners, key
        assert node.code_version, key
        assert node.kinds, key


def test_every_asset_is_in_a_job(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    named = {
        key
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
        for key in job.asset_layer.executable_asset_keys
    }

    assert definitions.resolve_asset_graph().materializable_asset_keys == named


def test_every_table_shows_its_columns_with_their_meaning_before_it_is_built(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    # The columns of a snapshot are those of its kind of source.
    for key in graph.materializable_asset_keys - {dg.AssetKey("source_snapshot"), dg.AssetKey("vanished_records")}:
        columns = graph.get(key).metadata["dagster/column_schema"].columns  # type: ignore[attr-defined]
        assert columns, key
        assert all(column.description for column in columns), key


def test_partition_keys_are_source_then_year(definitions: dg.Definitions) -> None:
    partitions = definitions.resolve_asset_graph().get(dg.AssetKey("raw_images")).partitions_def

    assert partitions is not None
    assert "danbooru|2006" in partitions.get_partition_keys()
    assert len(partitions.get_partition_keys()) == 8


def test_definitions_load_without_the_sample_being_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataset_assets.definitions import build
    from dataset_assets.environment import config_from_environment

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATASET_ASSETS_CONFIG", raising=False)
    dg.Definitions.validate_loadable(build(config_from_environment()))

    assert not list(tmp_path.iterdir())
