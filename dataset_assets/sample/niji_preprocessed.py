"""Writes the sample's Pixiv works once more, as kohya's scripts left them: a `.txt` and a `.caption` beside each image.

Tags and captions are made of what is drawn, and so better than any model's. Source: Linaqruf/kohya-trainer at c6b50b6.
"""

import json
import zipfile
from pathlib import Path

from dataset_assets.sample.drawing import Order
from dataset_assets.sample.niji_works import works
from dataset_assets.sample.niji_zip import ARCHIVE, PACKED

PREPROCESSED = ARCHIVE.replace("_raw", "_preprocessed")
SHOWN_IN_CAPTION = 3


def write_preprocessed(folder: Path) -> int:
    """Write the archive beside the raw one and return how many images it has.

    As with the real one, works are left out without a word: those that are not for everybody, and the damaged ones. One
    image has lost its caption after the meta files were made of it.
    """
    files: dict[str, bytes] = {}
    entries: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(folder / ARCHIVE) as raw:
        for work in works():
            for page, order in enumerate(work.pages):
                stem = f"{work.id}_p{page}"
                if work.fault is None and not work.x_restrict:
                    name = f"{stem}.{work.extension}"
                    files[f"dataset/{name}"] = raw.read(f"nijijourney/{name}")
                    files[f"dataset/{name}.json"] = raw.read(f"nijijourney/{name}.json")
                    entries[stem] = {"caption": _caption(order), "tags": ", ".join(sorted(order.tags()))}
    for stem, entry in entries.items():
        files[f"dataset/{stem}.txt"] = f"{entry['tags']}\n".encode()
        files[f"dataset/{stem}.caption"] = f"{entry['caption']}\n".encode()
    del files[f"dataset/{min(entries)}.caption"]
    _write(folder / PREPROCESSED, files | _meta_files(entries))
    return len(entries)


def _caption(order: Order) -> str:
    tags = sorted(order.tags())
    who = "a woman" if "1girl" in tags else "a drawing"
    shown = [tag.replace("_", " ") for tag in tags if not tag[0].isdigit()]
    return f"{who} with {', '.join(shown[:SHOWN_IN_CAPTION])}"


def _meta_files(entries: dict[str, dict[str, str]]) -> dict[str, bytes]:
    captions = {stem: {"caption": entry["caption"]} for stem, entry in entries.items()}
    cleaned = {
        stem: {"caption": entry["caption"].replace("a woman", "a girl"), "tags": entry["tags"].replace("_", " ")}
        for stem, entry in entries.items()
    }
    named = {"meta_cap": captions, "meta_dd": entries, "meta_clean": cleaned}
    return {f"{name}.json": json.dumps(content, indent=2).encode() for name, content in named.items()}


def _write(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            member = zipfile.ZipInfo(name, PACKED)
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, data)
