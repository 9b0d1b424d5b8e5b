"""The whole graph on a small mirror: what is rebuilt when, and what is not."""

import time
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest

from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import MAIN_LINE, Mirror, picture

IMAGE_TABLES = ("raw_images", "image_facts", "training_images", "clip_embeddings")
METADATA_TABLES = ("image_metadata", "tag_metadata")
CHANGED = Cell("danbooru", 2006)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = Mirror.make(tmp_path_factory.mktemp("built"))
    mirror.rebuild()
    return mirror


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """One for all tests that change something: each looks at what its own change does."""
    made = Mirror.make(tmp_path_factory.mktemp("changed"))
    made.assets = MAIN_LINE
    made.rebuild()
    return made


def made_by(mirror: Mirror, *names: str) -> dict[tuple[str, Cell], str]:
    return {(name, cell): commit.run_id for name in names for cell, commit in mirror.commits(name).items()}


def test_every_listed_image_is_in_one_state_and_every_stored_one_is_embedded(built: Mirror) -> None:
    raw = built.table("raw_images")

    assert raw.height == 12
    assert raw.get_column("state").unique().to_list() == ["stored"]
    assert raw.get_column("md5_matches").drop_nulls().to_list() == [True] * 9
    assert built.table("clip_embeddings").get_column("error").null_count() == 12
    assert built.table("clip_embeddings").get_column("weights").unique().to_list() == ["random"]


def test_a_multi_page_work_is_as_many_images(built: Mirror) -> None:
    niji = built.table("image_metadata", Cell("pixiv_niji", 2022))

    assert niji.get_column("image_id").to_list() == ["pixiv_niji-77-0", "pixiv_niji-77-1", "pixiv_niji-78-0"]
    assert niji.get_column("rating").unique().to_list() == ["general"]


def test_subsets_say_which_rule_dropped_an_image(built: Mirror) -> None:
    girls = built.table("subset/girls")

    assert girls.filter(pl.col("drop_reason").is_null()).height == 12
    assert built.table("subset/everything").get_column("drop_reason").null_count() == 12


def test_nothing_changed_computes_nothing_and_leaves_every_table_as_it_was(mirror: Mirror) -> None:
    before = made_by(mirror, *METADATA_TABLES, *IMAGE_TABLES, "subset/girls", "source_snapshot")
    outcomes = mirror.rebuild()

    assert sum(outcome.computed for outcome in outcomes) == 0
    assert made_by(mirror, *METADATA_TABLES, *IMAGE_TABLES, "subset/girls", "source_snapshot") == before
    # Only what is fed from outside was looked at.
    assert {name for outcome in outcomes for name in outcome.assets} == {
        "source_snapshot",
        "rejected_records",
        "tag_relations",
        "vanished_records",
        "source_annotations",
        "annotation_mismatches",
        "raw_images",
        "tag_decisions",
        "catalog",
    }


def test_one_posts_tags_change_only_that_years_tags_and_subsets(mirror: Mirror) -> None:
    before = made_by(mirror, *METADATA_TABLES, *IMAGE_TABLES, "subset/girls")
    mirror.set_tags(6000, ["1girl", "solo_focus"])
    outcomes = mirror.rebuild()

    after = made_by(mirror, *METADATA_TABLES, *IMAGE_TABLES, "subset/girls")
    assert {what for what in before if before[what] != after[what]} == {
        ("tag_metadata", CHANGED),
        ("subset/girls", CHANGED),
    }
    assert sum(outcome.computed for outcome in outcomes) == 0
    dropped = mirror.table("subset/girls").filter(pl.col("drop_reason").is_not_null())
    assert dropped.select("image_id", "drop_reason").rows() == [("danbooru-6000-0", "tags")]


def test_one_replaced_file_computes_one_row_in_each_image_table(mirror: Mirror) -> None:
    before = {name: mirror.table(name) for name in IMAGE_TABLES}
    time.sleep(0.01)
    mirror.image_file(6001).write_bytes(picture(999, (60, 50)))
    outcomes = mirror.rebuild()

    assert sum(outcome.computed for outcome in outcomes) == len(IMAGE_TABLES)
    for name in IMAGE_TABLES:
        changed = mirror.table(name).join(before[name], on=["image_id", "input_key"], how="anti")
        assert changed.get_column("image_id").to_list() == ["danbooru-6001-0"], name
    row = mirror.table("raw_images").filter(image_id="danbooru-6001-0")
    assert row.get_column("md5_matches").to_list() == [False]
    assert row.get_column("state").to_list() == ["stored"], "a claimed MD5 that differs is a fact, not a loss"


@pytest.mark.slow
def test_a_file_that_appears_later_is_found_by_the_next_rebuild(mirror: Mirror) -> None:
    file = mirror.image_file(5000)
    data = file.read_bytes()
    file.unlink()
    mirror.rebuild()
    assert mirror.table("raw_images").filter(image_id="danbooru-5000-0").select("state", "reason").rows() == [
        ("pending", "file_missing")
    ]
    file.write_bytes(data)
    mirror.rebuild()

    assert mirror.table("raw_images").filter(image_id="danbooru-5000-0").get_column("state").to_list() == ["stored"]


def test_a_bad_image_is_a_row_and_stops_nothing(mirror: Mirror) -> None:
    mirror.add_post(7100, 2007, ["1girl"], data=picture(1, (400, 300), "JPEG")[:900], ext="jpg")
    mirror.add_post(7101, 2007, ["1girl"], data=b"", ext="png")
    mirror.add_post(7102, 2007, ["1girl"], data=b"<html>no</html>", ext="png")
    mirror.add_post(7103, 2007, ["1girl"], data=picture(2, form="JPEG"), ext="png")
    mirror.write_metadata()
    mirror.rebuild()

    raw = {row["image_id"]: row for row in mirror.table("raw_images").to_dicts()}
    assert raw["danbooru-7100-0"]["state"] == "stored"
    assert (raw["danbooru-7101-0"]["state"], raw["danbooru-7101-0"]["reason"]) == ("quarantined", "empty_file")
    assert (raw["danbooru-7102-0"]["state"], raw["danbooru-7102-0"]["reason"]) == ("quarantined", "not_an_image")
    assert raw["danbooru-7103-0"]["extension_matches"] is False
    assert raw["danbooru-7103-0"]["path"].endswith(".jpg")
    facts = {row["image_id"]: row for row in mirror.table("image_facts").to_dicts()}
    assert facts["danbooru-7100-0"]["error"] == "truncated"
    reasons = dict(
        mirror.table("subset/girls")
        .filter(pl.col("drop_reason").is_not_null())
        .select("image_id", "drop_reason")
        .rows()
    )
    assert reasons["danbooru-7100-0"] == "undecodable"
    assert reasons["danbooru-7101-0"] == "not_stored"


@pytest.mark.slow
def test_a_changed_subset_rebuilds_that_subset_alone(mirror: Mirror) -> None:
    before = made_by(mirror, *METADATA_TABLES, *IMAGE_TABLES, "subset/girls", "subset/everything")
    file = mirror.folder / "dataset.yaml"
    file.write_text(file.read_text("utf-8").replace("1girl -solo_focus", "tag_1"), "utf-8")
    mirror.rebuild()

    after = made_by(mirror, *METADATA_TABLES, *IMAGE_TABLES, "subset/girls", "subset/everything")
    assert {name for name, cell in before if before[name, cell] != after[name, cell]} == {"subset/girls"}


@pytest.mark.slow
@pytest.mark.parametrize("store", ["link", "reference"])
def test_a_mirror_can_stay_where_it_is(tmp_path: Path, store: str) -> None:
    mirror = Mirror.make(tmp_path, store=store, posts_by_year=1)
    mirror.rebuild()
    raw = mirror.table("raw_images", Cell("danbooru", 2005))
    kept = mirror.folder / "data" / raw.item(0, "path")

    assert raw.item(0, "state") == "stored"
    assert kept.samefile(mirror.image_file(5000))
    assert mirror.table("training_images", Cell("danbooru", 2005)).item(0, "error") is None


def test_the_catalog_has_a_view_for_each_table(built: Mirror) -> None:
    with duckdb.connect(built.folder / "data" / "catalog.duckdb", read_only=True) as connection:
        by_year = connection.sql("select source, year, count(*) from raw_images group by all order by all").fetchall()
        funnel = connection.sql("select subset, sum(images) from funnel group by all order by all").fetchall()

        found_at = connection.sql("select distinct source from source_snapshot order by all").fetchall()

    assert found_at == [("",), (None,)], "the posts' own source, not the partition's"
    assert by_year == [("danbooru", 2005, 3), ("danbooru", 2006, 3), ("danbooru", 2007, 3), ("pixiv_niji", 2022, 3)]
    assert funnel == [("everything", 12), ("girls", 12)]


def test_a_cell_that_no_source_declares_is_built_green_and_empty_and_says_so(built: Mirror) -> None:
    job = built.definitions.resolve_job_def("rebuild")
    result = job.execute_in_process(instance=built.instance, partition_key="pixiv_niji|2005")

    assert result.success
    for name in (*METADATA_TABLES, *IMAGE_TABLES, "subset/girls"):
        assert built.table(name, Cell("pixiv_niji", 2005)).is_empty(), name
    metadata = result.asset_materializations_for_node("raw_images")[0].metadata
    assert metadata["note"].value == "pixiv_niji declares no year 2005"


def test_every_materialization_tells_its_rows_schema_lineage_and_counts(built: Mirror) -> None:
    wanted = dg.AssetRecordsFilter(dg.AssetKey("training_images"), asset_partitions=["danbooru|2005"])
    [record] = built.instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata

    assert {"dagster/partition_row_count", "dagster/column_schema", "dagster/column_lineage"} <= metadata.keys()
    assert {"rows_computed", "rows_reused", "rows_dropped", "rows_per_second", "rows_made", "bytes"} <= metadata.keys()


def test_the_contact_sheet_in_an_event_stays_below_a_hundred_kilobytes(built: Mirror) -> None:
    records = built.instance.fetch_materializations(dg.AssetKey("training_images"), limit=50).records
    sheets = [
        str(record.asset_materialization.metadata["contact_sheet"].value)
        for record in records
        if record.asset_materialization and "contact_sheet" in record.asset_materialization.metadata
    ]

    assert sheets
    assert all("data:image/jpeg;base64," in sheet and len(sheet) < 100_000 for sheet in sheets)


@pytest.mark.slow
def test_what_was_built_in_another_root_is_missing_in_this_one(tmp_path: Path) -> None:
    """Dagster's memory of runs is shared by the datasets of a folder; each root has tables of its own."""
    mirror = Mirror.make(tmp_path)
    asked = ["source_snapshot", "rejected_records", "vanished_records", "tag_relations", "image_metadata"]
    mirror.rebuild(assets=asked)

    elsewhere = mirror.with_root("elsewhere")
    elsewhere.rebuild(mirror.instance, assets=asked)

    assert elsewhere.tables.cells("image_metadata") == mirror.tables.cells("image_metadata") != []
