import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.config import License, PixivListsSource
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS, TAG_METADATA, require_schema
from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources import DamagedExport, ReadReport, pixiv_lists
from dataset_assets.sources.pixiv_lists import BOOKMARK_TAGS, SNAPSHOT, read_bookmark_tags

PIXIV_DATASET = Path(__file__).parents[2] / ".." / "shared" / "data" / "pixiv_dataset"


class Lists(NamedTuple):
    """Lists, read."""

    source: PixivListsSource
    report: ReadReport
    snapshot: pl.DataFrame

    @property
    def rejected(self) -> list[tuple[str, int, str]]:
        return self.report.rejected.select("file", "line", "reason").rows()

    def rows(self, *columns: str) -> dict[str, tuple[object, ...]]:
        return {row[0]: row[1:] for row in self.snapshot.select("post_id", *columns).iter_rows()}

    def located(self) -> dict[str, str | None]:
        listed = pixiv_lists.image_metadata(self.snapshot.lazy()).collect()
        found = pixiv_lists.locate(self.source, listed)
        found = found.drop("problem", strict=False)
        assert found.schema == {"image_id": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64}
        assert found["image_id"].to_list() == listed["image_id"].to_list()
        return dict(found.select("image_id", "location").iter_rows())

    def orphans(self) -> dict[str, str]:
        found = pixiv_lists.orphans(self.source, self.snapshot.lazy())
        require_schema(REJECTED_RECORDS, found.schema)
        assert set(found["reason"]) <= {"orphan_file"}
        return dict(found.select("file", "detail").iter_rows())


def source_of(
    folder: Path, files: Mapping[str, str | bytes], images: Mapping[str, bytes] | None = None
) -> PixivListsSource:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for name, content in (images or {}).items():
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(content)
    source = PixivListsSource(
        kind="pixiv_lists",
        ids=("*.txt",),
        sketch_pairs="pairs.csv" if "pairs.csv" in files else None,
        images="images" if images is not None else None,
        collected=2017,
        license=License(name="x", basis="y"),
    )
    source._folder = folder
    return source


def read(folder: Path, files: Mapping[str, str | bytes], images: Mapping[str, bytes] | None = None) -> Lists:
    source, into, said = source_of(folder, files, images), folder / "snapshot.parquet", list[str]()
    report = pixiv_lists.read_snapshot("pixiv", source, into, said.append)
    snapshot = pl.read_parquet(into)
    require_schema(SNAPSHOT, snapshot.schema)
    require_schema(REJECTED_RECORDS, report.rejected.schema)
    assert set(report.rejected["reason"]) <= set(REJECT_REASONS)
    assert report.records == snapshot.height
    assert snapshot["image_id"].is_sorted()
    assert said
    return Lists(source, report, snapshot)


@pytest.mark.parametrize("content", ["5\n7\n10\n", "5\r\n7\r\n10", "\ufeff5\n\n \n7 \n10\n\n"])
def test_each_line_is_an_id_whatever_the_line_ends(tmp_path: Path, content: str) -> None:
    lists = read(tmp_path, {"ids.txt": content})

    assert lists.snapshot["image_id"].to_list() == ["pixiv-10-0", "pixiv-5-0", "pixiv-7-0"]
    assert lists.report.rejected.equals(REJECTED_RECORDS.empty())


def test_a_row_says_where_it_stood_and_when_it_was_collected(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": "5\n\n7\n"})

    assert lists.rows("year", "record_file", "record_line", "is_popular", "pair_role") == {
        "5": (2017, "ids.txt", 1, True, None),
        "7": (2017, "ids.txt", 3, True, None),
    }


@pytest.mark.parametrize("line", ["id", "-5", "5.0", "05", "0", "5 6", "5,6", "１２", "1" * 19, "#5"])
def test_a_line_that_is_no_id_is_rejected(tmp_path: Path, line: str) -> None:
    lists = read(tmp_path, {"ids.txt": f"5\n{line}\n7\n"})

    assert set(lists.rows()) == {"5", "7"}
    assert lists.rejected == [("ids.txt", 2, "bad_id")]
    assert lists.report.rejected["content"].to_list() == [line]


def test_bytes_that_are_no_text_are_rejected(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": b"5\n\xff\xfe\x00" + b"x" * 1000 + b"\n7\n"})

    assert set(lists.rows()) == {"5", "7"}
    assert lists.rejected == [("ids.txt", 2, "bad_id")]
    assert len(lists.report.rejected["content"][0]) == 200


def test_of_an_id_in_several_lines_or_lists_the_first_counts(tmp_path: Path) -> None:
    lists = read(tmp_path, {"b.txt": "9\n5\n", "a.txt": "5\n7\n5\n"})

    assert lists.rows("record_file", "record_line") == {"5": ("a.txt", 1), "7": ("a.txt", 2), "9": ("b.txt", 1)}
    assert lists.rejected == [("a.txt", 3, "duplicate_id"), ("b.txt", 2, "duplicate_id")]
    assert set(lists.report.rejected["detail"]) == {"id 5 is already that of line 1 of a.txt"}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(["1", "2", "30", "x", "", " 4 ", "0", "1,2"]), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_line_that_is_not_blank_is_a_record_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
) -> None:
    lists = read(tmp_path_factory.mktemp("lists"), {"ids.txt": end.join(lines)})

    told = {*lists.snapshot["record_line"], *(line for _, line, _ in lists.rejected)}
    assert told == {number for number, line in enumerate(lines, 1) if line.strip()}
    assert lists.report.records + len(lists.rejected) == len(told)


def test_the_images_of_pairs_are_listed_with_their_role(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": "5\n1\n", "pairs.csv": "3,1\n4,3\nno pair\n"})

    assert lists.rows("is_popular", "pair_role", "record_file", "record_line") == {
        "1": (True, "sketch", "ids.txt", 2),
        "3": (False, "both", "pairs.csv", 1),
        "4": (False, "colored", "pairs.csv", 2),
        "5": (True, None, "ids.txt", 1),
    }
    assert lists.rejected == [("pairs.csv", 3, "bad_id")]


def test_an_empty_list_gives_empty_tables(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": ""})

    assert pixiv_lists.image_metadata(lists.snapshot.lazy()).collect().equals(IMAGE_METADATA.empty())


def test_a_list_far_too_large_is_refused_unread(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"ids.txt": "5\n"})
    with (tmp_path / "ids.txt").open("r+b") as file:
        file.truncate(1 << 40)

    with pytest.raises(DamagedExport, match=r"ids\.txt"):
        pixiv_lists.read_snapshot("pixiv", source, tmp_path / "snapshot.parquet", lambda line: None)


def test_the_same_lists_give_the_same_bytes(tmp_path: Path) -> None:
    files = {"ids.txt": "\n".join(map(str, range(1, 500))), "pairs.csv": "3,1\n900,800\n"}
    read(tmp_path, files)
    first = (tmp_path / "snapshot.parquet").read_bytes()

    read(tmp_path, files)
    assert (tmp_path / "snapshot.parquet").read_bytes() == first


def test_image_metadata_claims_no_more_than_the_lists_say(tmp_path: Path) -> None:
    snapshot = read(tmp_path, {"ids.txt": "14646322\n"}).snapshot.lazy()

    images = pixiv_lists.image_metadata(snapshot)

    require_schema(IMAGE_METADATA, images.collect_schema())
    row = images.collect().row(0, named=True)
    assert {key: value for key, value in row.items() if value is not None} == {
        "image_id": "pixiv-14646322-0",
        "post_id": "14646322",
        "page": 0,
        "page_url": "https://www.pixiv.net/artworks/14646322",
        "pixiv_id": "14646322",
    }


def test_there_are_no_tags(tmp_path: Path) -> None:
    snapshot = read(tmp_path, {"ids.txt": "5\n"}).snapshot.lazy()

    assert pixiv_lists.tag_metadata(snapshot).collect().equals(TAG_METADATA.empty())


def test_without_a_folder_of_images_none_is_located_and_none_is_an_orphan(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": "5\n7\n"})

    assert lists.located() == {"pixiv-5-0": None, "pixiv-7-0": None}
    assert lists.orphans() == {}


def test_images_are_found_by_either_name_in_any_folder(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": "5\n7\n9\n"}, {"5_p0.png": b"a", "artist/deep/7.JPG": b"b"})

    folder = tmp_path / "images"
    assert lists.located() == {
        "pixiv-5-0": str(folder / "5_p0.png"),
        "pixiv-7-0": str(folder / "artist/deep/7.JPG"),
        "pixiv-9-0": None,
    }
    assert lists.orphans() == {}


def test_size_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": "5\n"}, {"5_p0.png": b"pixels"})
    os.utime(tmp_path / "images/5_p0.png", ns=(1, 17))

    found = pixiv_lists.locate(lists.source, pixiv_lists.image_metadata(lists.snapshot.lazy()).collect())
    assert found.select("size", "mtime_ns").row(0) == (6, 17)


def test_files_that_no_record_names_are_orphans(tmp_path: Path) -> None:
    images = {
        "5_p0.png": b"",
        "5_p1.png": b"",
        "6_p0.png": b"",
        "x/banner.jpg": b"",
        "notes.txt": b"",
        "._5_p0.png": b"",
        "5_p0.png.json": b"",
    }

    lists = read(tmp_path, {"ids.txt": "5\n"}, images)

    assert lists.orphans() == dict.fromkeys(["5_p1.png", "6_p0.png", "x/banner.jpg"], "its name is that of no record")


def test_of_two_files_for_one_image_the_first_is_read_and_the_other_is_an_orphan(tmp_path: Path) -> None:
    lists = read(tmp_path, {"ids.txt": "5\n"}, {"b/5_p0.png": b"", "a/5_p0.png": b"", "5_p0.webp": b""})

    assert lists.located() == {"pixiv-5-0": str(tmp_path / "images/a/5_p0.png")}
    assert lists.orphans() == dict.fromkeys(["5_p0.webp", "b/5_p0.png"], "a/5_p0.png is read for post 5")


def test_links_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    lists = read(tmp_path, {"ids.txt": "5\n"}, {"readme.txt": b""})
    (tmp_path / "images/5_p0.png").symlink_to(tmp_path / "secret.png")

    assert lists.located() == {"pixiv-5-0": None}
    assert lists.orphans() == {"5_p0.png": "a link that leads out of the folder"}
    listed = pixiv_lists.image_metadata(lists.snapshot.lazy()).collect()
    [problem] = pixiv_lists.locate(lists.source, listed)["problem"]
    assert problem.startswith("5_p0.png is a symbolic link that leads out of the folder of images")


def test_the_fingerprint_changes_with_the_lists_and_not_with_the_images(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"ids.txt": "5\n", "pairs.csv": "3,1\n"}, {"5.png": b""})
    seen = {pixiv_lists.fingerprint(source)}
    (tmp_path / "images/7.png").write_bytes(b"")
    seen.add(pixiv_lists.fingerprint(source))
    assert len(seen) == 1

    for name in ("ids.txt", "pairs.csv"):
        os.utime(tmp_path / name, ns=(1, 1))
        seen.add(pixiv_lists.fingerprint(source))
    assert len(seen) == 3


def bookmark_tags(folder: Path, text: str) -> list[tuple[str, int | None, str | None]]:
    (folder / "bookmarks.txt").write_text(text, "utf-8")
    found = read_bookmark_tags(folder / "bookmarks.txt")
    require_schema(BOOKMARK_TAGS, found.schema)
    return found.select("tag", "bookmarks", "copyright").rows()


@pytest.mark.parametrize(
    ("heading", "tag", "tier", "owner"),
    [
        ("# 50000", "オリジナル50000users入り", 50_000, "オリジナル"),
        ("#5000", "10000users入り", 10_000, None),
        ("# 500", "ガンダム00500users入り", 500, "ガンダム00"),
        ("# 1000", "らんま1/21000users入り", 1000, "らんま1/2"),
        ("# 1000", "Alice_mare100users入り", 100, "Alice_mare"),
        ("# 10000", "忍たま10000·20000users入り", 10_000, "忍たま"),
        ("# made from a page", "ナルト1000users入り", 1000, "ナルト"),
        ("# 500", "なにか", 500, None),
        ("# made from a page", "なにか", None, None),
    ],
)
def test_a_popularity_tag_has_a_tier_and_a_copyright(
    tmp_path: Path, heading: str, tag: str, tier: int | None, owner: str | None
) -> None:
    assert bookmark_tags(tmp_path, f"{heading}\r\n{tag}\r\n") == [(tag, tier, owner)]


def test_a_repeated_popularity_tag_counts_once(tmp_path: Path) -> None:
    text = "# 500\n銀魂500users入り\n銀魂500users入り\nBLEACH500users入り"

    assert [tag for tag, _, _ in bookmark_tags(tmp_path, text)] == ["銀魂500users入り", "BLEACH500users入り"]


@pytest.mark.skipif(not PIXIV_DATASET.is_dir(), reason="the published lists are not here")
def test_the_published_lists(tmp_path: Path) -> None:
    source = PixivListsSource(
        kind="pixiv_lists",
        ids=(str(PIXIV_DATASET / "popular_pixiv_image_ids.txt"),),
        sketch_pairs=str(PIXIV_DATASET / "colored_sketch_pair.csv"),
        collected=2017,
        license=License(name="x", basis="y"),
    )
    report = pixiv_lists.read_snapshot("pixiv", source, tmp_path / "snapshot.parquet", lambda line: None)
    snapshot = pl.read_parquet(tmp_path / "snapshot.parquet")

    assert report.rejected.height == 0
    assert snapshot.filter("is_popular").height == 268_118
    assert snapshot.filter(pl.col("is_popular") & pl.col("pair_role").is_not_null()).height == 122
    roles = dict(snapshot["pair_role"].drop_nulls().value_counts().iter_rows())
    assert roles == {"colored": 6190, "sketch": 4545, "both": 2}
    assert snapshot.select(pl.col("post_id").cast(pl.Int64).min()).item() == 258


@pytest.mark.skipif(not PIXIV_DATASET.is_dir(), reason="the published lists are not here")
def test_the_published_popularity_tags() -> None:
    tags = read_bookmark_tags(PIXIV_DATASET / "pixiv_bookmark_list.txt")

    assert tags.height == 1199
    assert set(tags["tier"]) == {50_000, 10_000, 5000, 1000, 500}
    assert set(tags["bookmarks"]) == {50_000, 10_000, 5000, 1000, 500, 100}
    assert tags.filter(pl.col("lines") > 1).height == 1
    assert tags["copyright"].null_count() == 0
