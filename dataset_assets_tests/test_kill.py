"""kill -9 at any moment of a rebuild: old table or new, and a rerun ends as if nothing had happened."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest

from dataset_assets_tests.mirror import Mirror, picture

ROUNDS = 20
SEED = 20261120


def rebuild_in_process_of_its_own(mirror: Mirror) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "DATASET_ASSETS_CONFIG": str(mirror.config_file),
        "DAGSTER_HOME": str(mirror.folder / f"home_of_{mirror.name}"),
    }
    command = [sys.executable, "-m", "dataset_assets.cli", "rebuild"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def content(mirror: Mirror) -> dict[str, str]:
    """The hash of every table and image of the root."""
    root = mirror.root
    files = [*(root / "tables").rglob("*.parquet"), *(root / "images").rglob("*.*")]
    hashes = {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return {name: value for name, value in hashes.items() if not name.startswith("tables/catalog/")}


def change(mirror: Mirror) -> None:
    """New tags, a new post and a replaced image."""
    mirror.add_post(6500, 2006, ["1girl", "new"])
    mirror.image_file(5001).write_bytes(picture(4242, (64, 64)))
    mirror.set_tags(7002, ["1girl", "solo_focus"])


@pytest.mark.slow
def test_a_rebuild_killed_at_twenty_random_moments_is_never_half_and_ends_the_same(tmp_path: Path) -> None:
    undisturbed = Mirror.make(tmp_path)
    disturbed = undisturbed.with_root("disturbed")
    undisturbed.rebuild()
    disturbed.rebuild()
    old = content(undisturbed)
    assert content(disturbed) == old, "two roots over the same sources are equal to the byte"
    change(undisturbed)
    began = time.monotonic()
    assert rebuild_in_process_of_its_own(undisturbed).wait(timeout=120) == 0
    duration = time.monotonic() - began
    new = content(undisturbed)
    assert old != new

    moments = random.Random(SEED)
    for _ in range(ROUNDS):
        process = rebuild_in_process_of_its_own(disturbed)
        time.sleep(moments.uniform(0.1 * duration, duration))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        for name, found in content(disturbed).items():
            assert found in (old.get(name), new.get(name)), f"{name} is neither the old nor the new one"
        for file in (disturbed.root / "tables").rglob("data.parquet"):
            pl.read_parquet(file)
    assert rebuild_in_process_of_its_own(disturbed).wait(timeout=120) == 0

    finished = content(disturbed)
    assert {name: value for name, value in finished.items() if name in new} == new
    assert {name for name in finished if name.startswith("tables/")} == {
        name for name in new if name.startswith("tables/")
    }


@pytest.mark.slow
def test_workers_do_not_outlive_a_run_that_was_killed(tmp_path: Path) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=20)
    process = rebuild_in_process_of_its_own(mirror)
    family = psutil.Process(process.pid)
    deadline = time.monotonic() + 60
    # The server that forks them, what keeps track of it, and one at least: a program that is asked something and ends
    # at once is none.
    while len(workers := family.children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) >= 3
    process.kill()
    process.wait(timeout=10)

    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert gone
