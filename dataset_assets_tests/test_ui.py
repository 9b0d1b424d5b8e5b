"""The Dagster UI in a real browser: the graph shows, a partition is built by clicking, lineage opens."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# No traffic but to the page: a browser otherwise looks for updates at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    return Mirror.make(tmp_path_factory.mktemp("ui"), posts_by_year=1)


@pytest.fixture(scope="module")
def address(mirror: Mirror) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DATASET_ASSETS_CONFIG": str(mirror.folder / "dataset.yaml"),
        "DAGSTER_HOME": str(mirror.folder / "home"),
    }
    command = [sys.executable, "-m", "dataset_assets.cli", "ui", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        _wait_for(f"http://127.0.0.1:{port}/server_info")
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(url)


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = browser.new_page(viewport={"width": 1600, "height": 950}, base_url=address)
        opened.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield opened
        browser.close()


def test_the_graph_shows_its_stages_and_no_error(page: Page) -> None:
    page.goto("/asset-groups")

    for stage in ("metadata", "images", "annotations", "curation", "releases"):
        expect(page.get_by_text(stage, exact=True).first).to_be_visible()
    assert page.get_by_text("Error loading").count() == 0


def test_partitions_are_built_by_clicking_and_lineage_opens(page: Page, mirror: Mirror) -> None:
    build_by_clicking(page, mirror, "source_snapshot", "danbooru", beside="rejected_records")
    build_by_clicking(page, mirror, "image_metadata", "danbooru|2006")

    assert mirror.tables.cells("image_metadata") == [Cell("danbooru", 2006)]
    page.goto("/assets/image_metadata?view=lineage")
    expect(page.get_by_text("raw_images", exact=True).first).to_be_visible()
    expect(page.get_by_text("snapshot_year", exact=True).first).to_be_visible()


def build_by_clicking(page: Page, mirror: Mirror, asset: str, partition: str, beside: str | None = None) -> None:
    """Materialize one partition of an asset from its page, and wait until the page says that it is."""
    page.goto(f"/assets/{asset}?view=partitions&partition={partition.replace('|', '%7C')}")
    page.get_by_role("button", name="Materialize").first.click()
    if beside:  # the UI asks, since one reading gives several tables
        expect(page.get_by_role("link", name=beside).first).to_be_visible()
        page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Launch 1 run").click()
    expect(page.get_by_text(re.compile("Launched run"))).to_be_visible()
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while mirror.tables.commit_of(asset, Cell.parse(partition)) is None and time.monotonic() < deadline:
        page.wait_for_timeout(500)
    page.reload()  # the panel of a partition does not always follow its run
    expect(page.get_by_text("dagster/uri")).to_be_visible()
