"""Rebuilds into a bucket: what a disk gets, whatever happens to requests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from dataset_assets import as_of, search
from dataset_assets.overview import damage, states_by_cell
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.trace import trace
from dataset_assets_tests.buckets import PREFIX, InBucket, content_of_folder, credentials, objects, place
from dataset_assets_tests.faulty_proxy import ALL_FAULTS, faulty_proxy
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.s3_server import s3_client, s3_server

__all__ = ["credentials"]

SEED = 20261121


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as served:
        yield served


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """Two cells of sources, not built yet."""
    small = Mirror.make(tmp_path, posts_by_year=2)
    settings = small.config_file.read_text("utf-8").replace("2005..2007", "2006")
    small.config_file.write_text(settings, "utf-8")
    return small


@pytest.mark.slow
def test_a_bucket_gets_what_a_disk_gets_and_answers_every_question(port: int, mirror: Mirror) -> None:
    there = InBucket.of(mirror, port, "rebuilt")
    mirror.rebuild()
    there.mirror.rebuild()
    assert there.content() == content_of_folder(mirror.root)
    assert not list(there.mirror.root.cache.rglob("_tmp/*")), "no file in the making is left"

    config = there.mirror.config
    assert [row["stored"] for row in states_by_cell(config, config.cells())] == [2, 3]
    assert search.count(config, "1girl") == search.count(mirror.config, "1girl") > 0
    found = search.find(config, "1girl")
    assert found.notes == []
    assert found.grid() is not None
    told, expected = (trace(one, "danbooru-6000-0") for one in (config, mirror.config))
    assert [(one.table, one.facts) for one in told] == [(one.table, one.facts) for one in expected]
    assert [one.name for one in as_of.exports(config, "danbooru")] == [
        one.name for one in as_of.exports(mirror.config, "danbooru")
    ]
    assert damage(config) == []
    script = objects(port, "rebuilt")["catalog.sql"].decode()
    assert f"s3://rebuilt/{PREFIX}/tables/image_metadata/**/data.parquet" in script
    assert "testing-secret" not in script
    asked = run(there.mirror, "sql", "--csv", "select source, count(*) as n from raw_images group by all order by all")
    assert asked.stdout == "source,n\ndanbooru,2\npixiv_niji,3\n", asked.stderr


@pytest.mark.slow
def test_a_bucket_is_rebuilt_by_what_changed_and_by_what_was_lost(port: int, mirror: Mirror) -> None:
    there = InBucket.of(mirror, port, "changed")
    mirror.rebuild()
    there.mirror.rebuild()
    mirror.add_post(6500, 2006, ["1girl", "new"])
    mirror.set_tags(6001, ["1girl", "solo_focus"])
    mirror.rebuild()
    computed = {str(outcome.cell): outcome.computed for outcome in there.mirror.rebuild()}
    assert there.content() == {**there.content(), **content_of_folder(mirror.root)}
    assert 0 < computed["danbooru|2006"] < 10, "rows of the new image alone"
    assert computed["pixiv_niji|2022"] == 0
    config = there.mirror.config
    first, second = as_of.exports(config, "danbooru")
    assert as_of.difference(config, "danbooru", first.name, second.name).get_column("added").sum() == 1

    client = s3_client(port)
    lost = "tables/image_facts/source=danbooru/year=2006/data.parquet"
    client.delete_object(Bucket="changed", Key=f"{PREFIX}/{lost}")
    client.close()
    assert damage(config) == ["image_facts danbooru|2006: its table is gone or was changed"]
    there.mirror.rebuild(assets=["image_facts"])
    assert damage(config) == []
    assert there.content()[lost] == content_of_folder(mirror.root)[lost]


def run(mirror: Mirror, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line, in a process of its own."""
    environment = {
        **os.environ,
        "DATASET_ASSETS_CONFIG": str(mirror.config_file),
        "DAGSTER_HOME": str(mirror.folder / f"home_of_{mirror.name}"),
    }
    command = [sys.executable, "-m", "dataset_assets.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_s17_the_command_line_tells_a_wrong_bucket_and_missing_credentials_apart(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    there = InBucket.of(mirror, port, "told-apart")
    wrong = there.mirror.config_file.read_text("utf-8").replace("s3://told-apart", "s3://told-a-part")
    (tmp_path / "wrong.yaml").write_text(wrong, "utf-8")

    refused = run(Mirror(tmp_path, mirror.posts, "wrong"), "rebuild")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "s3://told-a-part/root/one: there is no such bucket" in refused.stderr

    assert run(there.mirror, "check").returncode == 0
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    refused = run(there.mirror, "rebuild")
    assert refused.returncode == 6, refused.stderr
    assert "no credentials were found" in refused.stderr
    assert objects(port, "told-apart") == {}


@pytest.mark.slow
def test_s10_thirty_percent_of_requests_fault_and_the_bucket_gets_what_a_disk_gets(port: int, tmp_path: Path) -> None:
    mirror = Mirror.make(tmp_path)
    mirror.rebuild()
    with faulty_proxy(port, share=0.3, faults=ALL_FAULTS, seed=SEED, slow_s=0.05) as proxy:
        there = InBucket.of(mirror, port, "spoiled", through=proxy.port)
        there.mirror.rebuild()
        mirror.image_file(5001).write_bytes(picture(4242, (64, 64)))
        mirror.add_post(6500, 2006, ["1girl", "new"])
        mirror.write_metadata()
        mirror.rebuild()
        there.mirror.rebuild()
        assert proxy.faulted() > 300, proxy.counts

    expected = content_of_folder(mirror.root)
    assert {name: data for name, data in there.content().items() if name in expected} == expected
    tables = Tables(place(port, tmp_path / "after", "spoiled"))
    partitions = [(table, cell) for table in mirror.tables.names() for cell in mirror.tables.cells(table)]
    for name, cell in partitions:
        assert tables.is_intact(name, cell, by_content=True)
        assert tables.commit_of(name, cell).sha256 == mirror.tables.commit_of(name, cell).sha256  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_rebuild_that_was_killed_goes_on_from_its_shards_on_another_machine(port: int, tmp_path: Path) -> None:
    mirror = Mirror.make(tmp_path)
    there = InBucket.of(mirror, port, "resumed")
    environment = {
        **os.environ,
        "DATASET_ASSETS_CONFIG": str(there.mirror.config_file),
        "DAGSTER_HOME": str(tmp_path / "home_of_killed"),
    }
    for seconds in (6, 10):
        process = subprocess.Popen(
            [sys.executable, "-m", "dataset_assets.cli", "rebuild"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(timeout=10)
        for name, data in there.content().items():
            if name.endswith(".parquet"):
                pl.read_parquet(data)
    settings = there.mirror.config_file.read_text("utf-8").replace("cache: cache_resumed", "cache: another_machine")
    (tmp_path / "another.yaml").write_text(settings, "utf-8")
    client = s3_client(port)  # in place of a minute's waiting for the leases of the dead
    for name in objects(port, "resumed"):
        if name.startswith("_locks/"):
            client.delete_object(Bucket="resumed", Key=f"{PREFIX}/{name}")
    client.close()

    Mirror(tmp_path, mirror.posts, "another").rebuild()
    mirror.rebuild()
    assert there.content() == content_of_folder(mirror.root)
    assert not [name for name in objects(port, "resumed") if name.startswith("_work/")]
    assert there.mirror.table("raw_images", Cell("danbooru", 2006)).height == 3
