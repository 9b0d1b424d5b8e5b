"""`optimized_images` through the graph: when it is made, what it keeps, and what it shares with its originals."""

import hashlib
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from dataset_assets.assets.graph import REBUILD_JOB
from dataset_assets.checks import has_the_pixels_of_its_original, is_never_larger_than_its_original
from dataset_assets.config import ConfigError
from dataset_assets.domain.optimized_images import OPTIMIZED_IMAGES
from dataset_assets.domain.schemas import IMAGE_FACTS
from dataset_assets.domain.states import KEPT_REASONS
from dataset_assets.rebuild import Outcome, Rebuild
from dataset_assets.staleness import keys_of
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.domain.pictures import animated, drawing, encoded, exif
from dataset_assets_tests.mirror import Mirror

ASSETS = ["source_snapshot", "image_metadata", "raw_images", "image_facts", "optimized_images"]
YEAR = Cell("danbooru", 2005)
DECLARED = "\noptimized_images: {metadata: strip}\n"


def mirror_of(folder: Path, store: str = "copy", settings: str = "") -> Mirror:
    """A mirror with a wasteful PNG, a JPEG, a GIF and half a PNG in one year."""
    mirror = Mirror.make(folder, store=store, posts_by_year=0)
    large = drawing(300, 200)
    mirror.add_post(5001, 2005, ["1girl"], data=encoded(large, "png", compress_level=0))
    mirror.add_post(5002, 2005, ["1girl"], data=encoded(large, "jpeg", quality=95, exif=exif(1)), ext="jpg")
    mirror.add_post(5003, 2005, ["1girl"], data=animated("gif"), ext="gif")
    mirror.add_post(5004, 2005, ["1girl"], data=encoded(large, "png", compress_level=0)[:5000])
    mirror.write_metadata()
    mirror.config_file.write_text(mirror.config_file.read_text("utf-8") + settings, "utf-8")
    return mirror


def rebuild(mirror: Mirror, **arguments: Any) -> list[Outcome]:
    """Rebuild the year of the images above alone; fails the test when it failed."""
    work = Rebuild(mirror.definitions, mirror.config, mirror.instance, lambda line: None)
    outcomes = list(work.run([("danbooru", 2005)], **arguments))
    assert not [error for outcome in outcomes for error in outcome.errors]
    return outcomes


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = mirror_of(tmp_path_factory.mktemp("optimized"))
    rebuild(mirror, assets=ASSETS)
    return mirror


def test_what_gains_is_recompressed_and_what_does_not_is_the_original(built: Mirror) -> None:
    rows = built.table("optimized_images", YEAR)

    assert rows.get_column("kept_because").to_list() == [None, None, "other_format", "unreadable"]
    raw = built.table("raw_images", YEAR).select("image_id", path_before="path", sha256_before="sha256")
    kept = rows.filter(pl.col("kept_because").is_not_null()).join(raw, on="image_id")
    assert kept.filter(
        (pl.col("path") != pl.col("path_before")) | (pl.col("sha256") != pl.col("sha256_before"))
    ).is_empty()
    assert not list((built.root / "images" / "optimized").rglob("*.gif"))


def test_the_md5_of_the_original_and_the_sha256_of_the_file_stand_in_the_row(built: Mirror) -> None:
    for row in built.table("optimized_images", YEAR).to_dicts():
        original = built.image_file(int(row["image_id"].split("-")[1])).read_bytes()
        stored = (built.root / row["path"]).read_bytes()
        assert row["original_md5"] == hashlib.md5(original, usedforsecurity=False).hexdigest()
        assert (row["sha256"], row["size"]) == (hashlib.sha256(stored).hexdigest(), len(stored))
        assert row["original_size"] == len(original) >= row["size"]


@pytest.mark.slow
def test_a_rebuild_makes_it_where_the_settings_say_so_and_elsewhere_when_asked(tmp_path: Path) -> None:
    left_out, declared = mirror_of(tmp_path / "left_out"), mirror_of(tmp_path / "declared", settings=DECLARED)
    for mirror, is_usual in ((left_out, False), (declared, True)):
        assert (dg.AssetKey("optimized_images") in keys_of(mirror.definitions, REBUILD_JOB)) is is_usual
    rebuild(left_out, assets=ASSETS[:-1])
    assert not left_out.commits("optimized_images")
    rebuild(declared, assets=ASSETS)

    assert declared.table("optimized_images", YEAR).height == 4
    assert b"Exif" not in (declared.root / declared.table("optimized_images", YEAR)["path"][1]).read_bytes()


@pytest.mark.slow
def test_a_second_look_computes_nothing_and_other_settings_compute_all(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    rebuild(mirror, assets=ASSETS)
    again = rebuild(mirror, assets=["optimized_images"], everything=True)
    mirror.config_file.write_text(
        mirror.config_file.read_text("utf-8") + "\noptimized_images: {png_level: 0}\n", "utf-8"
    )
    changed = rebuild(mirror, assets=["optimized_images"])

    assert sum(outcome.computed for outcome in again) == 0
    assert sum(outcome.computed for outcome in changed) >= 4


def test_a_stored_file_that_is_gone_is_made_again(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    rebuild(mirror, assets=ASSETS)
    made = mirror.table("optimized_images", YEAR).row(0, named=True)["path"]
    before = (mirror.root / made).read_bytes()
    (mirror.root / made).unlink()
    outcomes = rebuild(mirror, assets=["optimized_images"], everything=True)

    assert sum(outcome.computed for outcome in outcomes) == 1
    assert (mirror.root / made).read_bytes() == before


def test_a_mirror_that_is_referred_to_is_not_copied_and_not_looked_at_twice(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, store="reference")
    rebuild(mirror, assets=ASSETS)
    gif = mirror.table("optimized_images", YEAR).filter(format="gif").row(0, named=True)
    again = rebuild(mirror, assets=["optimized_images"], everything=True)

    assert gif["path"] == str(mirror.image_file(5003))
    assert sum(outcome.computed for outcome in again) == 0


@pytest.mark.slow
def test_an_original_that_moved_is_found_where_it_is_now(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, store="reference")
    rebuild(mirror, assets=ASSETS)
    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(settings.replace("store: reference", "store: copy"), "utf-8")
    rebuild(mirror, assets=ASSETS)
    rows = mirror.table("optimized_images", YEAR)

    assert all((mirror.root / path).exists() and not Path(path).is_absolute() for path in rows.get_column("path"))


def test_wrong_settings_are_named_by_their_key(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, settings="\noptimized_images: {png_level: 7}\n")

    with pytest.raises(ConfigError, match=r"optimized_images\.png_level"):
        rebuild(mirror, assets=ASSETS)


GOOD = {"image_id": "x-1-0", "size": 5, "original_size": 9, "sha256": "b", "input_key": "a", "pixel_hash": "p"}
KEPT = {**GOOD, "size": 9, "sha256": "a", "kept_because": "no_gain"}


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        (GOOD, True),
        (KEPT, True),
        ({**GOOD, "size": 9}, False),
        ({**KEPT, "sha256": "b"}, False),
        ({**KEPT, "kept_because": "because"}, False),
        ({**GOOD, "size": None}, False),
        ({"image_id": "x-1-0", "error": "missing_file"}, True),
    ],
)
def test_a_file_that_is_larger_or_no_original_fails_the_check(row: dict[str, object], passes: bool) -> None:
    assert is_never_larger_than_its_original(lambda name: OPTIMIZED_IMAGES.frame([row]).lazy())[0] is passes


@pytest.mark.parametrize(("pixels", "passes"), [("p", True), ("q", False), (None, False)])
def test_other_pixels_than_those_that_were_judged_fail_the_check(pixels: str | None, passes: bool) -> None:
    facts = IMAGE_FACTS.frame([{"image_id": "x-1-0", "sha256": "a", "pixel_hash": pixels}]).lazy()
    tables = {"optimized_images": OPTIMIZED_IMAGES.frame([GOOD]).lazy(), "image_facts": facts}
    passed, found = has_the_pixels_of_its_original(lambda name: tables[name])

    assert passed is passes
    assert found["images_with_other_pixels"] == (0 if passes else 1)


def test_the_reasons_are_said_once() -> None:
    assert len(set(KEPT_REASONS)) == len(KEPT_REASONS)
