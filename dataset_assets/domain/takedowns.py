"""Requests that images be taken out and stay out, written as lines to which is only ever added.

A request names an image, a file, a picture or an artist. What it hit is written with it, hashes and all, so that it
keeps its force when the tables have forgotten the image: a file of these bytes, or a picture of these pixels, is kept
out under whatever name it comes. A later line may add what was found since, or lift the request.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import polars as pl

from dataset_assets.domain.blocked import Blocked
from dataset_assets.domain.identity import BadImageId, parse_image_id
from dataset_assets.domain.schemas import IMAGE_ID, TIME, Column, Table

Kind = Literal["image", "sha256", "pixel_hash", "artist"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# How an image was met: as the request names it, or by what else is known of one that it hit.
By = Literal["image", "sha256", "md5", "pixel_hash", "artist"]
MET_BY: tuple[By, ...] = get_args(By)
MAX_TEXT = 500
HEX = {"sha256": 64, "pixel_hash": 64, "md5": 32}

TAKEDOWNS = Table(
    "takedowns",
    "listed image that was taken down",
    (
        Column("image_id", pl.String, IMAGE_ID.description, ("image_metadata.image_id",)),
        Column("request", pl.String, "the request's own name; of several the earliest"),
        Column("met_by", pl.String, f"how the request met it: {', '.join(MET_BY)}"),
        Column("reason", pl.String, "why, in the words of who asked for it"),
        Column("who", pl.String, "who wrote the request"),
        Column("requested_at", TIME, "when"),
        Column("replacement", pl.String, "what the source has in its place: a URL or an image_id; null = nothing"),
        Column("other_requests", pl.List(pl.String), "later requests that hit it too, and are not lifted"),
    ),
)


@dataclass(frozen=True)
class Hit:
    """An image that a request hit, with what is known of it.

    location: where the original's bytes were read. pixel_hash: null of a blank picture too, since any other is like it.
    uploader_id: of an artist's own account at a source where who uploads an image made it.
    """

    image_id: str
    met_by: By
    year: int | None = None
    sha256: str | None = None
    md5: str | None = None
    pixel_hash: str | None = None
    size: int | None = None
    location: str | None = None
    uploader_id: str | None = None


@dataclass(frozen=True)
class Takedown:
    """A request, with all that was found for it. source: where the artist's name counts; null = in every source."""

    id: str
    kind: Kind
    value: str
    reason: str
    who: str
    requested_at: str
    source: str | None = None
    replacement: str | None = None
    found: tuple[Hit, ...] = ()
    lifted_at: str | None = None
    lifted_by: str | None = None
    lifted_why: str | None = None

    @property
    def is_lifted(self) -> bool:
        return self.lifted_at is not None

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Every image that it names or was found to hit, whether it is listed or not."""
        named = [self.value] if self.kind == "image" else []
        return tuple(sorted({*named, *(hit.image_id for hit in self.found)}))

    def hashes(self, name: Literal["sha256", "md5", "pixel_hash"]) -> frozenset[str]:
        """The hashes that are kept out under any name."""
        named = {self.value} if self.kind == name else set()
        return frozenset(named | {value for hit in self.found if (value := getattr(hit, name)) is not None})

    @property
    def accounts(self) -> frozenset[tuple[str, str]]:
        """Source and uploader_id of the artist's accounts: they stay when a name changes."""
        met = (hit for hit in self.found if hit.met_by == "artist" and hit.uploader_id is not None)
        return frozenset((parse_image_id(hit.image_id).source, str(hit.uploader_id)) for hit in met)

    def line(self) -> bytes:
        """The request as it is written."""
        names = ("id", "kind", "value", "source", "reason", "who", "requested_at", "replacement")
        return _line("request", {name: getattr(self, name) for name in names}, self.found)


def found_line(request: str, found: Sequence[Hit], at: datetime) -> bytes:
    """The line that adds images to a request."""
    return _line("found", {"id": request, "at": at.astimezone(UTC).isoformat()}, found)


def lift_line(request: str, who: str, why: str, at: datetime) -> bytes:
    """The line that lifts a request."""
    return _line("lift", {"id": request, "who": who, "reason": why, "at": at.astimezone(UTC).isoformat()})


def _line(what: str, fields: Mapping[str, Any], found: Sequence[Hit] = ()) -> bytes:
    hits = {"found": [{k: v for k, v in asdict(hit).items() if v is not None} for hit in found]} if found else {}
    return json.dumps({"line": what, **fields, **hits}, ensure_ascii=False).encode() + b"\n"


class BadTakedown(ValueError):
    """Something that is no request; the message says why."""


def require_request(kind: str, value: str, replacement: str | None, texts: Mapping[str, str | None]) -> str:
    """The value as it is written: ids and hashes proven, hashes in lower case.

    texts: what a person wrote, by name. Raises: BadTakedown.
    """
    if kind not in KINDS:
        raise BadTakedown(f"{kind!r} is none of {', '.join(KINDS)}")
    require_texts({**texts, kind: value})
    if replacement is not None:
        _require_replacement(replacement)
    if kind == "image":
        _require_image_id(value)
    if kind in HEX:
        value = value.strip().lower()
        if not re.fullmatch(f"[0-9a-f]{{{HEX[kind]}}}", value):
            raise BadTakedown(f"{kind} {value[:80]!r}: expected {HEX[kind]} hex digits, found {len(value)} characters")
    return value


def require_texts(texts: Mapping[str, str | None]) -> None:
    """Refuse what a person wrote, by name, unless it is a line of some length. Raises: BadTakedown."""
    for name, text in texts.items():
        if text is not None:
            _require_text(name, text)


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or not value.isprintable():
        raise BadTakedown(f"{name}: expected a line of 1 to {MAX_TEXT} characters, found {str(value)[:50]!r}")


def _require_image_id(value: str) -> None:
    try:
        parse_image_id(value)
    except BadImageId as error:
        raise BadTakedown(str(error)) from None


def _require_replacement(value: str) -> None:
    _require_text("replacement", value)
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        try:
            parse_image_id(value)
        except BadImageId:
            raise BadTakedown(f"replacement {value[:80]!r}: expected an http(s) URL or an image id") from None


def takedowns_in(files: Iterable[tuple[str, bytes]]) -> list[Takedown]:
    """All requests of some files (name, content), in order of time.

    Raises: BadTakedown naming a line that cannot be read: it may be what keeps an image out.
    """
    requests: dict[str, Takedown] = {}
    later: list[tuple[str, dict[str, Any]]] = []
    for at, fields in _lines(files):
        try:
            if fields["line"] == "request":
                one = _request(fields)
                requests[one.id] = one
            else:
                later.append((at, fields))
        except (KeyError, TypeError, ValueError) as error:
            raise BadTakedown(f"{at} is no takedown ({error}); mend the line, or take it out") from None
    for at, fields in later:
        try:
            requests[fields["id"]] = _with(requests[fields["id"]], fields)
        except (KeyError, TypeError, ValueError) as error:
            raise BadTakedown(f"{at} adds to no takedown ({error}); mend the line, or take it out") from None
    return sorted(requests.values(), key=lambda one: (one.requested_at, one.id))


def _lines(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, content in files:
        for number, line in enumerate(content.splitlines(), 1):
            at = f"{name}, line {number}"
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                raise BadTakedown(f"{at} is not JSON; mend the line, or take it out") from None
            if not isinstance(fields, dict) or fields.get("line") not in ("request", "found", "lift"):
                raise BadTakedown(f"{at} is no request, no finding and no lift; mend the line, or take it out")
            yield at, fields


def _request(fields: Mapping[str, Any]) -> Takedown:
    named = {key: value for key, value in fields.items() if key in Takedown.__dataclass_fields__}
    texts = {"reason": fields["reason"], "who": fields["who"], "id": fields["id"]}
    named["value"] = require_request(fields["kind"], fields["value"], fields.get("replacement"), texts)
    _require_time(fields["requested_at"])
    return Takedown(**{**named, "found": _hits(fields)})


def _with(request: Takedown, fields: Mapping[str, Any]) -> Takedown:
    _require_time(fields["at"])
    if fields["line"] == "lift":
        return replace(request, lifted_at=fields["at"], lifted_by=fields["who"], lifted_why=fields["reason"])
    return replace(request, found=tuple(dict.fromkeys([*request.found, *_hits(fields)])))


def _hits(fields: Mapping[str, Any]) -> tuple[Hit, ...]:
    hits = tuple(Hit(**found) for found in fields.get("found", ()))
    for hit in hits:
        _require_image_id(hit.image_id)
    return hits


def _require_time(value: str) -> None:
    if datetime.fromisoformat(value).tzinfo is None:
        raise BadTakedown(f"{value} has no time zone")


def blocked_by(requests: Iterable[Takedown]) -> Blocked:
    """What requests that are not lifted keep out under any name; of several the earliest is named."""
    every = [one for one in reversed(list(requests)) if not one.is_lifted]
    return Blocked(
        {value: one.id for one in every for value in one.hashes("sha256")},
        {value: one.id for one in every for value in one.hashes("md5")},
        {value: one.id for one in every for value in one.hashes("pixel_hash")},
    )
