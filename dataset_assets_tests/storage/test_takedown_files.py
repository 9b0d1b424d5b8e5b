"""Requests and their files below a root, on a disk and in a bucket."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dataset_assets.domain.identity import parse_image_id
from dataset_assets.domain.takedowns import BadTakedown, Hit, Takedown, found_line, lift_line
from dataset_assets.places import Place
from dataset_assets.storage.blobs import Blobs, image_path
from dataset_assets.storage.root import opened
from dataset_assets.storage.takedown_files import FOLDER, TakedownFiles
from dataset_assets_tests.buckets import credentials, place
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]

AT = datetime(2026, 1, 1, tzinfo=UTC)
ONE = Takedown("20260101-aaaaaa", "image", "danbooru-1-0", "asked", "ada", AT.isoformat())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as found:
        yield found


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return tmp_path / "root"
    port = request.getfixturevalue("port")
    make_bucket(port, "taken")
    return place(port, tmp_path / "cache", "taken", request.node.name.partition("[")[0])


def test_a_request_is_there_as_soon_as_it_is_added_and_files_are_never_changed(root: Place) -> None:
    files = TakedownFiles(root)
    assert files.all() == []
    first = files.add([ONE.line()], AT)
    before = opened(root).get(first)
    files.add([found_line(ONE.id, [Hit("pixiv-2-0", "sha256", 2022)], AT)], AT)

    (one,) = files.active()
    assert one.image_ids == ("danbooru-1-0", "pixiv-2-0")
    files.add([lift_line(ONE.id, "bob", "agreed", AT)], AT)
    assert files.active() == []
    assert [one.is_lifted for one in files.all()] == [True]
    assert opened(root).get(first) == before
    assert len(opened(root).names(f"{FOLDER}/")) == 3


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(root: Place) -> None:
    opened(root).put(f"{FOLDER}/x.jsonl", b"{}\n")

    with pytest.raises(BadTakedown, match=r"takedowns/x\.jsonl, line 1"):
        TakedownFiles(root).active()


def test_a_proof_is_kept_and_replaced(root: Place) -> None:
    files = TakedownFiles(root)
    assert files.proof(ONE.id) is None
    files.write_proof(ONE.id, {"state": "removing"})
    files.write_proof(ONE.id, {"state": "done", "words": "名"})

    assert files.proof(ONE.id) == {"state": "done", "words": "名"}
    assert files.all() == [], "a proof is no request"


def test_every_file_of_an_image_is_found_and_no_other_images(root: Place) -> None:
    blobs, ours, other = Blobs(root), parse_image_id("danbooru-1001-0"), parse_image_id("danbooru-1001-10")
    data = {image_path(kind, ours, kind * 16, "png"): b"x" for kind in ("raw", "optimized", "training", "quarantine")}
    others = [image_path("raw", other, "b" * 64, "png"), image_path("raw", parse_image_id("danbooru-1-0"), "c", "png")]
    for name in [*data, *others]:
        blobs.put(name, b"x")

    assert sorted(blobs.of_image(ours)) == sorted(data)
    for name in data:
        blobs.remove(name)
    assert blobs.of_image(ours) == []
    assert blobs.of_image(other) == others[:1]


def test_files_are_listed_with_their_bytes_and_hashed(root: Place) -> None:
    there = opened(root)
    there.put("a/b.txt", b"four")
    there.put("c.txt", b"")

    assert sorted(there.sizes("")) == [("a/b.txt", 4), ("c.txt", 0)]
    assert list(there.sizes("a/")) == [("a/b.txt", 4)]
    assert there.sha256("a/b.txt") == hashlib.sha256(b"four").hexdigest()
    assert there.sha256("nothing") is None


def test_copies_of_former_versions_are_forgotten(root: Place) -> None:
    there, name = opened(root), "tables/x/data.parquet"
    there.put(name, b"old")
    old = there.file(name)
    assert old.read_bytes() == b"old"
    there.put(name, b"new one")
    new = there.file(name)
    there.forget_copies(name)

    assert new.read_bytes() == b"new one"
    assert old == new or not old.exists()
    there.remove(name)
    there.forget_copies(name)
    assert not new.exists()
