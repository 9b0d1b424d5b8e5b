"""The releases of a root, or copies of them elsewhere: found, told apart, and listed in a feed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset_assets.domain.release_diff_text import headline, summary
from dataset_assets.domain.release_feed import Entry, changelog, feed
from dataset_assets.exports.release import MANIFEST, MEMBERS_FILE, RELEASED, WITHDRAWN, manifest_hash
from dataset_assets.places import Place
from dataset_assets.storage.root import Folder, Root, opened
from dataset_assets.storage.tables import Tables

if TYPE_CHECKING:
    import polars as pl

    from dataset_assets.domain.release_diff import ReleaseDiff

RELEASES, FEED, CHANGELOG = "releases", "feed.xml", "CHANGELOG.md"
COMPARED_VERSION = 1  # another number when a comparison says something else
# What `drop_reason` says of an image that somebody asked to have removed.
_TAKEDOWN = "takedown"
_LAST = datetime.max.replace(tzinfo=UTC)


class UnknownRelease(Exception):
    """A name or a folder that is no finished release; the message says what there is."""


@dataclass(frozen=True)
class Released:
    """A finished release. folder: within its root, "" or ending in a slash."""

    root: Root
    folder: str
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def released_at(self) -> datetime | None:
        """When it was written; null = nobody noted it, or not in ISO 8601."""
        noted = _json(self.root, f"{self.folder}{RELEASED}") or {}
        try:
            moment = datetime.fromisoformat(str(noted.get("released_at")))
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)

    @property
    def withdrawn_because(self) -> str | None:
        """Why its files are gone; null = they are not."""
        noted = _json(self.root, f"{self.folder}{WITHDRAWN}")
        return None if noted is None else str(noted.get("reason"))

    def members(self) -> "pl.LazyFrame":
        """Its rows of MEMBERS."""
        import polars as pl

        return pl.scan_parquet(self.root.file(f"{self.folder}{MEMBERS_FILE}"), hive_partitioning=False)


def find(named: str, place: Place | None) -> Released:
    """A release by its name in a root, or by its folder or a file in it. Raises: UnknownRelease."""
    path = Path(named).expanduser()
    if "/" in named or path.is_file() or (path / MANIFEST).is_file():
        folder = (path.parent if path.is_file() else path).absolute()
        found = _read(Folder(folder), "") if (folder / MANIFEST).is_file() else None  # a store makes its folder
        if found is None:
            raise UnknownRelease(f"{named} is no finished release: it has no {MANIFEST}")
        return found
    found = None if place is None else _read(opened(place), f"{RELEASES}/{named}/")
    if found is None:
        there = ", ".join(release.name for release in released(place)) if place is not None else ""
        raise UnknownRelease(
            f"there is no release {named!r}; there are: {there or 'none'}. A folder of one will do too"
        )
    return found


def released(place: Place) -> list[Released]:
    """The finished releases of a root, in the order of their time, then of their names."""
    root = opened(place)
    found = [_read(root, folder) for folder in _folders(root)]
    return sorted((one for one in found if one), key=lambda one: (one.released_at or _LAST, one.name))


def _folders(root: Root) -> list[str]:
    if isinstance(root, Folder):  # not by its files: a release may have millions
        return [f"{RELEASES}/{file.parent.name}/" for file in (root.path / RELEASES).glob(f"*/{MANIFEST}")]
    names = root.names(f"{RELEASES}/")
    return [name.removesuffix(MANIFEST) for name in names if name.endswith(f"/{MANIFEST}") and name.count("/") == 2]


def _read(root: Root, folder: str) -> Released | None:
    manifest = _json(root, f"{folder}{MANIFEST}")
    return Released(root, folder, manifest) if manifest and "members" in manifest else None


def _json(root: Root, name: str) -> dict[str, Any] | None:
    try:
        found = json.loads(root.get(name))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def compare(before: Released, after: Released, place: Place | None = None) -> "ReleaseDiff":
    """Tell two releases apart. place: the root whose subset, as it is now, says why images are out."""
    from dataset_assets.domain.release_diff import release_diff

    return release_diff(before.members(), after.members(), _reasons(after, place))


def _reasons(after: Released, place: Place | None) -> "pl.LazyFrame | None":
    import polars as pl

    rows = None if place is None else Tables(place).scan_all(f"subset/{after.manifest.get('subset')}")
    if rows is None:
        return None
    rule = pl.col("drop_reason")
    said = pl.when(rule == _TAKEDOWN).then(pl.lit("taken down")).otherwise(pl.lit("dropped by the rule ") + rule)
    return rows.select("image_id", reason=said)


def notes_on(before: Released, after: Released, diff: "ReleaseDiff") -> list[str]:
    """What a reader of a comparison should know."""
    notes = []
    if any(reason is not None for reason in diff.removed_because["reason"]):
        notes.append(f"why images are out is told as the subset {after.manifest.get('subset')} stands now")
    if before.manifest.get("subset") != after.manifest.get("subset"):
        notes.append(f"of two subsets: {before.manifest.get('subset')} and {after.manifest.get('subset')}")
    for release in (before, after):
        if (reason := release.withdrawn_because) is not None:
            notes.append(f"{release.name} was withdrawn: {reason}")
    return notes


def write_feed(place: Place, say: Callable[[str], None], base_url: str | None = None) -> list[str]:
    """Write the feed and the changelog of a root's releases; returns their names, none where nothing was released.

    base_url: where the folder of releases can be reached, for links; null = none are written.
    """
    root, entries = opened(place), []
    before: dict[str, Released] = {}
    by_name: dict[str, Released] = {}
    for release in released(place):
        if release.released_at is None:
            say(f"{release.name}: nobody noted when it was released; it is in no feed")
            continue
        named = by_name.get(str(release.manifest.get("previous")))
        previous = named or before.get(str(release.manifest.get("subset")))
        by_name[release.name] = release
        entries.append(_entry(place, release, release.released_at, previous))
        before[str(release.manifest.get("subset"))] = release
    if not entries:
        return []
    title = "Releases of " + ", ".join(sorted(before))
    root.put(f"{RELEASES}/{FEED}", feed(entries, title, base_url).encode())
    root.put(f"{RELEASES}/{CHANGELOG}", changelog(entries, title).encode())
    return [f"{RELEASES}/{FEED}", f"{RELEASES}/{CHANGELOG}"]


def _entry(place: Place, release: Released, date: datetime, previous: Released | None) -> Entry:
    counts = release.manifest.get("counts", {})
    told = None if previous is None else _compared(place, previous, release)
    return Entry(
        name=release.name,
        title=str(release.manifest.get("title") or release.name),
        date=date,
        manifest_sha256=manifest_hash(release.manifest),
        description=release.manifest.get("description"),
        counts={name: counts[name] for name in ("images", "bytes", "tags", "distinct_tags") if name in counts},
        previous=None if previous is None else previous.name,
        headline=None if told is None else told["headline"],
        summary=None if told is None else told["summary"],
        withdrawn_because=release.withdrawn_because,
    )


def _compared(place: Place, before: Released, after: Released) -> dict[str, Any]:
    """A comparison in two sentences: releases do not change, and so it is made once and kept."""
    root, pins = opened(place), [release.manifest["members"]["sha256"][:16] for release in (before, after)]
    name = f"_compared/{COMPARED_VERSION}/{'-'.join(pins)}.json"
    kept = _json(root, name)
    if kept is None:
        found = compare(before, after)
        kept = {"headline": headline(found), "summary": summary(found)}
        root.put(name, json.dumps(kept, ensure_ascii=False).encode())
    return kept
