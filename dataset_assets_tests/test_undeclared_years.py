"""A year that is taken out of dataset.yaml: its tables stay in the root, and nothing is made of them any more."""

from pathlib import Path

import duckdb
import pytest

from dataset_assets import takedown
from dataset_assets.catalog import create_views
from dataset_assets.domain.schemas import TAG_INDEX
from dataset_assets.overview import damage
from dataset_assets.search import count
from dataset_assets.staleness import Staleness, keys_of
from dataset_assets.storage.declared import declared_cells
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.tables import Cell
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_removal import DONE, remove_what_is_out
from dataset_assets_tests.mirror import Mirror, picture

WANTED = (
    *("source_snapshot", "image_metadata", "raw_images", "image_facts"),
    *("families", "sketch_pairs", "picture_hashes", "near_duplicates"),
)
YEAR, GONE = Cell("danbooru", 2005), "danbooru-5000-0"
BEFORE, AFTER = "years: 2005..2007", "years: 2006..2007"


def names_of_stale(mirror: Mirror, job: str, cell: Cell) -> dict[str, str]:
    """What of a job's assets is stale, with its cause."""
    definitions = mirror.definitions
    verdicts = Staleness(definitions, mirror.instance, mirror.config).of(keys_of(definitions, job), cell)
    return {v.asset.to_user_string(): "; ".join(v.causes) for v in verdicts if not v.is_missing}


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mirror, dict[str, dict[str, str]]]:
    """Danbooru's 2005, which leads a picture of 2006, is declared no more; the other source still has a 2005.

    With it, what was stale between the change and the rebuild.
    """
    mirror = Mirror.make(tmp_path_factory.mktemp("undeclared"), posts_by_year=1)
    settings = mirror.config_file.read_text("utf-8").replace("years: [2022]", "years: [2005, 2022]")
    settings = settings[: settings.index("subsets:")] + "subsets: {everything: {}}\n"
    mirror.config_file.write_text(settings, "utf-8")
    mirror.image_file(5000).write_bytes(picture(5000, (96, 80)))
    mirror.image_file(6000).write_bytes(picture(5000, (48, 40)))
    mirror.add_post(5001, 2005, ["1girl"])
    mirror.write_metadata()
    mirror.rebuild(assets=WANTED)
    assert mirror.table("near_duplicates", Cell()).filter(image_id="danbooru-6000-0").item(0, "duplicate_of")

    mirror.config_file.write_text(settings.replace(BEFORE, AFTER), "utf-8")
    jobs = {"danbooru": Cell("danbooru"), "pixiv_niji": Cell("pixiv_niji")}
    stale = {name: names_of_stale(mirror, "rebuild_sources", cell) for name, cell in jobs.items()}
    mirror.rebuild(assets=WANTED)
    return mirror, stale


def test_tables_over_the_years_of_the_source_are_stale_and_say_why(
    shrunk: tuple[Mirror, dict[str, dict[str, str]]],
) -> None:
    _, stale = shrunk
    why = "is gathered from 2005 2006 2007; declared now: 2006 2007"
    assert stale["danbooru"] == dict.fromkeys(("families", "picture_hashes", "sketch_pairs"), why)
    assert stale["pixiv_niji"] == {}, "another source lost no year"


def test_an_image_of_the_year_leads_nobody_any_more(
    shrunk: tuple[Mirror, dict[str, dict[str, str]]],
) -> None:
    mirror, _ = shrunk
    duplicates = mirror.table("near_duplicates", Cell())
    assert "danbooru-5000-0" not in duplicates["image_id"]
    assert duplicates.filter(image_id="danbooru-6000-0").item(0, "duplicate_of") is None


def test_nothing_is_stale_once_it_is_rebuilt(shrunk: tuple[Mirror, dict[str, dict[str, str]]]) -> None:
    mirror, _ = shrunk
    asked = {("rebuild_sources", "danbooru"), ("rebuild_sources", "pixiv_niji"), ("rebuild_across_sources", None)}
    assert {job: names_of_stale(mirror, job, Cell(source)) for job, source in asked} == {job: {} for job, _ in asked}


def test_search_and_sql_find_declared_years_alone(
    shrunk: tuple[Mirror, dict[str, dict[str, str]]],
) -> None:
    mirror, _ = shrunk
    assert Cell("danbooru", 2005) in mirror.tables.cells("image_metadata")
    assert Cell("danbooru", 2005) not in declared_cells(mirror.config, "image_metadata")
    assert count(mirror.config, "status:any") == 5
    with duckdb.connect() as connection:
        create_views(connection, mirror.config)
        found = connection.sql("select distinct source, year from image_metadata order by all").fetchall()
    assert found == [("danbooru", 2006), ("danbooru", 2007), ("pixiv_niji", 2022)]


def test_damage_of_a_table_that_no_rebuild_makes_again_is_not_told(
    shrunk: tuple[Mirror, dict[str, dict[str, str]]],
) -> None:
    mirror, _ = shrunk
    file = mirror.tables.file("raw_images", Cell("danbooru", 2005))
    kept = file.rename(file.with_suffix(".kept"))
    assert damage(mirror.config) == []
    kept.rename(file)


@pytest.fixture(scope="module")
def taken(shrunk: tuple[Mirror, dict[str, dict[str, str]]]) -> tuple[Mirror, str, Path]:
    """The same after an image of the year was taken down, the index file that knew it, and a sheet that showed it."""
    mirror, _ = shrunk
    index = IndexFiles(mirror.root).write("tag_index/danbooru/2005", [b"which image has which tag"])
    listed = {"path": index.path, "sha256": index.sha256, "size": index.bytes}
    mirror.tables.commit(mirror.tables.stage(TAG_INDEX, YEAR, TAG_INDEX.frame([listed])), "a run")
    sheet = mirror.root / "sheets" / "image_facts" / "danbooru_2005.jpg"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet.write_bytes(b"small pictures of the year")
    one = takedown.resolved(mirror.config, takedown.Asked("image", GONE, "the artist asks", "ada"))
    takedown.add(mirror.config, one)
    remove_what_is_out(mirror.config, {Cell("danbooru", 2006)}, print)
    return mirror, index.path, sheet


def test_a_takedown_there_is_finished_by_any_rebuild(taken: tuple[Mirror, str, Path]) -> None:
    mirror, index, sheet = taken
    (one,) = TakedownFiles(mirror.root).active()
    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    assert proof["state"] == DONE, proof["still_held"]
    assert index in {row["file"] for row in proof["removed"]}
    assert not list((mirror.root / "images").rglob("*5000*"))
    assert not sheet.exists()
    for name in ("raw_images", "image_facts"):
        assert mirror.table(name, YEAR)["image_id"].to_list() == ["danbooru-5001-0"], name
        assert mirror.tables.is_intact(name, YEAR, by_content=True)


@pytest.mark.slow
def test_it_holds_when_the_year_is_back_and_the_other_rows_are_carried_over(taken: tuple[Mirror, str, Path]) -> None:
    mirror, _, _ = taken
    mirror.config_file.write_text(mirror.config_file.read_text("utf-8").replace(AFTER, BEFORE), "utf-8")
    outcomes = mirror.rebuild(assets=("takedowns", "raw_images", "image_facts"))
    states = mirror.table("raw_images", YEAR).select("image_id", "state").rows()
    assert states == [(GONE, "excluded"), ("danbooru-5001-0", "stored")]
    assert next(outcome.computed for outcome in outcomes if outcome.cell == YEAR) == 1
