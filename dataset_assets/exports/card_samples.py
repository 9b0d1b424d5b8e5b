"""A hundred of a release's images on one picture, always the same ones."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dataset_assets.domain.attribution import CREDITS, credit
from dataset_assets.exports.card_front_matter import UNSAFE
from dataset_assets.exports.credits import csv_line
from dataset_assets.exports.members import Members

if TYPE_CHECKING:
    from PIL import Image

COLUMNS, ROWS, SIDE = 10, 10, 112
COLUMN_NAMES = ("row", "column", *CREDITS[1:])
_CREDITED = ("image_id", "artist", "title", "page_url", "source_url", "file_url", "license", "license_basis")
_MOST_BYTES = 900_000
_MOST_FILE_BYTES, _MOST_PIXELS = 32 << 20, 64_000_000
_TRIED = 10 * COLUMNS * ROWS  # of which some may be the same file
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


@dataclass(frozen=True)
class Samples:
    """A JPEG, and the images on it row by row: MEMBERS of each, as far as a list of credits needs them."""

    jpeg: bytes
    shown: Sequence[Mapping[str, Any]]

    def credits(self) -> bytes:
        """CSV of COLUMN_NAMES: whose each image of the picture is."""
        lines = [csv_line(COLUMN_NAMES)]
        for at, member in enumerate(self.shown):
            row, column = divmod(at, COLUMNS)
            said = credit(member)
            lines.append(csv_line([str(row + 1), str(column + 1), *(said[name] for name in CREDITS[1:])]))
        return b"".join(lines)


def samples(members: Members) -> Samples | None:
    """Images that may be passed on and are not rated questionable or explicit; null = none may be shown.

    Those with the smallest SHA-256: as good as drawn by lot, and the same every time.
    """
    from dataset_assets.domain.contact_sheet import contact_sheet, jpeg_within

    rows = [(row, _opened(members.read(row))) for row in _chosen(members).iter_rows(named=True)]
    drawn = [(row, picture) for row, picture in rows if picture is not None]
    if not drawn:
        return None
    sheet = contact_sheet([picture for _, picture in drawn], columns=min(COLUMNS, len(drawn)), side=SIDE)
    return Samples(jpeg_within(sheet, _MOST_BYTES), [row for row, _ in drawn])


def _chosen(members: Members) -> pl.DataFrame:
    may = (
        pl.col("may_redistribute")
        & ~pl.col("rating").is_in(UNSAFE).fill_null(value=False)
        & (pl.col("size") <= _MOST_FILE_BYTES)
        & (pl.col("width").cast(pl.Int64) * pl.col("height") <= _MOST_PIXELS).fill_null(value=False)
    )
    rows = members.filter(may).scan().select("sha256", "path", *_CREDITED)
    first = rows.bottom_k(_TRIED, by=["sha256", "image_id"]).collect(engine="streaming")
    return first.sort("sha256", "image_id").unique("sha256", keep="first", maintain_order=True).head(COLUMNS * ROWS)


def _opened(data: bytes) -> "Image.Image | None":
    """A thumbnail of at most twice SIDE; null = it is no picture that can be shown."""
    from PIL import Image, ImageOps

    try:
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        picture.draft("RGB", (2 * SIDE, 2 * SIDE))
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    paper = Image.new("RGBA", upright.size, "white")
    shown = Image.alpha_composite(paper, upright).convert("RGB")
    shown.thumbnail((2 * SIDE, 2 * SIDE))
    return shown
