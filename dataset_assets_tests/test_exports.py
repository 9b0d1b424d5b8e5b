"""Exports over time, through the graph: what a new one changes, what vanishes, and what was known earlier."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.as_of import Cut, UnknownExport, as_of, difference, export, exports, restore
from dataset_assets.storage.snapshots import DamagedSnapshot, Snapshots
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

ASSETS = ["source_snapshot", "image_metadata", "tag_metadata"]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror.make(tmp_path, posts_by_year=2)


def runs(mirror: Mirror, table: str) -> dict[str, str]:
    return {str(cell): commit.run_id for cell, commit in mirror.commits(table).items() if cell.source == "danbooru"}


def names(mirror: Mirror) -> list[str]:
    return [one.name for one in exports(mirror.config, "danbooru")]


def without_post(mirror: Mirror, post_id: int) -> None:
    del mirror.posts[post_id]
    mirror.write_metadata()


def test_a_post_that_vanished_stays_listed_with_its_tags_and_only_its_year_is_built_again(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    before = runs(mirror, "image_metadata")
    tags = mirror.table("tag_metadata", Cell("danbooru", 2006))
    without_post(mirror, 6001)
    mirror.rebuild(assets=ASSETS)

    marked = mirror.table("image_metadata").filter(source="danbooru").sort("image_id").select("post_id", "is_vanished")
    assert marked.filter("is_vanished")["post_id"].to_list() == ["6001"]
    assert marked.height == 6
    assert mirror.table("tag_metadata", Cell("danbooru", 2006)).equals(tags)
    after = runs(mirror, "image_metadata")
    assert {cell for cell in after if after[cell] != before[cell]} == {"danbooru|2006"}
    gone = mirror.table("vanished_records", Cell("danbooru")).select("id", "last_seen_in", "missing_from").rows()
    assert gone == [(6001, *names(mirror))]


@pytest.mark.slow
def test_a_post_that_comes_back_is_no_longer_marked(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    post = mirror.posts[6001]
    without_post(mirror, 6001)
    mirror.rebuild(assets=ASSETS)
    mirror.posts[6001] = post | {"score": "9"}
    mirror.write_metadata()
    mirror.rebuild(assets=ASSETS)

    assert not mirror.table("image_metadata").filter("is_vanished").height
    assert mirror.table("image_metadata").filter(post_id="6001")["score"].to_list() == [9]
    assert mirror.table("vanished_records", Cell("danbooru")).is_empty()
    assert len(names(mirror)) == 3


def test_an_export_in_other_files_that_says_the_same_is_the_same_export(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    before, [first] = runs(mirror, "tag_metadata"), names(mirror)
    posts = mirror.folder / "metadata" / "posts.json"
    lines = posts.read_text("utf-8").splitlines()
    posts.write_text("\n".join(reversed(lines[:3])), "utf-8")
    (mirror.folder / "metadata" / "more.json").write_text("\n".join(lines[3:]) + "\n", "utf-8")
    mirror.rebuild(assets=ASSETS)

    assert names(mirror) == [first]
    assert runs(mirror, "tag_metadata") == before


@pytest.mark.slow
def test_an_export_that_lacks_too_much_is_refused_and_the_old_tables_stay(tmp_path: Path) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    for number in range(300):
        mirror.posts[8000 + number] = mirror.posts[5000] | {"id": str(8000 + number)}
    mirror.write_metadata()
    mirror.rebuild(assets=ASSETS)
    before = mirror.table("image_metadata")
    for number in range(150):
        del mirror.posts[8000 + number]
    mirror.write_metadata()

    errors = [error for outcome in mirror.rebuild(assets=ASSETS, strict=False) for error in outcome.errors]
    assert "lacks 150 of the 303 records" in errors[0]
    assert "sources.danbooru.max_vanished: 0.50 or more" in errors[0]
    assert mirror.table("image_metadata").equals(before)
    assert len(names(mirror)) == 1

    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(
        settings.replace("    images: original\n", "    images: original\n    max_vanished: 0.5\n")
    )
    mirror.rebuild(assets=ASSETS)
    assert mirror.table("image_metadata").filter("is_vanished").height == 150


def test_earlier_exports_can_be_declared_and_looked_at_as_of_their_day(mirror: Mirror) -> None:
    earlier = [dict(mirror.posts[post]) for post in (5000, 5001, 6000)]
    earlier[1] |= {"tags": [{"id": "1", "name": "known_then", "category": "0"}]}
    lost = mirror.posts[6000] | {"id": "6500", "md5": "0" * 32}
    (mirror.folder / "old.json").write_text("\n".join(map(json.dumps, [*earlier, lost])), "utf-8")
    settings = mirror.config_file.read_text("utf-8")
    declared = "    images: original\n    earlier_metadata: {2017: old.json}\n"
    mirror.config_file.write_text(settings.replace("    images: original\n", declared), "utf-8")
    mirror.rebuild(assets=ASSETS)

    assert names(mirror)[0] == "2017"
    assert mirror.table("image_metadata").filter("is_vanished")["post_id"].to_list() == ["6500"]
    images, tags = as_of(mirror.config, "danbooru", "2017", until_id=6000)
    assert images.collect()["post_id"].to_list() == ["5000", "5001", "6000"]
    assert tags.filter(pl.col("image_id") == "danbooru-5001-0").collect()["tag"].to_list() == ["known_then"]
    by_day, _ = as_of(mirror.config, "danbooru", "2017", until=date(2005, 3, 1))
    assert by_day.collect()["post_id"].to_list() == ["5000", "5001"]


def test_restored_files_hold_what_as_of_tells_and_overwrite_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.rebuild(assets=ASSETS)
    [first] = names(mirror)
    mirror.set_tags(5000, ["2girls"])
    mirror.rebuild(assets=ASSETS)
    into = tmp_path / "restored"
    said: list[str] = []
    rows = restore(mirror.config, "danbooru", first, into, Cut(until_id=5001), said.append)

    images, tags = as_of(mirror.config, "danbooru", first, until_id=5001)
    restored = pl.read_parquet(into / "image_metadata" / "**" / "*.parquet", hive_partitioning=False)
    assert restored.equals(images.collect().sort("image_id"))
    found = pl.read_parquet(into / "tag_metadata" / "year=2005" / "data.parquet", hive_partitioning=False)
    assert found.equals(tags.collect().sort("tag", "image_id", "category"))
    assert "2girls" not in found["tag"].to_list()
    assert rows == {"image_metadata": 2, "tag_metadata": 4}
    files = sorted(str(file.relative_to(into)) for file in into.rglob("*") if file.is_file())
    assert files == [f"{name}/year={year}/data.parquet" for name in rows for year in (2005, 2006, 2007)]
    with pytest.raises(FileExistsError, match="image_metadata is there already"):
        restore(mirror.config, "danbooru", first, into, say=said.append)


def test_the_difference_of_two_exports_names_years_records_and_columns(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    mirror.posts[5000]["score"] = "11"
    mirror.posts[5001] |= {"score": "12", "rating": "e"}
    mirror.add_post(7900, 2007, ["1girl"])
    without_post(mirror, 7001)
    mirror.rebuild(assets=ASSETS)
    older, newer = names(mirror)

    rows = difference(mirror.config, "danbooru", older, newer).to_dicts()
    assert [(row["year"], row["before"], row["after"], row["added"], row["gone"], row["changed"]) for row in rows] == [
        (2005, 2, 2, 0, 0, 2),
        (2007, 2, 2, 1, 1, 0),
    ]
    assert [(one["column"], one["records"]) for one in rows[0]["changed_columns"]] == [("score", 2), ("rating", 1)]
    assert difference(mirror.config, "danbooru", newer, newer).is_empty()


def test_an_export_is_found_by_the_beginning_of_its_name_unless_several_begin_so(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    mirror.set_tags(5000, ["2girls"])
    mirror.rebuild(assets=ASSETS)
    first, second = names(mirror)

    assert export(mirror.config, "danbooru", first).name == first
    with pytest.raises(UnknownExport, match=f"several exports '2007' *; it has: {first}, {second}"):
        export(mirror.config, "danbooru", "2007")
    with pytest.raises(UnknownExport, match="no export '2031'"):
        export(mirror.config, "danbooru", "2031")


def test_a_kept_export_is_whole_or_told(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    [kept] = exports(mirror.config, "danbooru")
    snapshots = Snapshots(mirror.config.root_path)

    assert snapshots.intact(kept).is_file()
    file = snapshots.file("danbooru", kept.name)
    content = file.read_bytes()
    file.unlink()  # it shares its bytes with the table
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(DamagedSnapshot, match=f"{kept.name}.parquet is not the export that was kept"):
        as_of(mirror.config, "danbooru", kept.name)
    mirror.set_tags(5000, ["2girls"])
    errors = [error for outcome in mirror.rebuild(assets=ASSETS, strict=False) for error in outcome.errors]
    assert "put it back from a copy, or forget it" in errors[0]


def test_a_cut_that_the_source_cannot_answer_is_refused(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    [niji] = exports(mirror.config, "pixiv_niji")

    images, _ = as_of(mirror.config, "pixiv_niji", niji.name, until=date(2022, 12, 1))
    assert images.collect().height == 3
    numbered = pl.LazyFrame({"id": ["a"]})
    with pytest.raises(ValueError, match="not numbered"):
        Cut(until_id=5).of(numbered)
    with pytest.raises(ValueError, match="does not say when"):
        Cut(until=date(2020, 1, 1)).of(numbered)


def test_an_earlier_export_without_a_record_is_refused_by_its_key(mirror: Mirror) -> None:
    (mirror.folder / "old.json").write_text("not json {{{", "utf-8")
    settings = mirror.config_file.read_text("utf-8")
    declared = "    images: original\n    earlier_metadata: {2017: old.json}\n"
    mirror.config_file.write_text(settings.replace("    images: original\n", declared), "utf-8")
    errors = [error for outcome in mirror.rebuild(assets=ASSETS, strict=False) for error in outcome.errors]
    assert "sources.danbooru.earlier_metadata.2017: old.json holds no record" in errors[0]
    assert names(mirror) == []


@pytest.mark.slow
def test_an_export_that_comes_again_keeps_its_place_in_time_and_a_lost_file_is_kept_anew(mirror: Mirror) -> None:
    mirror.rebuild(assets=ASSETS)
    mirror.set_tags(5000, ["2girls"])
    mirror.rebuild(assets=ASSETS)
    both = names(mirror)
    mirror.set_tags(5000, ["1girl", "tag_0"])
    mirror.rebuild(assets=ASSETS)
    assert names(mirror) == both
    snapshots = Snapshots(mirror.config.root_path)
    present = snapshots.present("danbooru")
    assert present is not None
    assert present.name == both[0]
    snapshots.file("danbooru", present.name).unlink()
    mirror.rebuild(assets=ASSETS)
    assert snapshots.intact(present).is_file()
