"""What kohya's sd-scripts read of a folder, by their own rules, since they are no library.

Source: kohya-ss/sd-scripts, library/config_util.py (which keys may stand where) and library/train_util.py
(DreamBoothDataset and FineTuningDataset), of early 2023 ("old") and at 48d368f ("new").
"""

import glob
import json
import os
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

EXTENSIONS = [".png", ".jpg", ".jpeg", ".webp", ".bmp"]
OF_SUBSETS = {"color_aug", "face_crop_aug_range", "flip_aug", "num_repeats", "random_crop", "shuffle_caption"}
OF_SUBSETS |= {"keep_tokens", "token_warmup_min", "token_warmup_step"}
OF_DATASETS = {"batch_size", "bucket_no_upscale", "bucket_reso_steps", "enable_bucket", "max_bucket_reso"}
OF_DATASETS |= {"min_bucket_reso", "resolution"}
OF_FOLDERS = {"caption_extension", "class_tokens"}  # refused by fine_tune.py, which trains by metadata alone
SEPARATOR = ","


class Trained(NamedTuple):
    """An image as it is trained on: its file, its text, and its size where metadata say it."""

    file: str
    text: str
    size: tuple[int, int] | None = None


def settings(file: Path) -> dict[str, Any]:
    """A file for `--dataset_config`, checked as config_util does; by metadata, as strictly as fine_tune.py."""
    found = tomllib.loads(file.read_text("utf-8"))
    subsets = [subset for dataset in found["datasets"] for subset in dataset["subsets"]]
    by_metadata = ["metadata_file" in subset for subset in subsets]
    assert all(by_metadata) or not any(by_metadata), "the two ways cannot be mixed"
    of_folders = set() if all(by_metadata) else OF_FOLDERS
    of_subset = {"image_dir", "metadata_file"} if all(by_metadata) else {"image_dir", "is_reg", *OF_FOLDERS}
    assert found.keys() <= {"general", "datasets"}
    assert found["general"].keys() <= OF_SUBSETS | OF_DATASETS | of_folders
    for dataset in found["datasets"]:
        assert dataset.keys() <= OF_SUBSETS | OF_DATASETS | of_folders | {"subsets"}
        both = found["general"] | dataset
        assert both["min_bucket_reso"] <= both["resolution"] <= both["max_bucket_reso"]
        assert all(both[name] % both["bucket_reso_steps"] == 0 for name in ("min_bucket_reso", "max_bucket_reso"))
    assert all(subset.keys() <= OF_SUBSETS | of_subset for subset in subsets)
    return found


def trained(folder: Path, metadata: str = "meta_clean.json", *, old: bool) -> dict[str, Trained]:
    """What a folder's `dataset.toml` trains on, by key of the metadata."""
    (dataset,) = settings(folder / "dataset.toml")["datasets"]
    (subset,) = dataset["subsets"]
    assert subset["metadata_file"] == "meta_clean.json"
    images, entries = str(folder / subset["image_dir"]), read_metadata(folder / metadata)
    return {key: _old(images, key, entry) if old else _new(images, key, entry) for key, entry in entries.items()}


def read_metadata(file: Path) -> dict[str, dict[str, Any]]:
    """Metadata of both forms; each key once."""
    if file.suffix != ".jsonl":
        pairs: list[tuple[str, Any]] = json.loads(file.read_text("utf-8"), object_pairs_hook=list)
        entries = {key: dict(entry) for key, entry in pairs}
        assert len(entries) == len(pairs)
        return entries
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    kept = [({"caption": "", "tags": None} | line) for line in lines]
    return {
        line["image_path"]: {key: line[key] for key in ("caption", "tags", "image_size") if key in line}
        for line in kept
    }


def text_of(entry: dict[str, Any], *, old: bool) -> str:
    caption, tags = entry.get("caption"), entry.get("tags")
    if old:
        if caption is None:
            caption, tags = tags, None
        return (caption or "") + (SEPARATOR + tags if tags else "")
    return (caption or "") + (SEPARATOR if caption and tags else "") + (tags or "")


def _old(images: str, key: str, entry: dict[str, Any]) -> Trained:
    found = [key] if os.path.exists(key) else _with_extension(images, key)
    assert found, f"no image: {key}"
    return Trained(os.path.basename(found[0]), text_of(entry, old=True))


def _new(images: str, key: str, entry: dict[str, Any]) -> Trained:
    path = os.path.join(images, key)
    if not os.path.splitext(key)[1] or not os.path.exists(path):
        found = _with_extension(os.path.dirname(path), os.path.basename(key))
        path = found[0] if found else path
    assert os.path.exists(path), f"no image: {key}"
    size = tuple(entry["image_size"]) if "image_size" in entry else None
    return Trained(os.path.basename(path), text_of(entry, old=False), size)


def _with_extension(folder: str, stem: str) -> list[str]:
    endings = [ending for extension in EXTENSIONS for ending in (extension, extension.upper())]
    return sorted({file for ending in endings for file in glob.glob(glob.escape(os.path.join(folder, stem + ending)))})


def trained_by_texts(folder: Path) -> dict[str, Trained]:
    """What a folder's `dataset_tags.toml` trains on, by stem: the first line of the text beside each image."""
    found = settings(folder / "dataset_tags.toml")
    (dataset,) = found["datasets"]
    (subset,) = dataset["subsets"]
    images = {file for ending in EXTENSIONS for file in (folder / subset["image_dir"]).glob(f"*{ending}")}
    texts = {}
    for image in images:
        lines = image.with_suffix(found["general"]["caption_extension"]).read_text("utf-8").splitlines()
        assert lines, "the caption file is empty"
        texts[image.stem] = Trained(image.name, lines[0].strip())
    return texts


def tags_of(text: str) -> list[str]:
    """The tags that are shuffled or dropped one by one."""
    return [tag.strip() for tag in text.split(SEPARATOR) if tag.strip()]
