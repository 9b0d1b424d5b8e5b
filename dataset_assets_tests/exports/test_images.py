from pathlib import Path

import pytest

from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.images import bucketed, put_images, read_all
from dataset_assets.exports.members import MemberLost
from dataset_assets.exports.tar_files import NotAllowed
from dataset_assets.exports.target import Target
from dataset_assets_tests.buckets import credentials, objects, place
from dataset_assets_tests.exports.hostile_members import export, hostile_members, member, members_of
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]


def test_an_image_lies_in_the_bucket_of_its_post() -> None:
    row = {"post_id": "1525146", "image_id": "danbooru-1525146-0", "extension": "png"}
    assert bucketed(row) == "0146/danbooru-1525146-0.png"


def test_bytes_come_in_the_order_of_the_rows() -> None:
    members = hostile_members(40)
    rows = list(members.rows())[::-1]
    assert read_all(members, rows) == [members.read(row) for row in rows]


def test_a_lost_file_is_told_by_the_name_of_its_image(tmp_path: Path) -> None:
    members = members_of(list(hostile_members(2).rows()), {})
    with pytest.raises(MemberLost, match="danbooru-000000"):
        list(put_images(members, Target(tmp_path / "out", tmp_path / "scratch"), "folder"))


@pytest.mark.parametrize("changed", [{"image_id": "../../etc/passwd"}, {"extension": "svg"}, {"extension": "png/../x"}])
def test_a_name_that_is_not_safe_is_not_written(tmp_path: Path, changed: dict[str, str]) -> None:
    files: dict[str, bytes] = {}
    members = members_of([{**member(1, files), **changed}], files)
    with pytest.raises(NotAllowed):
        list(put_images(members, Target(tmp_path / "out", tmp_path / "scratch"), "folder"))


@pytest.mark.slow
def test_in_a_bucket_lies_what_would_lie_in_a_folder(tmp_path: Path) -> None:
    members, layouts = hostile_members(), ("huggingface", "imagefolder", "coco")
    with s3_server() as port:
        make_bucket(port, "data-sets")
        target = Target(place(port, tmp_path / "cache"), tmp_path / "scratch")
        written = [file for name in layouts for file in FORMATS[name].write(members, target, Settings("girls", 12_000))]
        target.finish()
        found = objects(port)
    for name in layouts:
        export(members, name, tmp_path / name, 12_000)
    files = [file for name in layouts for file in (tmp_path / name).rglob("*") if file.is_file()]
    expected = {file.relative_to(tmp_path).as_posix().partition("/")[2]: file.read_bytes() for file in files}
    assert found == expected
    assert sorted(file.name for file in written) == sorted(expected)
