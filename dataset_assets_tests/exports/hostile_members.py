"""Members of a release that are hard to write: images of every kind, texts that break formats, fields that are null."""

import hashlib
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written

EXTENSIONS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "avif": "AVIF"}
TEXTS = (
    "two\nlines\r\nand\ttabs",
    "NUL \x00 and bell \x07",
    "\"quotes\", 'single', \\back\\ and `{json: [1]}`",
    "\u202eright to left\u202c עברית العربية",
    "日本語 🎨 e\u0301 \u2028 \ufeff",
    "<script>alert(1)</script>, ../../etc/passwd, =1+1",
    "2012-01-01",
    "long " * 20_000,
    "",
    " ",
)


def image_bytes(seed: int, form: str, size: tuple[int, int] = (40, 24)) -> bytes:
    """A small picture of random blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 10, 4 if form == "PNG" else 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)
    with io.BytesIO() as buffer:
        (picture.convert("P") if form == "GIF" else picture).save(buffer, form)
        return buffer.getvalue()


def pixels_of(data: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGBA"))


def member(number: int, files: dict[str, bytes], size: tuple[int, int] = (40, 24), **stated: Any) -> dict[str, Any]:
    """A row of MEMBERS of which the image, its name, source and licence are certain, and the rest as stated."""
    extension = stated.get("extension", list(EXTENSIONS)[number % len(EXTENSIONS)])
    data = image_bytes(number, EXTENSIONS[extension], size)
    path = f"images/{number}.{extension}"
    files[path] = data
    return {
        **dict.fromkeys(MEMBERS.schema),
        "image_id": f"danbooru-{number:07d}-0",
        "post_id": f"{number:07d}",
        "page": 0,
        "source": "danbooru",
        "year": 2020,
        "path": path,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "extension": extension,
        "width": size[0],
        "height": size[1],
        "artist": [],
        "license": "CC0-1.0",
        "license_basis": "https://example.org/terms",
        "may_redistribute": True,
        "captions": [],
        "tags": [],
        **stated,
    }


def hostile(number: int) -> dict[str, Any]:
    """What a member states, in which each kind of trouble comes round."""
    text = TEXTS[number % len(TEXTS)]
    captions = [{"origin": "published", "caption": text}, {"origin": "coca", "caption": f"second {number}"}]
    tags = [{"tag": f"{text[:200]}{kind}", "category": kind} for kind in ("artist", "general")]
    return {
        "captions": captions[: number % 3],
        "tags": tags[: (number + 1) % 3],
        "title": text if number % 2 else None,
        "artist": [text[:50], "b"][: number % 3],
        "page_url": f"https://danbooru.donmai.us/posts/{number}" if number % 4 else None,
        "file_url": f"https://cdn.donmai.us/{number}.png",
        "rating": ("general", "explicit", None)[number % 3],
        "score": number - 3 if number % 5 else None,
        "is_ai_generated": (None, True, False)[number % 3],
        "created_at": datetime(2020, 2, 29, 23, 59, 59, number, tzinfo=UTC) if number % 2 else None,
        "caption_model": "coca" if number % 7 == 0 else None,
        "original_md5": f"{number:032x}",
        "license": ("CC0-1.0", text[:80] or "none")[number % 2],
    }


def members_of(rows: list[dict[str, Any]], files: Mapping[str, bytes], **more: Any) -> Members:
    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    ordered = MEMBERS.frame(rows).sort(MEMBERS.sorted_by)
    return Members([part.lazy() for part in ordered.partition_by("year", maintain_order=True)], read, **more)


def hostile_members(count: int = 21, **more: Any) -> Members:
    """Members in two splits, one of which has no title, score, caption or tag at all."""
    files: dict[str, bytes] = {}
    rows = [member(n, files, split="train", year=2019 + n % 2, **hostile(n)) for n in range(count)]
    rows += [member(n, files, split="test") for n in range(count, count + 3)]
    return members_of(rows, files, **more)


def export(members: Members, name: str, folder: Path, shard_bytes: int = 500 << 20) -> list[Written]:
    """Write members in a format; what it says that it wrote is what lies there."""
    target = Target(folder, folder.parent / f"{folder.name}_scratch")
    written = list(FORMATS[name].write(members, target, Settings("girls", shard_bytes)))
    target.finish()
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    assert {file.name: file.sha256 for file in written} == {name: digest(file) for name, file in found.items()}
    assert {file.name: file.bytes for file in written} == {name: file.stat().st_size for name, file in found.items()}
    assert all(file.name.split("/")[0] == name for file in written)
    return written


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def counted(members: Members, reads: list[str]) -> Members:
    """The same, writing down each path that is read."""

    def read(inner: Any, path: str) -> bytes:
        reads.append(path)
        found: bytes = inner(path)
        return found

    return Members(members.parts, partial(read, members.read_path), members.embeddings, members.notes)


def rows_by_id(members: Members) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in members.rows()}


def as_frame(members: Members) -> pl.DataFrame:
    return pl.concat(list(members.batches()))
