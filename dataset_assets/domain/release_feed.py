"""The history of releases: an Atom feed for programs, and a changelog for people."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape as escape_html
from xml.sax.saxutils import escape, quoteattr

from dataset_assets.domain.markdown import inline
from dataset_assets.domain.plain_text import in_bytes

# Of ids that name a release by its content (RFC 4122, version 5).
NAMESPACE = uuid.UUID("6f1a2a44-7d0f-5c64-9a0e-3f2b1c9d8e75")
GENERATOR = "dataset_assets"
# XML 1.0 has no way to write these.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Entry:
    """A release in the history.

    date: when it was released, in UTC. headline, summary: how it differs from
    `previous`; null where it is the first of its subset. withdrawn_because: null = it was not.
    """

    name: str
    title: str
    date: datetime
    manifest_sha256: str
    description: str | None
    counts: Mapping[str, int]
    previous: str | None
    headline: str | None
    summary: str | None
    withdrawn_because: str | None

    @property
    def id(self) -> str:
        """The same for ever: a release does not change, and another one has another manifest."""
        return uuid.uuid5(NAMESPACE, f"{self.name}\n{self.manifest_sha256}").urn


def feed(entries: Sequence[Entry], title: str, base_url: str | None = None) -> str:
    """An Atom feed (RFC 4287) of at least one release, the newest first.

    The feed's id is that of the first release, so it stays as releases are added. base_url: of the folder that holds
    the feed and the releases; null = the feed says of no address where it can be found.
    """
    ordered = sorted(entries, key=lambda entry: (entry.date, entry.name), reverse=True)
    base = base_url and base_url.rstrip("/")
    own = f'<link rel="self" type="application/atom+xml" href={_attribute(f"{base}/feed.xml")}/>' if base else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f"<id>{uuid.uuid5(NAMESPACE, ordered[-1].id).urn}</id>\n<title>{_xml(title)}</title>\n"
        f"<updated>{_moment(ordered[0].date)}</updated>\n<author><name>{GENERATOR}</name></author>\n"
        f"<generator>{GENERATOR}</generator>\n{own}{''.join(_entry(entry, base) for entry in ordered)}</feed>\n"
    )


def _entry(entry: Entry, base: str | None) -> str:
    link = f'<link rel="alternate" href={_attribute(f"{base}/{entry.name}/")}/>\n' if base else ""
    body = "".join(f"<p>{escape_html(line)}</p>" for line in _lines(entry))
    return (
        f"<entry>\n<id>{entry.id}</id>\n<title>{_xml(entry.title)}</title>\n{link}"
        f"<published>{_moment(entry.date)}</published>\n<updated>{_moment(entry.date)}</updated>\n"
        f"<summary>{_xml(entry.headline or _size(entry))}</summary>\n"
        f'<content type="html">{_xml(body)}</content>\n</entry>\n'
    )


def _lines(entry: Entry) -> list[str]:
    """What there is to say, in sentences."""
    lines = []
    if entry.withdrawn_because is not None:
        lines.append(f"Withdrawn: {entry.withdrawn_because}")
    if entry.description:
        lines.append(entry.description)
    lines.append(_size(entry) + ".")
    if entry.previous is not None:
        lines += [f"Since {entry.previous}: {entry.headline}.", f"{entry.summary}."]
    return [*lines, f"Manifest SHA-256 {entry.manifest_sha256}."]


def _size(entry: Entry) -> str:
    words = {"images": "images", "tags": "tags", "distinct_tags": "distinct tags"}
    said = [f"{entry.counts[name]:,} {word}" for name, word in words.items() if name in entry.counts]
    return ", ".join([*said, *([in_bytes(entry.counts["bytes"])] if "bytes" in entry.counts else [])])


def changelog(entries: Sequence[Entry], title: str) -> str:
    """The same as Markdown, the newest first."""
    ordered = sorted(entries, key=lambda entry: (entry.date, entry.name), reverse=True)
    parts = [f"# {inline(title)}\n"]
    for entry in ordered:
        heading = entry.name if entry.title == entry.name else f"{entry.name}: {entry.title}"
        said = "\n".join(f"- {inline(line)}" for line in _lines(entry))
        parts.append(f"## {inline(heading)} ({entry.date:%Y-%m-%d})\n\n{said}\n")
    return "\n".join(parts)


def _moment(date: datetime) -> str:
    return date.isoformat(timespec="seconds").replace("+00:00", "Z")


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text))
