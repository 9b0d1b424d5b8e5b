"""The layout that kohya's sd-scripts train from: images with texts beside them, metadata in JSON, dataset settings.

Below `kohya/`, or `kohya/<part>/` of a release that has parts, so that what is for testing is not trained on:

    img/<image_id>.<extension>, .txt, .caption    meta_cap.json, meta_dd.json, meta_cap_dd.json, meta_clean.json
    meta_clean.jsonl    the same in sd-scripts' newer form, with sizes, credits and what could not be written as it is
    dataset.toml        for training by metadata: captions and tags
    dataset_tags.toml   for training by the `.txt` beside each image
    ATTRIBUTION.csv     whose each image is
    NOT_READ.csv        images that sd-scripts do not read, and so no metadata names

Source: kohya-ss/sd-scripts at 48d368f, library/train_util.py and library/config_util.py.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.attribution import artist_of, source_url_of
from dataset_assets.exports.credits import FILE_NAME, HEADER, credit_line, csv_line
from dataset_assets.exports.descriptions import safe_batches
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.kohya_metadata import META_FILES, beside, cleaned, tag_list, texts_of, write_meta
from dataset_assets.exports.members import Members, Row
from dataset_assets.exports.row_digests import digest_of
from dataset_assets.exports.tar_files import require_allowed
from dataset_assets.exports.target import Target, Written, key_of

RECIPE = "kohya 1"
IMAGES = "img"

# Extensions that sd-scripts look for whatever else is installed.
READABLE = ("png", "jpg", "jpeg", "webp", "bmp")

_TEXTS = ("image_id", "captions", "tags")
BUCKET_STEP = 64  # pixels between the sides of sd-scripts' buckets


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write each part of the release below a folder of its own. Raises: MemberLost; NotAllowed."""
    for split, part in members.splits():
        if split is not None:
            require_allowed(split, "txt")
        yield from _write_part(part, target, "kohya" if split is None else f"kohya/{split}")


def _write_part(members: Members, target: Target, folder: str) -> Iterator[Written]:
    for batch in safe_batches(members):
        key = key_of(RECIPE, folder, digest_of([batch]))
        rows = list(batch.iter_rows(named=True))
        yield from target.each(key, rows, lambda row: _write_image(members, target, folder, row))
    key = key_of(RECIPE, folder, digest_of(members.batches()))
    read = members.filter(pl.col("extension").is_in(READABLE))
    unread = members.filter(~pl.col("extension").is_in(READABLE))
    yield from _write_metadata(read, target, folder, key)
    yield target.file(f"{folder}/{FILE_NAME}", key, 0, lambda made: _write_lines(made, _credit_lines(members)))
    if unread.count():
        yield target.file(f"{folder}/NOT_READ.csv", key, 0, lambda made: _write_lines(made, _unread_lines(unread)))
    for name, content in dataset_settings(_usual_side(members)).items():
        yield target.put(f"{folder}/{name}", content.encode())


def image_file(row: Mapping[str, Any]) -> str:
    """The name of a member's file: its id and its extension."""
    return f"{row['image_id']}.{row['extension']}"


def _write_image(members: Members, target: Target, folder: str, row: Row) -> list[Written]:
    stem = f"{folder}/{IMAGES}/{row['image_id']}"
    return [
        target.put(f"{folder}/{IMAGES}/{image_file(row)}", members.read(row), rows=1),
        *(target.put(stem + suffix, text) for suffix, text in beside(texts_of(row)).items()),
    ]


def _write_metadata(members: Members, target: Target, folder: str, key: str) -> Iterator[Written]:
    count = members.count()
    for name in META_FILES:

        def write_entries(made: Path, name: str = name) -> None:
            with made.open("wb") as stream:
                entry = META_FILES[name]
                rows = (row for batch in members.batches(_TEXTS) for row in batch.iter_rows(named=True))
                write_meta(stream, ((row["image_id"], entry(texts_of(row))) for row in rows))

        yield target.file(f"{folder}/{name}.json", key, count, write_entries)
    lines = (f"{json.dumps(newer_entry(row))}\n".encode() for row in members.rows())
    yield target.file(f"{folder}/meta_clean.jsonl", key, count, lambda made: _write_lines(made, lines))


def newer_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the newer form of metadata; sd-scripts pass over the keys that they do not know.

    `image_size` is left to be read where the file is the original, which may lie on its side.
    """
    texts, source = cleaned(texts_of(row)), source_url_of(row)
    entry: dict[str, Any] = {"image_path": image_file(row), "caption": texts.caption, "tags": tag_list(texts)}
    if row["scale_x"] is not None and row["width"] and row["height"]:
        entry["image_size"] = [row["width"], row["height"]]
    entry |= {"image_id": row["image_id"], "artist": artist_of(row), "title": row["title"], "source_url": source}
    entry |= {"license": row["license"], "license_basis": row["license_basis"]}
    return entry | as_published(row)


def as_published(row: Mapping[str, Any]) -> dict[str, Any]:
    """The caption and tags as they are, under one key, where kohya's texts cannot hold them; else nothing."""
    texts = texts_of(row)
    caption = row["captions"][0]["caption"] if row["captions"] else ""
    tags = [tag["tag"] for tag in row["tags"] or ()]
    is_same = caption == texts.caption and tags == texts.tags
    return {} if is_same else {"as_published": {"caption": caption, "tags": tags}}


def _credit_lines(members: Members) -> Iterator[bytes]:
    yield HEADER
    for row in members.rows():
        yield credit_line(row, f"{IMAGES}/{image_file(row)}")


def _unread_lines(members: Members) -> Iterator[bytes]:
    yield csv_line(("file", "image_id", "reason"))
    for row in members.rows():
        reason = f"sd-scripts look for {', '.join(READABLE)}, and find no {row['extension']}"
        yield csv_line((f"{IMAGES}/{image_file(row)}", row["image_id"], reason))


def _write_lines(made: Path, lines: Iterable[bytes]) -> None:
    with made.open("wb") as stream:
        stream.writelines(lines)


def _usual_side(members: Members) -> int:
    """The longer side of half of the images, pixels; 0 = none has a known size."""
    longer = members.scan().select(pl.max_horizontal("width", "height").quantile(0.5, "lower")).collect().item()
    return int(longer or 0)


def dataset_settings(side: int) -> dict[str, str]:
    """The files for `--dataset_config`, by name, of images whose longer side is usually so many pixels.

    `caption_extension` stands where no metadata is named: beside it, fine_tune.py refuses the key.
    """
    resolution = max(BUCKET_STEP, side // BUCKET_STEP * BUCKET_STEP)
    general = {
        "enable_bucket": "true",
        "bucket_no_upscale": "true",
        "bucket_reso_steps": BUCKET_STEP,
        "min_bucket_reso": max(BUCKET_STEP, resolution // 2 // BUCKET_STEP * BUCKET_STEP),
        "max_bucket_reso": 2 * resolution,
    }
    of_dataset = {"resolution": resolution, "batch_size": 1}
    images = {"image_dir": f'"{IMAGES}"'}
    by_metadata = _toml(general, of_dataset, {**images, "metadata_file": '"meta_clean.json"', "num_repeats": 1})
    by_tags = _toml({**general, "caption_extension": '".txt"'}, of_dataset, {**images, "num_repeats": 1})
    return {"dataset.toml": by_metadata, "dataset_tags.toml": by_tags}


def _toml(general: Mapping[str, object], dataset: Mapping[str, object], subset: Mapping[str, object]) -> str:
    head = "# Paths are looked for where training is started: start it in this folder, or make them absolute.\n"
    parts = (("[general]", general), ("[[datasets]]", dataset), ("[[datasets.subsets]]", subset))
    return head + "".join(
        f"\n{title}\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) for title, values in parts
    )
