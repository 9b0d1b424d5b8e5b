"""Small scrapes by gallery-dl for tests: sidecars whose keys can be changed, in folders and zip archives."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from dataset_assets.sources.gallery_dl_sidecars import parse_sidecar, published


def sidecar(work: int = 102633379, page: int = 0, **changes: Any) -> dict[str, Any]:
    """A sidecar as gallery-dl 1.24.1 writes it; a key changed to `...` is left out."""
    keys = {
        "caption": "もっと<br />気軽に",
        "category": "pixiv",
        "create_date": "2022-11-09T02:04:04+09:00",
        "date": "2022-11-08 17:04:04",
        "extension": "PNG",
        "filename": f"{work}_p{page}",
        "height": 1343,
        "id": work,
        "illust_ai_type": 2,
        "illust_book_style": 0,
        "is_bookmarked": False,
        "is_muted": False,
        "num": page,
        "page_count": 2,
        "rating": "General",
        "restrict": 0,
        "sanity_level": 2,
        "search": {"word": "nijijourney", "sort": "date_desc", "date_start": None},
        "series": None,
        "subcategory": "search",
        "suffix": "",
        "tags": ["雪", "オリジナル1000users入り", "", "雪"],
        "title": "チャイナドレス",
        "tools": ["SAI"],
        "total_bookmarks": 2334,
        "total_view": 12_000,
        "type": "illust",
        "user": {
            "account": "a",
            "id": 17,
            "is_followed": False,
            "name": "絵描き",
            "profile_image_urls": {"medium": "https://i.pximg.net/a.jpg"},
        },
        "visible": True,
        "width": 950,
        "x_restrict": 0,
    }
    return {key: value for key, value in (keys | changes).items() if value is not ...}


def as_bytes(keys: dict[str, Any]) -> bytes:
    return (json.dumps(keys, indent=4, sort_keys=True, ensure_ascii=False) + "\n").encode()


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


def niji(*works: int, image: bytes = b"pixels") -> dict[str, bytes]:
    """Files of a scrape in the layout of the Niji zip: for each work one image and its sidecar."""
    names = {f"nijijourney/{work}_p0.png": work for work in works}
    return dict.fromkeys(names, image) | {f"{name}.json": as_bytes(sidecar(work)) for name, work in names.items()}


def parsed(keys: dict[str, Any], file: str = "niji/102633379_p0.png.json") -> dict[str, Any]:
    return parse_sidecar(as_bytes(keys), file, "niji")


def without_nulls(value: Any) -> Any:
    """A sidecar less what its row does not tell from an absent key: null, and an object of nothing else."""
    if not isinstance(value, dict):
        return value
    kept = {key: without_nulls(inner) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner is not None and inner != {}}


def merged(columns: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """What the columns hold, and `extra` over it."""
    both = dict(columns)
    for key, value in extra.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def recovered(row: dict[str, Any]) -> str:
    """The sidecar that a row of the snapshot holds, as `canonical` JSON."""
    return canonical(merged(published(row), json.loads(row["extra"] or "{}")))


def canonical(keys: dict[str, Any]) -> str:
    """JSON that is equal for equal sidecars alone: 1, 1.0 and true differ."""
    return json.dumps(without_nulls(keys), sort_keys=True)
