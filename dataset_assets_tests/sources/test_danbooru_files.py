"""Which file of a mirror's tree is a record's image, and which is nobody's."""

import os
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.domain.schemas import REJECTED_RECORDS, require_schema
from dataset_assets.sources.danbooru_files import locate_images, orphan_files

RECORDS = pl.DataFrame({"id": [1, 1001, 1525146, 5_000_000_002], "file_ext": ["png", "gif", "jpg", None]})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "original"


def put(tree: Path, *names: str) -> None:
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode())


def located(tree: Path, records: pl.DataFrame = RECORDS) -> dict[str, str | None]:
    """Where each id's image lies, from the tree."""
    listed = records.select(
        image_id=pl.format("danbooru-{}-0", "id"), post_id=pl.col("id").cast(pl.String), file_ext="file_ext"
    )
    rows = locate_images(tree, listed)
    assert rows.columns == ["image_id", "location", "size", "mtime_ns", "problem"]
    assert rows["image_id"].equals(listed["image_id"])
    for location, size, mtime_ns in rows.drop("image_id", "problem").drop_nulls().rows():
        assert (os.stat(location).st_size, os.stat(location).st_mtime_ns) == (size, mtime_ns)
    names = [location and Path(location).relative_to(tree).as_posix() for location in rows["location"]]
    return dict(zip(records["id"], names, strict=True))


def orphans(tree: Path, records: pl.DataFrame = RECORDS) -> dict[str, str]:
    rows = orphan_files(tree, records.lazy())
    require_schema(REJECTED_RECORDS, rows.schema)
    assert set(rows["reason"]) <= {"orphan_file"}
    assert rows["file"].is_sorted()
    return dict(rows.select("file", "detail").rows())


def test_images_lie_in_the_bucket_of_their_id(tree: Path) -> None:
    put(tree, "0001/1.png", "0001/1001.gif", "0146/1525146.jpg", "0002/5000000002.webp")
    assert located(tree) == {
        1: "0001/1.png",
        1001: "0001/1001.gif",
        1525146: "0146/1525146.jpg",
        5_000_000_002: "0002/5000000002.webp",
    }
    assert orphans(tree) == {}


def test_missing_images_and_buckets_have_no_place(tree: Path) -> None:
    put(tree, "0001/1.png")
    assert located(tree) == {1: "0001/1.png", 1001: None, 1525146: None, 5_000_000_002: None}


def test_claimed_extension_counts_before_others_and_others_by_name(tree: Path) -> None:
    put(tree, "0001/1.gif", "0001/1.png", "0001/1001.webp", "0001/1001.png", "0146/1525146.JPG")
    assert located(tree) == {1: "0001/1.png", 1001: "0001/1001.png", 1525146: "0146/1525146.JPG", 5_000_000_002: None}
    assert orphans(tree) == {
        "0001/1.gif": "the image of 1 is 1.png",
        "0001/1001.webp": "the image of 1001 is 1001.png",
    }


def test_ids_that_begin_alike_are_told_apart(tree: Path) -> None:
    records = pl.DataFrame({"id": [1, 1001, 100001], "file_ext": ["bmp", "bmp", "bmp"]})
    put(tree, "0001/1.png", "0001/1001.png", "0001/1001.gif", "0001/100001.png")
    assert located(tree, records) == {1: "0001/1.png", 1001: "0001/1001.gif", 100001: "0001/100001.png"}
    assert orphans(tree, records) == {"0001/1001.png": "the image of 1001 is 1001.gif"}


@pytest.mark.parametrize("claimed", ["../../secret", "png/../../x", "", "a" * 300, "p\0g", ".", "*"])
def test_hostile_extensions_lead_nowhere(tree: Path, claimed: str) -> None:
    put(tree, "0001/1.png")
    put(tree.parent, "secret", "1.../../secret")
    assert located(tree, pl.DataFrame({"id": [1], "file_ext": [claimed]})) == {1: "0001/1.png"}


def test_unfinished_downloads_and_folders_are_no_images(tree: Path) -> None:
    put(tree, "0001/1.png.part", "0001/1001.gif/inside.gif")
    assert located(tree) == dict.fromkeys(RECORDS["id"])
    assert orphans(tree) == {
        "0001/1.png.part": "no file named ID.EXT",
        "0001/1001.gif/inside.gif": "lies in a folder within a bucket",
    }


def test_files_that_no_record_names_are_orphans(tree: Path) -> None:
    put(tree, "0001/1.png", "0001/2001.png", "0002/1.png", "0001/01001.gif", "readme.txt", "other/9.png", "1000/1.png")
    assert orphans(tree) == {
        "0001/01001.gif": "no file named ID.EXT",
        "0001/2001.png": "no record has the id 2001",
        "0002/1.png": "belongs in bucket 0001",
        "1000/1.png": "1000 is no bucket",
        "other/9.png": "other is no bucket",
        "readme.txt": "lies in no bucket",
    }


def test_links_within_the_tree_count_and_links_out_of_it_do_not(tree: Path) -> None:
    put(tree, "0001/1.png", "shelf/1001.gif")
    put(tree.parent, "outside/1525146.jpg", "outside/5000000002.png")
    (tree / "0001" / "1001.gif").symlink_to(tree / "shelf" / "1001.gif")
    (tree / "0146").mkdir()
    (tree / "0146" / "1525146.jpg").symlink_to("../../outside/1525146.jpg")
    (tree / "0002").symlink_to("../outside")
    assert located(tree) == {1: "0001/1.png", 1001: "0001/1001.gif", 1525146: None, 5_000_000_002: None}
    assert orphans(tree) == {
        "0002": "a link that leads out of the folder",
        "0146/1525146.jpg": "a link that leads out of the folder",
        "shelf/1001.gif": "shelf is no bucket",
    }


def test_links_that_lead_nowhere_or_in_a_circle_are_no_images(tree: Path) -> None:
    put(tree, "0001/7.png")
    (tree / "0001" / "1.png").symlink_to("1.png")
    (tree / "0001" / "1001.gif").symlink_to("gone.gif")
    assert located(tree, RECORDS.head(2)) == {1: None, 1001: None}
    assert set(orphans(tree)) == {"0001/1.png", "0001/1001.gif", "0001/7.png"}


def test_an_image_that_lacks_its_file_for_a_link_is_told_so(tree: Path) -> None:
    put(tree.parent, "outside/1525146.jpg", "outside/5000000002.png")
    put(tree, "0001/7.png")
    (tree / "0001" / "1.webp").symlink_to("gone.png")
    (tree / "0146").mkdir()
    (tree / "0146" / "1525146.jpg").symlink_to(tree.parent / "outside" / "1525146.jpg")
    (tree / "0002").symlink_to("../outside")
    listed = RECORDS.select(
        image_id=pl.format("danbooru-{}-0", "id"), post_id=pl.col("id").cast(pl.String), file_ext="file_ext"
    )
    said = dict(locate_images(tree, listed).select("image_id", "problem").iter_rows())
    out = "is a symbolic link that leads out of the folder of images, and is not followed; put the file itself"
    assert said["danbooru-1-0"] == "0001/1.webp is a symbolic link to nothing"
    assert str(said["danbooru-1525146-0"]).startswith(f"0146/1525146.jpg {out}")
    assert str(said["danbooru-5000000002-0"]).startswith(f"0002 {out}")
    assert said["danbooru-1001-0"] is None, "there is nothing of its name"


def test_tree_may_itself_be_a_link(tree: Path, tmp_path: Path) -> None:
    put(tree, "0001/1.png")
    (tmp_path / "link").symlink_to(tree)
    (tree / "0001" / "1001.gif").symlink_to("1.png")
    assert located(tmp_path / "link", RECORDS.head(2)) == {1: "0001/1.png", 1001: "0001/1001.gif"}


def test_names_that_are_no_utf_8_are_told_as_text(tree: Path) -> None:
    put(tree, "0001/1.png")
    with open(os.fsencode(tree) + b"/0001/\xff.png", "wb"):
        pass
    assert orphans(tree) == {"0001/\ufffd.png": "no file named ID.EXT"}


def test_nothing_listed_is_nothing_located(tree: Path) -> None:
    put(tree, "0001/1.png")
    assert located(tree, RECORDS.clear()) == {}
    assert orphans(tree, RECORDS.clear()) == {"0001/1.png": "no record has the id 1"}
