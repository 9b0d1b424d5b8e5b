import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.lossless_work import Optimize, lost_optimized_image
from dataset_assets.domain.file_kinds import sniff
from dataset_assets.domain.hashes import pixel_hash
from dataset_assets.domain.images import LIMITS, UnreadableImage, decode
from dataset_assets.domain.lossless import LosslessRecipe
from dataset_assets.domain.optimized_images import OPTIMIZED_IMAGES
from dataset_assets.domain.states import KEPT_REASONS
from dataset_assets.storage.blobs import Blobs
from dataset_assets_tests.domain.pictures import animated, drawing, encoded

PNG = encoded(drawing(200, 100), "png", compress_level=0)
JPEG = encoded(drawing(300, 200), "jpeg", quality=92)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "root")


def stored(blobs: Blobs, data: bytes, number: int = 7, **facts: Any) -> dict[str, Any]:
    """A row of a stored image, its file put in the root."""
    kind = sniff(data)
    extension = kind.extension if kind else "bin"
    path = f"images/raw/x/0007/{number}.{extension}"
    blobs.replace(path, data)
    return {
        "image_id": f"x-{number}-0",
        "path": path,
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "size": len(data),
        "format": kind.format if kind else None,
        "extension": extension,
        "facts_error": None,
        "pixel_hash": None,
        **facts,
    }


def optimized(blobs: Blobs, row: dict[str, Any]) -> dict[str, Any]:
    [made] = Optimize(blobs, LosslessRecipe(), LIMITS)([row])
    OPTIMIZED_IMAGES.frame([made])
    return made


def test_a_smaller_file_lies_under_the_name_of_its_content(blobs: Blobs) -> None:
    made = optimized(blobs, stored(blobs, PNG, pixel_hash=pixel_hash(decode(PNG))))
    data = blobs.get(made["path"])

    assert made["path"] == f"images/optimized/x/0007/7_p0.{made['sha256'][:12]}.png"
    assert (made["size"], made["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert made["original_size"] == len(PNG) > len(data)
    assert made["pixel_hash"] == pixel_hash(decode(data)) == pixel_hash(decode(PNG))


def test_what_is_no_png_or_jpeg_is_its_original_and_no_file_is_written(blobs: Blobs) -> None:
    row = stored(blobs, animated("gif"), pixel_hash="p")
    made = optimized(blobs, row)

    assert made["kept_because"] == "other_format"
    assert [made[name] for name in ("path", "sha256", "size", "pixel_hash")] == [
        row[name] for name in ("path", "sha256", "size", "pixel_hash")
    ]
    assert not (Path(blobs.root) / "images" / "optimized").exists()


def test_what_did_not_decode_is_not_tried(blobs: Blobs) -> None:
    made = optimized(blobs, stored(blobs, PNG, facts_error="worker_timeout"))
    assert (made["kept_because"], made["detail"]) == ("unreadable", "worker_timeout")


def test_other_pixels_than_those_that_were_judged_keep_the_original(blobs: Blobs) -> None:
    assert optimized(blobs, stored(blobs, PNG, pixel_hash="others"))["kept_because"] == "pixels_differ"


def test_a_file_that_is_gone_or_changed_is_an_error_in_its_row(blobs: Blobs) -> None:
    row = stored(blobs, PNG)
    stored(blobs, encoded(drawing(), "png"))
    changed = optimized(blobs, row)
    (Path(blobs.root) / row["path"]).unlink()
    gone = optimized(blobs, row)

    assert (changed["error"], gone["error"]) == ("damaged_file", "missing_file")


def test_damage_of_the_same_size_is_written_over(blobs: Blobs) -> None:
    row = stored(blobs, PNG)
    made = optimized(blobs, row)
    whole = blobs.get(made["path"])
    blobs.replace(made["path"], b"\0" * len(whole))
    optimized(blobs, row)

    assert blobs.get(made["path"]) == whole


def test_bytes_behind_the_end_are_counted_and_left_out(blobs: Blobs) -> None:
    made = optimized(blobs, stored(blobs, PNG + b"PK\x03\x04 a game"))

    assert made["trailing_bytes"] == 11
    assert b"a game" not in blobs.get(made["path"])


def test_a_lost_worker_leaves_the_original_in_place(blobs: Blobs) -> None:
    row = stored(blobs, PNG)
    made = lost_optimized_image(row, "worker_died")

    OPTIMIZED_IMAGES.frame([made])
    assert (made["kept_because"], made["path"]) == ("worker_died", row["path"])


def damaged_jpeg(seed: int) -> bytes:
    """A JPEG with flipped bits, which may still decode."""
    chance = random.Random(seed)
    data = bytearray(JPEG)
    for _ in range(chance.choice([1, 3, 20])):
        data[chance.randrange(8, len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def test_damaged_jpegs_that_end_their_worker_keep_their_originals_and_harm_no_neighbour(blobs: Blobs) -> None:
    """Seed 24 and 53 end the process within mozjpeg."""
    rows = [stored(blobs, damaged_jpeg(seed), seed) for seed in (24, 53, *range(60, 80))]
    results: dict[str, dict[str, Any]] = {}
    for batch in LocalEngine(workers=1).run(Optimize(blobs, LosslessRecipe(), LIMITS), [rows[:4], rows[4:]]):
        made = [*batch.results, *(lost_optimized_image(row, loss) for row, loss in batch.lost)]
        results |= {row["image_id"]: row for row in made}

    assert sorted(results) == sorted(row["image_id"] for row in rows)
    assert {results[name]["kept_because"] for name in ("x-24-0", "x-53-0")} == {"worker_died"}
    for row in rows:
        made = results[row["image_id"]]
        assert made.get("kept_because") in (None, *KEPT_REASONS)
        if made.get("kept_because") is None:
            assert made["pixel_hash"] == _pixels(blobs.get(row["path"]))
    assert sum(made.get("kept_because") is None for made in results.values()) > 3


def _pixels(data: bytes) -> str | None:
    try:
        return pixel_hash(decode(data))
    except UnreadableImage:
        return None
