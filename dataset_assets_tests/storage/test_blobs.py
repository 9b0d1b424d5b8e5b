from pathlib import Path

import pytest

from dataset_assets.domain.identity import parse_image_id
from dataset_assets.storage.blobs import BlobMissing, Blobs, image_path


def test_bytes_come_back_as_they_went_in(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put("images/raw/a.png", b"one")

    assert blobs.get("images/raw/a.png") == b"one"
    assert blobs.size("images/raw/a.png") == 3
    assert (tmp_path / "images/raw/a.png").read_bytes() == b"one"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlobMissing, match=r"images/none\.png"):
        Blobs(tmp_path).get("images/none.png")
    assert Blobs(tmp_path).size("images/none.png") is None


def test_a_file_cut_short_by_a_crash_is_written_again(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put("a.png", b"whole")
    (tmp_path / "a.png").write_bytes(b"who")
    blobs.put("a.png", b"whole")

    assert blobs.get("a.png") == b"whole"


def test_replace_overwrites_content_of_the_same_length(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.replace("sheet.jpg", b"old")
    blobs.replace("sheet.jpg", b"new")

    assert blobs.get("sheet.jpg") == b"new"


def test_a_link_is_the_same_file_and_survives_being_made_twice(tmp_path: Path) -> None:
    original = tmp_path / "mirror.png"
    original.write_bytes(b"pixels")
    blobs = Blobs(tmp_path / "root")
    blobs.link("images/raw/a.png", original)
    blobs.link("images/raw/a.png", original)

    assert (tmp_path / "root/images/raw/a.png").samefile(original)


def test_an_absolute_name_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "mirror.png").write_bytes(b"pixels")

    assert Blobs(tmp_path / "root").get(str(tmp_path / "mirror.png")) == b"pixels"


def test_the_path_of_an_image_tells_its_bucket_page_content_and_true_type() -> None:
    path = image_path("raw", parse_image_id("danbooru-1525146-0"), "0a1b2c3d4e5f" + "0" * 52, "png")

    assert path == "images/raw/danbooru/0146/1525146_p0.0a1b2c3d4e5f.png"
