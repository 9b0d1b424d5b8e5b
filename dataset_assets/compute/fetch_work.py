"""What becomes of the answer to a fetch: an image kept, or a row that says why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dataset_assets.compute.engine import Loss, Row
from dataset_assets.domain import fetching, file_kinds
from dataset_assets.domain.blocked import NOTHING, REASON, Blocked
from dataset_assets.domain.file_kinds import Kind
from dataset_assets.domain.identity import parse_image_id
from dataset_assets.domain.states import REASONS
from dataset_assets.storage.blobs import Blobs, image_path
from dataset_assets.storage.http_body import Body, Digests
from dataset_assets.storage.http_fetch import Answer, Known

STATE_OF = {reason: state for state, reasons in REASONS.items() for reason in reasons}
_PLACEHOLDER = "the host shows a picture of fetch.placeholders in its place"
# Columns of the row that is held, which an answer of "unchanged" leaves as they are.
HELD = ("path", "size", "md5", "sha256", "format", "extension", "etag", "last_modified")


def known_of(blobs: Blobs, row: Row) -> Known | None:
    """What to tell the host of the file that is held from an earlier run; null = none is, or it is gone."""
    path = row["held_path"]
    if path is None or blobs.size(path) != row["held_size"]:
        return None
    return Known(row["held_etag"], row["held_last_modified"])


@dataclass(frozen=True)
class KeepFetched:
    """Judges each answer by its first bytes and its hashes, and keeps the image.

    Rows: image_id, location, claimed md5 and file_ext, attempts of earlier runs, held_* columns; answer, and the MD5s
    of what came before it in this run (null = there is one attempt only); taken_down, which says why it was not asked
    for. Results: columns of `raw_images`. A file of blocked hashes is not kept.
    """

    blobs: Blobs
    md5_mismatch: Literal["quarantine", "store"] = "quarantine"
    placeholders: frozenset[str] = frozenset()
    blocked: Blocked = NOTHING

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [_not_asked(row) if row["location"] is None else self._judge(row, row["answer"]) for row in rows]

    def _judge(self, row: Row, answer: Answer) -> dict[str, Any]:
        if answer.reason is not None:
            return _refused(row, answer, answer.reason, answer.detail or "")
        if answer.body is None:
            return self._unchanged(row, answer)
        return self._judge_body(row, answer, answer.body)

    def _judge_body(self, row: Row, answer: Answer, body: Body) -> dict[str, Any]:
        head, digests = body.head(file_kinds.SNIFF_BYTES), body.digests()
        kind = file_kinds.sniff(head)
        observed = _observed(row, body.size, digests, kind)
        if why := self.blocked.file(digests.sha256, digests.md5):
            return {**observed, **_refused(row, answer, REASON, why)}
        if not self.placeholders.isdisjoint(digests):
            return {**observed, **_refused(row, answer, "withheld", _PLACEHOLDER)}
        if kind is None or kind.format == "html":
            unfit = ("not_an_image", f"begins {head[:200]!a}") if body.size else ("cut_off", "0 bytes came")
            return {**observed, **_refused(row, answer, *unfit)}
        if problem := _unlike_the_claim(row, digests) or _unsaid_end(row, answer, body, digests, kind, head):
            return {**observed, **_refused(row, answer, *problem)}
        if kind.family != "image":
            return {**observed, **_refused(row, answer, kind.family, f"the file is {kind.format}")}
        return {**observed, **self._kept(row, answer, body, digests, kind)}

    def _kept(self, row: Row, answer: Answer, body: Body, digests: Digests, kind: Kind) -> dict[str, Any]:
        is_doubted = _disagrees(row, digests) and self.md5_mismatch == "quarantine"
        place = "quarantine" if is_doubted else "raw"
        path = image_path(place, parse_image_id(row["image_id"]), digests.sha256, kind.extension)
        self.blobs.put(path, body.whole())
        if is_doubted:
            detail = f"MD5 {digests.md5} came, {row['md5']} was claimed; see fetch.md5_mismatch"
            return {**_refused(row, answer, "md5_mismatch", detail), "path": path}
        return {**_asked(row, answer), "state": "stored", "path": path}

    def _unchanged(self, row: Row, answer: Answer) -> dict[str, Any]:
        held = {name: row[f"held_{name}"] for name in HELD}
        digests = Digests(held["md5"], held["sha256"])
        row_now = {**_compared(row, digests, file_kinds.KINDS[held["format"]]), **held, **_asked(row, answer)}
        if why := self.blocked.file(digests.sha256, digests.md5):
            return {**row_now, **_refused(row, answer, REASON, why), "path": None}
        if not self.placeholders.isdisjoint(digests):
            return {**row_now, **_refused(row, answer, "withheld", _PLACEHOLDER), "path": None}
        if _disagrees(row, digests) and self.md5_mismatch == "quarantine":
            return {**row_now, **_refused(row, answer, "md5_mismatch", f"MD5 {row['md5']} is claimed now")}
        return {**row_now, "state": "stored"}


def _unlike_the_claim(row: Row, digests: Digests) -> tuple[str, str] | None:
    """Bytes that are not the claimed ones count when they come twice: else the line may be at fault, not the host."""
    if _disagrees(row, digests) and row["earlier_md5s"] is not None and digests.md5 not in row["earlier_md5s"]:
        return "cut_off", f"MD5 {digests.md5} came, {row['md5']} was claimed"
    return None


def _unsaid_end(
    row: Row, answer: Answer, body: Body, digests: Digests, kind: Kind, head: bytes
) -> tuple[str, str] | None:
    """Of a body whose end the host did not announce: the sign that it came too early, if there is one."""
    if answer.is_framed or row["md5"] == digests.md5:
        return None
    if fetching.ends_whole(kind.format, body.size, head, body.tail) is not False:
        return None
    return "cut_off", f"{body.size:,} bytes of unsaid length came, which do not end as {kind.format} does"


def _disagrees(row: Row, digests: Digests) -> bool:
    return row["md5"] is not None and row["md5"] != digests.md5


def _asked(row: Row, answer: Answer) -> dict[str, Any]:
    """What every row of a fetch says."""
    told = {"etag": answer.etag, "last_modified": answer.last_modified}
    return {
        "image_id": row["image_id"],
        "location": row["location"],
        "md5_claimed": row["md5"],
        "http_status": answer.status,
        "attempts": (row["attempts"] or 0) + (answer.reason != "host_down"),
        **{name: value for name, value in told.items() if value is not None},
    }


def _refused(row: Row, answer: Answer, reason: str, detail: str) -> dict[str, Any]:
    asked, state = _asked(row, answer), STATE_OF[reason]
    again: datetime | None = None
    if state == "pending":
        again = fetching.next_try_at(answer.asked_at, asked["attempts"], answer.retry_after_s)
    return {**asked, "state": state, "reason": reason, "detail": detail[:500], "next_try_at": again}


def _observed(row: Row, size: int, digests: Digests, kind: Kind | None) -> dict[str, Any]:
    """What the bytes are, whatever is made of them."""
    return {
        **_compared(row, digests, kind),
        "size": size,
        "md5": digests.md5,
        "sha256": digests.sha256,
        "format": kind.format if kind else None,
        "extension": kind.extension if kind else None,
    }


def _compared(row: Row, digests: Digests, kind: Kind | None) -> dict[str, Any]:
    """Whether what the source claims is so."""
    fits = kind.fits(row["file_ext"]) if kind and row["file_ext"] else None
    return {"md5_matches": None if row["md5"] is None else row["md5"] == digests.md5, "extension_matches": fits}


def _not_asked(row: Row) -> dict[str, Any]:
    """The row of an image that was taken down, or whose record gives no address."""
    reason, detail = "withheld", "the record gives no address, as of a banned or hidden work"
    if row.get("taken_down") is not None:
        reason, detail = REASON, f"takedown {row['taken_down']}"[:500]
    return {
        "image_id": row["image_id"],
        "md5_claimed": row["md5"],
        "state": "excluded",
        "reason": reason,
        "detail": detail,
    }


def never_lost(row: Row, loss: Loss) -> dict[str, Any]:
    """A fetch has no worker of its own that could be lost."""
    raise RuntimeError(f"{row['image_id']} was lost ({loss}), which cannot be; please report this")
