"""A source whose images are fetched, in real runs: what is asked for, what is kept, what a failure costs."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_assets import takedown
from dataset_assets.checks import has_no_picture_under_many_names
from dataset_assets.domain.states import STATES
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.web_server import WebServer, bytes_of, one_after_another, status_of

YEAR = Cell("danbooru", 2005)
READ = ["source_snapshot", "rejected_records", "vanished_records", "tag_relations"]
METADATA = ["image_metadata", "raw_images"]
ASSETS = [*READ, *METADATA, "image_facts", "training_images"]
CONFIG = """
root: ./data
sources:
  danbooru:
    kind: danbooru
    metadata: metadata/*.json
    images: url
    fetch: {allow_addresses: 127.0.0.1, rate_per_host: null, attempts: 1}
    years: [2005]
    license: {name: various, basis: site terms}
workers: 2
"""


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


def mirror_of(folder: Path, server: WebServer, posts: int = 4) -> Mirror:
    """A Danbooru source of one year whose posts name files of the server."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(CONFIG, "utf-8")
    mirror = Mirror(folder)
    for number in range(posts):
        mirror.add_post(5000 + number, 2005, ["1girl"])
        mirror.posts[5000 + number]["file_url"] = server.give(f"/{5000 + number}.png", picture(5000 + number))
    mirror.write_metadata()
    return mirror


def raw(mirror: Mirror) -> dict[str, dict[str, Any]]:
    rows = mirror.table("raw_images", YEAR)
    return {row["image_id"].split("-")[1]: row for row in rows.to_dicts()}


def in_process_of_its_own(mirror: Mirror) -> "subprocess.Popen[bytes]":
    home = {"DATASET_ASSETS_CONFIG": str(mirror.config_file), "DAGSTER_HOME": str(mirror.folder / "home")}
    command = [sys.executable, "-m", "dataset_assets.cli", "rebuild", "--assets", ",".join([*READ, *METADATA])]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env={**os.environ, **home}, stdout=quiet, stderr=quiet, start_new_session=True)


def test_a_source_is_fetched_and_goes_through_the_graph(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server)

    mirror.rebuild(assets=ASSETS)

    rows = raw(mirror)
    assert {row["state"] for row in rows.values()} == {"stored"}
    for post, row in rows.items():
        assert (mirror.root / row["path"]).read_bytes() == picture(int(post))
        assert row["md5_matches"]
    assert mirror.table("training_images", YEAR)["error"].to_list() == [None] * 4
    assert server.requests.total() == 4


def test_what_is_settled_is_asked_for_once(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server, posts=5)
    server.give("/5000.png", status_of(404))
    server.give("/5001.png", b"<html>")
    server.give("/5002.png", status_of(500))
    del mirror.posts[5003]["file_url"], mirror.posts[5003]["md5"]
    mirror.write_metadata()

    mirror.rebuild(assets=ASSETS)
    first = {name: mirror.commits(name)[YEAR].sha256 for name in ASSETS[len(READ) :]}
    mirror.rebuild(assets=ASSETS)

    rows = raw(mirror)
    found = {post: (row["state"], row["reason"]) for post, row in rows.items()}
    assert found == {
        "5000": ("quarantined", "gone"),
        "5001": ("quarantined", "not_an_image"),
        "5002": ("pending", "server_error"),
        "5003": ("excluded", "withheld"),
        "5004": ("stored", None),
    }
    assert set(server.requests.values()) == {1}
    assert first == {name: mirror.commits(name)[YEAR].sha256 for name in first}


def test_a_pending_file_is_asked_for_again_when_it_is_told(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server, posts=2)
    server.give("/5000.png", one_after_another(status_of(500), server.answers["/5000.png"]))
    mirror.rebuild(assets=ASSETS)

    mirror.rebuild(fetch="retry", assets=ASSETS)

    assert raw(mirror)["5000"]["state"] == "stored"
    assert raw(mirror)["5000"]["attempts"] == 2
    assert dict(server.requests) == {"/5000.png": 2, "/5001.png": 1}


def test_everything_is_looked_at_again_when_it_is_told(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server, posts=2)
    server.give("/5000.png", status_of(404))
    mirror.rebuild(assets=ASSETS)
    server.give("/5000.png", picture(5000))

    mirror.rebuild(fetch="again", assets=ASSETS)

    assert {row["state"] for row in raw(mirror).values()} == {"stored"}
    assert dict(server.requests) == {"/5000.png": 2, "/5001.png": 2}


def test_what_is_held_stays_when_its_host_fails_and_goes_when_its_owner_opts_out(
    tmp_path: Path, server: WebServer
) -> None:
    mirror = mirror_of(tmp_path, server, posts=4)
    mirror.rebuild(assets=ASSETS)
    before = raw(mirror)
    server.give("/5000.png", status_of(500))
    server.give("/5001.png", status_of(404))
    server.give("/5002.png", b"<html>not found</html>")
    server.give("/5003.png", bytes_of(picture(5003), x_robots_tag="noai"))

    mirror.rebuild(fetch="again", assets=ASSETS)

    after = raw(mirror)
    held = ("state", "reason", "path", "sha256", "md5", "size", "md5_matches", "extension_matches", "etag")
    for post, reason in (("5000", "server_error"), ("5001", "gone"), ("5002", "not_an_image")):
        assert {name: after[post][name] for name in held} == {name: before[post][name] for name in held}, post
        assert after[post]["detail"].startswith(f"kept from before; asked again: {reason}"), after[post]["detail"]
    assert (after["5003"]["state"], after["5003"]["reason"]) == ("excluded", "opted_out")


def test_a_placeholder_that_is_named_later_is_withheld_then(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server, posts=3)
    for post in (5000, 5001):
        server.give(f"/{post}.png", picture(1))
        mirror.posts[post]["md5"] = None
    mirror.write_metadata()
    mirror.rebuild(assets=ASSETS)
    assert {row["state"] for row in raw(mirror).values()} == {"stored"}

    md5 = hashlib.md5(picture(1)).hexdigest()
    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(settings.replace("attempts: 1", f"attempts: 1, placeholders: [{md5}]"), "utf-8")
    mirror.rebuild(assets=ASSETS)

    assert [row["reason"] for row in raw(mirror).values()] == ["withheld", "withheld", None]
    assert server.requests["/5002.png"] == 1


def test_n17_one_picture_under_many_names_is_a_warning(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server, posts=30)
    for post in range(5000, 5025):
        server.give(f"/{post}.png", picture(1))
        mirror.posts[post]["md5"] = None
    mirror.write_metadata()

    mirror.rebuild(assets=ASSETS)

    source = mirror.config.sources["danbooru"]
    passed, found = has_no_picture_under_many_names(mirror.table("raw_images", YEAR).lazy(), source)
    assert not passed
    assert found == {"files_of_many_images": 1, f"images_of_{hashlib.sha256(picture(1)).hexdigest()}": 25}


@pytest.mark.slow
def test_p04_a_killed_fetch_asks_for_nothing_again_that_it_had_kept(tmp_path: Path, server: WebServer) -> None:
    mirror = mirror_of(tmp_path, server, posts=700)
    process = in_process_of_its_own(mirror)
    deadline = time.monotonic() + 90
    while server.requests.total() < 600 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    asked_before = server.requests.total()
    assert 600 <= asked_before < 700

    assert in_process_of_its_own(mirror).wait(timeout=180) == 0

    rows = raw(mirror)
    assert {row["state"] for row in rows.values()} == {"stored"}
    for post, row in rows.items():
        assert (mirror.root / row["path"]).read_bytes() == picture(int(post))
    again = sum(count > 1 for count in server.requests.values())
    assert again <= 100, "what was under way, and no more"
    files = {str(file.relative_to(mirror.root)) for file in (mirror.root / "images" / "raw").rglob("*.png")}
    assert files == {row["path"] for row in rows.values()}


def test_n13_a_dead_host_fails_the_run_and_is_asked_again_by_the_next(tmp_path: Path, server: WebServer) -> None:
    with WebServer() as gone:
        mirror = mirror_of(tmp_path, gone, posts=3)

    outcomes = mirror.rebuild(assets=ASSETS, strict=False)

    assert any(outcome.is_unavailable for outcome in outcomes)
    assert not mirror.tables.cells("raw_images")
    for post, record in mirror.posts.items():
        record["file_url"] = server.give(f"/{post}.png", picture(post))
    mirror.write_metadata()
    mirror.rebuild(assets=ASSETS)
    assert {row["state"] for row in raw(mirror).values()} == {"stored"} <= set(STATES)


@pytest.mark.slow
def test_what_was_taken_down_is_not_asked_for_and_its_bytes_are_not_kept_from_another_address(
    tmp_path: Path, server: WebServer
) -> None:
    mirror = mirror_of(tmp_path, server)
    mirror.assets = ("takedowns", "tag_metadata", *ASSETS)
    mirror.rebuild()
    one = takedown.resolved(mirror.config, takedown.Asked("image", "danbooru-5001-0", "asked", "ada"))
    takedown.add(mirror.config, one)
    mirror.add_post(5900, 2005, ["1girl"], data=picture(5001))
    mirror.posts[5900] |= {"md5": None, "file_url": server.give("/other.png", picture(5001))}
    mirror.write_metadata()
    server.requests.clear()

    mirror.rebuild(fetch="again")

    found = {name: row["reason"] for name, row in raw(mirror).items()}
    assert found == {"5000": None, "5001": "taken_down", "5002": None, "5003": None, "5900": "taken_down"}
    assert "/5001.png" not in server.requests
    assert server.requests["/other.png"] == 1
    assert {file.name.split("_")[0] for file in (mirror.root / "images").rglob("*.*")} == {"5000", "5002", "5003"}
    assert raw(mirror)["5900"]["input_key"].startswith("taken down")
    mirror.rebuild(fetch="again")
    assert server.requests["/other.png"] == 1, "once known, it is not asked for either"
    assert server.requests["/5000.png"] == 2

    takedown.lift(mirror.config, one.id, "ada", "agreed")
    mirror.rebuild()
    assert {row["state"] for row in raw(mirror).values()} == {"stored"}
