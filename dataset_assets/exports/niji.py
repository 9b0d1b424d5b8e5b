"""The Niji archive's preprocessed variant: a zip of images with sidecar, tags and caption beside each, and meta files.

`niji/<release>_preprocessed.zip` holds `dataset/<image_id>.<extension>`, the same name with `.json`, `<image_id>.txt`
and `<image_id>.caption`; beside that folder `meta_cap.json`, `meta_dd.json` and `meta_clean.json` of the images in this
archive, and `ATTRIBUTION.csv`, which says whose each is.
Source: https://huggingface.co/datasets/Linaqruf/pixiv-niji-journey
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from dataset_assets.exports.credits import FILE_NAME, HEADER, credit_line
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.gallery_dl_sidecar import sidecar
from dataset_assets.exports.kohya_metadata import META_FILES, MetaFile, beside, texts_of
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written
from dataset_assets.exports.zip_files import ZipWriter, part_stem, spooled, write_archives

RECIPE = "niji 1"
META_NAMES = ("meta_cap", "meta_dd", "meta_clean")


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write the archives of each part of the release. Raises: MemberLost; NotAllowed; MembersChanged."""
    for split, part in members.splits():
        stem = f"niji/{part_stem(settings.name, split)}_preprocessed"
        yield from write_archives(part, target, stem, RECIPE, settings.shard_bytes, write_zip)


def write_zip(members: Members, frames: Iterable[pl.DataFrame], made: Path) -> None:
    """Write an archive, an image at a time."""
    with ZipWriter(made) as archive, ExitStack() as open_files:
        credits = open_files.enter_context(spooled(made))
        streams = {name: open_files.enter_context(spooled(made)) for name in META_NAMES}
        metas = {name: MetaFile(stream) for name, stream in streams.items()}
        credits.write(HEADER)
        for row in (row for frame in frames for row in frame.iter_rows(named=True)):
            stem, texts = row["image_id"], texts_of(row)
            name = f"dataset/{stem}.{row['extension']}"
            archive.add(name, members.read(row))
            archive.add(f"{name}.json", sidecar(row, stem))
            for suffix, text in beside(texts).items():
                archive.add(f"dataset/{stem}{suffix}", text)
            for meta_name, meta in metas.items():
                meta.add(stem, META_FILES[meta_name](texts))
            credits.write(credit_line(row, name))
        for meta_name, meta in metas.items():
            meta.close()
            archive.add_file(f"{meta_name}.json", streams[meta_name])
        archive.add_file(FILE_NAME, credits)
