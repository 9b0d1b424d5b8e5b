import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.config import GalleryDlSource, License
from dataset_assets.domain.members import STATED
from dataset_assets.exports.gallery_dl_sidecar import sidecar
from dataset_assets.sources import gallery_dl
from dataset_assets_tests.exports.made_members import member, tag


def work(**changes: Any) -> dict[str, Any]:
    """A page of a work at Pixiv."""
    stated = {
        "page_url": "https://www.pixiv.net/artworks/102633379",
        "created_at": datetime(2022, 11, 8, 17, 4, 4, tzinfo=UTC),
        "title": "チャイナドレス",
        "description": "もっと<br />気軽に",
        "rating": "explicit",
        "rating_source": "R-18G",
        "uploader_id": "17",
        "uploader_name": "絵描き",
        "page_count": 2,
        "view_count": 12_000,
        "fav_count": 2334,
        "is_ai_generated": True,
        "tags": [tag("雪"), tag("オリジナル")],
    }
    return member("102633379", "pixiv_niji", **(stated | changes))


def test_a_work_is_written_as_gallery_dl_writes_it() -> None:
    assert (
        sidecar(work(), "102633379_p0").decode()
        == """{
    "caption": "もっと<br />気軽に",
    "category": "pixiv",
    "create_date": "2022-11-09T02:04:04+09:00",
    "date": "2022-11-08 17:04:04",
    "extension": "png",
    "filename": "102633379_p0",
    "height": 40,
    "id": 102633379,
    "illust_ai_type": 2,
    "num": 0,
    "page_count": 2,
    "rating": "R-18G",
    "tags": [
        "雪",
        "オリジナル"
    ],
    "title": "チャイナドレス",
    "total_bookmarks": 2334,
    "total_view": 12000,
    "user": {
        "id": 17,
        "name": "絵描き"
    },
    "width": 48,
    "x_restrict": 2
}
"""
    )


def test_what_is_not_known_is_left_out() -> None:
    unknown = dict.fromkeys(set(STATED) - {"post_id", "page"})
    row = work() | unknown | {"tags": [], "original_width": None, "original_height": None}

    assert json.loads(sidecar(row, "a")) == {
        "category": "pixiv_niji",
        "extension": "png",
        "filename": "a",
        "id": 102633379,
        "num": 0,
        "tags": [],
    }


def test_sizes_of_later_pages_are_not_those_of_the_work() -> None:
    found = json.loads(sidecar(work() | {"page": 1}, "102633379_p1"))

    assert found["num"] == 1
    assert not found.keys() & {"width", "height"}


@pytest.mark.parametrize(
    "page_url",
    [
        None,
        "https://danbooru.donmai.us/posts/102633379",
        "https://www.pixiv.net/artworks/5",
        "https://www.pixiv.net.evil.example/artworks/102633379",
        "https://www.pixiv.net/artworks/102633379\n",
    ],
)
def test_an_image_that_is_no_work_at_pixiv_does_not_claim_to_be_one(page_url: str | None) -> None:
    found = json.loads(sidecar(work(page_url=page_url), "a"))

    assert found["category"] == "pixiv_niji"
    assert not found.keys() & {"create_date", "x_restrict", "illust_ai_type", "total_bookmarks", "total_view"}


def real_works(folder: Path, into: Path) -> pl.DataFrame:
    """Rows of MEMBERS of real sidecars, with the file names that they stand beside."""
    source = GalleryDlSource(kind="gallery_dl", images=str(folder), years=(2022,), license=License(name="x", basis="y"))
    gallery_dl.read_snapshot("pixiv", source, into, lambda line: None)
    snapshot = pl.scan_parquet(into)
    tags = gallery_dl.tag_metadata(snapshot).sort("image_id", "category", "tag")
    listed = tags.group_by("image_id").agg(tags=pl.struct("tag", "category"))
    metadata = gallery_dl.image_metadata(snapshot).join(listed, on="image_id", how="left")
    return metadata.with_columns(
        pl.col("file_ext").alias("extension"),
        pl.col("width").alias("original_width"),
        pl.col("height").alias("original_height"),
        source=pl.lit("pixiv"),
    ).collect()


def test_of_real_sidecars_nothing_is_said_but_what_they_say(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "pixiv_sidecars" / "gallery-dl_1.24.1"
    rows = real_works(folder, tmp_path / "snapshot.parquet")
    left_out: set[str] = set()

    for row in rows.iter_rows(named=True):
        original = json.loads((folder / f"{row['file_name']}.json").read_text("utf-8"))
        stem = row["file_name"].rpartition("/")[2].rpartition(".")[0]
        made = json.loads(sidecar(row, stem))
        left_out |= original.keys() - made.keys()
        assert set(made.pop("tags")) == {tag for tag in original.pop("tags") if tag.strip()}
        user = made.pop("user")
        assert user == {key: original["user"][key] for key in user}
        assert made == {key: original[key] for key in made}

    assert rows.height > 300
    assert left_out == {
        *("illust_ai_type", "width", "height"),  # where it is not declared; of later pages
        *("comment_access_control", "illust_book_style", "is_bookmarked", "is_muted", "ranking", "restrict"),
        *("restriction_attributes", "sanity_level", "search", "series", "subcategory", "suffix", "tools"),
        *("total_comments", "type", "visible"),
    }
