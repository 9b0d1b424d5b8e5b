"""What a release says of itself as a whole: whose the images are, under which licences, and its card."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain import markdown
from dataset_assets.domain.attribution import CREDITS, credit
from dataset_assets.exports.card import write_card
from dataset_assets.exports.card_citations import of_sources
from dataset_assets.exports.credits import FILE_NAME, csv_line
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written, key_of

LICENSES = "LICENSES.md"
# A release as a whole names images, not files.
COLUMNS = (*CREDITS[1:], "may_redistribute")
_NEEDED = (
    *("image_id", "artist", "title", "page_url", "source_url", "file_url", "license", "license_basis"),
    "may_redistribute",
)
_LAYOUT = 1  # another number when the same members are written otherwise


def write_report(members: Members, target: Target, manifest: Mapping[str, Any]) -> Iterator[Written]:
    """Write ATTRIBUTION.csv, LICENSES.md and the card of a release whose formats are written.

    members: all of the release, also those whose pixels may not leave. manifest: as far as it is known by then.
    Raises: MemberLost when an image that the card would show is gone.
    """
    yield from write_credits(members, target, manifest)
    yield from write_card(members, target, manifest)


def write_credits(members: Members, target: Target, manifest: Mapping[str, Any]) -> Iterator[Written]:
    """Write a line for each image that tells whose it is, and a page that sums up the licences."""
    key = key_of(FILE_NAME, _LAYOUT, manifest["members"]["sha256"])
    yield target.file(FILE_NAME, key, manifest["members"]["count"], partial(_write_lines, members))
    yield target.put(LICENSES, _licenses(members, manifest).encode())


def _write_lines(members: Members, file: Path) -> None:
    with file.open("wb") as stream:
        stream.write(csv_line(COLUMNS))
        for batch in members.batches(_NEEDED):
            for member in batch.iter_rows(named=True):
                stream.write(csv_line([*_credited(member), "yes" if member["may_redistribute"] else "no"]))


def _credited(member: Mapping[str, Any]) -> list[str | None]:
    said = credit(member)
    return [said[name] for name in CREDITS[1:]]


def _licenses(members: Members, manifest: Mapping[str, Any]) -> str:
    keys = ("license", "license_basis", "source", "may_redistribute")
    named = (pl.col("artist").list.len() > 0).sum().cast(pl.Int64)
    counted = members.scan().group_by(keys).agg(images=pl.len().cast(pl.Int64), named=named)
    rows = [
        (license_name, basis, source, "yes" if may else "no", images, artists)
        for license_name, basis, source, may, images, artists in counted.collect(engine="streaming")
        .sort(keys, nulls_last=True)
        .iter_rows()
    ]
    parts = [
        f"# Licences of {markdown.inline(manifest.get('title') or manifest['name'])}\n",
        "Each image has the licence of its source. ATTRIBUTION.csv has a line for each: who made it, where it is from, "
        "its licence, and whether its pixels may be passed on.\n",
        markdown.table(("licence", "says who", "source", "may be passed on", "images", "of a named artist"), rows),
    ]
    for source, asked in of_sources(manifest).items():
        parts.append(f"{markdown.inline(source)} asks to be cited so:\n\n{markdown.code(asked, 'bibtex')}")
    return "\n".join(part for part in parts if part)
