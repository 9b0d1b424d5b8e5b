"""The fields of a Danbooru post in every schema it was published in, and the snapshot's columns that hold them."""

from datetime import UTC, datetime

import polars as pl

from dataset_assets.config import FIRST_YEAR, LAST_YEAR
from dataset_assets.domain.schemas import IMAGE_ID, TIME, Column, Table

# Numbers of categories as the old schema and Danbooru itself write them; there never was a 2.
CATEGORIES = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta"}
TAG_STRINGS = tuple(f"tag_string_{category}" for category in CATEGORIES.values())

REFERENCES = ("uploader_id", "approver_id", "parent_id", "pixiv_id")  # 0 = none
LARGE_NUMBERS = ("file_size", "bit_flags")
NUMBERS = ("image_width", "image_height", "score", "up_score", "down_score", "fav_count")
TIMES = ("updated_at", "last_commented_at", "last_comment_bumped_at", "last_noted_at")  # 1970 = never
FLAGS = (
    "has_children",
    "has_active_children",
    "has_visible_children",
    "has_large",
    "is_deleted",
    "is_banned",
    "is_pending",
    "is_flagged",
    "is_note_locked",
    "is_rating_locked",
    "is_status_locked",
)
LOWER_TEXTS = ("md5", "file_ext")
TEXTS = ("uploader_name", "source", "rating", "file_url", "large_file_url", "preview_file_url")

# Keys that say nothing that other fields do not. The reader is told of them because it is slow at unknown keys.
UNUSED = (
    "tag_string",
    "tag_count",
    *(f"tag_count_{category}" for category in CATEGORIES.values()),
    "fav_string",
    "is_favorited",
    "children_ids",
    "keeper_data",
    "media_asset",
)

# A post has at least one of these; records of tags, artists or pools, which lie beside posts in a mirror, have none.
MARKS_OF_A_POST = ("rating", "md5", "image_width", "file_ext")

EARLIEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
LATEST = datetime(LAST_YEAR, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

TAG = pl.Struct({"name": pl.String, "category": pl.String})

SNAPSHOT = Table(
    "source_snapshot",
    "record of the source's own export",
    (
        IMAGE_ID,
        Column("year", pl.Int32, "year of created_at, UTC"),
        Column(
            "record_file", pl.String, "the export's file, relative to its folder (within an archive: archive!member)"
        ),
        Column("record_line", pl.Int64, "1-based line; in a JSON array, number of the element"),
        Column("rating_scale", pl.String, "danbooru_gsqe when any record of the export is rated g, else danbooru_sqe"),
        Column("id", pl.Int64, "the post's id"),
        Column("created_at", TIME, "when the post was uploaded"),
        Column("updated_at", TIME, "when the record was last changed"),
        Column("last_commented_at", TIME, "last comment; null = never"),
        Column("last_comment_bumped_at", TIME, "last comment that moved the post up; null = never"),
        Column("last_noted_at", TIME, "last note; null = never"),
        Column("uploader_id", pl.Int64, "who posted it"),
        Column("uploader_name", pl.String, "who posted it, by name; only some API answers say"),
        Column("approver_id", pl.Int64, "who approved it; null = nobody"),
        Column("parent_id", pl.Int64, "the post that this one is a child of; null = none"),
        Column("pixiv_id", pl.Int64, "the same work at Pixiv; null = none"),
        Column("source", pl.String, "where the uploader says the image is from; may be empty"),
        Column("md5", pl.String, "MD5 of the file as uploaded, lower-case hex"),
        Column("file_ext", pl.String, "claimed extension, lower case"),
        Column("file_size", pl.Int64, "claimed size in bytes"),
        Column("image_width", pl.Int32, "claimed width"),
        Column("image_height", pl.Int32, "claimed height"),
        Column("rating", pl.String, "the rating's letter as published"),
        Column("score", pl.Int32, "score"),
        Column("up_score", pl.Int32, "votes up"),
        Column("down_score", pl.Int32, "votes down, zero or negative"),
        Column("fav_count", pl.Int32, "favourites; of the old schema, how many `favs` are listed, null when none is"),
        Column("bit_flags", pl.Int64, "internal flags"),
        *(Column(name, pl.Boolean, f"the post's flag `{name}`") for name in FLAGS),
        Column("file_url", pl.String, "the original file"),
        Column("large_file_url", pl.String, "the file scaled for reading"),
        Column("preview_file_url", pl.String, "the thumbnail"),
        Column("pools", pl.List(pl.String), "ids of pools, ascending; null = not said"),
        *(
            Column(f"tag_string_{category}", pl.String, f"{category} tags between blanks, as published; may repeat")
            for category in CATEGORIES.values()
        ),
        Column("tags_other", pl.List(TAG), "tags of any other category, or of none that is known (null)"),
    ),
    sorted_by=("year", "image_id"),
)

# The columns that are filled from a record itself, in the snapshot's order.
RECORD_COLUMNS = tuple(
    column
    for column in SNAPSHOT.columns
    if column.name not in ("image_id", "year", "record_file", "record_line", "rating_scale")
)
