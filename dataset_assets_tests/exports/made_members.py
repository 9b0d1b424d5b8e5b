"""Members of releases for tests: rows of MEMBERS whose columns can be changed, with small files of their own."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import Members, Row
from dataset_assets.exports.target import Target, Written

NUL, NEWLINE, BIDI = "\0", "\n", "\u202e"
HOSTILE = [
    '=HYPERLINK("https://evil.example")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "'tis",
    f"a{NUL}b",
    f"a{NEWLINE}b",
    "a\r\nb",
    "quo\"te, 'and' comma;",
    "../../etc/passwd",
    "C:\\Windows",
    "\u2028\u2029\x85",
    f"{BIDI}gnp.exe",
    "夜のtag 🌙",
    "</script><script>",
    "'; DROP TABLE images; --",
    "",
    " ",
]
PREPARED: dict[str, Any] = {"scale_x": 0.5, "scale_y": 0.5, "offset_x": 0, "offset_y": 0}


def picture(seed: int, size: tuple[int, int] = (48, 40), form: str = "PNG") -> bytes:
    """A small picture of random blocks, the same for the same seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    with io.BytesIO() as buffer:
        Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(buffer, form)
        return buffer.getvalue()


def member(post_id: str = "1525146", source: str = "danbooru", page: int = 0, **changes: Any) -> Row:
    """A member whose file is the original, a PNG of 48 x 40; `file` is the bytes of its file."""
    data = changes.pop("file", None) or picture(sum(f"{source}-{post_id}-{page}".encode()))
    with Image.open(io.BytesIO(data)) as image:
        width, height, extension = *image.size, {"JPEG": "jpg"}.get(str(image.format), str(image.format).lower())
    row = dict.fromkeys(MEMBERS.schema.names()) | {
        "image_id": f"{source}-{post_id}-{page}",
        "source": source,
        "year": 2019,
        "path": f"images/raw/{source}/{post_id}_p{page}.{extension}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "extension": extension,
        "width": width,
        "height": height,
        "original_sha256": hashlib.sha256(data).hexdigest(),
        "original_md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "original_size": len(data),
        "original_extension": extension,
        "original_width": width,
        "original_height": height,
        "pixel_hash": hashlib.sha256(b"pixels" + data).hexdigest()[:32],
        "post_id": post_id,
        "page": page,
        "created_at": datetime(2019, 3, 1, 10, 0, 0, 500_000, UTC),
        "title": "夜",
        "uploader_id": "77",
        "uploader_name": "someone",
        "page_url": f"https://booru.example/posts/{post_id}",
        "source_url": "https://pixiv.example/artworks/1",
        "rating": "general",
        "score": 7,
        "fav_count": 3,
        "artist": ["painter"],
        "license": "CC0-1.0",
        "license_basis": "stated by the artist",
        "may_redistribute": True,
        "captions": [{"origin": "human", "caption": "a girl at night"}],
        "tags": [tag("1girl"), tag("painter", "artist")],
        "data": data,
    }
    return row | changes


def tag(name: str, category: str | None = "general") -> dict[str, str | None]:
    return {"tag": name, "category": category}


def members_of(rows: Sequence[Row], **others: Any) -> Members:
    """The members of rows of `member`, one part for each source and year, as a release reads them."""
    files = {row["path"]: row["data"] for row in rows}
    frame = MEMBERS.frame([{key: row[key] for key in MEMBERS.schema} for row in rows]).sort(MEMBERS.sorted_by)
    parts = frame.partition_by("source", "year", maintain_order=True)
    return Members([part.lazy() for part in parts], lambda path: files[path], **others)


def vectors_of(rows: Iterable[Row], dim: int = 8, model: str = "ViT-L-14") -> pl.LazyFrame:
    """A vector of length 1 for each member."""
    ids = [row["image_id"] for row in rows]
    made = np.random.default_rng(3).normal(size=(len(ids), dim))
    unit = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)
    vectors = pl.Series(unit, dtype=pl.Array(pl.Float16, dim))
    return pl.LazyFrame({"image_id": ids, "embedding": vectors, "model": [model] * len(ids)}).sort("image_id")


def export(name: str, members: Members, folder: Path, release: str = "night") -> dict[str, Written]:
    """Write members in one format below a folder. Returns: what it says that it wrote, by name."""
    target = Target(folder, folder / "_tmp")
    written = list(FORMATS[name].write(members, target, Settings(release)))
    target.finish()
    (folder / "_tmp").rmdir() if (folder / "_tmp").is_dir() else None
    assert len({file.name for file in written}) == len(written), "a name was written twice"
    return {file.name: file for file in written}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(files)}
