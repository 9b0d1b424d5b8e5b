"""Which images requests hit, in tables of a few rows."""

from dataclasses import replace
from typing import Any

import polars as pl

from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, TAG_METADATA, Table
from dataset_assets.domain.takedown_matching import YearTables, found_in, not_yet_noted, rows_of
from dataset_assets.domain.takedowns import Hit, Takedown

SHA, PIXELS, MD5 = "a" * 64, "b" * 64, "c" * 32
AT = "2026-01-01T00:00:00+00:00"


def request(kind: str, value: str, **fields: Any) -> Takedown:
    return Takedown("r", kind, value, "asked", "ada", AT, **fields)  # type: ignore[arg-type]


def rows(table: Table, *found: dict[str, Any]) -> pl.LazyFrame:
    return table.frame(list(found)).lazy()


def tables(**parts: Any) -> YearTables:
    listed = [{"image_id": f"d-{number}-0"} for number in range(1, 6)]
    return replace(YearTables.empty("d", 2005), **{"metadata": rows(IMAGE_METADATA, *listed), **parts})


def met(one: Takedown, held: YearTables) -> dict[str, str]:
    return {hit.image_id: hit.met_by for hit in found_in([one], held).get(one.id, [])}


def test_an_image_is_hit_by_its_id() -> None:
    assert met(request("image", "d-2-0"), tables()) == {"d-2-0": "image"}
    assert met(request("image", "d-9-0"), tables()) == {}


def test_an_image_is_hit_by_what_is_known_of_another() -> None:
    held = tables(
        metadata=rows(IMAGE_METADATA, *({"image_id": f"d-{n}-0", "md5": MD5 if n == 4 else None} for n in range(1, 6))),
        raw=rows(RAW_IMAGES, {"image_id": "d-1-0", "sha256": SHA}, {"image_id": "d-2-0", "md5": MD5}),
        facts=rows(IMAGE_FACTS, {"image_id": "d-3-0", "pixel_hash": PIXELS}),
    )
    known = Hit("x-1-0", "image", 2005, SHA, MD5, PIXELS)

    found = met(request("image", "x-1-0", found=(known,)), held)

    assert found == {"d-1-0": "sha256", "d-2-0": "md5", "d-3-0": "pixel_hash", "d-4-0": "md5"}


def test_what_is_found_is_written_with_all_that_is_known_of_it() -> None:
    held = tables(
        raw=rows(RAW_IMAGES, {"image_id": "d-1-0", "sha256": SHA, "md5": MD5, "size": 7, "location": "/m/1.png"}),
        facts=rows(IMAGE_FACTS, {"image_id": "d-1-0", "pixel_hash": PIXELS}),
    )

    (hit,) = found_in([request("image", "d-1-0")], held)["r"]

    assert hit == Hit("d-1-0", "image", 2005, SHA, MD5, PIXELS, 7, "/m/1.png")


def test_a_blank_picture_keeps_no_other_blank_picture_out() -> None:
    held = tables(facts=rows(IMAGE_FACTS, {"image_id": "d-1-0", "pixel_hash": PIXELS, "is_blank": True}))

    (hit,) = found_in([request("image", "d-1-0")], held)["r"]

    assert hit.pixel_hash is None
    assert met(request("pixel_hash", PIXELS), held) == {"d-1-0": "pixel_hash"}


def test_an_artist_is_known_by_tag_in_any_spelling() -> None:
    tags = [
        {"image_id": "d-1-0", "tag": "jane_o'brien", "category": "artist"},
        {"image_id": "d-2-0", "tag": "jane_o'brien", "category": "general"},
    ]
    held = tables(tags=rows(TAG_METADATA, *tags))

    assert met(request("artist", "Jane O'Brien"), held) == {"d-1-0": "artist"}
    assert met(request("artist", "Jane O'Brien", source="other"), held) == {}


def test_an_account_counts_only_where_who_uploads_made_the_image() -> None:
    listed = [
        {"image_id": "d-1-0", "uploader_name": "Jane", "uploader_id": "5"},
        {"image_id": "d-2-0", "uploader_name": "Renamed", "uploader_id": "5"},
        {"image_id": "d-3-0", "uploader_name": "Jane", "uploader_id": "6"},
    ]
    tagged = rows(TAG_METADATA, {"image_id": "d-3-0", "tag": "someone_else", "category": "artist"})
    at_pixiv = tables(metadata=rows(IMAGE_METADATA, *listed), tags=tagged, names_artists=True)

    assert met(request("artist", "jane"), at_pixiv) == {"d-1-0": "artist"}
    assert met(request("artist", "5"), at_pixiv) == {"d-1-0": "artist", "d-2-0": "artist"}
    assert met(request("artist", "jane"), replace(at_pixiv, names_artists=False)) == {}
    known = Hit("d-1-0", "artist", 2005, uploader_id="5")
    renamed = met(request("artist", "jane", found=(known,)), at_pixiv)
    assert renamed == {"d-1-0": "image", "d-2-0": "artist"}, "the account stays when its name changes"


def test_a_lifted_request_hits_nothing() -> None:
    lifted = request("image", "d-1-0", lifted_at=AT)

    assert found_in([lifted], tables()) == {}
    assert rows_of([lifted], pl.Series(["d-1-0"])).is_empty()


def test_what_is_noted_already_is_not_noted_again() -> None:
    held = tables(raw=rows(RAW_IMAGES, {"image_id": "d-1-0", "sha256": SHA}))
    one = request("sha256", SHA)

    lacking = not_yet_noted([one], found_in([one], held))
    noted = replace(one, found=tuple(lacking["r"]))

    assert [hit.image_id for hit in lacking["r"]] == ["d-1-0"]
    assert not_yet_noted([noted], found_in([noted], held)) == {}
    new_bytes = tables(raw=rows(RAW_IMAGES, {"image_id": "d-1-0", "sha256": "d" * 64}))
    assert not_yet_noted([noted], found_in([noted], new_bytes)), "other bytes of the same image are noted too"


def test_an_image_stands_once_with_its_earliest_request_and_names_the_others() -> None:
    early = request("image", "d-1-0")
    late = replace(request("sha256", SHA, found=(Hit("d-1-0", "sha256", 2005, SHA),)), id="s", replacement="d-2-0")

    (row,) = rows_of([early, late], pl.Series(["d-1-0", "d-2-0"])).to_dicts()

    assert (row["request"], row["met_by"], row["other_requests"], row["replacement"]) == ("r", "image", ["s"], "d-2-0")
