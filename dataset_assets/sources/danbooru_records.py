"""One Danbooru record read strictly, key by key: the slow way, for the lines that the fast reader is in doubt about."""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dataset_assets.sources import danbooru_fields as fields
from dataset_assets.sources.json_lines import MAX_LINE_BYTES

# What Danbooru 1 called the fields, until 2013.
_FORMER_NAMES = {
    "width": "image_width",
    "height": "image_height",
    "creator_id": "uploader_id",
    "author": "uploader_name",
    "preview_url": "preview_file_url",
}
_MOMENT = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\s*(?:UTC|Z|([+-]\d\d):?(\d\d))?", re.ASCII
)
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_KINDS_OF_POOL = ("series", "collection")


class BadRecord(Exception):
    """A line that is no record; the reason is one of REJECT_REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_record(line: bytes) -> tuple[dict[str, Any], list[str]]:
    """A line as a record with one type for each key, and what could not be read and is null: `score 'abc'`.

    Numbers and times become text (`YYYY-MM-DD HH:MM:SS.ffffff UTC`), tags `tag_string_*` and `tags_other`.
    Raises: BadRecord when the line is no post that could be told from others.
    """
    published = _parse(line)
    for former, name in _FORMER_NAMES.items():
        if former in published:
            published.setdefault(name, published[former])
    post_id, created_at = _post_id(published), _created_at(published)
    record: dict[str, Any] = {"id": str(post_id), "created_at": created_at}
    unreadable: list[str] = []
    for name, read in _READERS.items():
        if (value := published.get(name)) is not None:
            record[name] = read(value)
            if record[name] is None and not _means_none(value):
                unreadable.append(f"{name} {_shown(value)}")
    return record | _fav_count(published, record) | _pools(published) | _tags(published), unreadable


def _means_none(value: Any) -> bool:
    """Whether a value stands for none: in the old schema 0 and the first second of 1970."""
    return value in ("", "0", 0) or (isinstance(value, str) and value.startswith("1970-01-01 00:00:00"))


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}" if isinstance(value, (dict, list)) else repr(str(value)[:60])


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise BadRecord("line_too_long", f"{len(line):,} bytes, expected at most {MAX_LINE_BYTES:,}")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadRecord("bad_encoding", f"byte {line[error.start]:#04x} at {error.start + 1} is no UTF-8") from None
    if "\0" in text:
        raise BadRecord("bad_encoding", f"a NUL at byte {line.index(0) + 1}")
    try:
        record = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadRecord("not_json", "nested too deeply") from None
    except ValueError as error:
        raise BadRecord("not_json", str(error)) from None
    if not isinstance(record, dict):
        raise BadRecord("not_an_object", f"expected a post, found {type(record).__name__}")
    if "\\ud" in text.lower():
        _refuse_lone_surrogates(record)
    return record


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in pairs:
        if name in record:
            raise ValueError(f"key {name[:60]!r} stands twice")
        record[name] = value
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _refuse_lone_surrogates(record: dict[str, Any]) -> None:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRecord("bad_encoding", "half of a surrogate pair") from None
    except RecursionError:
        raise BadRecord("not_json", "nested too deeply") from None


def _post_id(published: dict[str, Any]) -> int:
    value = published.get("id")
    if value is None or value == "":
        known = [f"{name} {_shown(found)}" for name in ("md5", "created_at") if (found := published.get(name))]
        known_by = f"; it is known by {', '.join(known)}" if known else ""
        raise BadRecord("no_id", f"there is no id, as is usual for banned and gold-only posts{known_by}")
    if all(published.get(name) is None for name in fields.MARKS_OF_A_POST):
        marks = ", ".join(fields.MARKS_OF_A_POST)
        raise BadRecord("not_a_post", f"a record of another table: it has none of {marks}")
    digits = str(value) if type(value) is int else value
    if not (isinstance(digits, str) and re.fullmatch(r"[1-9][0-9]{0,18}", digits) and int(digits) < 1 << 63):
        raise BadRecord("bad_id", f"id is {_shown(value)}, expected a number from 1 to 2^63-1 without leading zeros")
    return int(digits)


def _created_at(published: dict[str, Any]) -> str:
    value = published.get("created_at")
    if (moment := _moment(value)) is None:
        raise BadRecord(
            "bad_date",
            f"created_at is {_shown(value)}, expected YYYY-MM-DD HH:MM:SS UTC "
            f"from {fields.EARLIEST.year} to {fields.LATEST.year}",
        )
    return moment


def _moment(value: Any) -> str | None:
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        return None
    *clock, fraction, hours, minutes = found.groups()
    offset = f"{hours}:{minutes}" if hours else "+00:00"
    year, month, day, hour, minute, second = clock
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    moment = moment.replace(microsecond=int((fraction or "0").ljust(6, "0")[:6]))
    return f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC" if fields.EARLIEST <= moment <= fields.LATEST else None


def _whole_number(bits: int) -> Callable[[Any], str | None]:
    def read(value: Any) -> str | None:
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value):
            value = int(value)
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        return str(value) if type(value) is int and -(1 << bits - 1) <= value < 1 << bits - 1 else None

    return read


def _flag(value: Any) -> bool | None:
    """True or false; also their words, and numbers, as DuckDB takes them."""
    if isinstance(value, str):
        return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}.get(value.lower())
    return bool(value) if isinstance(value, (bool, int, float)) else None


def _text(value: Any) -> str:
    """Text; anything else as its JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys((*fields.REFERENCES, *fields.LARGE_NUMBERS), _whole_number(64)),
    **dict.fromkeys(fields.NUMBERS, _whole_number(32)),
    **dict.fromkeys(fields.TIMES, _moment),
    **dict.fromkeys(fields.FLAGS, _flag),
    **dict.fromkeys((*fields.TEXTS, *fields.LOWER_TEXTS), _text),
}


def _fav_count(published: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    favourites = published.get("favs")
    listed = str(len(favourites)) if isinstance(favourites, list) and favourites else None
    return {"fav_count": record.get("fav_count") or listed}


def _pools(published: dict[str, Any]) -> dict[str, Any]:
    listed, text = published.get("pools"), published.get("pool_string")
    if not isinstance(listed, list) and not isinstance(text, str):
        return {}
    pools = [_text(pool) for pool in listed if pool is not None] if isinstance(listed, list) else []
    pools += _names(text.replace("pool:", "")) if isinstance(text, str) else []
    return {"pools": [pool for pool in pools if pool not in _KINDS_OF_POOL]}


def _tags(published: dict[str, Any]) -> dict[str, Any]:
    """All tags, wherever they stand: those of known categories as `tag_string_*`, the others as `tags_other`."""
    listed = _listed_tags(published.get("tags"))
    strings: dict[str, str | None] = {}
    for category, column in zip(fields.CATEGORIES.values(), fields.TAG_STRINGS, strict=True):
        text = published.get(column)
        names = [*_names(text), *(name for name, found in listed if found == category)]
        has_list = isinstance(published.get("tags"), list)
        strings[column] = " ".join(names) if has_list else text if isinstance(text, str) else None
    others = [(name, found) for name, found in listed if found not in fields.CATEGORIES.values()]
    if not listed and not any(strings.values()):
        others = [(name, None) for name in _names(published.get("tag_string"))]
    return {**strings, "tags_other": [{"name": name, "category": found} for name, found in others] or None}


def _listed_tags(listed: Any) -> list[tuple[str, str | None]]:
    """The tags of the old schema's list of objects; of Danbooru 1's text, whose categories are not known."""
    if not isinstance(listed, list):
        return [(name, None) for name in _names(listed)]
    tags: list[tuple[str, str | None]] = []
    for tag in listed:
        name, category = (tag.get("name"), tag.get("category")) if isinstance(tag, dict) else (tag, None)
        # A tag is one word: a blank within would make it two. One that is written as a number is a tag still.
        if name is not None:
            category = None if category is None else str(category)
            word = _text(name).strip(" ").replace(" ", "_")
            tags.append((word, fields.CATEGORIES.get(category, category) if category else None))
    return tags


def _names(text: Any) -> list[str]:
    return [name for name in text.split(" ") if name] if isinstance(text, str) else []
