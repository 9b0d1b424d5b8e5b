"""The catalogue of bad images, B1 to B16: what each becomes on its way from a file to a row."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from dataset_assets.compute.engine import Row
from dataset_assets.compute.image_work import TakeIn
from dataset_assets.compute.local import LocalEngine
from dataset_assets.domain.geometry import upright
from dataset_assets.domain.hashes import pixel_hash
from dataset_assets.domain.image_facts import COLUMNS, judge
from dataset_assets.domain.images import DECODABLE, DECODE_ERRORS, UnreadableImage, decode
from dataset_assets.domain.lossless import LosslessRecipe, Unchanged, optimize
from dataset_assets.domain.training import TrainingRecipe, prepare
from dataset_assets.storage.blobs import Blobs
from dataset_assets_tests.domain.mutants import drawn_files, mutant
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

NOISE = Image.effect_noise((120, 80), 60).convert("RGB")


def taken_in(folder: Path, data: bytes, name: str) -> dict[str, Any]:
    """The row of `raw_images` of a file of this name."""
    (folder / name).write_bytes(data)
    claims = {"md5": None, "file_ext": name.rpartition(".")[2], "size": len(data)}
    [row] = TakeIn(Blobs(folder / "root"), "copy")([{"image_id": "x-7-0", "location": str(folder / name), **claims}])
    return row


def error(data: bytes) -> object:
    return judge(data)["error"]


@pytest.mark.parametrize("data", [b"", b"\xff", b"<!DOCTYPE html><html>", b"hello", bytes(range(256)) * 9])
def test_b01_what_is_no_image_is_quarantined_with_its_bytes_described(tmp_path: Path, data: bytes) -> None:
    row = taken_in(tmp_path, data, "7.png")

    assert (row["state"], row["reason"]) == ("quarantined", "not_an_image" if data else "empty_file")
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert error(data) in ("not_an_image", "format_not_allowed")


@pytest.mark.parametrize("percent", [30, 50, 75, 90, 99])
@pytest.mark.parametrize("file_format", DECODABLE)
def test_b02_a_cut_file_of_each_format_is_truncated(file_format: str, percent: int) -> None:
    whole = encoded(NOISE, file_format)
    assert error(whole[: len(whole) * percent // 100]) == "truncated"


def small_avif(width: int, height: int) -> bytes:
    data = bytearray(encoded(drawing(), "avif"))
    at = data.find(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


def patched_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encoded(drawing(), "jpeg"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif(width: int, height: int, frames: int) -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * frames + b";"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def lossless_webp(width: int, height: int) -> bytes:
    return riff((b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + b"\0" * 9))


def tiff(width: int, height: int) -> bytes:
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 1)]
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + b"\0" * 4


PIXEL_BOMBS = {
    "png": (png((50_000, 50_000), 1, 0, b"\0" * 100_000), "too_many_pixels"),
    "png_of_the_largest_header": (png((2**31 - 1, 2**31 - 1), 8, 6, b""), "too_many_pixels"),
    "gif": (gif(65_535, 65_535, 1), "too_many_pixels"),
    "jpeg": (patched_jpeg(65_500, 65_500), "too_many_pixels"),
    "webp": (lossless_webp(16_383, 16_383), "too_many_pixels"),
    "avif": (small_avif(65_535, 65_535), "corrupt"),
    "tiff": (tiff(2**31, 2**31), "format_not_allowed"),
    "ico": (b"\0\0\1\0\xff\0" + b"\0" * 3000, "format_not_allowed"),
    "ppm": (b"P6 200000 200000 255\n", "format_not_allowed"),
}


@pytest.mark.parametrize("name", PIXEL_BOMBS)
def test_b03_a_pixel_bomb_is_refused_by_its_header_in_half_a_second(name: str) -> None:
    data, reason = PIXEL_BOMBS[name]
    started = time.perf_counter()
    assert error(data) == reason
    assert time.perf_counter() - started < 0.5


def test_b03_pixel_bombs_take_less_than_100_mb() -> None:
    code = """
import resource
from dataset_assets_tests.test_bad_images import PIXEL_BOMBS, drawing, encoded, judge
judge(encoded(drawing(), "avif"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data, _ in PIXEL_BOMBS.values():
    judge(data)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) < 100_000  # kB


def deflated(megabytes: int) -> bytes:
    """That many megabytes of one letter, in a thousandth of the room."""
    squeeze = zlib.compressobj(9)
    return b"".join(squeeze.compress(b"A" * 1_000_000) for _ in range(megabytes)) + squeeze.flush()


def jpeg_with_segments(number: int) -> bytes:
    """A JPEG with as many comments of 64 kB."""
    data = encoded(drawing(), "jpeg")
    return data[:2] + (b"\xff\xfe\xff\xff" + b"A" * 65_533) * number + data[2:]


METADATA_BOMBS = {
    "zTXt of 200 MB": lambda: png((2, 1), 8, 0, b"\0\x10\xf0", chunk(b"zTXt", b"C\0\0" + deflated(200))),
    "iCCP of 500 MB": lambda: png((2, 1), 8, 0, b"\0\x10\xf0", chunk(b"iCCP", b"x\0\0" + deflated(500))),
    "EXIF of 10 MB": lambda: png((2, 1), 8, 0, b"\0\x10\xf0", chunk(b"eXIf", b"II*\0\x08\0\0\0" + b"A" * 10**7)),
    "100 texts of 1 MB": lambda: png(
        (2, 1), 8, 0, b"\0\x10\xf0", b"".join(chunk(b"zTXt", b"C%d\0\0" % n + deflated(1)) for n in range(100))
    ),
    "10 MB of comments": lambda: jpeg_with_segments(160),
}


@pytest.mark.parametrize("name", METADATA_BOMBS)
def test_b04_pixels_are_read_whatever_the_metadata_weighs(name: str) -> None:
    data = METADATA_BOMBS[name]()
    facts = judge(data)

    assert facts["error"] is None
    assert facts["width"] == (60 if name == "10 MB of comments" else 2)
    assert len(prepare(data, TrainingRecipe()).bytes) < 5_000
    assert _stripped_size(data) < 5_000


def _stripped_size(data: bytes) -> int:
    try:
        return len(optimize(data, LosslessRecipe(metadata="strip")).bytes)
    except Unchanged:
        return len(data)


def animated_webp(side: int, frames: int) -> bytes:
    picture = encoded(Image.new("RGB", (side, side), (1, 2, 3)), "webp", lossless=True)[12:]
    small = struct.pack("<I", side - 1)[:3]
    frame = b"\0" * 6 + small + small + b"\x64\0\0" + b"\0" + picture
    head = b"\x02\0\0\0" + small + small
    return riff((b"VP8X", head), (b"ANIM", b"\0" * 6), *[(b"ANMF", frame)] * frames)


def animated_png(side: int, frames: int) -> bytes:
    control = struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 10, 0, 0)
    extra = chunk(b"acTL", struct.pack(">II", frames, 0)) + chunk(b"fcTL", control)
    after = b"".join(chunk(b"fcTL", control) + chunk(b"fdAT", b"\0\0\0\1") for _ in range(frames - 1))
    return png((side, side), 1, 0, b"\0" * (side // 8 + 1) * side, extra=extra, after=after)


@pytest.mark.parametrize(
    ("data", "most_seconds"),
    [
        (gif(1, 1, 300_000), 5),
        (gif(4_000, 4_000, 1_000), 0.5),
        (animated_png(4_000, 1_000), 0.5),
        (animated_webp(4_000, 60), 2),
    ],
    ids=["300,000 frames of a pixel", "1,000 large frames", "1,000 large frames of a PNG", "60 of a WebP"],
)
def test_b05_an_animation_is_counted_with_a_cap_and_never_decoded(data: bytes, most_seconds: float) -> None:
    started = time.perf_counter()
    facts = judge(data)

    assert (facts["error"], facts["frames"]) in [("too_many_frames", None), (None, 300_000)]
    assert time.perf_counter() - started < most_seconds


def test_b06_a_jpeg_of_2000_scans_is_refused_before_it_is_decoded() -> None:
    data = encoded(drawing(2000, 2000), "jpeg", progressive=True)
    last_scan = data[data.rfind(b"\xff\xda") : -2]
    started = time.perf_counter()
    assert error(data[:-2] + last_scan * 2000 + b"\xff\xd9") == "too_many_scans"
    assert time.perf_counter() - started < 2


def zipped(*names: str) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, encoded(drawing(), "jpeg"))
        return file.getvalue()


OTHER_KINDS = {
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "stored", None),
    "psd": (b"8BPS\0\x01" + b"\0" * 40, "stored", None),
    "heic": (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "stored", None),
    "jxl": (b"\xff\x0a\xfa\x1f", "stored", None),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "excluded", "document"),
    "pdf": (b"%PDF-1.7\n", "excluded", "document"),
    "swf": (b"CWS\x08\x10\0\0\0", "excluded", "flash"),
    "mp4": (b"\0\0\0\x1cftypisom\0\0\2\0isomiso2avc1mp41", "excluded", "video"),
    "ugoira": (zipped("000000.jpg", "000001.jpg"), "excluded", "archive"),
    "zip": (zipped("a.jpg"), "excluded", "archive"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_b07_what_is_called_jpg_and_is_none_is_told_by_its_bytes(tmp_path: Path, name: str) -> None:
    data, state, reason = OTHER_KINDS[name]
    row = taken_in(tmp_path, data, "7.jpg")

    assert (row["state"], row.get("reason"), row["format"]) == (state, reason, name)
    assert row["extension_matches"] is False
    assert error(data) == "format_not_allowed"


def test_b07_a_jpeg_of_several_pictures_is_read_as_its_first(tmp_path: Path) -> None:
    second = drawing().transpose(Image.Transpose.ROTATE_180)
    data = encoded(drawing(), "mpo", save_all=True, append_images=[second])

    assert taken_in(tmp_path, data, "7.jpg")["format"] == "jpeg"
    assert judge(data)["pixel_hash"] == judge(encoded(drawing(), "jpeg"))["pixel_hash"]
    assert judge(data)["trailing_bytes"] == 0


@pytest.mark.parametrize(("file_format", "extension"), [("jpeg", "jpg"), ("png", "png"), ("webp", "webp")])
def test_b08_a_wrong_extension_is_flagged_and_the_file_has_the_true_one(
    tmp_path: Path, file_format: str, extension: str
) -> None:
    row = taken_in(tmp_path, encoded(drawing(), file_format), "7.gif")

    assert (row["state"], row["extension_matches"]) == ("stored", False)
    assert row["path"].endswith(f".{extension}")


# One pixel row each; the hash is of the size and the pixels as 8-bit RGBA (or CMYK), so it can be told beforehand.
MODES = {
    "1": (png((8, 1), 1, 0, b"\0\xf0"), [(255, 255, 255, 255)] * 4 + [(0, 0, 0, 255)] * 4, "1"),
    "I;16": (png((2, 1), 16, 0, b"\0\x12\x34\xff\xff"), [(18, 18, 18, 255), (255, 255, 255, 255)], "I;16"),
    "RGB of 16 bits": (png((1, 1), 16, 2, b"\0\x12\x34\x56\x78\x9a\xbc"), [(18, 86, 154, 255)], "RGB"),
    "LA": (png((2, 1), 8, 4, b"\0\x10\x80\x20\0"), [(16, 16, 16, 128), (0, 0, 0, 0)], "LA"),
    "P with transparency": (
        png((2, 1), 8, 3, b"\0\0\1", chunk(b"PLTE", b"\1\2\3\4\5\6") + chunk(b"tRNS", b"\x80")),
        [(1, 2, 3, 128), (4, 5, 6, 255)],
        "P",
    ),
    "L with a key": (png((2, 1), 8, 0, b"\0\7\x08", chunk(b"tRNS", b"\0\7")), [(0, 0, 0, 0), (8, 8, 8, 255)], "L"),
}


@pytest.mark.parametrize("name", MODES)
def test_b09_every_mode_has_the_pixels_that_it_stands_for(name: str) -> None:
    data, pixels, mode = MODES[name]
    facts = judge(data)
    flat = b"".join(bytes(pixel) for pixel in pixels)

    assert facts["mode"] == mode
    assert facts["pixel_hash"] == hashlib.sha256(f"RGBA {len(pixels)}x1\n".encode() + flat).hexdigest()
    assert facts["bits"] == (16 if "16" in name else 1 if name == "1" else 8)
    assert facts["has_alpha"] is any(pixel[3] < 255 for pixel in pixels)
    assert prepare(data, TrainingRecipe()).width == len(pixels)


def test_b09_cmyk_lab_and_floats_are_converted_or_refused() -> None:
    cmyk = judge(encoded(drawing().convert("CMYK"), "jpeg"))

    assert (cmyk["error"], cmyk["mode"], cmyk["is_srgb"]) == (None, "CMYK", False)
    assert error(encoded(drawing().convert("LAB"), "tiff")) == "format_not_allowed"
    assert error(encoded(Image.new("F", (2, 2), 0.5), "tiff")) == "format_not_allowed"


@pytest.mark.parametrize("turned", range(1, 9))
def test_b10_every_orientation_is_applied_once(turned: int) -> None:
    data = encoded(drawing(), "png", exif=exif(turned))
    facts = judge(data)
    stands = upright(decode(data))
    made = prepare(data, TrainingRecipe(format="png"))

    assert facts["orientation"] == turned
    assert (facts["width"], facts["height"]) == (60, 40)
    assert (made.width, made.height) == stands.size == ((40, 60) if turned > 4 else (60, 40))
    assert pixel_hash(decode(made.bytes)) == facts["pixel_hash"]
    assert upright(decode(made.bytes)).tobytes() == decode(made.bytes).tobytes()


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        exif(0),
        exif(9),
        exif(60_000),
    ],
)
def test_b10_an_orientation_that_means_nothing_is_none(block: bytes) -> None:
    facts = judge(encoded(drawing(), "jpeg", exif=block))
    assert (facts["error"], facts["orientation"]) == (None, None)


PROFILES = {
    "none that parses": b"broken",
    "cut short": icc_profile(2.2)[:150],
    "of another colour space": icc_profile(2.2, primaries=False),
    "of four inks": icc_profile(2.2).replace(b"RGB XYZ", b"CMYKXYZ"),
    "larger than any": icc_profile(2.2) + b"\0" * 5_000_000,
    "zeros": b"\0" * 128,
}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("file_format", ["jpeg", "png", "webp"])
def test_b11_a_strange_profile_is_passed_over_and_named(name: str, file_format: str) -> None:
    data = encoded(drawing(), file_format, icc_profile=PROFILES[name])
    facts, made = judge(data), prepare(data, TrainingRecipe(format="png"))

    assert facts["error"] is None
    if facts["icc_profile"] is not None:  # Pillow leaves out one that is larger than a PNG may hold
        assert facts["is_srgb"] is False
    assert made.was_converted is False
    assert "icc_profile" not in decode(made.bytes).info


@pytest.mark.parametrize("size", [(1, 1), (1, 40_000), (40_000, 1), (2, 3)])
def test_b12_extreme_shapes_pass_every_stage(size: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", size, (1, 2, 3)), "png")
    facts, made = judge(data), prepare(data, TrainingRecipe(max_side=512))

    assert (facts["error"], facts["width"], facts["height"]) == (None, *size)
    assert min(made.width, made.height) >= 1
    assert max(made.width, made.height) <= 512
    assert _stripped_size(data) <= len(data)


@pytest.mark.parametrize("data", [png((0, 5), 8, 0, b""), png((5, 0), 8, 0, b""), gif(0, 0, 1), patched_jpeg(0, 0)])
def test_b12_an_image_without_width_or_height_is_unreadable(data: bytes) -> None:
    assert error(data) in ("corrupt", "truncated")


def test_b13_300_mutants_of_drawn_files_each_have_a_verdict() -> None:
    require_verdicts(range(300), None)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_FILES.is_dir(), reason="the real files are not here")
def test_b13_10_000_mutants_of_real_files_each_have_a_verdict() -> None:
    require_verdicts(range(10_000), REAL_FILES)


@dataclass(frozen=True)
class Mutate:
    """Judges and prepares damaged files. Rows: seed. Results: seed, the verdict of each."""

    files: Path | None

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [self._verdicts(row["seed"]) for row in rows]

    def _verdicts(self, seed: int) -> dict[str, Any]:
        data = mutant(_sound_files(self.files), seed)
        facts = judge(data)
        try:
            prepare(data, TrainingRecipe(max_side=64))
        except UnreadableImage as unreadable:
            return {"seed": seed, "judged": facts["error"], "prepared": unreadable.reason, "columns": tuple(facts)}
        return {"seed": seed, "judged": facts["error"], "prepared": None, "columns": tuple(facts)}


@lru_cache(maxsize=1)
def _sound_files(folder: Path | None) -> list[bytes]:
    if folder is None:
        return drawn_files()
    names = ("images_danbooru", "images_pillow", "images_photos", "images_hydrus", "kohya_preprocessed")
    paths = sorted(path for name in names for path in (folder / name).rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths if path.stat().st_size < 300_000]
    return [data for data in files if judge(data)["error"] is None]


def require_verdicts(seeds: Sequence[int], files: Path | None) -> None:
    """Each mutant is judged, none ends or hangs its worker, and this process does not grow."""
    before = psutil.Process().memory_info().rss
    batches = ([{"seed": seed} for seed in seeds[at : at + 20]] for at in range(0, len(seeds), 20))
    judged: dict[int, object] = {}
    for batch in LocalEngine(workers=2).run(Mutate(files), batches):
        assert not batch.lost, batch.lost
        for row in batch.results:
            assert row["columns"] == COLUMNS
            assert row["judged"] in (None, *DECODE_ERRORS)
            assert row["prepared"] == row["judged"], row
            judged[row["seed"]] = row["judged"]
    assert set(judged) == set(seeds)
    assert len(set(judged.values())) >= 4
    assert psutil.Process().memory_info().rss - before < 100_000_000


ATTACHED = {"zip": zipped("a.class"), "mp4": OTHER_KINDS["mp4"][0], "html": b"<html><script>"}


@pytest.mark.parametrize("name", ATTACHED)
@pytest.mark.parametrize("file_format", ["jpeg", "png", "gif", "webp", "avif"])
def test_b14_a_file_behind_an_image_is_flagged_and_no_derivative_carries_it(file_format: str, name: str) -> None:
    sound = encoded(drawing(200, 100), file_format)
    polyglot = sound + ATTACHED[name]
    facts = judge(polyglot)

    assert (facts["error"], facts["trailing_bytes"], facts["trailing_format"]) == (None, len(ATTACHED[name]), name)
    assert facts["pixel_hash"] == judge(sound)["pixel_hash"]
    assert judge(sound)["trailing_bytes"] == 0
    assert ATTACHED[name] not in prepare(polyglot, TrainingRecipe()).bytes
    if file_format in ("jpeg", "png"):
        assert ATTACHED[name] not in optimize(polyglot, LosslessRecipe()).bytes


@pytest.mark.parametrize("file_format", ["jpeg", "gif", "webp", "avif"])
def test_b14_animations_and_rotated_files_are_not_taken_for_polyglots(file_format: str) -> None:
    data = (
        encoded(drawing(), "jpeg", exif=exif(6), progressive=True) if file_format == "jpeg" else animated(file_format)
    )
    assert judge(data)["trailing_bytes"] == 0


def gps_exif() -> bytes:
    block = Image.Exif()
    block[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return block.tobytes()


@pytest.mark.parametrize("file_format", ["jpeg", "png", "webp", "avif"])
def test_b15_where_an_image_was_taken_is_flagged_and_no_derivative_says_it(file_format: str) -> None:
    data = encoded(drawing(200, 100), file_format, exif=gps_exif())
    facts = judge(data)

    assert (facts["has_exif"], facts["has_gps"]) == (True, True)
    made = [prepare(data, TrainingRecipe()).bytes]
    if file_format in ("jpeg", "png"):
        made.append(optimize(data, LosslessRecipe(metadata="strip")).bytes)
    for derived in made:
        assert (judge(derived)["has_exif"], judge(derived)["has_gps"]) == (False, False)


def test_b15_a_place_in_xmp_and_in_text_of_a_png_is_flagged_too() -> None:
    xmp = b"<x:xmpmeta><rdf:Description exif:GPSLatitude='52,31.2N'/></x:xmpmeta>"
    hidden = f"\nexif\n    {len(gps_exif())}\n{gps_exif().hex()}\n".encode()
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hidden))

    assert judge(encoded(drawing(), "jpeg", xmp=xmp))["has_gps"] is True
    assert judge(png((2, 1), 8, 0, b"\0\x10\xf0", extra=text))["has_gps"] is True
    assert judge(encoded(drawing(), "jpeg", exif=exif(6)))["has_gps"] is False
    assert judge(encoded(drawing(), "jpeg"))["has_exif"] is False


# libvips brings a libpng and a libjpeg of its own. Its pixels may be off by this much of 255; left out are 16 bits (one
# rounds, one cuts) and CMYK (one converts).
OTHERWISE_ROUNDED = {"jpeg": 4, "png": 0}


@pytest.mark.parametrize("folder", ["images_danbooru", "images_pillow", "images_photos"])
def test_b16_libvips_finds_the_same_size_and_pixels(folder: str) -> None:
    if not (REAL_FILES / folder).is_dir():
        pytest.skip("the real files are not here")
    import pyvips

    compared = 0
    for path in sorted(path for path in (REAL_FILES / folder).rglob("*") if path.suffix in (".png", ".jpg")):
        data = path.read_bytes()
        facts = judge(data)
        is_compared = facts["format"] in OTHERWISE_ROUNDED and facts["mode"] != "CMYK" and facts["bits"] != 16
        if facts["error"] is not None or facts["is_animated"] or not is_compared:
            continue
        other = pyvips.Image.new_from_buffer(data, "", access="sequential", fail_on="truncated")
        theirs = np.frombuffer(other.write_to_memory(), np.uint8).reshape(other.height, other.width, other.bands)
        see_through = other.hasalpha() and theirs[..., -1].min() < 255
        same_mode = decode(data).convert({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[other.bands])
        difference = np.abs(np.asarray(same_mode, np.int16).reshape(theirs.shape) - theirs).max()

        assert theirs.shape[:2] == (facts["height"], facts["width"]), path
        assert difference <= OTHERWISE_ROUNDED[str(facts["format"])], path
        assert see_through == facts["has_alpha"], path
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize("line", [(0, 0, 0), (255, 255, 255)])
def test_b16_the_two_png_readers_here_agree_on_line_art(line: tuple[int, int, int]) -> None:
    """Pillow and oxipng each read what the other wrote."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    data = encoded(line_art(line, 200), "png", compress_level=0)
    assert judge(optimize(data, LosslessRecipe()).bytes)["pixel_hash"] == judge(data)["pixel_hash"]
