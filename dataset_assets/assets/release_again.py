"""A release that is there already: written once more from what it pins, or taken away."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from dataset_assets.assets import release_writing
from dataset_assets.assets.releases import FILES
from dataset_assets.domain.wording import counted
from dataset_assets.exports import release as releases
from dataset_assets.exports.members import CannotExport, MemberLost, Members
from dataset_assets.exports.target import Target
from dataset_assets.release_settings import Release
from dataset_assets.resources import Dataset
from dataset_assets.storage.locations import is_remote
from dataset_assets.storage.root import opened

SHOWN = 1000


@dataclass(frozen=True)
class Again:
    """What came of writing a release once more.

    missing: image_id of members whose file is nowhere any more; changed: of those whose file is another now; with any
    of either nothing was finished. other_files: files whose bytes differ from the first time. manifest: null = nothing
    was finished.
    """

    missing: list[str]
    changed: list[str]
    other_files: list[str]
    manifest: Mapping[str, Any] | None

    @property
    def is_same(self) -> bool:
        return self.manifest is not None and not self.other_files


def write_again(dataset: Dataset, name: str, target: Target, say: Callable[[str], None]) -> Again:
    """Write a release once more, elsewhere, from the members that it pins; the tables' present rows do not matter.

    Raises: FileNotFoundError when there is no such release; CannotRelease when its pins are damaged.
    """
    first = release_writing.release_target(dataset.config, name)
    pinned = releases.read_manifest(first)
    if not opened(first.place).has_content(releases.MEMBERS_FILE, pinned["members"]["sha256"]):
        raise release_writing.CannotRelease(f"{releases.MEMBERS_FILE} of release {name} is not what its manifest pins")
    release = _release_of(pinned)
    with dataset.tables.scratch_parquet() as file:  # read in slices, many times over: the join is done once
        placed(dataset, release, release_writing.pinned_rows(first)).sink_parquet(file, maintain_order=True)
        rows = pl.scan_parquet(file, hive_partitioning=False)
        if missing := _missing(dataset, rows):
            return Again(missing, [], [], None)
        members = release_writing.members_from(dataset, release, [rows])
        plan = release_writing.plan_of(name, release, pinned["members"]["sha256"], _stated(pinned))
        try:
            manifest = releases.write_release(members, plan, target, say)
        except MemberLost:
            return Again([], _changed(members), [], None)
        except CannotExport as error:
            raise release_writing.CannotRelease(str(error)) from None
    return Again([], [], _other_files(first, target), manifest)


def _release_of(pinned: Mapping[str, Any]) -> Release:
    """The settings that a manifest tells of."""
    told = {name: pinned[name] for name in ("subset", "until", "images", "tags", "captions", "pixels", "shard_mb")}
    return Release.model_validate({**told, "formats": list(pinned["formats"])})


def _stated(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says that does not follow from the members."""
    return {name: pinned[name] for name in pinned if name not in releases.FOLLOWS}


def placed(dataset: Dataset, release: Release, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Pinned members with a path each: that of a file outside of the root is looked up by its SHA-256."""
    lacks_path = pl.col("path").is_null() & pl.col("sha256").is_not_null()
    if not rows.filter(lacks_path).select(pl.len()).collect().item():
        return rows
    known = dataset.tables.scan_all(FILES[release.images].name)
    if known is None:
        return rows
    paths = known.filter(pl.col("path").is_not_null()).group_by("sha256").agg(found=pl.col("path").min())
    found = rows.join(paths, on="sha256", how="left", maintain_order="left")
    return found.with_columns(path=pl.coalesce("path", "found")).drop("found")


def _missing(dataset: Dataset, rows: pl.LazyFrame) -> list[str]:
    """Members whose file is not there, or has another size."""
    missing = []
    with_file = rows.filter(pl.col("sha256").is_not_null())
    for image_id, path, size in with_file.select("image_id", "path", "size").collect().iter_rows():
        if path is None or (not is_inside_another(path) and dataset.blobs.size(path) != size):
            missing.append(image_id)
    return missing


def _changed(members: Members) -> list[str]:
    """Members whose file is not the one that is pinned."""
    changed = []
    for row in members.rows():
        try:
            if row["sha256"] is not None:
                members.read(row)
        except MemberLost:
            changed.append(str(row["image_id"]))
    return changed


def is_inside_another(path: str) -> bool:
    """Whether a path is of a member of an archive, or an object of a bucket: what it holds is known by reading it."""
    return "!" in path or is_remote(path)


def _other_files(first: Target, again: Target) -> list[str]:
    """The files of two releases that are not equal, by name."""
    one, other = (
        pl.scan_parquet(opened(target.place).file(releases.FILES_FILE)).select("name", "sha256")
        for target in (first, again)
    )
    both = one.join(other, on="name", how="full", coalesce=True)
    differs = both.filter(pl.col("sha256").ne_missing(pl.col("sha256_right"))).select("name").collect()
    return differs["name"].sort().to_list()


def withdraw(dataset: Dataset, name: str, reason: str, say: Callable[[str], None]) -> int:
    """Remove a release's files; its manifest, members and list of files stay, to tell what it was.

    Returns how many files went. Raises: FileNotFoundError when there is no such release.
    """
    target = release_writing.release_target(dataset.config, name)
    releases.read_manifest(target)
    root, kept = opened(target.place), {releases.MANIFEST, releases.MEMBERS_FILE, releases.FILES_FILE, *releases.BESIDE}
    gone = [file for file in root.names("") if file not in kept]
    if releases.withdrawn_because(target) is None:  # the first reason stands
        target.put(releases.WITHDRAWN, json.dumps({"reason": reason}).encode())
    for done, file in enumerate(gone, 1):
        root.remove(file)
        if done % SHOWN == 0:
            say(f"{done:,} of {counted(len(gone), 'file')} removed")
    return len(gone)
