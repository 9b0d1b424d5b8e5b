"""Whose an image is, where it is from and what may be done with it: what goes along in every format."""

from collections.abc import Mapping
from typing import Any

import polars as pl

UNKNOWN_ARTIST = "unknown"
# The columns of a list of credits, for layouts whose own files have no field for them.
CREDITS = ("file", "image_id", "artist", "title", "source_url", "license", "license_basis")


def artist_of(member: Mapping[str, Any]) -> str:
    """The artists' names, separated by commas; `unknown` where no one is named."""
    return ", ".join(member["artist"] or ()) or UNKNOWN_ARTIST


def source_url_of(member: Mapping[str, Any]) -> str | None:
    """Where the image can be looked at: the post's page, else what the uploader gives as source, else the file."""
    found: str | None = member["page_url"] or member["source_url"] or member["file_url"]
    return found


def credit(member: Mapping[str, Any], file: str | None = None) -> dict[str, str | None]:
    """A line of a list of credits: CREDITS of a row of MEMBERS."""
    return {
        "file": file,
        "image_id": member["image_id"],
        "artist": artist_of(member),
        "title": member["title"],
        "source_url": source_url_of(member),
        "license": member["license"],
        "license_basis": member["license_basis"],
    }


def credit_columns() -> list[pl.Expr]:
    """The same of a frame of members: artist, source_url (as `source_url_of`), license, license_basis."""
    names = pl.col("artist").list.join(", ")
    return [
        pl.when(names == "").then(pl.lit(UNKNOWN_ARTIST)).otherwise(names.fill_null(UNKNOWN_ARTIST)).alias("artist"),
        pl.coalesce("page_url", "source_url", "file_url").alias("source_url"),
        pl.col("license"),
        pl.col("license_basis"),
    ]
