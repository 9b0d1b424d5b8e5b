"""A gallery-dl sidecar of Pixiv as one row of the snapshot; what no column holds as published stays in `extra`."""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from dataset_assets.config import FIRST_YEAR, LAST_YEAR
from dataset_assets.domain.identity import BadImageId, image_id
from dataset_assets.sources.gallery_dl_fields import FIELDS, SNAPSHOT

MAX_SIDECAR_BYTES = 4 << 20

_NO_VALUES: dict[str, Any] = dict.fromkeys(SNAPSHOT.schema)
_FIELDS_OF_KEY = {key: tuple(field for field in FIELDS if field.path[0] == key) for key, *_ in (f.path for f in FIELDS)}


class BadSidecar(Exception):
    """A sidecar that is no record: a reason of `states.REJECT_REASONS`, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def parse_sidecar(content: bytes, record_file: str, source: str) -> dict[str, Any]:
    """A sidecar's bytes as a row of the snapshot. Nothing is lost but the difference between null and absent.

    Raises: BadSidecar.
    """
    sidecar = _decode(content)
    if (category := sidecar.get("category")) != "pixiv":
        raise BadSidecar("bad_id", f"category is {category!r}; only sidecars of 'pixiv' are read, ids of others clash")
    row = {**_NO_VALUES, "record_file": record_file, "file_name": record_file[: -len(".json")]}
    for key, value in sidecar.items():
        for field in _FIELDS_OF_KEY.get(key, ()):
            row[field.column.name] = field.read(_at(value, field.path[1:]))
    row["image_id"] = _image_id(sidecar, row, source)
    uploaded = row["create_date"] or row["date"]
    if uploaded is None:
        found = f"create_date is {sidecar.get('create_date')!r}, date is {sidecar.get('date')!r}"
        raise BadSidecar("bad_date", f"{found}; expected a moment of the years {FIRST_YEAR} to {LAST_YEAR}")
    row["year"] = uploaded.year
    row["extra"] = _encode(_difference(sidecar, published(row)))
    return row


def published(row: Mapping[str, Any]) -> dict[str, Any]:
    """The sidecar as the columns of a row hold it, without `extra` and nulls."""
    sidecar: dict[str, Any] = {}
    for field in FIELDS:
        if (value := row[field.column.name]) is not None:
            place = sidecar
            for key in field.path[:-1]:
                place = place.setdefault(key, {})
            place[field.path[-1]] = field.publish(value) if field.publish else value
    if row["translated_tags"] is not None:
        both = zip(row["tags"], row["translated_tags"], strict=True)
        sidecar["tags"] = [{"name": name, "translated_name": translation} for name, translation in both]
    return sidecar


def _difference(found: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """What of a found object the held one lacks or has otherwise; null is as good as absent."""
    rest = {}
    for key, value in found.items():
        known = held.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            if inner := _difference(value, known):
                rest[key] = inner
        elif value != known:
            rest[key] = value
    return rest


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _image_id(sidecar: dict[str, Any], row: Mapping[str, Any], source: str) -> str:
    published_id, work = sidecar.get("id"), row["id"]
    if published_id is None:
        raise BadSidecar("no_id", "id is missing")
    if work is None or work < 1:
        raise BadSidecar("bad_id", f"id is {_short(published_id)}; expected a number from 1 to 2^63-1")
    page = sidecar.get("num")
    if page is None:
        named = re.search(r"_p(\d{1,5})(?!\d)", row["file_name"].rpartition("/")[2])
        page = int(named[1]) if named else None
    if type(page) is not int:
        raise BadSidecar("bad_id", f"num is {_short(page)} and the file is not named <id>_p<page>: no page is known")
    try:
        return image_id(source, str(work), page)
    except BadImageId as error:
        raise BadSidecar("bad_id", str(error)) from None


def _decode(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_SIDECAR_BYTES:
        raise BadSidecar("line_too_long", f"more than {MAX_SIDECAR_BYTES:,} bytes; this is no sidecar")
    try:
        text = content.decode("utf-8-sig")
        sidecar = STRICT_JSON.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(sidecar, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise BadSidecar("bad_encoding", f"byte {error.start} is not UTF-8: {error.reason}") from None
    except UnicodeEncodeError:
        raise BadSidecar("bad_encoding", "a text holds half of a surrogate pair") from None
    except (ValueError, RecursionError) as error:
        raise BadSidecar("not_json", str(error)) from None
    if not isinstance(sidecar, dict):
        raise BadSidecar("not_an_object", f"found {type(sidecar).__name__}, expected an object")
    return sidecar


def _encode(rest: dict[str, Any]) -> str | None:
    try:
        return json.dumps(rest, ensure_ascii=False, sort_keys=True) if rest else None
    except RecursionError as error:
        raise BadSidecar("not_json", str(error)) from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _finite(digits: str) -> float:
    if not isfinite(number := float(digits)):
        raise ValueError(f"{digits[:40]} is beyond any number")
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


STRICT_JSON = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_refuse_constant)


def _short(value: object) -> str:
    return ascii(value)[:80]
