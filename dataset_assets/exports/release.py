"""A release: members in their formats, and the manifest that pins them all.

Below a release's place lie `members.parquet` (rows of MEMBERS), a folder for each format, `files.parquet` (every file
with its SHA-256) and, last of all, `manifest.json`: a release without it was never finished. None of them tells of a
time, a machine or a run, so that equal members and settings give an equal manifest wherever and whenever.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.domain.members import MEMBERS
from dataset_assets.domain.membership import held_back
from dataset_assets.domain.schemas import Column, Table
from dataset_assets.domain.wording import counted
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import FINISHED, Target, Written
from dataset_assets.storage.root import opened

MANIFEST, MEMBERS_FILE, FILES_FILE = "manifest.json", "members.parquet", "files.parquet"
# What stands beside a release without being of it: when it was made, and why it was taken away.
RELEASED, WITHDRAWN = "released.json", "withdrawn.json"
BESIDE = (RELEASED, WITHDRAWN)
MANIFEST_VERSION = 1
# What of a manifest follows from members and formats; the rest is what was said of the release.
FOLLOWS = ("manifest_version", "name", "members", "counts", "held_back", "formats", "files")
MEMBERS_AT_ONCE = 20_000
FILES_AT_ONCE = 50_000

RELEASE_FILES = Table(
    "release",
    "file of a release",
    (
        Column("name", pl.String, "the file, relative to the release's folder"),
        Column("format", pl.String, "the format that it belongs to; null = it is about the release as a whole"),
        Column("sha256", pl.String, "SHA-256 of the file"),
        Column("bytes", pl.Int64, "bytes"),
        Column("rows", pl.Int64, "members in it; of files that come beside them, 0"),
    ),
    sorted_by=("name",),
)


@dataclass(frozen=True)
class Plan:
    """What a release is to be.

    key: what its members follow from, so that a stopped release goes on where it was. stated: what the manifest says
    of the subset, the sources and how rows were made. report: further files about the release as a whole, such as its
    card, of its members, its target and the manifest so far.
    """

    settings: Settings
    formats: Sequence[str]
    key: str
    all_pixels: bool = False
    stated: Mapping[str, Any] = field(default_factory=dict)
    report: Callable[[Members, Target, Mapping[str, Any]], Iterable[Written]] | None = None


def write_release(members: Members, plan: Plan, target: Target, say: Callable[[str], None]) -> dict[str, Any]:
    """Write a release whole, and return its manifest. What an earlier, stopped try finished is not written again.

    Raises: MemberLost when the file of a member is gone or changed; the release is then not finished.
    """
    pinned = target.file(MEMBERS_FILE, plan.key, members.count(), lambda path: _write_members(members, path))
    manifest = _described(members, plan, pinned)
    parts = [_frame([pinned], None)]
    for name in sorted(plan.formats):
        written = pl.concat([RELEASE_FILES.empty(), *_written(members, name, plan, target, say)])
        manifest["formats"][name] = _summed(written)
        parts.append(written)
    if plan.report is not None:
        in_order = json.loads(manifest_bytes(manifest))  # as whoever reads it has it, so that a card never differs
        parts.append(_frame(list(plan.report(members, target, in_order)), None))
    files = pl.concat(parts).sort("name")
    listed = target.file(FILES_FILE, _digest(files), files.height, lambda path: files.write_parquet(path))
    manifest["files"] = {"sha256": listed.sha256, **_summed(files)}
    _remove_all_but(target, files["name"])
    target.settle()  # the manifest says that all files are there
    target.put(MANIFEST, manifest_bytes(manifest))
    target.finish()
    return manifest


def _remove_all_but(target: Target, names: Iterable[str]) -> None:
    """Remove what a stopped try wrote of other members: nobody would look for them in a release that has them not."""
    root, kept = opened(target.place), {FILES_FILE, *names}
    for name in root.names(""):
        if name not in kept and not name.startswith(f"{FINISHED}/"):
            root.remove(name)


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it is written: its SHA-256 is the release's."""
    return (json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """The SHA-256 of a manifest: equal for releases of equal bytes."""
    return hashlib.sha256(manifest_bytes(manifest)).hexdigest()


def may_leave(members: Members, name: str, *, all_pixels: bool) -> Members:
    """The members that a format may have: those with a file that may be passed on, where pixels leave in it."""
    if not FORMATS[name].has_pixels:
        return members
    with_file = members.filter(pl.col("sha256").is_not_null())
    return with_file if all_pixels else with_file.filter(pl.col("may_redistribute"))


def public_path(path: pl.Expr) -> pl.Expr:
    """A member's path as others may read it: below the root; of a file that lies elsewhere, nothing."""
    is_elsewhere = path.str.starts_with("/") | path.str.contains("://", literal=True) | path.str.contains(r"^[A-Za-z]:")
    return pl.when(is_elsewhere).then(None).otherwise(path)


def _write_members(members: Members, path: Path) -> None:
    from dataset_assets.storage.table_files import write_frames

    batches = members.batches(rows=MEMBERS_AT_ONCE)
    write_frames((batch.with_columns(path=public_path(pl.col("path"))) for batch in batches), MEMBERS, path)


def _written(
    members: Members, name: str, plan: Plan, target: Target, say: Callable[[str], None]
) -> Iterator[pl.DataFrame]:
    allowed = may_leave(members, name, all_pixels=plan.all_pixels)
    say(f"{plan.settings.name}: writing {name}, {counted(allowed.count(), 'member')}")
    files = FORMATS[name].write(allowed, target, plan.settings)
    while some := list(islice(files, FILES_AT_ONCE)):
        yield _frame(some, name)


def _frame(files: Sequence[Written], name: str | None) -> pl.DataFrame:
    return RELEASE_FILES.frame(
        [
            {"name": file.name, "format": name, "sha256": file.sha256, "bytes": file.bytes, "rows": file.rows}
            for file in files
        ]
    )


def _summed(files: pl.DataFrame) -> dict[str, int]:
    return {"count": files.height, "bytes": int(files["bytes"].sum())}


def _digest(files: pl.DataFrame) -> str:
    return hashlib.sha256(files.write_csv().encode()).hexdigest()


def _described(members: Members, plan: Plan, pinned: Written) -> dict[str, Any]:
    """The manifest but for what is not written yet."""
    rows = members.scan()
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": plan.settings.name,
        **plan.stated,
        "members": {"sha256": pinned.sha256, "count": pinned.rows},
        "counts": _counts(rows),
        "held_back": {} if plan.all_pixels else dict(held_back(rows.filter(pl.col("sha256").is_not_null()))),
        "formats": {},
    }


def _counts(rows: pl.LazyFrame) -> dict[str, Any]:
    tag = pl.col("tags").list.len()
    totals = rows.select(
        images=pl.len(),
        without_file=pl.col("sha256").is_null().sum(),
        bytes=pl.col("size").sum(),
        captioned=(pl.col("captions").list.len() > 0).sum(),
        tags=tag.sum(),
    ).collect()
    distinct = rows.select(pl.col("tags").explode().struct.field("tag")).drop_nulls().select(pl.n_unique("tag"))
    by_year = rows.group_by("source", "year").len("images").sort("source", "year").collect()
    return {
        **{name: int(value or 0) for name, value in totals.row(0, named=True).items()},
        "distinct_tags": int(distinct.collect().item()),
        "images_by_year": {f"{source}|{year}": images for source, year, images in by_year.iter_rows()},
    }


@dataclass(frozen=True)
class Damage:
    """What is wrong with one file of a release: missing, changed, or not of it."""

    name: str
    what: str


def read_manifest(target: Target) -> dict[str, Any]:
    """The manifest of a finished release. Raises: FileNotFoundError; ValueError when it is no manifest."""
    found = json.loads(opened(target.place).get(MANIFEST))
    if not isinstance(found, dict) or found.get("manifest_version") != MANIFEST_VERSION:
        raise ValueError(f"{opened(target.place).shown(MANIFEST)} is no manifest of version {MANIFEST_VERSION}")
    return found


def withdrawn_because(target: Target) -> str | None:
    """Why a release's files were taken away; null = they were not."""
    try:
        return str(json.loads(opened(target.place).get(WITHDRAWN)).get("reason"))
    except FileNotFoundError:
        return None


def verify(target: Target, say: Callable[[str], None]) -> Iterator[Damage]:
    """Read a release's every byte, and yield what is not as its manifest says. Nothing but the release is needed.

    Raises: as `read_manifest`.
    """
    root, manifest = opened(target.place), read_manifest(target)
    listed = _damage_of(root.size(FILES_FILE), root.has_content, FILES_FILE, None, manifest["files"]["sha256"])
    if listed is not None:
        yield listed
        return
    files = pl.read_parquet(root.file(FILES_FILE))
    known = {MANIFEST, FILES_FILE, *BESIDE, *files["name"]}
    for done, (name, sha256, size) in enumerate(files.select("name", "sha256", "bytes").iter_rows(), 1):
        if (found := _damage_of(root.size(name), root.has_content, name, size, sha256)) is not None:
            yield found
        if done % FILES_AT_ONCE == 0:
            say(f"{done:,} of {counted(files.height, 'file')} read")
    yield from (Damage(name, "not of this release") for name in root.names("") if name not in known)


def _damage_of(
    found: int | None, has_content: Callable[[str, str], bool], name: str, size: int | None, sha256: str
) -> Damage | None:
    if found is None:
        return Damage(name, "missing")
    if size is not None and found != size:
        return Damage(name, f"changed: {found:,} bytes, not {size:,}")
    return None if has_content(name, sha256) else Damage(name, "changed: other content")
