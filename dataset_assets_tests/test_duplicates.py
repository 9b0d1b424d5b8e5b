"""Near-duplicates through the graph: found over all sources, told in subsets, stable when images arrive and go."""

from pathlib import Path

import pytest

from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror, picture

SUBSETS = """
subsets:
  girls: {tags: "1girl -solo_focus"}
  everything: {}
  unique: {duplicates: drop}
  unique_families: {duplicates: drop, families: keep}
"""
WANTED = [
    *("source_snapshot", "image_metadata", "tag_metadata", "tag_relations", "raw_images", "image_facts"),
    *("training_images", "families", "sketch_pairs", "picture_hashes", "near_duplicates", "catalog"),
    *("subset/unique", "subset/unique_families"),
]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """Post 6000 is 5000 again, smaller by half and later; 7000 has the very pixels of 5001, and is its child."""
    made = Mirror.make(tmp_path, posts_by_year=2)
    settings = made.config_file.read_text("utf-8")
    made.config_file.write_text(settings[: settings.index("subsets:")] + SUBSETS.lstrip(), "utf-8")
    large, small = picture(5000, (96, 80)), picture(5000, (48, 40))
    made.image_file(5000).write_bytes(large)
    made.image_file(6000).write_bytes(small)
    made.image_file(7000).write_bytes(made.image_file(5001).read_bytes())
    made.posts[7000] |= {"parent_id": "5001"}
    made.posts[6000] |= {"parent_id": "5000"}
    made.write_metadata()
    return made


def leaders(mirror: Mirror) -> dict[str, str | None]:
    return dict(mirror.table("near_duplicates", Cell()).select("image_id", "duplicate_of").iter_rows())


def test_duplicates_are_found_over_years_and_left_out_of_the_subsets_that_ask(mirror: Mirror) -> None:
    mirror.rebuild(assets=WANTED)
    rows = {row["image_id"]: row for row in mirror.table("near_duplicates", Cell()).to_dicts()}

    small, equal = rows["danbooru-6000-0"], rows["danbooru-7000-0"]
    assert (small["duplicate_of"], small["kind"], small["is_family"]) == ("danbooru-5000-0", "perceptual", True)
    assert (equal["duplicate_of"], equal["kind"], equal["distance"]) == ("danbooru-5001-0", "exact", 0)
    assert rows["danbooru-5000-0"]["group_size"] == 2
    dropped = {
        name: sorted(mirror.table(f"subset/{name}").filter(drop_reason="duplicates").get_column("image_id"))
        for name in ("unique", "unique_families")
    }
    assert dropped == {"unique": ["danbooru-6000-0", "danbooru-7000-0"], "unique_families": ["danbooru-7000-0"]}


@pytest.mark.slow
def test_a_leader_stays_when_a_larger_copy_arrives_and_its_group_is_led_anew_when_it_goes(mirror: Mirror) -> None:
    mirror.rebuild(assets=WANTED)
    mirror.image_file(7001).write_bytes(picture(5000, (192, 160)))
    mirror.rebuild(assets=WANTED)
    assert leaders(mirror)["danbooru-7001-0"] == "danbooru-5000-0"

    mirror.image_file(5000).write_bytes(picture(1, (96, 80)))
    mirror.rebuild(assets=WANTED)
    found = leaders(mirror)
    assert found["danbooru-5000-0"] is None
    assert (found["danbooru-7001-0"], found["danbooru-6000-0"]) == (None, "danbooru-7001-0")


@pytest.mark.slow
def test_a_rebuild_without_changes_touches_no_duplicates(mirror: Mirror) -> None:
    mirror.rebuild(assets=WANTED)
    before = mirror.commits("near_duplicates")[Cell()].run_id
    mirror.rebuild(assets=WANTED)

    assert mirror.commits("near_duplicates")[Cell()].run_id == before
