"""What people have decided about tags of images: an overlay over what the source says, to which is only ever added.

A decision says whether an image has a tag. The latest of an image and tag counts, unless it was undone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from dataset_assets.domain.identity import BadImageId, parse_image_id
from dataset_assets.domain.schemas import IMAGE_ID, TIME, Column, Table

HUMAN = "human"
MAX_TEXT = 500
COUNTS, SUPERSEDED, UNDONE, UNREADABLE = "counts", "superseded", "undone", "unreadable"
PAIR = ("tag", "image_id")

TAG_DECISIONS = Table(
    "tag_decisions",
    "decision about a tag of an image",
    (
        Column("image_id", pl.String, f"{IMAGE_ID.description}; null = the line cannot be read"),
        Column("tag", pl.String, "the tag"),
        Column("category", pl.String, "the tag's category"),
        Column("is_there", pl.Boolean, "whether the image has the tag; null = an earlier decision is undone"),
        Column("state", pl.String, "counts, superseded (by a later one), undone, or unreadable"),
        Column("who", pl.String, "who decided"),
        Column("decided_at", TIME, "when"),
        Column("why", pl.String, "why, in their words; null = they did not say"),
        Column("score", pl.Float32, "the tagger's score at that time; null = below its floor, or none was asked"),
        Column("model", pl.String, "that tagger"),
        Column("id", pl.String, "the decision's own name"),
        Column("undoes", pl.String, "id of the decision that this one takes back"),
        Column("file", pl.String, "where it is written, below the root"),
        Column("line", pl.Int64, "1-based line there"),
    ),
    sorted_by=("image_id", "tag", "decided_at", "file", "line"),
)


@dataclass(frozen=True)
class Decision:
    """One decision as it is written: a line of JSON."""

    id: str
    image_id: str
    tag: str
    category: str
    is_there: bool | None
    who: str
    decided_at: str
    why: str | None = None
    score: float | None = None
    model: str | None = None
    undoes: str | None = None

    def line(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode() + b"\n"


class BadDecision(ValueError):
    """A line that is no decision; the message says why."""


def parse(line: bytes) -> Decision:
    """A decision from its line. Raises: BadDecision."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise BadDecision("not JSON") from None
    if not isinstance(fields, dict):
        raise BadDecision("not an object")
    known: dict[str, Any] = {name: fields.get(name) for name in Decision.__dataclass_fields__}
    for name in ("id", "image_id", "tag", "category", "who", "decided_at"):
        _require_text(name, known[name])
    for name in ("why", "model", "undoes"):
        if known[name] is not None:
            _require_text(name, known[name])
    if known["is_there"] not in (True, False) and not (known["is_there"] is None and known["undoes"]):
        raise BadDecision("is_there is neither true nor false")
    if not isinstance(known["score"], int | float | None) or isinstance(known["score"], bool):
        raise BadDecision("score is no number")
    _require_sense(known)
    return Decision(**known)


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or not value.isprintable():
        raise BadDecision(f"{name} is no text of 1 to {MAX_TEXT} characters")


def _require_sense(fields: Mapping[str, Any]) -> None:
    try:
        parse_image_id(fields["image_id"])
        moment = datetime.fromisoformat(fields["decided_at"])
    except BadImageId as error:
        raise BadDecision(str(error)) from None
    except ValueError:
        raise BadDecision("decided_at is no time") from None
    if moment.tzinfo is None:
        raise BadDecision("decided_at has no time zone")


def rows_of(files: Iterable[tuple[str, bytes]]) -> pl.DataFrame:
    """All decisions of some files (name, content), with what became of each: rows of TAG_DECISIONS.

    A line that cannot be read is a row as well; its `why` says what is wrong with it.
    """
    rows = [row for name, content in files for row in _rows(name, content)]
    undone = {row["undoes"] for row in rows if row.get("undoes")}
    latest: set[tuple[str, str]] = set()
    for row in sorted(rows, key=_age, reverse=True):
        if "state" in row:
            continue
        pair = (row["image_id"], row["tag"])
        row["state"] = UNDONE if row["id"] in undone else SUPERSEDED if pair in latest else COUNTS
        if row["is_there"] is None:
            row["state"] = SUPERSEDED  # to take back is no word on the tag
        elif row["state"] == COUNTS:
            latest.add(pair)
    return TAG_DECISIONS.frame(rows)


def _age(row: Mapping[str, Any]) -> tuple[datetime, str, int]:
    return row.get("decided_at") or datetime.min.replace(tzinfo=UTC), row["file"], row["line"]


def _rows(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.splitlines(), 1):
        at: dict[str, Any] = {"file": name, "line": number}
        try:
            decision = parse(line)
        except BadDecision as error:
            yield {**at, "state": UNREADABLE, "why": str(error)[:MAX_TEXT]}
        else:
            moment = datetime.fromisoformat(decision.decided_at).astimezone(UTC)
            yield {**asdict(decision), **at, "decided_at": moment}


def in_effect(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The decisions that count, one for each image and tag at most."""
    return rows.filter(pl.col("state") == COUNTS)


@dataclass(frozen=True)
class Overlay:
    """The decisions that count, as changes to what a source says. added: columns of tag_metadata. removed: PAIR."""

    added: pl.DataFrame
    removed: pl.DataFrame

    @classmethod
    def of(cls, decisions: pl.DataFrame, image_ids: pl.Series) -> "Overlay":
        """Those that are about images of `image_ids`."""
        listed = decisions.filter(pl.col("image_id").is_in(image_ids.implode()))
        there = listed.filter("is_there").select("tag", "image_id", "category", origin=pl.lit("source"))
        return cls(there, listed.filter(~pl.col("is_there")).select(PAIR))

    def without_removed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of tag_metadata less those that people have taken out."""
        return rows if self.removed.is_empty() else rows.join(self.removed, on=PAIR, how="anti", maintain_order="left")

    def less_known(self, rows: pl.DataFrame) -> "Overlay":
        """The overlay without tags that the source gives itself: their origin stays the source."""
        return self if self.added.is_empty() else Overlay(self.added.join(rows, on=PAIR, how="anti"), self.removed)

    def marked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Finished rows of tag_metadata, in their order: none that was taken out, and the added ones said to be so."""
        kept = self.without_removed(rows)
        if self.added.is_empty():
            return kept
        human = self.added.select(*PAIR, by=pl.lit(HUMAN)).unique(PAIR)
        joined = kept.join(human, on=PAIR, how="left", maintain_order="left")
        return joined.with_columns(origin=pl.coalesce("by", "origin")).select(rows.columns)


def exported(rows: pl.DataFrame) -> Sequence[dict[str, Any]]:
    """The decisions that count, as records for upstream, by image and tag."""
    columns = ("image_id", "tag", "category", "is_there", "who", "decided_at", "why", "score", "model")
    score = pl.col("score").cast(pl.Float64).round(4)
    chosen = in_effect(rows.lazy()).select(columns).with_columns(score).sort("image_id", "tag").collect()
    return [{**row, "decided_at": row["decided_at"].isoformat()} for row in chosen.to_dicts()]
