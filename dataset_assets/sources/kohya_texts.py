"""Captions and tags as kohya's files hold them: the texts of one image, and the entries of a meta file."""

import json
from typing import Any

from dataset_assets.domain.annotations import split_tags

MAX_TEXT_BYTES = 256 << 10  # of one caption or list of tags


class BadAnnotation(Exception):
    """An annotation that cannot be used: a kind of `MISMATCHES`, and what was found."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


def text(content: bytes, limit: int) -> str:
    """A file's bytes as text. Raises: BadAnnotation."""
    if len(content) > limit:
        raise BadAnnotation("too_long", f"more than {limit:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadAnnotation("bad_encoding", f"byte {error.start} is not UTF-8: {error.reason}") from None


def entry(value: object) -> dict[str, Any]:
    """A member of a meta file as columns. Raises: BadAnnotation."""
    if not isinstance(value, dict):
        raise BadAnnotation("bad_entry", f"found {type(value).__name__}, expected an object with caption and tags")
    for name in ("caption", "tags"):
        found = value.get(name)
        if found is not None and not isinstance(found, str):
            raise BadAnnotation("bad_entry", f"{name} is {type(found).__name__}, expected text")
        if found is not None and len(found) > MAX_TEXT_BYTES:
            raise BadAnnotation(
                "too_long", f"{name} has {len(found):,} characters, expected at most {MAX_TEXT_BYTES:,}"
            )
        if found is not None and found != printable(found):
            raise BadAnnotation("bad_encoding", f"{name} holds half of a surrogate pair")
    caption, tags = value.get("caption"), value.get("tags")
    rest = {key: item for key, item in value.items() if key not in ("caption", "tags")}
    return {
        "caption": None if caption is None else caption.strip(),
        "tags": None if tags is None else split_tags(tags),
        "extra": as_json(rest) if rest else None,
    }


def as_json(value: object) -> str | None:
    """The value as JSON again, in ASCII; null when it is nested more deeply than that can be written."""
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        return None


def printable(text: str) -> str:
    """Text that UTF-8 can hold: halves of surrogate pairs are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
