import json
import os
import tarfile
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from dataset_assets.config import GalleryDlSource, License
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS, TAG_METADATA, require_schema
from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources import DamagedExport, ReadReport, gallery_dl
from dataset_assets.sources.gallery_dl import SNAPSHOT
from dataset_assets.storage import archives
from dataset_assets_tests.sources.scrapes import (
    as_bytes,
    canonical,
    niji,
    parsed,
    put,
    recovered,
    sidecar,
    tarred,
    zipped,
)

VERSIONS = ("gallery-dl_1.24.1", "gallery-dl_1.32.18")


def source_of(images: Path | str) -> GalleryDlSource:
    return GalleryDlSource(kind="gallery_dl", images=str(images), years=(2022,), license=License(name="x", basis="y"))


class Scrape(NamedTuple):
    """A scrape, read."""

    source: GalleryDlSource
    file: Path
    report: ReadReport

    @property
    def snapshot(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.file)

    @property
    def reasons(self) -> dict[str, str]:
        return dict(self.report.rejected.select("file", "reason").iter_rows())

    @property
    def ids(self) -> list[str]:
        return self.snapshot.select("image_id").collect()["image_id"].to_list()

    def located(self) -> dict[str, tuple[str | None, int | None, int | None]]:
        listed = gallery_dl.image_metadata(self.snapshot).collect()
        return {row[0]: row[1:4] for row in gallery_dl.locate(self.source, listed).iter_rows()}

    def problems(self) -> dict[str, str]:
        found = gallery_dl.locate(self.source, gallery_dl.image_metadata(self.snapshot).collect())
        return dict(found.select("image_id", "problem").drop_nulls().iter_rows())

    def orphans(self) -> dict[str, str]:
        found = gallery_dl.orphans(self.source, self.snapshot)
        require_schema(REJECTED_RECORDS, found.schema)
        assert set(found["reason"]) <= {"orphan_file"}
        return dict(found.select("file", "detail").iter_rows())


def read(images: Path | str, into: Path) -> Scrape:
    said: list[str] = []
    report = gallery_dl.read_snapshot("niji", source_of(images), into, said.append)
    require_schema(SNAPSHOT, pl.scan_parquet(into).collect_schema())
    require_schema(REJECTED_RECORDS, report.rejected.schema)
    assert set(report.rejected["reason"]) <= set(REJECT_REASONS)
    assert said[-1].startswith("niji: ")
    return Scrape(source_of(images), into, report)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "snapshot.parquet"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_key_of_every_real_sidecar_is_recovered_from_the_snapshot(
    real_data: Path, into: Path, version: str
) -> None:
    folder = real_data / "pixiv_sidecars" / version

    scrape = read(folder, into)

    rows = scrape.snapshot.collect().to_dicts()
    assert len(rows) + scrape.report.rejected.height == len(list(folder.rglob("*.json"))) == 324
    for row in rows:
        original = json.loads((folder / row["record_file"]).read_text("utf-8"))
        assert recovered(row) == canonical(original)
    assert {row["extra"] for row in rows} == {None}, "a key of real sidecars has no column"


def test_the_work_that_two_real_searches_found_is_one_record(real_data: Path, into: Path) -> None:
    scrape = read(real_data / "pixiv_sidecars" / VERSIONS[0], into)

    assert scrape.reasons == {"dev/pixiv/rankings/day/2025-02-05/126839540_p0.jpg.json": "duplicate_id"}


def test_both_versions_of_gallery_dl_give_the_same_rows_but_for_what_the_new_one_adds(
    real_data: Path, tmp_path: Path
) -> None:
    added = ["url", "date_url", "count", "hash", "ranking_rank", "ranking_type"]

    old, new = (read(real_data / "pixiv_sidecars" / version, tmp_path / version).snapshot for version in VERSIONS)

    assert old.drop(added).collect().equals(new.drop(added).collect())
    assert new.select(pl.col("url", "date_url", "count", "hash").is_null().sum()).collect().row(0) == (0, 0, 0, 0)


def test_a_zip_is_read_in_place(tmp_path: Path, into: Path) -> None:
    archive = zipped(tmp_path / "niji.zip", niji(5, 7))

    scrape = read(archive, into)

    assert scrape.ids == ["niji-5-0", "niji-7-0"]
    assert scrape.snapshot.select("record_file", "file_name").collect().row(0) == (
        "niji.zip!nijijourney/5_p0.png.json",
        "niji.zip!nijijourney/5_p0.png",
    )
    assert scrape.located()["niji-5-0"][:2] == (f"{archive}!nijijourney/5_p0.png", 6)
    assert scrape.orphans() == {}
    assert sorted(os.listdir(tmp_path)) == ["niji.zip", "out"]


def test_a_folder_is_read_with_the_folders_in_it(tmp_path: Path, into: Path) -> None:
    folder = put(
        tmp_path / "scrape", {f"pixiv/user {n}/{name}": file for n in (1, 2) for name, file in niji(n).items()}
    )

    scrape = read(folder, into)

    image = folder / "pixiv/user 1/nijijourney/1_p0.png"
    assert scrape.ids == ["niji-1-0", "niji-2-0"]
    assert scrape.located()["niji-1-0"] == (str(image), 6, image.stat().st_mtime_ns)
    assert scrape.orphans() == {}


def test_a_folder_and_a_zip_of_the_same_files_give_the_same_image_metadata(tmp_path: Path) -> None:
    folder = read(put(tmp_path / "scrape", niji(5, 7)), tmp_path / "a.parquet")
    archive = read(zipped(tmp_path / "niji.zip", niji(5, 7)), tmp_path / "b.parquet")

    from_folder, from_archive = (
        gallery_dl.image_metadata(scrape.snapshot).drop("file_name").collect() for scrape in (folder, archive)
    )
    assert from_folder.equals(from_archive)


def test_a_tar_is_read_in_place_and_gives_the_same_as_a_zip(tmp_path: Path) -> None:
    packed = read(tarred(tmp_path / "niji.tar", niji(5, 7)), tmp_path / "a.parquet")
    zipped_up = read(zipped(tmp_path / "niji.zip", niji(5, 7)), tmp_path / "b.parquet")

    one, other = (
        gallery_dl.image_metadata(scrape.snapshot).drop("file_name").collect() for scrape in (packed, zipped_up)
    )
    assert one.equals(other)
    assert packed.located()["niji-5-0"][:2] == (f"{tmp_path}/niji.tar!nijijourney/5_p0.png", 6)


def test_x1_a_tar_that_is_cut_off_stops_the_reading_and_links_in_one_are_told(tmp_path: Path, into: Path) -> None:
    archive = tarred(tmp_path / "niji.tar", niji(5, 7))
    with tarfile.open(archive, "a") as more:
        link = tarfile.TarInfo("nijijourney/9_p0.png.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        more.addfile(link)
    rejected = read(archive, into).report.rejected
    assert rejected.select("file", "reason").rows() == [("niji.tar!nijijourney/9_p0.png.json", "unsafe_path")]

    archive.write_bytes(archive.read_bytes()[:700])
    with pytest.raises(DamagedExport, match="fetch it again"):
        read(archive, tmp_path / "c.parquet")


def test_several_zips_are_one_scrape_and_the_first_by_name_wins(tmp_path: Path, into: Path) -> None:
    (tmp_path / "b").mkdir()
    zipped(tmp_path / "a.zip", niji(5, 7))
    zipped(tmp_path / "b" / "b.zip", niji(7, 9))

    scrape = read(str(tmp_path / "**" / "*.zip"), into)

    assert scrape.ids == ["niji-5-0", "niji-7-0", "niji-9-0"]
    assert scrape.reasons == {"b/b.zip!nijijourney/7_p0.png.json": "duplicate_id"}
    assert scrape.orphans() == {"b/b.zip!nijijourney/7_p0.png": "its sidecar was rejected"}
    assert str(scrape.located()["niji-7-0"][0]).endswith("/a.zip!nijijourney/7_p0.png")


def test_the_preprocessed_layout_has_neither_orphans_nor_rejected_files(tmp_path: Path, into: Path) -> None:
    files = {name.replace("nijijourney/", "dataset/"): content for name, content in niji(5).items()}
    beside = {"dataset/5_p0.txt": b"1girl", "dataset/5_p0.caption": b"a girl", "dataset/info.json": b"{}"}
    root = {f"meta_{name}.json": b'{"5_p0": {}}' for name in ("cap", "dd", "clean")}

    scrape = read(zipped(tmp_path / "preprocessed.zip", files | beside | root), into)

    assert (scrape.ids, scrape.reasons, scrape.orphans()) == (["niji-5-0"], {}, {})


def test_what_a_mac_leaves_beside_files_is_no_image(tmp_path: Path, into: Path) -> None:
    left = {"__MACOSX/nijijourney/._5_p0.png": b"\0\5", "__MACOSX/._5_p0.png.json": b"\0\5", "a/._1.png.json": b"\0"}

    scrape = read(zipped(tmp_path / "niji.zip", niji(5) | left), into)

    assert (scrape.reasons, scrape.orphans()) == ({}, {})


@pytest.mark.parametrize("in_archive", [True, False])
def test_a_sidecar_without_its_image_is_listed_and_not_located(tmp_path: Path, into: Path, in_archive: bool) -> None:
    files = niji(5, 7)
    del files["nijijourney/5_p0.png"]

    scrape = read(zipped(tmp_path / "a.zip", files) if in_archive else put(tmp_path / "a", files), into)

    assert (scrape.ids, scrape.reasons) == (["niji-5-0", "niji-7-0"], {})
    assert scrape.located()["niji-5-0"] == (None, None, None)
    assert scrape.located()["niji-7-0"][1] == 6


@pytest.mark.parametrize("in_archive", [True, False])
def test_an_image_that_no_record_names_is_an_orphan(tmp_path: Path, into: Path, in_archive: bool) -> None:
    files = niji(5) | {"a/9_p0.webp": b"", "a/8_p0.zip": b"", "b_p0.JPG": b"", "b_p0.JPG.json": b"[]", "readme.md": b""}

    scrape = read(zipped(tmp_path / "a.zip", files) if in_archive else put(tmp_path / "a", files), into)

    prefix = "a.zip!" if in_archive else ""
    assert scrape.reasons == {f"{prefix}b_p0.JPG.json": "not_an_object"}
    assert scrape.orphans() == {
        f"{prefix}a/8_p0.zip": "there is no sidecar beside it",
        f"{prefix}a/9_p0.webp": "there is no sidecar beside it",
        f"{prefix}b_p0.JPG": "its sidecar was rejected",
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unsafe_members_are_rejected_and_the_others_read(tmp_path: Path, into: Path) -> None:
    evil = {f"../{name}": content for name, content in niji(6).items()}
    archive = zipped(tmp_path / "niji.zip", niji(5, 7) | evil)
    with zipfile.ZipFile(archive, "a") as again:
        again.writestr("nijijourney/7_p0.png", b"others")

    scrape = read(archive, into)

    assert scrape.ids == ["niji-5-0", "niji-7-0"]
    assert scrape.reasons == dict.fromkeys(
        [
            "niji.zip!../nijijourney/6_p0.png",
            "niji.zip!../nijijourney/6_p0.png.json",
            "niji.zip!nijijourney/7_p0.png",
        ],
        "unsafe_path",
    )
    assert scrape.located()["niji-7-0"] == (None, None, None)


def test_a_sidecar_with_a_wrong_byte_is_rejected_alone(tmp_path: Path, into: Path) -> None:
    archive = zipped(tmp_path / "niji.zip", niji(5, 7))
    content = bytearray(archive.read_bytes())
    content[content.index(b"7_p0.png.json") + 60] ^= 1
    archive.write_bytes(content)

    scrape = read(archive, into)

    assert scrape.ids == ["niji-5-0"]
    assert scrape.reasons == {"niji.zip!nijijourney/7_p0.png.json": "unreadable_file"}
    assert scrape.report.rejected["detail"][0].startswith("cannot be unpacked")


@pytest.mark.parametrize("kept", [0, 100, -40])
def test_a_cut_off_zip_stops_the_reading(tmp_path: Path, into: Path, kept: int) -> None:
    archive = zipped(tmp_path / "niji.zip", niji(5, 7))
    archive.write_bytes(archive.read_bytes()[:kept])

    with pytest.raises(DamagedExport, match=r"niji\.zip: not a whole zip archive"):
        read(archive, into)


def test_no_archive_at_all_stops_the_reading(tmp_path: Path, into: Path) -> None:
    with pytest.raises(DamagedExport, match="neither a folder nor an archive"):
        read(tmp_path / "none" / "*.zip", into)


def test_an_archive_that_no_location_could_name_stops_the_reading(tmp_path: Path, into: Path) -> None:
    with pytest.raises(DamagedExport, match=r"expected a path that ends in \.zip"):
        read(zipped(tmp_path / "niji.cbz", niji(5)), into)


def test_links_are_followed_within_the_folder_and_refused_out_of_it(tmp_path: Path, into: Path) -> None:
    folder = put(tmp_path / "scrape", niji(5))
    put(tmp_path / "elsewhere", {"secret.png": b"secret"} | niji(9))
    (folder / "6_p0.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (folder / "6_p0.png.json").write_bytes(as_bytes(sidecar(6)))
    (folder / "8_p0.png").symlink_to("nijijourney/5_p0.png")
    (folder / "8_p0.png.json").write_bytes(as_bytes(sidecar(8)))
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "broken.png").symlink_to("nowhere")
    (folder / "others").symlink_to(tmp_path / "elsewhere")

    scrape = read(folder, into)

    assert scrape.ids == ["niji-5-0", "niji-6-0", "niji-8-0"]
    assert scrape.reasons == dict.fromkeys(["6_p0.png", "broken.png", "loop.png", "others"], "unsafe_path")
    located = scrape.located()
    assert located["niji-6-0"] == (None, None, None)
    [problem] = scrape.problems().values()
    assert problem.startswith("6_p0.png is a symbolic link that leads out of the folder of images")
    assert located["niji-8-0"][1] == 6


def test_file_names_that_no_table_can_hold_are_rejected_in_escaped_form(tmp_path: Path, into: Path) -> None:
    folder = put(tmp_path / "scrape", niji(5) | {"old.zip!6_p0.png": b"pixels"})
    (folder / os.fsdecode(b"\x90\xe1_p0.png.json")).write_bytes(as_bytes(sidecar(6)))

    scrape = read(folder, into)

    assert scrape.ids == ["niji-5-0"]
    assert scrape.reasons == {r"\x90\xe1_p0.png.json": "unsafe_path", "old.zip!6_p0.png": "unsafe_path"}


def test_another_member_of_the_archive_does_not_make_an_image_look_changed(tmp_path: Path, into: Path) -> None:
    archive = zipped(tmp_path / "niji.zip", niji(5))
    scrape = read(archive, into)
    before = scrape.located()

    zipped(archive, niji(3, 5))
    assert scrape.located() == before

    zipped(archive, niji(3, 5, image=b"others"))
    (location, size, version), (_, _, version_before) = scrape.located()["niji-5-0"], before["niji-5-0"]
    assert (location, size) == before["niji-5-0"][:2]
    assert version != version_before


@pytest.mark.parametrize("in_archive", [True, False])
def test_a_located_image_is_the_one_that_storage_reads(tmp_path: Path, into: Path, in_archive: bool) -> None:
    files = niji(5)

    scrape = read(zipped(tmp_path / "a.zip", files) if in_archive else put(tmp_path / "a", files), into)

    location, size, version = scrape.located()["niji-5-0"]
    assert archives.stat_location(str(location)) == (size, version)
    assert archives.read_location(str(location), 6) == b"pixels"
    archives.close_archives()


def test_images_of_an_archive_that_is_gone_are_not_located(tmp_path: Path, into: Path) -> None:
    archive = zipped(tmp_path / "niji.zip", niji(5))
    scrape = read(archive, into)
    archive.unlink()

    assert scrape.located() == {"niji-5-0": (None, None, None)}


def test_locating_nothing_gives_an_empty_frame(tmp_path: Path) -> None:
    found = gallery_dl.locate(source_of(tmp_path), IMAGE_METADATA.empty())

    found = found.drop("problem")
    assert found.schema == {"image_id": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64}
    assert found.height == 0


@pytest.mark.parametrize("in_archive", [True, False])
def test_the_fingerprint_changes_with_the_export_alone(tmp_path: Path, in_archive: bool) -> None:
    def export(files: dict[str, bytes]) -> Path:
        return zipped(tmp_path / "a.zip", files) if in_archive else put(tmp_path / "a", files)

    source = source_of(export(niji(5)))
    first = gallery_dl.fingerprint(source)
    assert gallery_dl.fingerprint(source) == first

    export(niji(5, 7))
    second = gallery_dl.fingerprint(source)
    assert second != first

    changed = tmp_path / ("a.zip" if in_archive else "a/nijijourney/5_p0.png.json")
    os.utime(changed, ns=(1, 1))
    assert gallery_dl.fingerprint(source) not in (first, second)


def test_the_same_files_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    files = niji(*range(1, 40))

    def bytes_of(order: Iterable[str], name: str) -> bytes:
        archive = tmp_path / "niji.zip"
        zipped(archive, {file: files[file] for file in order})
        return read(archive, tmp_path / name).file.read_bytes()

    assert bytes_of(sorted(files), "a") == bytes_of(sorted(files, reverse=True), "b")


def test_rows_are_sorted_by_year_then_image_id(tmp_path: Path, into: Path) -> None:
    works = {10: 2023, 9: 2023, 1: 2024, 5: 2022}
    files = {
        f"{work}_p0.png.json": as_bytes(sidecar(work, create_date=f"{year}-06-01T00:00:00+09:00"))
        for work, year in works.items()
    }

    assert read(put(tmp_path / "a", files), into).ids == ["niji-5-0", "niji-10-0", "niji-9-0", "niji-1-0"]


def test_an_empty_scrape_gives_empty_tables(tmp_path: Path, into: Path) -> None:
    scrape = read(put(tmp_path / "a", {"readme.txt": b""}), into)

    assert scrape.report.records == 0
    assert gallery_dl.image_metadata(scrape.snapshot).collect().equals(IMAGE_METADATA.empty())
    assert gallery_dl.tag_metadata(scrape.snapshot).collect().equals(TAG_METADATA.empty())


def listed(*sidecars: dict[str, Any]) -> pl.DataFrame:
    snapshot = SNAPSHOT.frame([parsed(keys) for keys in sidecars]).lazy()
    images = gallery_dl.image_metadata(snapshot)
    require_schema(IMAGE_METADATA, images.collect_schema())
    return images.collect()


def test_image_metadata_says_what_the_sidecar_says() -> None:
    row = listed(sidecar(url="https://i.pximg.net/102633379_p0.png", visible=False)).row(0, named=True)

    assert {key: value for key, value in row.items() if value is not None} == {
        "image_id": "niji-102633379-0",
        "post_id": "102633379",
        "page": 0,
        "page_count": 2,
        "created_at": datetime(2022, 11, 8, 17, 4, 4, tzinfo=UTC),
        "title": "チャイナドレス",
        "description": "もっと<br />気軽に",
        "uploader_id": "17",
        "uploader_name": "絵描き",
        "page_url": "https://www.pixiv.net/artworks/102633379",
        "file_url": "https://i.pximg.net/102633379_p0.png",
        "file_name": "niji/102633379_p0.png",
        "file_ext": "png",
        "width": 950,
        "height": 1343,
        "rating": "general",
        "rating_source": "General",
        "rating_scale": "pixiv",
        "fav_count": 2334,
        "view_count": 12_000,
        "pixiv_id": "102633379",
        "is_ai_generated": True,
    }


def test_only_page_0_claims_the_size_that_all_pages_repeat() -> None:
    pages = listed(sidecar(page=0), sidecar(page=1)).select("image_id", "page", "width", "height").rows()

    assert pages == [("niji-102633379-0", 0, 950, 1343), ("niji-102633379-1", 1, None, None)]


@pytest.mark.parametrize(
    ("changes", "rating"),
    [
        ({"x_restrict": 0}, ("general", "General", "pixiv")),
        ({"x_restrict": 1, "rating": "R-18"}, ("explicit", "R-18", "pixiv")),
        ({"x_restrict": 2, "rating": "R-18G"}, ("explicit", "R-18G", "pixiv")),
        ({"x_restrict": 1, "rating": ...}, ("explicit", "R-18", "pixiv")),
        ({"x_restrict": ..., "rating": "R-18G"}, ("explicit", "R-18G", "pixiv")),
        ({"x_restrict": 3, "rating": "R-20"}, (None, "R-20", "pixiv")),
        ({"x_restrict": ..., "rating": ...}, (None, None, None)),
    ],
)
def test_the_rating_comes_from_the_restriction(changes: dict[str, Any], rating: tuple[str | None, ...]) -> None:
    assert listed(sidecar(**changes)).select("rating", "rating_source", "rating_scale").row(0) == rating


@pytest.mark.parametrize(("kind", "generated"), [(2, True), (1, False), (0, None), (..., None), (7, None)])
def test_an_image_is_ai_generated_where_the_artist_says_so(kind: Any, generated: bool | None) -> None:
    assert listed(sidecar(illust_ai_type=kind))["is_ai_generated"].to_list() == [generated]


def test_tags_are_kept_as_published_once_for_each_image() -> None:
    tags = [
        "雪",
        "Snow",
        "雪",
        "",
        " ",
        "オリジナル1000users入り",
        "100users入り",
        "users入り",
        "1000users入りおめでとう",
    ]
    snapshot = SNAPSHOT.frame(
        [parsed(sidecar(1, tags=tags)), parsed(sidecar(2, tags=[])), parsed(sidecar(3, tags=...))]
    )

    found = gallery_dl.tag_metadata(snapshot.lazy())

    require_schema(TAG_METADATA, found.collect_schema())
    assert sorted(found.collect().rows()) == sorted(
        (tag, "niji-1-0", category, "source")
        for tag, category in {
            "雪": "general",
            "Snow": "general",
            "オリジナル1000users入り": "meta",
            "100users入り": "meta",
            "users入り": "general",
            "1000users入りおめでとう": "general",
        }.items()
    )
