"""Who is a member of a release, and what its row says."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from dataset_assets.domain.annotations import CAPTIONS
from dataset_assets.domain.members import MEMBERS
from dataset_assets.domain.membership import Stated, YearTables, held_back, member_ids, members, within
from dataset_assets.domain.schemas import (
    IMAGE_FACTS,
    IMAGE_METADATA,
    RAW_IMAGES,
    SUBSET,
    TAG_METADATA,
    TRAINING_IMAGES,
    require_schema,
)

ID = "danbooru-7-0"
STATED = Stated("danbooru", 2019, "various", "site terms", may_redistribute=False, names_artists=False)


def tables(**changes: pl.LazyFrame) -> YearTables:
    tag = {"image_id": ID, "origin": "source"}
    lying = {"width": 300, "height": 200, "orientation": 6, "pixel_hash": "p"}
    training = {
        "path": "images/training/danbooru/0007/7_p0.abc.jpg",
        "sha256": "t",
        "size": 5,
        "width": 20,
        "height": 30,
    }
    given: dict[str, Any] = {
        "metadata": IMAGE_METADATA.frame(
            [{"image_id": ID, "post_id": "7", "uploader_name": "up", "rating": "general"}]
        ),
        "raw": RAW_IMAGES.frame([{"image_id": ID, "path": "raw.png", "sha256": "r", "md5": "m", "extension": "png"}]),
        "facts": IMAGE_FACTS.frame([{"image_id": ID, **lying}]),
        "files": TRAINING_IMAGES.frame([{"image_id": ID, **training}]),
        "captions": CAPTIONS.frame(
            [{"image_id": ID, "origin": origin, "caption": f"by {origin}"} for origin in ("blip", "sidecar", "coca")]
        ),
        "tags": TAG_METADATA.frame(
            [
                {"tag": name, "category": category, **tag}
                for name, category in (("zoo", "general"), ("hat", "general"), ("ada", "artist"), ("odd", "9"))
            ]
        ),
    }
    given |= {"artists": given["tags"], **changes}
    return YearTables(**{name: frame.lazy() for name, frame in given.items()})


def row(origins: tuple[str, ...] = (), stated: Stated = STATED, **changes: pl.LazyFrame) -> dict[str, Any]:
    ids = pl.LazyFrame({"image_id": [ID], "split": ["train"]})
    found = members(ids, tables(**changes), stated, origins).collect()
    require_schema(MEMBERS, found.schema)
    assert found.height == 1
    return found.row(0, named=True)


def test_a_member_has_its_file_and_its_original_upright() -> None:
    found = row()

    assert (found["path"][-4:], found["sha256"], found["extension"]) == (".jpg", "t", "jpg")
    assert (found["width"], found["height"]) == (20, 30)
    assert (found["original_width"], found["original_height"]) == (200, 300), "EXIF lays it on its side"
    assert (found["original_sha256"], found["original_md5"], found["original_extension"]) == ("r", "m", "png")
    assert (found["split"], found["license"], found["may_redistribute"]) == ("train", "various", False)


def test_an_original_that_leaves_has_its_own_size_and_no_place_in_another() -> None:
    raw = RAW_IMAGES.frame([{"image_id": ID, "path": "/mirror/a.jpg", "sha256": "r", "extension": "png"}]).lazy()
    found = row(files=raw, raw=raw)

    assert (found["width"], found["height"], found["extension"]) == (200, 300, "png")
    assert (found["scale_x"], found["offset_y"]) == (None, None)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ((), ["blip", "coca", "sidecar"]),
        (("sidecar",), ["sidecar", "blip", "coca"]),
        (("no", "coca"), ["coca", "blip", "sidecar"]),
    ],
)
def test_captions_come_with_the_preferred_origin_first(origins: tuple[str, ...], expected: list[str]) -> None:
    assert [caption["origin"] for caption in row(origins)["captions"]] == expected


def test_tags_come_in_the_order_of_their_categories_each_once() -> None:
    twice = pl.concat([tables().tags, TAG_METADATA.frame([{"tag": "hat", "image_id": ID, "category": "meta"}]).lazy()])

    assert [tag["tag"] for tag in row(tags=twice)["tags"]] == ["ada", "hat", "zoo", "odd"]
    assert row(tags=twice)["tags"][1]["category"] == "general"


def test_the_artist_is_who_is_tagged_so_and_at_pixiv_else_the_uploader() -> None:
    nobody = TAG_METADATA.empty().lazy()
    pixiv = Stated("pixiv", 2022, "AGPL-3.0", "compiler", may_redistribute=True, names_artists=True)

    assert row()["artist"] == ["ada"]
    assert row(artists=nobody)["artist"] == []
    assert row(artists=nobody, stated=pixiv)["artist"] == ["up"]
    assert row(stated=pixiv)["artist"] == ["ada"]


def test_an_image_without_anything_beside_it_is_a_member_with_empty_lists() -> None:
    found = row(captions=CAPTIONS.empty().lazy(), tags=TAG_METADATA.empty().lazy(), artists=TAG_METADATA.empty().lazy())

    assert (found["captions"], found["tags"], found["artist"]) == ([], [], [])


def test_an_image_whose_file_was_not_made_has_no_path_and_is_not_lost() -> None:
    failed = TRAINING_IMAGES.frame([{"image_id": ID, "error": "truncated"}]).lazy()

    assert row(files=failed)["path"] is None


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (None, ["1", "2", "x"]),
        (1, ["1"]),
        (2, ["1", "2"]),
        (date(2019, 5, 1), ["1"]),
        (date(2019, 5, 2), ["1", "2"]),
    ],
)
def test_a_release_ends_at_a_post_or_with_a_day(until: int | date | None, expected: list[str]) -> None:
    days = {"1": datetime(2019, 5, 1, 23, 59, tzinfo=UTC), "2": datetime(2019, 5, 2, tzinfo=UTC), "x": None}
    rows = [{"image_id": f"d-{post}-0", "post_id": post, "created_at": day} for post, day in days.items()]
    listed = IMAGE_METADATA.frame(rows).lazy()

    assert listed.filter(within(until)).collect()["post_id"].to_list() == expected


def test_only_what_the_subset_keeps_is_a_member() -> None:
    subset = SUBSET.frame([{"image_id": "d-2-0"}, {"image_id": "d-1-0"}, {"image_id": "d-3-0", "drop_reason": "tags"}])
    listed = IMAGE_METADATA.frame([{"image_id": f"d-{post}-0", "post_id": str(post)} for post in (1, 2, 3)])

    assert member_ids(subset.lazy(), listed.lazy(), None).collect()["image_id"].to_list() == ["d-1-0", "d-2-0"]


def test_what_is_held_back_is_counted_by_source() -> None:
    rows = MEMBERS.frame(
        [
            {"source": source, "may_redistribute": may}
            for source, may in (("b", False), ("a", False), ("b", False), ("c", True))
        ]
    )

    assert held_back(rows.lazy()) == {"a": 1, "b": 2}
