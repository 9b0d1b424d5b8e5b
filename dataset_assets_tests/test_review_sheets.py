"""Questions are dealt in a bucket as on a disk."""

from pathlib import Path

import pytest

from dataset_assets.review import Question
from dataset_assets.review_sheets import Sheets, asked_elsewhere
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.buckets import BUCKET, credentials, objects, place
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]


def question(number: int) -> Question:
    about = {"category": "general", "kind": "missing", "score": 0.9, "is_in_sample": False, "model": "m", "path": None}
    return Question(Cell("danbooru", 2005), f"danbooru-{number}-0", "hat", **about)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_bucket", [False, True])
def test_each_sitting_is_dealt_its_own_and_leaves_nothing(tmp_path: Path, *, is_bucket: bool) -> None:
    asked = [question(number) for number in range(60)]
    with s3_server() as port:
        make_bucket(port, BUCKET)
        root = place(port, tmp_path / "cache") if is_bucket else tmp_path / "root"
        ada, eve = Sheets(root, "ada"), Sheets(root, "eve")
        with ada.open(), eve.open():
            first, second = ada.deal(asked, set), eve.deal(asked, set)
            assert first + second == asked[:48]
            assert eve.deal(asked[48:], set) == asked[48:]
            assert asked_elsewhere(root, "ada") == {one.pair for one in asked[48:]}  # the sheet before was answered
        left = objects(port) if is_bucket else [str(file) for file in (tmp_path / "root").rglob("*") if file.is_file()]
    assert not [name for name in left if not name.endswith("dealing")]
