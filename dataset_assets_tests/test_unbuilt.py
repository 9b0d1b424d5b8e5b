"""What an asset lacks is told at once, with one command that builds all of it."""

from pathlib import Path

import dagster as dg
import pytest

from dataset_assets.domain.schemas import IMAGE_METADATA, RAW_IMAGES, TAG_METADATA, Table
from dataset_assets.resources import table_name
from dataset_assets.storage.tables import Cell
from dataset_assets.unbuilt import Unbuilt
from dataset_assets_tests.mirror import Mirror

CELL = Cell("danbooru", 2006)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror.make(tmp_path, posts_by_year=1)


def build(mirror: Mirror, table: Table, *cells: Cell) -> None:
    """An empty table in its place: whether it is there is all that counts."""
    for cell in cells:
        mirror.tables.commit(mirror.tables.stage(table, cell, table.empty()), "a run")


def below(mirror: Mirror, asset: str, cell: Cell, *made: str) -> list[str]:
    unbuilt = Unbuilt(mirror.definitions.resolve_asset_graph(), mirror.config)
    return [table_name(key) for key in unbuilt.below(dg.AssetKey(asset.split("/")), cell, map(dg.AssetKey, made))]


def test_all_that_a_subset_is_made_from_is_named_upstream_first(mirror: Mirror) -> None:
    found = below(mirror, "subset/girls", CELL)
    lines = ["source_snapshot", "image_metadata", "raw_images", "image_facts"]
    assert [name for name in found if name in lines] == lines
    assert {"tag_metadata", "training_images", "tag_relations"} <= set(found)
    assert "snapshot_year" not in found, "it has no table"


def test_what_is_built_or_made_before_it_is_not_named_nor_what_is_behind_it(mirror: Mirror) -> None:
    build(mirror, IMAGE_METADATA, CELL)
    assert "source_snapshot" not in below(mirror, "raw_images", CELL)
    assert below(mirror, "image_facts", CELL, "raw_images") == []
    build(mirror, RAW_IMAGES, CELL)
    assert below(mirror, "image_facts", CELL) == []


def test_what_an_asset_can_be_made_without_is_no_reason_not_to_make_it(mirror: Mirror) -> None:
    build(mirror, IMAGE_METADATA, CELL)
    node = mirror.definitions.resolve_asset_graph().get(dg.AssetKey("raw_images"))
    assert dg.AssetKey("takedowns") in node.parent_keys
    assert below(mirror, "raw_images", CELL) == []


def test_a_table_over_years_is_made_from_the_years_that_are_there(mirror: Mirror) -> None:
    build(mirror, IMAGE_METADATA, CELL)
    assert below(mirror, "families", Cell("danbooru")) == []
    lacking = below(mirror, "picture_hashes", Cell("danbooru"))
    assert "image_metadata" in lacking, "of the other years, for what is made from it"
    build(mirror, IMAGE_METADATA, *(Cell("danbooru", year) for year in (2005, 2007)))
    assert "image_metadata" not in below(mirror, "picture_hashes", Cell("danbooru"))


def test_a_rebuild_names_all_that_lacks_in_one_error_and_makes_what_it_can(mirror: Mirror) -> None:
    build(mirror, IMAGE_METADATA, *(Cell(*cell) for cell in mirror.config.cells()))
    build(mirror, TAG_METADATA, CELL)
    outcomes = mirror.rebuild(assets=["families", "image_facts", "training_images"], strict=False)
    said = {outcome.cell: outcome.errors for outcome in outcomes}
    [error] = said[CELL]
    assert error == (
        "image_facts, training_images of danbooru|2006 cannot be made before takedowns, raw_images, which are not "
        "built yet; build all of it: dataset-assets rebuild --source danbooru --years 2006 "
        "--assets takedowns,raw_images,image_facts,training_images"
    )
    assert said[Cell("danbooru")] == []
    assert mirror.tables.commit_of("families", Cell("danbooru")) is not None
