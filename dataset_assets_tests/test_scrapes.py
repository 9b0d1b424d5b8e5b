"""A source that gallery-dl fetches, through the graph: scraped, read, taken in."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from dataset_assets import takedown
from dataset_assets.config import ConfigError, load_config
from dataset_assets_tests.loopback_pixiv import TOKEN, Pixiv, loopback_pixiv, program_for
from dataset_assets_tests.mirror import Mirror

pytest.importorskip("gallery_dl", reason="gallery-dl is not installed")

SETTINGS = """
root: ./data
sources:
  pixiv:
    kind: gallery_dl
    scrape:
      searches: 夜
      works: ids.txt
      pause_s: [0, 0]
      retries: 0
    years: [2022]
    license: {name: none, basis: rights stay with the artists}
workers: 1
"""
ONLY = ["scrape", "source_snapshot", "rejected_records", "vanished_records", "tag_relations"]
ALL = [*ONLY, "image_metadata", "raw_images"]


@pytest.fixture
def pixiv() -> Iterator[Pixiv]:
    with loopback_pixiv(works={77: 2, 1078: 1}) as server:
        yield server


@pytest.fixture
def scraping(pixiv: Pixiv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    (tmp_path / "dataset.yaml").write_text(SETTINGS, "utf-8")
    (tmp_path / "ids.txt").write_text("77\n# a remark\n5\n", "utf-8")
    monkeypatch.setenv("DATASET_ASSETS_GALLERY_DL", program_for(pixiv, tmp_path))
    monkeypatch.setenv("PIXIV_REFRESH_TOKEN", TOKEN)
    return Mirror(tmp_path)


def states(mirror: Mirror) -> dict[str, str]:
    return dict(mirror.table("scrape").select("asked_as", "state").iter_rows())


def test_a_rebuild_scrapes_first_and_the_images_reach_raw_images(scraping: Mirror, pixiv: Pixiv) -> None:
    scraping.rebuild(assets=ALL)

    assert states(scraping) == {"夜": "done", "77": "done", "5": "failed"}
    raw = scraping.table("raw_images").sort("image_id")
    assert raw["image_id"].to_list() == ["pixiv-1078-0", "pixiv-77-0", "pixiv-77-1"]
    assert set(raw["state"]) == {"stored"}
    assert scraping.table("image_metadata")["title"].to_list() == ["夜"] * 3
    assert scraping.table("rejected_records").is_empty()
    assert str(scraping.root / "fetched" / "pixiv") in raw["location"][0]


@pytest.mark.slow
def test_a_rebuild_asks_again_only_when_it_is_told_to_and_then_for_what_may_have_grown(
    scraping: Mirror, pixiv: Pixiv
) -> None:
    scraping.rebuild(assets=ALL)
    pixiv.asked.clear()
    scraping.rebuild(assets=ALL)
    assert pixiv.asked == []

    pixiv.works[79] = 1
    scraping.rebuild(assets=ALL, everything=True)

    assert [path for path in pixiv.asked if path.startswith("/img/")] == ["/img/79_p0.png"]
    assert not [path for path in pixiv.asked if "illust_id=77" in path]
    assert scraping.table("raw_images").height == 4


@pytest.mark.slow
def test_another_search_in_the_settings_makes_the_scrape_stale(scraping: Mirror, pixiv: Pixiv) -> None:
    scraping.rebuild(assets=ALL)
    pixiv.asked.clear()
    scraping.config_file.write_text(SETTINGS.replace("searches: 夜", "searches: [夜, 朝]"), "utf-8")
    scraping.rebuild(assets=ALL)

    assert states(scraping)["朝"] == "done"
    assert len([path for path in pixiv.asked if path.startswith("/v1/search/")]) == 2


def test_a_refused_login_fails_the_scrape_and_nothing_is_read(scraping: Mirror, pixiv: Pixiv) -> None:
    pixiv.token = "another"
    outcomes = scraping.rebuild(assets=["scrape"], strict=False)

    [said] = [error for outcome in outcomes for error in outcome.errors]
    assert "set PIXIV_REFRESH_TOKEN" in said
    assert TOKEN not in said


def test_after_a_refused_login_the_next_run_asks_for_everything(scraping: Mirror, pixiv: Pixiv) -> None:
    pixiv.token = "another"
    scraping.rebuild(assets=["scrape"], strict=False)
    pixiv.token = TOKEN
    scraping.rebuild(assets=["scrape"])

    assert states(scraping) == {"夜": "done", "77": "done", "5": "failed"}


def test_an_id_list_that_is_none_is_told_by_file_and_line(scraping: Mirror) -> None:
    (scraping.folder / "ids.txt").write_text("77\nhttp://x\n", "utf-8")
    [said] = [error for outcome in scraping.rebuild(assets=["scrape"], strict=False) for error in outcome.errors]

    assert "ids.txt:2" in said
    assert "is no id" in said


def test_the_graph_scrapes_before_it_reads_where_a_source_asks_for_it(scraping: Mirror) -> None:
    graph = scraping.definitions.resolve_asset_graph()

    assert graph.get(dg.AssetKey("source_snapshot")).parent_keys == {dg.AssetKey("scrape")}


def test_a_list_of_ids_gets_its_images_from_the_folder_of_a_scrape(scraping: Mirror) -> None:
    more = """
  popular:
    kind: pixiv_lists
    ids: ids_without_remarks.txt
    images: data/fetched/pixiv
    collected: 2017
    license: {name: none, basis: the lists alone are published}
"""
    (scraping.folder / "ids_without_remarks.txt").write_text("77\n5\n", "utf-8")
    scraping.config_file.write_text(SETTINGS.replace("workers: 1", more.strip("\n") + "\nworkers: 1"), "utf-8")
    (scraping.root / "fetched" / "pixiv").mkdir(parents=True)
    scraping.rebuild(assets=ALL)

    rows = scraping.table("raw_images").filter(source="popular").sort("image_id")
    assert rows.select("image_id", "state").rows() == [("popular-5-0", "pending"), ("popular-77-0", "stored")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("    scrape:\n", "    images: here\n    scrape:\n"), "either images, which are there, or a scrape"),
        (("searches: 夜", "urls: file:///etc/passwd"), "is no address"),
        (("searches: 夜", "urls: https://me:secret@example.org/"), "is no address"),
        (("pause_s: [0, 0]", "pause_s: [2, 1]"), "is no span of seconds"),
        (("      searches: 夜\n      works: ids.txt\n", ""), "asks for nothing"),
        (("root: ./data", "root: s3://bucket/root"), "with a root in a bucket scrape elsewhere"),
        (("retries: 0", "retries: 0\n      refresh_token: abc"), "unknown key"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(scraping: Mirror, change: tuple[str, str], said: str) -> None:
    scraping.config_file.write_text(SETTINGS.replace(*change), "utf-8")

    with pytest.raises(ConfigError, match=said):
        load_config(scraping.config_file)


def test_the_command_line_shows_the_scrape_and_no_secret_reaches_dagsters_memory(scraping: Mirror) -> None:
    environment = {
        **os.environ,
        "DATASET_ASSETS_CONFIG": str(scraping.config_file),
        "DAGSTER_HOME": str(scraping.folder / "home"),
    }
    command = [sys.executable, "-m", "dataset_assets.cli", "rebuild", "--assets", "scrape"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    assert ended.returncode == 0, ended.stderr
    written = [file for file in scraping.folder.rglob("*") if file.is_file()]
    assert not [file for file in written if TOKEN.encode() in file.read_bytes()]
    assert TOKEN not in ended.stdout + ended.stderr
    assert pl.read_parquet(scraping.root / "tables" / "scrape" / "**" / "*.parquet").height == 3


def test_a_scraped_file_that_was_taken_down_leaves_the_scrape_too_each_time_it_comes(scraping: Mirror) -> None:
    scraping.rebuild(assets=[*ALL, "takedowns"])
    rows = scraping.table("raw_images").filter(image_id="pixiv-77-0")
    file, data = Path(rows["location"][0]), Path(rows["location"][0]).read_bytes()
    one = takedown.resolved(scraping.config, takedown.Asked("image", "pixiv-77-0", "asked", "ada"))
    takedown.add(scraping.config, one)

    for _ in range(2):
        scraping.rebuild(assets=[*ALL, "takedowns"])
        reasons = dict(scraping.table("raw_images").select("image_id", "reason").iter_rows())
        assert not file.exists()
        assert reasons["pixiv-1078-0"] is None
        assert reasons.get("pixiv-77-0", "taken_down") == "taken_down"
        assert not list((scraping.root / "images").rglob("77_p0.*"))
        file.write_bytes(data)  # as a later scrape would
