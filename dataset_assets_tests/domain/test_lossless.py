import io
import os
import random
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from dataset_assets.domain.geometry import orientation
from dataset_assets.domain.hashes import pixel_hash
from dataset_assets.domain.images import decode, read
from dataset_assets.domain.lossless import LosslessRecipe, Unchanged, optimize
from dataset_assets.domain.segments import PNG_MAGIC, jpeg_segments, png_chunks
from dataset_assets_tests.domain.pictures import (
    REAL_FILES,
    animated,
    chunk,
    drawing,
    encoded,
    exif,
    icc_profile,
    line_art,
    png,
)

os.environ["RAYON_NUM_THREADS"] = "1"
KEEP, STRIP = LosslessRecipe(), LosslessRecipe(metadata="strip")


def kept_because(data: bytes, recipe: LosslessRecipe = KEEP) -> str:
    with pytest.raises(Unchanged) as caught:
        optimize(data, recipe)
    return caught.value.reason


def all_frames(data: bytes) -> list[Image.Image]:
    with Image.open(io.BytesIO(data)) as image:
        return [frame.convert("RGBA") for frame in ImageSequence.Iterator(image)]


def wasteful(image: Image.Image, **settings: object) -> bytes:
    return encoded(image, "png", compress_level=0, **settings)


def photo(**settings: object) -> bytes:
    return encoded(drawing(300, 200), "jpeg", quality=92, **settings)


@pytest.mark.parametrize(
    "data",
    [
        wasteful(drawing()),
        wasteful(drawing().quantize(8), transparency=b"\xff\0\x80"),
        wasteful(line_art((0, 0, 0))),
        wasteful(drawing().convert("L")),
        wasteful(Image.fromarray(np.arange(60_000, dtype=np.uint16).reshape(200, 300))),
        wasteful(drawing(), icc_profile=icc_profile(2.2), exif=exif(6)),
        photo(),
        photo(progressive=True, icc_profile=icc_profile(2.2), exif=exif(3)),
        encoded(drawing(300, 200).convert("L"), "jpeg"),
        encoded(drawing(300, 200).convert("CMYK"), "jpeg"),
    ],
)
@pytest.mark.parametrize("recipe", [KEEP, STRIP], ids=["keep", "strip"])
def test_a_smaller_file_shows_the_same_pixels(data: bytes, recipe: LosslessRecipe) -> None:
    made = optimize(data, recipe)
    before, after = decode(data), decode(made.bytes)

    assert len(made.bytes) < len(data)
    assert made.pixel_hash == pixel_hash(before) == pixel_hash(after)
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    assert orientation(after) == orientation(before)
    assert optimize(data, recipe) == made


def test_colours_under_full_transparency_stay() -> None:
    art = line_art((200, 0, 0))
    made = decode(optimize(wasteful(art), KEEP).bytes).convert("RGBA")

    assert made.tobytes() == art.tobytes()


def test_metadata_is_kept_or_left_out_but_for_the_profile_and_the_orientation() -> None:
    text = chunk(b"tEXt", b"Comment\0drawn by nobody") + chunk(b"gAMA", struct.pack(">I", 45455))
    data = wasteful(drawing(), exif=exif(6), icc_profile=icc_profile(2.2))
    data = data[:33] + text + data[33:]
    names = {
        mode: {part.name for part in png_chunks(optimize(data, LosslessRecipe(metadata=mode)).bytes)}
        for mode in ("keep", "strip")
    }

    assert names["keep"] - names["strip"] == {b"tEXt"}
    assert {b"iCCP", b"gAMA", b"eXIf"} <= names["strip"]


def test_a_jpeg_keeps_its_comments_or_loses_them() -> None:
    gps = exif(6) + b"GPS and more"
    data = photo(exif=gps, comment=b"drawn by nobody", icc_profile=icc_profile(2.2))
    kept, stripped = optimize(data, KEEP).bytes, optimize(data, STRIP).bytes

    assert b"drawn by nobody" in kept
    assert b"GPS and more" in kept
    assert b"drawn by nobody" not in stripped
    assert b"GPS" not in stripped
    assert decode(stripped).info["icc_profile"] == icc_profile(2.2)
    assert orientation(decode(stripped)) == 6


def test_an_upright_jpeg_gets_no_exif_of_its_own() -> None:
    assert b"Exif" not in optimize(photo(exif=exif(1)), STRIP).bytes


def test_a_baseline_jpeg_stays_one_without_progressive() -> None:
    baseline = LosslessRecipe(metadata="strip", progressive=False)
    made = optimize(photo(exif=exif(1)), baseline).bytes

    assert kept_because(photo(), LosslessRecipe(progressive=False)) == "no_gain"
    assert any(part.name == b"\xc0" for part in jpeg_segments(made))
    assert any(part.name == b"\xc2" for part in jpeg_segments(optimize(photo(), KEEP).bytes))


@pytest.mark.parametrize("recipe", [KEEP, STRIP], ids=["keep", "strip"])
def test_every_frame_of_an_animated_png_stays_with_its_timing(recipe: LosslessRecipe) -> None:
    data = animated("png", frames=5)
    made = optimize(data, recipe).bytes

    frames = []
    for file in (data, made):
        controls = [part.body(file)[4:] for part in png_chunks(file) if part.name == b"fcTL"]
        frames.append((read(file).frames, controls, [frame.tobytes() for frame in all_frames(file)]))
    assert frames[0] == frames[1]
    assert frames[0][0] == 5


def test_a_jpeg_of_several_pictures_is_left_alone() -> None:
    index = b"\xff\xe2" + struct.pack(">H", 10) + b"MPF\0II*\0"
    first = photo()
    assert kept_because(first[:2] + index + first[2:] + photo()) == "several_pictures"


@pytest.mark.parametrize("file_format", ["gif", "webp", "avif", "bmp"])
def test_other_formats_are_left_alone(file_format: str) -> None:
    assert kept_because(encoded(drawing(), file_format)) == "other_format"


def test_what_cannot_be_proven_read_or_made_smaller_is_left_alone() -> None:
    best = optimize(wasteful(drawing()), KEEP).bytes

    assert kept_because(best) == "no_gain"
    assert kept_because(png((1, 1), 16, 2, b"\0" * 7)) == "too_deep"
    assert kept_because(photo()[:900]) == "unreadable"
    assert kept_because(wasteful(drawing())[:-12]) == "not_optimizable"
    assert kept_because(b"no image") == "other_format"


def test_a_key_that_decoders_read_in_two_ways_is_no_proof() -> None:
    """One bit a pixel and a key of 255: Pillow takes its bits for 1, the optimizer for a colour that none has."""
    odd = png((64, 64), 1, 0, (b"\0" + b"\x0f" * 8) * 64, extra=chunk(b"tRNS", b"\0\xff"))
    assert kept_because(odd) == "pixels_differ"


def test_what_the_optimizer_would_drop_keeps_the_original() -> None:
    """oxipng leaves out content credentials, since what they sign has changed."""
    data = wasteful(drawing())
    claim = struct.pack(">I", 40) + b"jumb" + struct.pack(">I", 32) + b"jumdc2pa" + b"\0" * 24
    signed = data[:33] + chunk(b"caBX", claim) + data[33:]

    assert kept_because(signed) == "metadata_differs"
    assert b"caBX" not in optimize(signed, STRIP).bytes


@pytest.mark.parametrize("data", [wasteful(drawing()), photo()], ids=["png", "jpeg"])
def test_bytes_behind_the_end_are_left_out(data: bytes) -> None:
    assert optimize(data + b"PK\x03\x04 a game", KEEP) == optimize(data, KEEP)


def test_a_file_already_small_loses_what_is_behind_its_end() -> None:
    best = optimize(wasteful(drawing()), KEEP).bytes
    assert optimize(best + b"PK\x03\x04", KEEP).bytes == best


def test_a_profile_for_colours_is_not_left_on_greys() -> None:
    grey = Image.radial_gradient("L").convert("RGB")
    with_profile = decode(optimize(wasteful(grey, icc_profile=icc_profile(2.2)), KEEP).bytes)

    assert with_profile.mode in ("RGB", "P")
    assert decode(optimize(wasteful(grey), KEEP).bytes).mode == "L"


def test_one_thread_works() -> None:
    code = """
import os, time
from dataset_assets.domain.images import LIMITS
from dataset_assets.compute.lossless_work import Optimize
from dataset_assets.domain.lossless import LosslessRecipe, optimize
from dataset_assets_tests.domain.test_lossless import drawing, wasteful
Optimize(None, LosslessRecipe(), LIMITS)([])
optimize(wasteful(drawing(900, 900)), LosslessRecipe())
print(len(os.listdir("/proc/self/task")))
"""
    environment = {name: value for name, value in os.environ.items() if name != "RAYON_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert int(done.stdout) <= 2  # the one that waits, and the one that works


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_any_mutated_png_becomes_smaller_with_equal_pixels_or_stays(seed: int) -> None:
    """Of JPEGs, the engine's tests try this: some end the process that optimizes them."""
    chance = random.Random(seed)
    data = bytearray(chance.choice([wasteful(drawing()), wasteful(line_art((0, 0, 0))), animated("png")]))
    for _ in range(chance.choice([1, 3, 20])):
        data[chance.randrange(8, len(data))] ^= 1 << chance.randrange(8)
    try:
        made = optimize(bytes(data), chance.choice([KEEP, STRIP]))
    except Unchanged:
        return
    assert len(made.bytes) < len(data)
    assert pixel_hash(decode(made.bytes)) == pixel_hash(decode(bytes(data)))


@pytest.mark.skipif(not REAL_FILES.is_dir(), reason="the real files are not here")
@pytest.mark.parametrize("folder", ["images_danbooru", "images_pillow", "images_photos", "images_hydrus"])
def test_real_files_become_smaller_with_equal_pixels_or_stay_for_a_known_reason(folder: str) -> None:
    reasons, before, after = set(), 0, 0
    for path in sorted(path for path in (REAL_FILES / folder).rglob("*") if path.is_file()):
        data = path.read_bytes()
        try:
            made = optimize(data, KEEP)
        except Unchanged as unchanged:
            reasons.add(unchanged.reason)
            continue
        assert pixel_hash(decode(made.bytes)) == pixel_hash(decode(data)), path
        before, after = before + len(data), after + len(made.bytes)
    assert after < 0.95 * before
    assert "no_gain" in reasons


def test_a_png_that_ends_within_a_chunk_is_taken_apart_all_the_same() -> None:
    cut = PNG_MAGIC + chunk(b"IHDR", b"\0" * 13)[:-6]
    assert [part.name for part in png_chunks(cut)] == [b"IHDR"]
