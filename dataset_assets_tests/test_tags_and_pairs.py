"""Relations between tags, the vocabulary, and sketch pairs, through the graph."""

from pathlib import Path

import polars as pl
import pytest

from dataset_assets.rebuild import Rebuild
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

DANBOORU = Cell("danbooru")


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirror.make(tmp_path, posts_by_year=2)
    made.write_relations(("tag_0", "number"), ("number", "sign"))
    return made


def metadata_only(mirror: Mirror) -> dict[str, str]:
    """Rebuild tags and vocabulary; returns the run that wrote each partition of `tag_metadata`."""
    assets = ["source_snapshot", "image_metadata", "tag_metadata", "tag_vocabulary"]
    mirror.rebuild(assets=assets)
    return {str(cell): commit.run_id for cell, commit in mirror.commits("tag_metadata").items()}


def test_implied_tags_are_added_with_their_origin_and_counted_by_year(mirror: Mirror) -> None:
    metadata_only(mirror)
    tags = mirror.table("tag_metadata", Cell("danbooru", 2006)).filter(image_id="danbooru-6000-0")

    assert tags.sort("tag").select("tag", "origin").rows() == [
        ("1girl", "source"),
        ("number", "implication"),
        ("sign", "implication"),
        ("tag_0", "source"),
    ]
    sign = mirror.table("tag_vocabulary", DANBOORU).filter(tag="sign").to_dicts()[0]
    assert (sign["images"], sign["first_year"], sign["last_year"]) == (3, 2005, 2007)
    assert [year["images"] for year in sign["years"]] == [1, 1, 1]


@pytest.mark.slow
def test_a_changed_relation_rebuilds_the_tags_of_its_source_and_of_no_other(mirror: Mirror) -> None:
    before = metadata_only(mirror)
    assert metadata_only(mirror) == before, "nothing changed"
    mirror.write_relations(("tag_0", "number"))
    after = metadata_only(mirror)

    assert {cell for cell in before if before[cell] != after[cell]} == {
        f"danbooru|{year}" for year in (2005, 2006, 2007)
    }
    assert mirror.table("tag_metadata").filter(tag="sign").is_empty()


@pytest.mark.slow
def test_an_implied_tag_has_the_category_that_the_source_gives_it_in_another_year(mirror: Mirror) -> None:
    mirror.posts[7001]["tags"].append({"id": "9", "name": "number", "category": "3"})
    mirror.write_metadata()
    metadata_only(mirror)
    implied = mirror.table("tag_metadata", Cell("danbooru", 2005)).filter(tag="number")

    assert implied.get_column("category").to_list() == ["copyright"]


def test_relations_in_a_circle_are_refused_with_the_circle_shown(mirror: Mirror) -> None:
    mirror.write_relations(("tag_0", "number"), ("number", "tag_0"))
    work = Rebuild(mirror.definitions, mirror.config, mirror.instance, lambda line: None)
    errors = [
        error
        for outcome in work.run([("danbooru", 2005)], ["source_snapshot", "tag_metadata"])
        for error in outcome.errors
    ]

    assert any("tag_0 -> number -> tag_0" in error or "number -> tag_0 -> number" in error for error in errors)


def test_lines_of_a_dump_that_are_no_relations_are_rejected_and_stay_so(mirror: Mirror) -> None:
    with (mirror.folder / "implications.json").open("a", encoding="utf-8") as dump:
        dump.write("\nnot json\n")
    for _ in range(2):
        metadata_only(mirror)
        rejected = mirror.table("rejected_records", DANBOORU)
        assert rejected.select("file", "line", "reason").rows() == [("tag_relations/implications.json", 3, "not_json")]


PAIRS = """
root: ./data
sources:
  pixiv_popular:
    kind: pixiv_lists
    ids: ids.txt
    sketch_pairs: pairs.csv
    images: fetched
    collected: 2017
    license: {name: MIT, basis: of the lists; the images are the artists'}
clip: {model: "local-dir:tiny-clip-random", pretrained: null, random_weights: true}
"""


def test_id_lists_are_images_that_wait_for_their_files_and_pairs_know_which_end_is_missing(tmp_path: Path) -> None:
    from dataset_assets_tests.mirror import picture

    mirror = Mirror.make(tmp_path)
    (tmp_path / "dataset.yaml").write_text(PAIRS, "utf-8")
    (tmp_path / "ids.txt").write_text("300\n100", "utf-8")
    (tmp_path / "pairs.csv").write_text("100,50\n101,50\n", "utf-8")
    (tmp_path / "fetched").mkdir()
    for work in (100, 50):
        (tmp_path / "fetched" / f"{work}_p0.png").write_bytes(picture(work))
    mirror.rebuild()

    states = dict(mirror.table("raw_images").select("image_id", "state").rows())
    assert {name.split("-")[1]: state for name, state in states.items()} == {
        "50": "stored",
        "100": "stored",
        "101": "pending",
        "300": "pending",
    }
    pairs = mirror.table("sketch_pairs", Cell("pixiv_popular")).select("colored_id", "state", "missing").rows()
    assert pairs == [("pixiv_popular-100-0", "complete", None), ("pixiv_popular-101-0", "incomplete", "colored")]
    assert mirror.table("image_metadata").get_column("created_at").null_count() == 4, "no year is invented"


def test_pd12m_rows_are_listed_under_the_year_of_the_collection(real_data: Path, tmp_path: Path) -> None:
    mirror = Mirror.make(tmp_path)
    (tmp_path / "dataset.yaml").write_text(
        "sources: {pd12m: {kind: pd12m, collected: 2024, license: {name: CDLA, basis: card, redistribute: true}, "
        f"metadata: {real_data / 'pd12m' / 'pd12m_rows_joined.parquet'}}}}}\n"
        'clip: {model: "local-dir:tiny-clip-random", pretrained: null, random_weights: true}\n',
        "utf-8",
    )
    mirror.rebuild()

    assert mirror.table("image_metadata", Cell("pd12m", 2024)).height == 824
    assert mirror.table("raw_images").get_column("reason").unique().to_list() == ["file_missing"]
    assert mirror.table("tag_vocabulary", Cell("pd12m")).is_empty()
    assert isinstance(mirror.table("image_metadata").get_column("file_url").item(0), str)
    assert mirror.table("image_metadata").get_column("created_at").dtype == pl.Datetime("us", "UTC")
