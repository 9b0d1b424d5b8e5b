"""What a Danbooru mirror publishes beside its posts, through the graph."""

import json
from pathlib import Path

import dagster as dg
import pytest

from dataset_assets.checks import has_every_child_below_its_parent, has_one_post_at_each_place
from dataset_assets.config import ConfigError
from dataset_assets.domain.families import FAMILIES
from dataset_assets.overview import rejected_by_reason
from dataset_assets.sources.danbooru_side_tables import POOLS
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

DANBOORU = Cell("danbooru")
BESIDE = ["source_snapshot", "image_metadata", "families", "pools", "notes", "artist_commentaries"]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """One post a year, 6000 a child of 5000, in pool 3 with a post that is not there; one note."""
    made = Mirror.make(tmp_path, posts_by_year=1)
    made.posts[6000] |= {"parent_id": "5000", "pools": ["9"]}
    made.write_metadata()
    pool = {"id": 3, "name": "a_pool", "category": "series", "post_ids": [6000, 4, 5000]}
    (tmp_path / "pools.json").write_text(json.dumps(pool), "utf-8")
    note = {"id": "1", "post_id": "6000", "x": "1", "y": "2", "width": "3", "height": "4", "body": "hello"}
    (tmp_path / "notes.json").write_text(json.dumps(note), "utf-8")
    settings = made.config_file.read_text("utf-8")
    images = "    images: original\n"
    made.config_file.write_text(
        settings.replace(images, f"{images}    pools: pools.json\n    notes: notes.json\n"), "utf-8"
    )
    return made


def test_families_pools_and_notes_name_the_images_that_they_are_about(mirror: Mirror) -> None:
    mirror.rebuild(assets=BESIDE)

    families = mirror.table("families", DANBOORU).select("image_id", "root_id", "depth", "family_size").rows()
    assert families == [("danbooru-5000-0", "5000", 0, 2), ("danbooru-6000-0", "5000", 1, 2)]
    pools = mirror.table("pools", DANBOORU).select("pool_id", "position", "post_id", "image_id").rows()
    assert pools == [
        ("3", 1, "6000", "danbooru-6000-0"),
        ("3", 2, "4", None),
        ("3", 3, "5000", "danbooru-5000-0"),
        ("9", None, "6000", "danbooru-6000-0"),
    ]
    assert mirror.table("notes", DANBOORU).select("image_id", "body").rows() == [("danbooru-6000-0", "hello")]
    for name in BESIDE[2:]:
        assert mirror.table(name, Cell("pixiv_niji")).is_empty()


@pytest.mark.slow
def test_a_dump_is_read_again_when_it_changed_and_only_then(mirror: Mirror) -> None:
    def notes_written() -> str:
        mirror.rebuild(assets=BESIDE)
        return mirror.commits("notes")[DANBOORU].run_id

    first = notes_written()
    assert notes_written() == first
    with (mirror.folder / "notes.json").open("a", encoding="utf-8") as dump:
        dump.write("\nnot json")
    assert notes_written() != first
    assert mirror.table("notes", DANBOORU).get_column("error").to_list() == [None, "not_json"]


@pytest.mark.slow
def test_a_pool_learns_of_an_image_that_is_listed_later(mirror: Mirror) -> None:
    mirror.rebuild(assets=BESIDE)
    mirror.add_post(4, 2005, ["1girl"])
    mirror.write_metadata()
    mirror.rebuild(assets=BESIDE)

    assert mirror.table("pools", DANBOORU).filter(post_id="4").get_column("image_id").to_list() == ["danbooru-4-0"]


def test_a_withheld_post_is_a_record_without_id_and_its_file_one_without_record(mirror: Mirror) -> None:
    md5 = mirror.posts[7000]["md5"]
    del mirror.posts[7000]["id"]
    mirror.write_metadata()
    mirror.rebuild(assets=["source_snapshot"])
    rejected = {row["reason"]: row for row in mirror.table("rejected_records", DANBOORU).to_dicts()}

    assert f"md5 '{md5}', created_at '2007-03-01 10:00:00.5 UTC'" in rejected["no_id"]["detail"]
    assert rejected["orphan_file"]["file"] == "0000/7000.png"
    assert rejected_by_reason(mirror.config, ["danbooru", "pixiv_niji"]) == [
        {"source": "danbooru", "reason": "no_id", "rows": 1},
        {"source": "danbooru", "reason": "orphan_file", "rows": 1},
    ]


def test_a_dump_that_is_not_there_is_named_by_its_key(mirror: Mirror) -> None:
    (mirror.folder / "pools.json").unlink()

    with pytest.raises(ConfigError, match=r"sources\.danbooru\.pools: no file matches"):
        mirror.config.require_inputs()


@pytest.mark.parametrize(("root", "depth", "passes"), [("1", 1, True), ("2", 1, False), ("1", 2, False)])
def test_a_child_that_is_not_below_its_parent_fails_the_check(root: str, depth: int, passes: bool) -> None:
    parent = {"image_id": "x-1-0", "post_id": "1", "root_id": "1", "depth": 0}
    child = {"image_id": "x-2-0", "post_id": "2", "parent_id": "1", "root_id": root, "depth": depth}

    assert has_every_child_below_its_parent(lambda name: FAMILIES.frame([parent, child]).lazy())[0] is passes


@pytest.mark.parametrize(("place", "passes"), [(2, True), (1, False)])
def test_two_posts_at_one_place_of_a_pool_fail_the_check(place: int, passes: bool) -> None:
    rows: list[dict[str, object]] = [
        {"pool_id": "3", "position": 1, "post_id": "10"},
        {"pool_id": "3", "position": place, "post_id": "11"},
    ]

    assert has_one_post_at_each_place(lambda name: POOLS.frame(rows).lazy())[0] is passes


def test_unreadable_lines_of_a_dump_are_warned_of_and_stop_nothing(mirror: Mirror) -> None:
    (mirror.folder / "notes.json").write_text("not json", "utf-8")
    mirror.rebuild(assets=["source_snapshot", "image_metadata"])
    job = mirror.definitions.resolve_job_def("rebuild_sources")
    result = job.execute_in_process(
        instance=mirror.instance, partition_key="danbooru", asset_selection=[dg.AssetKey("notes")]
    )
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}

    assert found["matches_schema"].passed
    assert not found["has_no_line_that_could_not_be_read"].passed
    assert found["has_no_line_that_could_not_be_read"].metadata["not_json"].value == 1
