"""The keys of a gallery-dl sidecar of Pixiv, the column of the snapshot that holds each, and how values are read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import polars as pl

from dataset_assets.config import FIRST_YEAR, LAST_YEAR
from dataset_assets.domain.schemas import IMAGE_ID, TIME, Column, Table

_JAPAN = timezone(timedelta(hours=9))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _int32(value: Any) -> int | None:
    return value if type(value) is int and -(1 << 31) <= value < 1 << 31 else None


def _int64(value: Any) -> int | None:
    return value if type(value) is int and -(1 << 63) <= value < 1 << 63 else None


def _work_id(value: Any) -> int | None:
    """A whole number, also as text, which some tools write."""
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,18}", value):
        value = int(value)
    return _int64(value)


def _texts(value: Any) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _japan_time(value: Any) -> datetime | None:
    """`2022-11-09T02:04:04+09:00`; without an offset the moment is unknown."""
    moment = _moment(value)
    return _as_utc(moment) if moment and moment.tzinfo else None


def _utc_time(value: Any) -> datetime | None:
    """`2022-11-08 17:04:04`, which gallery-dl writes in UTC."""
    moment = _moment(value)
    return _as_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) if moment else None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _as_utc(moment: datetime) -> datetime | None:
    """The moment in UTC; null = in no year that a dataset could have."""
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def _frames(value: Any) -> list[dict[str, Any]] | None:
    fits = isinstance(value, list) and all(
        isinstance(frame, dict)
        and frame.keys() == {"file", "delay"}
        and _text(frame["file"]) is not None
        and _int32(frame["delay"]) is not None
        for frame in value
    )
    return value if fits else None


def _tag_names(value: Any) -> list[str] | None:
    """Names of tags given as text, or as {name, translated_name}; an item that is neither has no name."""
    if not isinstance(value, list):
        return None
    names = [item.get("name") if isinstance(item, dict) else item for item in value]
    return [name for name in names if isinstance(name, str)]


def _tag_translations(value: Any) -> list[str | None] | None:
    """Translations beside the names; null = the tags were given as text."""
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in value):
        return None
    return [_text(item.get("translated_name")) for item in value]


@dataclass(frozen=True)
class Field:
    """A column, the key of the sidecar that it holds, how the value is read (null = it does not fit) and given back."""

    column: Column
    path: tuple[str, ...]
    read: Callable[[Any], Any]
    publish: Callable[[Any], Any] | None = None


def _field(name: str, kind: str, description: str, *path: str) -> Field:
    dtype, read, publish = _KINDS[kind]
    return Field(Column(name, dtype, description), path or (name,), read, publish)


_KINDS: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any] | None]] = {
    "text": (pl.String, _text, None),
    "flag": (pl.Boolean, _flag, None),
    "number": (pl.Int32, _int32, None),
    "big number": (pl.Int64, _int64, None),
    "work id": (pl.Int64, _work_id, None),
    "texts": (pl.List(pl.String), _texts, None),
    "Japan time": (TIME, _japan_time, lambda moment: moment.astimezone(_JAPAN).isoformat()),
    "UTC time": (TIME, _utc_time, lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S")),
    "frames": (pl.List(pl.Struct({"file": pl.String, "delay": pl.Int32})), _frames, None),
    "tags": (pl.List(pl.String), _tag_names, None),
    "translations": (pl.List(pl.String), _tag_translations, None),
}

FIELDS = (
    _field("id", "work id", "the work at Pixiv"),
    _field("num", "number", "0-based page of the work; null = not stated, the file name says it"),
    _field("page_count", "number", "pages of the work"),
    _field("type", "text", "illust, manga or ugoira"),
    _field("title", "text", "title of the work"),
    _field("caption", "text", "the artist's words, as HTML"),
    _field("create_date", "Japan time", "when the work was uploaded"),
    _field("date", "UTC time", "the same moment, as gallery-dl repeats it"),
    _field("date_url", "UTC time", "when this file was uploaded, from its address"),
    _field("x_restrict", "number", "0 general, 1 R-18, 2 R-18G"),
    _field("rating", "text", "General, R-18 or R-18G, as gallery-dl words x_restrict"),
    _field("sanity_level", "number", "Pixiv's own grade: 2 harmless, 4 suggestive, 6 explicit"),
    _field("illust_ai_type", "number", "0 not stated, 1 not AI-generated, 2 AI-generated, as the artist declares"),
    _field("illust_book_style", "number", "reading direction of a manga"),
    _field("tags", "tags", "tags in published order"),
    _field("translated_tags", "translations", "translation of each tag; null = published without", "tags"),
    _field("tools", "texts", "programs that the artist names"),
    _field("total_bookmarks", "number", "bookmarks on the day of the scrape"),
    _field("total_view", "big number", "views on the day of the scrape"),
    _field("total_comments", "number", "comments on the day of the scrape"),
    _field("comment_access_control", "number", "who may comment"),
    _field("width", "number", "width of page 0, repeated for every page"),
    _field("height", "number", "height of page 0, repeated for every page"),
    _field("user_id", "big number", "the artist", "user", "id"),
    _field("user_name", "text", "the artist's display name", "user", "name"),
    _field("user_account", "text", "the artist's account name", "user", "account"),
    _field("user_is_followed", "flag", "followed by who scraped", "user", "is_followed"),
    _field("user_image_url", "text", "the artist's picture", "user", "profile_image_urls", "medium"),
    _field("series_id", "big number", "series that the work belongs to", "series", "id"),
    _field("series_title", "text", "title of that series", "series", "title"),
    _field("restrict", "number", "0 public, 1 for friends, 2 private"),
    _field("restriction_attributes", "texts", "further restrictions"),
    _field("visible", "flag", "whether who scraped may see the work"),
    _field("is_bookmarked", "flag", "bookmarked by who scraped"),
    _field("is_muted", "flag", "muted by who scraped"),
    _field("frames", "frames", "pictures of an ugoira, delay in milliseconds"),
    _field("url", "text", "address of the original file"),
    _field("filename", "text", "name of the file at Pixiv, without its extension"),
    _field("extension", "text", "extension of the file"),
    _field("suffix", "text", "what follows the id in names of multi-page works"),
    _field("count", "number", "pages of the work, as gallery-dl repeats them"),
    _field("hash", "text", "hash within the file's address"),
    _field("category", "text", "pixiv"),
    _field("subcategory", "text", "what was asked for: work, user, search, ranking, ..."),
    _field("search_word", "text", "words searched for", "search", "word"),
    _field("search_sort", "text", "order of the search", "search", "sort"),
    _field("search_target", "text", "what the words had to match", "search", "target"),
    _field("search_date_start", "text", "first day searched", "search", "date_start"),
    _field("search_date_end", "text", "last day searched", "search", "date_end"),
    _field("ranking_mode", "text", "ranking scraped", "ranking", "mode"),
    _field("ranking_date", "text", "day of that ranking", "ranking", "date"),
    _field("ranking_rank", "number", "place in that ranking", "ranking", "rank"),
    _field("ranking_type", "text", "kind of works in that ranking", "ranking", "type"),
)

SNAPSHOT = Table(
    "source_snapshot",
    "sidecar of the scrape",
    (
        IMAGE_ID,
        Column("year", pl.Int32, "year of the upload, UTC"),
        Column("record_file", pl.String, "the sidecar within the scrape (within an archive: archive!member)"),
        Column("record_line", pl.Int64, "always null: a sidecar is one record"),
        Column("file_name", pl.String, "where its image belongs, beside the sidecar"),
        *(field.column for field in FIELDS),
        Column("extra", pl.String, "JSON of what no column holds as published, keys sorted; null = nothing"),
    ),
    sorted_by=("year", "image_id"),
)
