"""Rows of MEMBERS for tests, of which each says only what matters to it; and releases made of them by hand."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.members import MEMBERS

TAGS = ("artist:ada", "character:alice", "general:1girl", "general:long_hair")


def member(post: int, *, source: str = "danbooru", tags: Sequence[str] = TAGS, **said: Any) -> dict[str, Any]:
    """A row of MEMBERS. tags: `category:name`."""
    pairs = [tag.partition(":") for tag in tags]
    image_id, digest = f"{source}-{post}-0", hashlib.sha256(f"{source} {post}".encode()).hexdigest()
    return {
        "image_id": image_id, "source": source, "year": 2019, "split": None, "path": f"images/{post}.jpg",
        "sha256": digest, "size": 1000 + post, "extension": "jpg", "width": 512, "height": 384,
        "original_sha256": digest[::-1], "original_size": 5000 + post, "original_extension": "png",
        "original_width": 1024, "original_height": 768, "pixel_hash": f"pixels of {post}", "post_id": str(post),
        "page": 0, "page_url": f"https://example.org/posts/{post}", "rating": "general", "score": 5, "fav_count": 2,
        "artist": [name for category, _, name in pairs if category == "artist"],
        "license": "CC0-1.0", "license_basis": "stated by the site", "may_redistribute": True,
        "captions": [{"origin": "published", "caption": f"picture {post}"}],
        "tags": [{"tag": name, "category": category} for category, _, name in pairs],
        **said,
    }  # fmt: skip


def members(*rows: dict[str, Any]) -> pl.LazyFrame:
    """Rows of MEMBERS in their order."""
    return MEMBERS.frame(rows).sort(MEMBERS.sorted_by).lazy()


def write_by_hand(
    root: Path, name: str, rows: pl.LazyFrame, released_at: str | None = "2021-01-30T12:00:00+00:00", **said: Any
) -> Path:
    """A finished release below a root, with as much of it as reports read; returns its folder."""
    folder = root / "releases" / name
    folder.mkdir(parents=True)
    rows.collect().write_parquet(folder / "members.parquet")
    digest = hashlib.sha256((folder / "members.parquet").read_bytes()).hexdigest()
    count = rows.select(pl.len()).collect().item()
    manifest = {
        "manifest_version": 1, "name": name, "subset": "girls", "members": {"sha256": digest, "count": count},
        "counts": {"images": count, "bytes": 1000 * count, "tags": 4 * count, "distinct_tags": 4}, "held_back": {},
        "formats": {}, **said,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    if released_at is not None:
        (folder / "released.json").write_text(json.dumps({"released_at": released_at}), "utf-8")
    return folder
