"""A takedown in a root that lies in a bucket: gone from the bucket, and from this machine's copies of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from dataset_assets import search, takedown
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_removal import DONE
from dataset_assets_tests.buckets import InBucket, credentials, objects
from dataset_assets_tests.s3_server import s3_server
from dataset_assets_tests.test_takedowns import ID, SOME, TWIN, request, small, states, tables_with, take_out

__all__ = ["credentials"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as served:
        yield served


@pytest.mark.slow
def test_a_takedown_leaves_no_byte_in_the_bucket_and_none_in_its_copies(port: int, tmp_path: Path) -> None:
    there = InBucket.of(small(tmp_path), port, "taken-down")
    mirror = there.mirror
    mirror.assets = SOME
    mirror.rebuild()
    assert search.count(mirror.config, "tag_x") == 1
    one = request(mirror)
    takedown.add(mirror.config, one)

    outcomes = take_out(mirror, one)

    assert sum(outcome.computed for outcome in outcomes) == 0
    assert {states(mirror)[image_id] for image_id in (ID, TWIN)} == {"taken_down"}
    assert tables_with(mirror, ID) == tables_with(mirror, TWIN) == set()
    assert search.count(mirror.config, "tag_x") == 0
    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    assert proof["state"] == DONE
    assert "versions" in {row["what"] for row in proof["still_held"]}
    gone = {row["sha256"] for row in proof["removed"]}
    assert len(gone) >= 4
    here = {hashlib.sha256(data).hexdigest() for data in objects(port, "taken-down").values()}
    copies = [file for file in mirror.root.cache.rglob("*") if file.is_file()]
    assert not gone & (here | {hashlib.sha256(file.read_bytes()).hexdigest() for file in copies})
    embedded = [pl.read_parquet(file) for file in copies if "tables/clip_embeddings" in file.as_posix()]
    assert embedded
    assert not any(rows["image_id"].is_in([ID, TWIN]).any() for rows in embedded), "no copy of a former table is left"
