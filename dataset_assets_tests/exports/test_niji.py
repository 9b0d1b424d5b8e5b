"""Exports in the Niji archive's two layouts, read again with zipfile and by the adapter that reads the real ones."""

import hashlib
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.config import GalleryDlSource, License
from dataset_assets.domain.archive_members import split_location
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.niji import write_zip
from dataset_assets.exports.target import Target
from dataset_assets.exports.zip_files import MOST_IMAGES, write_archives
from dataset_assets.sources import gallery_dl
from dataset_assets.sources.gallery_dl_annotations import Annotations, read_annotations
from dataset_assets_tests.exports.hostile_members import counted, export, hostile_members, rows_by_id
from dataset_assets_tests.exports.made_members import contents, member, members_of, tag

BOTH = pytest.mark.parametrize("name", ["niji", "niji_raw"])


def work(post_id: int, page: int = 0, **changes: Any) -> dict[str, Any]:
    """A page of a work at Pixiv, of a source that is called `niji`."""
    stated = {
        "page_url": f"https://www.pixiv.net/artworks/{post_id}",
        "created_at": datetime(2022, 11, 8, 17, 4, post_id % 60, tzinfo=UTC),
        "title": f"チャイナドレス {post_id}",
        "description": "もっと<br />気軽に",
        "rating": "explicit",
        "rating_source": "R-18",
        "page_count": 2,
        "view_count": 9,
        "is_ai_generated": True,
        "year": 2022,
        "captions": [{"origin": "sidecar", "caption": f"a woman, {post_id} of them"}],
        "tags": [tag("long_hair"), tag("雪"), tag("オリジナル1000users入り", "meta")],
    }
    return member(str(post_id), "niji", page, **(stated | changes))


class ReadAgain:
    """The exported archives as a source of this project: the raw one as `images`, the other as `preprocessed`."""

    def __init__(self, folder: Path, raw: str = "raw/*/*.zip", preprocessed: str | None = None) -> None:
        self.source = GalleryDlSource(
            kind="gallery_dl",
            images=str(folder / raw),
            preprocessed=str(folder / preprocessed) if preprocessed else None,
            years=(2022,),
            license=License(name="x", basis="y"),
        )
        self.report = gallery_dl.read_snapshot("niji", self.source, folder / "snapshot.parquet", lambda line: None)
        self.snapshot = pl.scan_parquet(folder / "snapshot.parquet")
        self.images = gallery_dl.image_metadata(self.snapshot).collect()

    def annotations(self) -> Annotations:
        return read_annotations("niji", self.source, self.snapshot, lambda line: None)

    def files(self) -> dict[str, bytes]:
        found = {}
        for image_id, location in (
            gallery_dl.locate(self.source, self.images).select("image_id", "location").iter_rows()
        ):
            path, name = split_location(location)
            with zipfile.ZipFile(path) as archive:
                found[image_id] = archive.read(str(name))
        return found

    def tags(self) -> dict[str, set[str]]:
        rows = gallery_dl.tag_metadata(self.snapshot).group_by("image_id").agg("tag").collect()
        return {image_id: set(tags) for image_id, tags in rows.iter_rows()}


def archives(folder: Path) -> dict[str, dict[str, bytes]]:
    """The members of each archive, by its name below the export."""
    found = {}
    for file in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            found[file.relative_to(folder).as_posix()] = {name: archive.read(name) for name in archive.namelist()}
    return found


def test_the_raw_archive_is_read_again_as_the_same_works(tmp_path: Path) -> None:
    rows = [work(102633379), work(102633379, 1), work(7, rating="general", rating_source="General")]
    export(members_of(rows), "niji_raw", tmp_path / "raw")

    again = ReadAgain(tmp_path)

    assert again.report.rejected.is_empty()
    assert again.files() == {row["image_id"]: row["data"] for row in rows}
    assert again.tags() == {row["image_id"]: {tag["tag"] for tag in row["tags"]} for row in rows}
    kept = ("post_id", "page", "page_count", "created_at", "title", "description", "uploader_id", "uploader_name")
    kept += ("page_url", "rating", "rating_source", "fav_count", "view_count", "is_ai_generated")
    expected = {row["image_id"]: tuple(row[name] for name in kept) for row in rows}
    assert {row[0]: row[1:] for row in again.images.select("image_id", *kept).iter_rows()} == expected


def test_the_preprocessed_archive_is_read_again_with_the_same_captions_and_tags(tmp_path: Path) -> None:
    rows = [work(102633379), work(102633379, 1), work(7, captions=[{"origin": "blip", "caption": "a ladybird"}])]
    for name, folder in (("niji_raw", "raw"), ("niji", "preprocessed")):
        export(members_of(rows), name, tmp_path / folder)

    found, mismatches = ReadAgain(tmp_path, preprocessed="preprocessed/niji/girls_preprocessed.zip").annotations()

    assert mismatches.is_empty()
    assert found["problem"].null_count() == found.height
    published = {
        (row["image_id"], row["origin"]): (row["caption"], row["tags"])
        for row in found.group_by("image_id", "origin")
        .agg(pl.col("caption").drop_nulls().first(), pl.col("tags").drop_nulls().first())
        .iter_rows(named=True)
    }
    for row in rows:
        caption, tags = row["captions"][0]["caption"], [tag["tag"] for tag in row["tags"]]
        cleaned = caption.replace("woman", "girl"), [tag.replace("_", " ") for tag in tags]
        assert published[row["image_id"], "sidecar"] == (caption, tags)
        assert published[row["image_id"], "meta_cap"] == (caption, None)
        assert published[row["image_id"], "meta_dd"] == (None, tags)
        assert published[row["image_id"], "meta_clean"] == cleaned


def test_the_preprocessed_archive_has_the_layout_of_the_real_one(tmp_path: Path) -> None:
    export(members_of([work(5), work(7)]), "niji", tmp_path / "out")

    ((name, members),) = archives(tmp_path / "out").items()

    assert name == "niji/girls_preprocessed.zip"
    assert list(members) == [
        *(f"dataset/niji-5-0{suffix}" for suffix in (".png", ".png.json", ".caption", ".txt")),
        *(f"dataset/niji-7-0{suffix}" for suffix in (".png", ".png.json", ".caption", ".txt")),
        *("meta_cap.json", "meta_dd.json", "meta_clean.json", "ATTRIBUTION.csv"),
    ]
    assert members["dataset/niji-5-0.txt"].decode() == "long_hair, 雪, オリジナル1000users入り\n"
    assert json.loads(members["meta_clean.json"])["niji-7-0"] == {
        "caption": "a girl, 7 of them",
        "tags": "long hair, 雪, オリジナル1000users入り",
    }
    assert members["ATTRIBUTION.csv"].splitlines()[1].startswith(b"dataset/niji-5-0.png,niji-5-0,painter,")


def test_the_raw_archive_has_the_layout_of_the_real_one(tmp_path: Path) -> None:
    export(members_of([work(5), work(7, 1)]), "niji_raw", tmp_path / "out")

    ((name, members),) = archives(tmp_path / "out").items()

    assert name == "niji_raw/girls_raw.zip"
    assert list(members) == [
        *("niji/5_p0.png", "niji/5_p0.png.json", "niji/7_p1.png", "niji/7_p1.png.json"),
        "ATTRIBUTION.csv",
    ]


def test_images_that_are_no_works_at_pixiv_are_not_read_as_such(tmp_path: Path) -> None:
    export(members_of([work(5), member("5", "danbooru")]), "niji_raw", tmp_path / "raw")

    again = ReadAgain(tmp_path)

    assert again.images["image_id"].to_list() == ["niji-5-0"]
    assert again.report.rejected["file"].to_list() == ["niji_raw/girls_raw.zip!danbooru/5_p0.png.json"]


@BOTH
def test_hostile_members_make_sound_archives(tmp_path: Path, name: str) -> None:
    members = hostile_members()
    export(members, name, tmp_path / "out")
    rows = rows_by_id(members)

    found = archives(tmp_path / "out")

    assert sorted(found) == [
        f"{name}/girls-{part}_{'raw' if name == 'niji_raw' else 'preprocessed'}.zip" for part in ("test", "train")
    ]
    images = {
        hashlib.sha256(data).hexdigest()
        for entries in found.values()
        for entry, data in entries.items()
        if not entry.endswith((".json", ".txt", ".caption", ".csv"))
    }
    assert images == {row["sha256"] for row in rows.values()}
    for entries in found.values():
        for entry, data in entries.items():
            if entry.endswith(".json"):
                json.loads(data)
            elif entry.endswith((".txt", ".caption")):
                assert len(data.decode().splitlines()) == 1


def test_hostile_texts_are_read_again_as_ours(tmp_path: Path) -> None:
    tags = [tag("rome,italy"), tag("a\nb"), tag("=1+1"), tag("\0"), tag("")]
    rows = [
        work(5, tags=tags, captions=[{"origin": "x", "caption": "two\nlines\0"}]),
        work(6, captions=[{"origin": "x", "caption": "long " * 20_000}]),
        work(7, captions=[], tags=[]),
    ]
    for name, folder in (("niji_raw", "raw"), ("niji", "preprocessed")):
        export(members_of(rows), name, tmp_path / folder)

    found, mismatches = ReadAgain(tmp_path, preprocessed="preprocessed/niji/*.zip").annotations()

    assert set(mismatches.select("kind", "image_id").iter_rows()) <= {("empty_caption", "niji-7-0")}
    sidecars = found.filter(pl.col("origin") == "sidecar")
    texts = dict(sidecars.filter(pl.col("caption").is_not_null()).select("image_id", "caption").iter_rows())
    lists = dict(sidecars.filter(pl.col("tags").is_not_null()).select("image_id", "tags").iter_rows())
    assert texts["niji-5-0"] == "two lines"
    assert texts["niji-6-0"] == ("long " * 20_000).strip()
    assert lists["niji-5-0"] == ["rome，italy", "a b", "=1+1"]
    assert lists["niji-7-0"] == []


@BOTH
def test_archives_are_of_about_the_asked_size_and_each_is_whole(tmp_path: Path, name: str) -> None:
    rows = [work(number) for number in range(100, 120)]
    export(members_of(rows), name, tmp_path / "raw", shard_bytes=16_000)

    found = archives(tmp_path / "raw")

    kind = "raw" if name == "niji_raw" else "preprocessed"
    assert list(found) == [f"{name}/girls_{kind}-{number:05d}.zip" for number in range(len(found))]
    assert len(found) > 3
    assert all((tmp_path / "raw" / file).stat().st_size < 20_000 for file in found)
    for entries in found.values():
        stems = {entry for entry in entries if entry.endswith(".png")}
        assert stems == {entry.removesuffix(".json") for entry in entries if entry.endswith(".png.json")}
        if name == "niji":
            keys = {f"dataset/{key}.png" for key in json.loads(entries["meta_clean.json"])}
            assert keys == stems
    assert ReadAgain(tmp_path).images["image_id"].to_list() == [row["image_id"] for row in rows]


def test_an_archive_has_no_more_images_than_every_program_can_read(tmp_path: Path) -> None:
    members, target = members_of([work(number) for number in range(5)]), Target(tmp_path / "out", tmp_path / "scratch")

    written = list(write_archives(members, target, "niji/a", "recipe", 500 << 20, write_zip, most_images=2))

    assert [(file.name, file.rows) for file in written] == [
        *(("niji/a-00000.zip", 2), ("niji/a-00001.zip", 2), ("niji/a-00002.zip", 1)),
    ]
    assert 4 * MOST_IMAGES + 4 < 65_535


@BOTH
def test_equal_members_give_equal_bytes_in_another_folder(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        export(hostile_members(), name, tmp_path / folder, shard_bytes=20_000)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@BOTH
def test_where_a_file_lies_changes_nothing(tmp_path: Path, name: str) -> None:
    here, there = work(5), work(5)
    there["path"] = "/a/much/longer/path/to/a/mirror" * 100 + "/5.png"
    for folder, row in (("a", here), ("b", there)):
        export(members_of([row]), name, tmp_path / folder)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@BOTH
def test_a_stopped_export_goes_on_with_the_first_archive_that_is_not_whole(tmp_path: Path, name: str) -> None:
    members = members_of([work(number) for number in range(100, 120)])
    target, reads = Target(tmp_path / "out", tmp_path / "out_scratch"), list[str]()

    def read(path: str) -> bytes:
        if len(reads) == 10:
            raise OSError("the disk is gone")
        reads.append(path)
        return members.read_path(path)

    with pytest.raises(MemberLost):
        list(FORMATS[name].write(Members(members.parts, read), target, Settings("girls", 16_000)))
    whole = contents(tmp_path / "out")
    reads.clear()
    export(counted(members, reads), name, tmp_path / "out", shard_bytes=16_000)
    export(members, name, tmp_path / "at_once", shard_bytes=16_000)

    assert whole
    assert 10 <= len(reads) < 20
    assert contents(tmp_path / "out") == contents(tmp_path / "at_once")
    assert not list((tmp_path / "out_scratch").iterdir())
