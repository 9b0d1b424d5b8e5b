"""The Niji archive's raw variant: a zip of images, each with a gallery-dl sidecar beside it.

`niji_raw/<release>_raw.zip` holds `<source>/<post>_p<page>.<extension>` and the same name with `.json`; the real one
has one folder, named for the words searched for. `ATTRIBUTION.csv` within says whose each image is.
Source: https://huggingface.co/datasets/Linaqruf/pixiv-niji-journey
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from dataset_assets.exports.credits import FILE_NAME, HEADER, credit_line
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.gallery_dl_sidecar import sidecar
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written
from dataset_assets.exports.zip_files import ZipWriter, part_stem, spooled, write_archives

RECIPE = "niji_raw 1"


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write the archives of each part of the release. Raises: MemberLost; NotAllowed; MembersChanged."""
    for split, part in members.splits():
        stem = f"niji_raw/{part_stem(settings.name, split)}_raw"
        yield from write_archives(part, target, stem, RECIPE, settings.shard_bytes, write_zip)


def write_zip(members: Members, frames: Iterable[pl.DataFrame], made: Path) -> None:
    """Write an archive, an image at a time."""
    with ZipWriter(made) as archive, spooled(made) as credits:
        credits.write(HEADER)
        for row in (row for frame in frames for row in frame.iter_rows(named=True)):
            stem = f"{row['post_id']}_p{row['page']}"
            name = f"{row['source']}/{stem}.{row['extension']}"
            archive.add(name, members.read(row))
            archive.add(f"{name}.json", sidecar(row, stem))
            credits.write(credit_line(row, name))
        archive.add_file(FILE_NAME, credits)
