"""`dataset-assets gc` on real runs: an image changes, and exactly what it was made of before goes."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from dataset_assets import cli
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets.overview import damage
from dataset_assets.storage.bucket_root import Bucket
from dataset_assets.storage.root import Folder
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.superseded_files import Asked, collect
from dataset_assets.superseded_parts import Parts
from dataset_assets.superseded_references import NAMING
from dataset_assets_tests.buckets import InBucket, credentials, objects
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.s3_server import s3_server
from dataset_assets_tests.test_superseded_references import MARK, path, raw

__all__ = ["credentials"]

CELL = Cell("danbooru", 2005)


# The way from an export to images and indexes.
FIRST = ("source_snapshot", "rejected_records", "vanished_records", "tag_relations", "image_metadata", "tag_decisions")
SOME = (*FIRST, "takedowns", "tag_metadata", "tag_index", "raw_images", "image_facts", "training_images")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """One year of Danbooru, built."""
    mirror = Mirror.make(tmp_path_factory.mktemp("gc"), posts_by_year=2)
    settings = mirror.config_file.read_text("utf-8").replace("2005..2007", "2005")
    of_pixiv = settings[settings.index("  pixiv_niji:") : settings.index("clip:")]
    mirror.config_file.write_text(settings.replace(of_pixiv, ""), "utf-8")
    mirror.assets = SOME
    mirror.rebuild()
    return mirror


def gc(mirror: Mirror, *arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["gc", *arguments], env={"DATASET_ASSETS_CONFIG": str(mirror.config_file)})


def files_in(mirror: Mirror) -> set[str]:
    names = {file.name for file in Folder(mirror.root).listed("")}
    return {name for name in names if not name.startswith("_locks/")}


def paths(mirror: Mirror) -> set[str]:
    tables = ("raw_images", "training_images", "tag_index")
    return {path for name in tables for path in mirror.table(name)["path"].drop_nulls()}


def test_an_image_changes_and_exactly_what_was_made_of_it_goes(mirror: Mirror) -> None:
    before = paths(mirror)
    assert "nothing is superseded" in gc(mirror, "--older-than", "0s").output
    post, data = mirror.posts[5000], picture(4711)
    mirror.add_post(5000, 2005, ["1girl"], data=data)
    assert mirror.posts[5000]["md5"] != post["md5"]
    mirror.write_metadata()
    mirror.rebuild()
    superseded, there = before - paths(mirror), files_in(mirror)
    assert {name.split("/")[1] for name in superseded} == {"raw", "training", "tag_index"}

    young = gc(mirror)
    assert young.exit_code == 0
    assert "younger than 1d" in young.output
    dry = json.loads(gc(mirror, "--older-than", "0s", "--json").output)
    assert dry["total"] == {"files": 3, "bytes": sum((mirror.root / name).stat().st_size for name in superseded)}
    assert files_in(mirror) == there

    done = gc(mirror, "--older-than", "0s", "--delete")

    assert done.exit_code == 0
    assert "removed: 3 files" in done.output
    assert there - files_in(mirror) == superseded
    assert files_in(mirror) <= there
    assert damage(mirror.config) == []
    assert sum(outcome.computed for outcome in mirror.rebuild(everything=True)) == 0
    assert paths(mirror) <= files_in(mirror)
    assert "nothing is superseded" in gc(mirror, "--older-than", "0s").output


def test_no_column_but_those_that_are_read_names_a_file_of_the_root(mirror: Mirror) -> None:
    files, found = files_in(mirror), set[str]()
    tables = mirror.tables
    for name, cell in [(table, cell) for table in tables.names() for cell in tables.cells(table)]:
        rows = mirror.table(name, cell).select(pl.col(pl.String))
        found |= {column for column in rows.columns if not files.isdisjoint(rows[column].drop_nulls())}

    assert found == {"path"}
    assert found <= set(NAMING)


def test_the_graph_tells_the_columns_of_its_tables(mirror: Mirror) -> None:
    columns = Parts(mirror.config).columns

    assert "path" in columns["raw_images"]
    for name in mirror.tables.names():
        assert columns[name] >= set(mirror.table(name, mirror.tables.cells(name)[0]).columns), name


def test_what_cannot_be_meant_and_what_is_damaged_end_with_their_exit_codes(mirror: Mirror) -> None:
    wrong = gc(mirror, "--older-than", "soon")
    assert "'soon' is no age" in str(wrong.exception)

    file = mirror.tables.file("raw_images", CELL)
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    try:
        damaged = gc(mirror, "--delete", "--older-than", "0s")
        assert damaged.exit_code == 4
        assert "raw_images danbooru|2005: its table is gone or was changed" in damaged.stderr
    finally:
        file.write_bytes(kept)

    stray = mirror.root / path(1)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"12")
    with mirror.tables.lock("raw_images", CELL):
        locked = gc(mirror, "--delete", "--older-than", "0s")
        assert locked.exit_code == 5
        assert "left alone, since a run is at work: 1 file of raw images" in locked.stderr
    assert stray.exists()
    assert gc(mirror, "--delete", "--older-than", "0s").exit_code == 0
    assert not stray.exists()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as served:
        yield served


def test_a_root_in_a_bucket_is_cleaned_as_one_on_a_disk(port: int, tmp_path: Path) -> None:
    there = InBucket.of(Mirror.make(tmp_path, posts_by_year=1), port, "cleaned")
    config, tables = there.mirror.config, Tables(there.mirror.config.root_path)
    root = Bucket(config.root_path)  # type: ignore[arg-type]
    tables.commit(tables.stage(RAW_IMAGES, CELL, raw(1), MARK), "run-1")
    superseded = {
        path(2),
        "indexes/tag_index/danbooru/2005.0123456789ab.index",
        f"_history/raw_images/{CELL.folder}/{MARK}.parquet",
        f"_probe/{'0' * 32}",
    }
    scratch = root.scratch / f"{'0' * 32}.parquet"
    scratch.write_bytes(b"half")
    for name in [path(1), *superseded, "mine.txt"]:
        root.put(name, b"12")
    before = set(objects(port, "cleaned"))

    report = collect(config, Asked(timedelta(days=1), time.time() + 2 * 86400, delete=True), lambda line: None)

    gone = before - set(objects(port, "cleaned"))
    assert gone == superseded
    assert not scratch.exists()
    assert report.total.files == len(superseded) + 1
    assert report.unknown_names == ["mine.txt"]
    assert tables.scan(RAW_IMAGES, CELL).collect().height == 1
