import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from dataset_assets.domain import schemas
from dataset_assets.domain.hashes import perceptual_hash, pixel_hash
from dataset_assets.domain.image_facts import COLUMNS, judge
from dataset_assets.domain.images import DECODE_ERRORS, UnreadableImage, decode
from dataset_assets.domain.training import TrainingRecipe, prepare
from dataset_assets_tests.domain.mutants import drawn_files, mutant
from dataset_assets_tests.domain.pictures import (
    REAL_FILES,
    animated,
    drawing,
    encoded,
    exif,
    icc_profile,
    line_art,
    png,
)


def test_the_columns_are_those_of_the_table() -> None:
    names = tuple(column.name for column in schemas.IMAGE_FACTS.columns)
    assert names[2:-2] == COLUMNS
    assert tuple(judge(encoded(drawing(), "png"))) == COLUMNS
    assert tuple(judge(b"")) == COLUMNS


def test_facts_fit_the_table() -> None:
    key = {"image_id": "a-1-0", "sha256": "0", "input_key": "0", "recipe": "r"}
    rows = [
        key | judge(data)
        for data in (encoded(drawing(), "png"), b"", animated("gif"), encoded(drawing(), "jpeg")[:500])
    ]
    table = schemas.IMAGE_FACTS.frame(rows)
    assert table["error"].to_list() == [None, "not_an_image", None, "truncated"]


def test_the_facts_of_a_drawing() -> None:
    data = encoded(drawing(), "png", exif=exif(6), icc_profile=icc_profile(2.2))
    facts = judge(data)
    known = {name: facts[name] for name in COLUMNS[:17]}
    assert known == {
        "error": None,
        "error_detail": None,
        "format": "png",
        "mode": "RGB",
        "bits": 8,
        "width": 60,
        "height": 40,
        "frames": 1,
        "is_animated": False,
        "has_alpha": False,
        "orientation": 6,
        "icc_profile": "Test space",
        "is_srgb": False,
        "has_exif": True,
        "has_gps": False,
        "trailing_bytes": 0,
        "trailing_format": None,
    }
    assert facts["pixel_hash"] == pixel_hash(decode(data))
    assert facts["perceptual_hash"] == perceptual_hash(decode(data))


def test_colour_facts_of_two_colours() -> None:
    image = Image.new("RGB", (100, 100), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 100, 25))
    facts = judge(encoded(image, "png"))
    assert (facts["white_share"], facts["black_share"], facts["dominant_share"]) == (0.75, 0.25, 0.75)
    assert facts["colours"] == 2
    assert facts["luma_mean"] == pytest.approx(255 * 0.75)
    assert facts["luma_spread"] == pytest.approx(255 * (0.75 * 0.25) ** 0.5)
    assert facts["is_blank"] is False


def test_animation_alpha_and_cmyk_are_told() -> None:
    assert (judge(animated("gif"))["frames"], judge(animated("gif"))["is_animated"]) == (3, True)
    assert judge(encoded(line_art((0, 0, 0)), "png"))["has_alpha"] is True
    cmyk = judge(encoded(drawing().convert("CMYK"), "jpeg"))
    assert (cmyk["mode"], cmyk["is_srgb"], cmyk["icc_profile"]) == ("CMYK", False, None)
    assert judge(encoded(drawing(), "png", icc_profile=b"broken"))["icc_profile"] == "unreadable"


def test_a_failure_keeps_what_the_header_said() -> None:
    facts = judge(encoded(Image.effect_noise((99, 77), 50), "png")[:300])
    assert (facts["error"], facts["format"], facts["width"], facts["height"]) == ("truncated", "png", 99, 77)
    assert all(facts[name] is None for name in COLUMNS[7:])


def noisy(level: int) -> Image.Image:
    around = np.random.default_rng(1).integers(120 - level, 121 + level, (300, 300, 3))
    return Image.fromarray(around.astype(np.uint8))


def stray_pixel() -> Image.Image:
    image = Image.new("RGB", (300, 300), (240, 240, 255))
    image.putpixel((200, 100), (0, 0, 0))
    return image


def one_thin_line() -> Image.Image:
    """What sampling every tenth pixel nearly misses."""
    image = Image.new("L", (3000, 3000), 255)
    ImageDraw.Draw(image).line((100, 40, 2900, 2100), fill=0)
    return image


def red_on_equally_bright_green() -> Image.Image:
    image = Image.new("RGB", (300, 300), (0, 130, 0))
    image.paste((255, 0, 0), (100, 50, 200, 270))
    return image


BLANK = {
    "white": Image.new("RGB", (300, 300), (255, 255, 255)),
    "scan of a blank page": noisy(4),
    "empty transparency": Image.new("RGBA", (300, 300), (90, 3, 200, 0)),
    "one stray pixel": stray_pixel(),
}
DRAWN = {
    "black lines": line_art((0, 0, 0), 300),
    "white lines": line_art((255, 255, 255), 300),
    "one thin line on a large page": one_thin_line(),
    "red on equally bright green": red_on_equally_bright_green(),
    "a drawing": drawing(300, 300),
}


@pytest.mark.parametrize("name", BLANK)
def test_one_colour_for_all_practical_purposes_is_blank(name: str) -> None:
    assert judge(encoded(BLANK[name], "png"))["is_blank"] is True


@pytest.mark.parametrize("name", DRAWN)
def test_clean_line_art_is_neither_blank_nor_too_white_nor_too_black(name: str) -> None:
    facts = judge(encoded(DRAWN[name], "png"))
    assert [facts[verdict] for verdict in ("is_blank", "is_too_white", "is_too_black")] == [False] * 3


@pytest.mark.parametrize(("level", "white", "black"), [(255, True, False), (0, False, True), (128, False, False)])
def test_what_is_too_faint_to_see_on_white_or_black_is_told(level: int, white: bool, black: bool) -> None:
    faint = Image.new("RGB", (300, 300), (level,) * 3)
    ImageDraw.Draw(faint).ellipse((50, 50, 250, 250), fill=(abs(level - 10),) * 3)
    facts = judge(encoded(faint, "png"))
    assert (facts["is_too_white"], facts["is_too_black"], facts["is_blank"]) == (white, black, False)


def test_pale_colours_on_white_and_dark_ones_on_black_are_drawings() -> None:
    for ground, colour in (((255, 255, 255), (255, 255, 150)), ((0, 0, 0), (0, 0, 60))):
        image = Image.new("RGB", (300, 300), ground)
        ImageDraw.Draw(image).ellipse((50, 50, 250, 250), fill=colour)
        facts = judge(encoded(image, "png"))
        assert (facts["is_too_white"], facts["is_too_black"]) == (False, False)


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (png((1, 1), 16, 2, b"\0" * 7), 16),
        (png((8, 1), 1, 0, b"\0\xf0"), 1),
        (encoded(drawing(), "jpeg"), 8),
        (encoded(drawing(), "webp"), 8),
        (encoded(drawing(), "avif"), 8),
        (encoded(drawing(), "bmp"), 8),
        (encoded(drawing().convert("1"), "bmp"), 1),
        (animated("gif"), 8),
    ],
)
def test_the_bits_of_a_channel_are_those_of_the_file(data: bytes, bits: int) -> None:
    assert judge(data)["bits"] == bits


@pytest.mark.skipif(not (REAL_FILES / "openclipart_mirror").is_dir(), reason="the real files are not here")
def test_real_line_art_is_not_condemned_and_real_empty_files_are() -> None:
    """Guilloches and maps in hairlines, of which 0.8 to 0.99 is white; and a drawing of nothing."""
    original = REAL_FILES / "openclipart_mirror" / "original"
    lines = ("102774", "100400", "101473", "102266", "100058", "103495", "102028", "103312", "100999", "102368")
    verdicts = ("is_blank", "is_too_white", "is_too_black")
    for name, expected in [*((name, [False] * 3) for name in lines), ("103123", [True, True, False])]:
        facts = judge(next(original.rglob(f"{name}.png")).read_bytes())
        assert [facts[verdict] for verdict in verdicts] == expected, name


SEEDS = drawn_files()


def preparation_error(data: bytes) -> str | None:
    try:
        prepare(data, TrainingRecipe(max_side=64))
    except UnreadableImage as error:
        return error.reason
    return None


def require_verdict(data: bytes) -> dict[str, object]:
    facts = judge(data)
    assert tuple(facts) == COLUMNS
    assert facts["error"] in (None, *DECODE_ERRORS)
    assert facts["error"] == preparation_error(data)
    if facts["error"] is None:
        optional = ("error", "error_detail", "orientation", "icc_profile", "bits", "trailing_bytes", "trailing_format")
        assert all(facts[name] is not None for name in COLUMNS if name not in optional)
    return facts


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_any_mutated_file_has_a_verdict(seed: int) -> None:
    require_verdict(mutant(SEEDS, seed))


def real_files() -> list[Path]:
    folders = [REAL_FILES / name for name in ("images_danbooru", "images_pillow")]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(not real_files(), reason="the real files are not here")
def test_every_real_file_has_a_verdict_in_time_and_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    verdicts: dict[str, object] = {}
    for path in real_files():
        started = time.perf_counter()
        verdicts[path.name] = require_verdict(path.read_bytes())["error"]
        assert time.perf_counter() - started < 5, path
    assert capfd.readouterr() == ("", "")
    expected = {
        "test-empty.bin": "not_an_image",
        "test-corrupt.jpg": "truncated",
        "truncated.webp": "truncated",
        "broken_data_stream.png": "corrupt",
        "reallybig.bmp": "too_many_pixels",
        "badbitcount.bmp": "unsupported_mode",
        "compressed.swf": "format_not_allowed",
        "jpg.png": None,
        "test-cmyk-no-profile.jpg": None,
        "actl_zero_frames.png": None,
        "invalid-exif.jpg": None,
    }
    assert {name: verdicts[name] for name in expected} == expected


def test_workers_that_judge_and_prepare_load_no_polars() -> None:
    modules = ["dataset_assets.domain.image_facts", "dataset_assets.domain.training"]
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"polars", "dagster", "torch", "duckdb"} & set(json.loads(done.stdout))
