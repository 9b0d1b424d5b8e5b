"""How a release is made of its members' tables, and compared with the one that is there already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.assets.release_inputs import lacking
from dataset_assets.assets.releases import FILES, NOTES, TAGS, members_in, members_table, read_built
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.annotations import CAPTIONS
from dataset_assets.domain.members import MEMBERS
from dataset_assets.domain.vector_tables import CLIP
from dataset_assets.exports import release as releases
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import CannotExport, MemberLost, Members
from dataset_assets.exports.release_report import write_report
from dataset_assets.exports.target import Target, key_of
from dataset_assets.places import Place
from dataset_assets.release_settings import Release
from dataset_assets.resources import Dataset
from dataset_assets.storage.archives import DamagedMember, LocationMissing, TooLarge
from dataset_assets.storage.blobs import Blobs
from dataset_assets.storage.bucket_access import AccessDenied, Unread
from dataset_assets.storage.durable import sha256_of
from dataset_assets.storage.locations import is_remote
from dataset_assets.storage.root import opened
from dataset_assets.storage.snapshots import Snapshots, content_digits
from dataset_assets.storage.table_files import write_frames
from dataset_assets.storage.tables import Cell, Tables

RELEASES = "releases"
MAX_FILE_BYTES = 512 << 20


class CannotRelease(Exception):
    """A release that cannot be written, or must not be written over; the message says what to do."""


@dataclass(frozen=True)
class Made:
    """A release that is there: its manifest, and the rows of its files."""

    manifest: Mapping[str, Any]
    files: pl.LazyFrame

    @property
    def metadata(self) -> dict[str, Any]:
        """What the UI shows of it."""
        counts = self.manifest["counts"]
        return {
            "manifest_sha256": releases.manifest_hash(self.manifest),
            "members": self.manifest["members"]["count"],
            "files": self.manifest["files"]["count"],
            "bytes_of_files": self.manifest["files"]["bytes"],
            "held_back": sum(self.manifest["held_back"].values()),
            **{name: counts[name] for name in ("tags", "distinct_tags", "captioned")},
        }


def below(place: Place, *parts: str) -> Place:
    """A place below another."""
    if isinstance(place, Path):
        return place.joinpath(*parts)
    prefix = "/".join(part for part in (place.prefix, *parts) if part)
    return replace(place, prefix=prefix, cache=place.cache.joinpath(*parts))


def release_target(config: DatasetConfig, name: str) -> Target:
    """Where a release of this root lies."""
    return Target(below(config.root_path, RELEASES, name), Tables(config.root_path).scratch)


def write(dataset: Dataset, name: str, say: Callable[[str], None]) -> Made:
    """Write the release of that name, or find it there with these very members.

    Raises: CannotRelease when it is there with others, or when the file of a member is gone; dg.Failure when a table
    is not built.
    """
    release, target = dataset.config.releases[name], release_target(dataset.config, name)
    members, key = gathered(dataset, name, release)
    try:
        pinned = releases.read_manifest(target)
    except FileNotFoundError:
        return _write_new(dataset, name, members, key, target, say)
    require_same(members, release, pinned, target)
    return Made(pinned, _files_of(target))


def gathered(dataset: Dataset, name: str, release: Release) -> tuple[Members, str]:
    """The members of a release out of their tables, and a key of their content."""
    cells, table = [Cell(source) for source in sorted(dataset.config.sources)], members_table(name).name
    parts = [read_built(dataset, table, cell) for cell in cells]
    commits = [commit and commit.sha256 for commit in dataset.tables.commits(table, cells)]
    return members_from(dataset, release, parts), key_of("members", commits)


def members_from(dataset: Dataset, release: Release, parts: Sequence[pl.LazyFrame]) -> Members:
    """Members out of scans of their rows, with what some formats take beside them.

    parts: plain scans, for they are read a slice at a time, and a slice of a filtered scan reads all before it.
    """
    takes = set(release.formats)
    embeddings = dataset.tables.scan_all(CLIP, dataset.cells_of(CLIP)) if takes & {"clip_retrieval", "pd12m"} else None
    notes = dataset.tables.scan_all(NOTES, dataset.cells_of(NOTES)) if "coco" in takes else None
    return Members(
        parts=parts,
        read_path=reader(dataset.blobs),
        embeddings=None if embeddings is None else _vectors(embeddings),
        notes=None if notes is None else _boxes(notes),
    )


def _vectors(embeddings: pl.LazyFrame) -> pl.LazyFrame:
    return embeddings.filter(pl.col("error").is_null()).select("image_id", "embedding", "model", "weights")


def _boxes(notes: pl.LazyFrame) -> pl.LazyFrame:
    is_box = pl.col("error").is_null() & pl.col("image_id").is_not_null() & pl.col("is_active").fill_null(True)
    return notes.filter(is_box).select("image_id", "x", "y", "width", "height", "body")


def reader(blobs: Blobs) -> Callable[[str], bytes]:
    """Reads a member's path, wherever it lies. What it raises is an OSError."""

    def read(path: str) -> bytes:
        try:
            is_outside = Path(path).is_absolute() or is_remote(path)
            return blobs.outside.read(path, MAX_FILE_BYTES) if is_outside else blobs.get(path)
        except (LocationMissing, DamagedMember, TooLarge, AccessDenied, Unread) as error:
            raise OSError(str(error)) from None

    return read


def export(
    dataset: Dataset, subset: str, release: Release, target: Target, say: Callable[[str], None]
) -> Mapping[str, Any]:
    """Write a subset as it is now in some formats; returns the manifest.

    Raises: CannotRelease when the file of a member is gone, or it asks for what no table has; dg.Failure when a table
    is not built.
    """
    _require_inputs(dataset, release)
    with dataset.tables.scratch_parquet() as file:
        rows = _gathered_now(dataset, subset, release, file)
        members = members_from(dataset, release, [rows])
        plan = plan_of(subset, release, key_of("members", sha256_of(file)), _stated(dataset, release, members))
        try:
            return releases.write_release(members, plan, target, say)
        except CannotExport as error:
            raise CannotRelease(f"{error}{_advice(error)}") from None


def _require_inputs(dataset: Dataset, release: Release) -> None:
    """Raises: CannotRelease when it asks for what no table has."""
    if said := lacking(dataset, release):
        raise CannotRelease("; ".join(said))


def _gathered_now(dataset: Dataset, name: str, release: Release, file: Path) -> pl.LazyFrame:
    """The members that the tables would give now, by way of a file. Raises: dg.Failure when a table is not built."""
    config = dataset.config
    cells = [Cell(source, year) for source in sorted(config.sources) for year in config.sources[source].years]
    write_frames((frame for cell in cells for frame in members_in(dataset, release, cell)), members_table(name), file)
    return pl.scan_parquet(file, hive_partitioning=False)


def _write_new(
    dataset: Dataset, name: str, members: Members, key: str, target: Target, say: Callable[[str], None]
) -> Made:
    release = dataset.config.releases[name]
    _require_inputs(dataset, release)
    plan = plan_of(name, release, key, _stated(dataset, release, members))
    try:
        manifest = releases.write_release(members, plan, target, say)
    except CannotExport as error:
        raise CannotRelease(f"{error}; the release was not finished{_advice(error)}") from None
    target.put(releases.RELEASED, _released_now())
    return Made(manifest, _files_of(target))


def _advice(error: CannotExport) -> str:
    is_lost = isinstance(error, MemberLost)
    return "; `dataset-assets rebuild --all` makes the file again" if is_lost else ""


def _released_now() -> bytes:
    return b'{"released_at": "%s"}\n' % datetime.now(UTC).isoformat(timespec="seconds").encode()


def plan_of(name: str, release: Release, key: str, stated: Mapping[str, Any]) -> releases.Plan:
    """What a release is to be."""
    return releases.Plan(
        settings=Settings(name, release.shard_mb << 20),
        formats=release.formats,
        key=key,
        all_pixels=release.pixels == "all",
        stated=stated,
        report=write_report,
    )


def _stated(dataset: Dataset, release: Release, members: Members) -> dict[str, Any]:
    """What the manifest says of where the members come from and how their files were made."""
    config = dataset.config
    present = members.scan().select(pl.col("source").unique()).collect()["source"].sort().to_list()
    said = release.model_dump(mode="json", exclude_none=True, include={"title", "description", "citation", "previous"})
    return {
        "subset": release.subset,
        "definition": config.subsets[release.subset].model_dump(mode="json", exclude_defaults=True),
        **said,
        **release.model_dump(mode="json", include={"until", "images", "tags", "captions", "pixels", "shard_mb"}),
        **_vectors_of(members),
        "sources": {source: _source(config, source) for source in present},
        "recipes": {
            table: _recipes(dataset, table, present)
            for table in dict.fromkeys((FILES[release.images].name, TAGS[release.tags].name, CAPTIONS.name))
        },
    }


def _vectors_of(members: Members) -> dict[str, Any]:
    """Whose vectors leave, and whether they mean anything."""
    if members.embeddings is None:
        return {}
    found = members.embeddings.select("model", "weights").unique().sort("model", "weights").collect()
    return {"vectors": [{"model": model, "weights": weights} for model, weights in found.iter_rows()]}


def _source(config: DatasetConfig, name: str) -> dict[str, Any]:
    settings = config.sources[name]
    stated: dict[str, Any] = {"kind": settings.kind, "license": settings.license.model_dump()}
    if settings.citation is not None:
        stated["citation"] = settings.citation
    snapshot = Snapshots(config.root_path).present(name)
    if snapshot is None:
        return stated
    export = {"content": content_digits(snapshot.years), "records": snapshot.records, "last_id": snapshot.last_id}
    return {**stated, "snapshot": {**export, "known_at": snapshot.known_at}}


def _recipes(dataset: Dataset, table: str, sources: Sequence[str]) -> list[str]:
    """Fingerprints of the code and settings that made a table's rows; of one made as a whole, of its partitions."""
    cells = [cell for cell in dataset.cells_of(table) if cell.source in sources]
    scans = [pl.scan_parquet(dataset.tables.file(table, cell), hive_partitioning=False) for cell in cells]
    if not scans or "recipe" not in scans[0].collect_schema():
        return sorted({commit.recipe for commit in dataset.tables.commits(table, cells) if commit and commit.recipe})
    found = pl.concat([scan.select(pl.col("recipe").unique()) for scan in scans]).unique().collect()
    return sorted(recipe for recipe in found["recipe"] if recipe)


def _files_of(target: Target) -> pl.LazyFrame:
    return pl.scan_parquet(opened(target.place).file(releases.FILES_FILE), hive_partitioning=False)


def require_same(members: Members, release: Release, pinned: Mapping[str, Any], target: Target) -> None:
    """Refuse to take a finished release for one of other members or formats. Raises: CannotRelease."""
    name = pinned["name"]
    if opened(target.place).size(releases.WITHDRAWN) is not None:
        raise CannotRelease(f"release {name} was withdrawn; give the new one another name")
    advice = "it stays as it is. Give the new one another name"
    if sorted(pinned["formats"]) != sorted(release.formats):
        written = ", ".join(sorted(pinned["formats"]))
        raise CannotRelease(f"release {name} was written as {written}; {advice}")
    found = drift(pinned_rows(target), members.scan())
    if any(found.values()):
        told = ", ".join(f"{count:,} {what}" for what, count in found.items() if count)
        raise CannotRelease(f"release {name} has other members than the tables have now: {told}; {advice}")


def pinned_rows(target: Target) -> pl.LazyFrame:
    """The members that a finished release has."""
    return pl.scan_parquet(opened(target.place).file(releases.MEMBERS_FILE), hive_partitioning=False)


def drift_of(dataset: Dataset, name: str) -> dict[str, int]:
    """How the members that a release pins differ from what the tables would give now.

    What the last build gathered is no guide: images may have been taken down since. Raises: dg.Failure when a table is
    not built.
    """
    with dataset.tables.scratch_parquet() as file:
        now = members_from(
            dataset,
            dataset.config.releases[name],
            [_gathered_now(dataset, name, dataset.config.releases[name], file)],
        )
        return drift(pinned_rows(release_target(dataset.config, name)), now.scan())


def drift(pinned: pl.LazyFrame, now: pl.LazyFrame) -> dict[str, int]:
    """How members differ from those that a release has pinned.

    Returns: missing = no longer a member; new; replaced = another picture under the same name; changed = the same
    picture with other bytes, or with other words beside it.
    """
    told = [name for name in MEMBERS.schema.names() if name not in ("image_id", "path", "pixel_hash")]
    marks = pl.struct(told).hash(seed=0)
    then, today = (
        rows.select("image_id", pl.col("pixel_hash").alias(f"pixels_{when}"), marks.alias(f"marks_{when}"))
        for rows, when in ((pinned, "then"), (now, "now"))
    )
    both = then.join(today, on="image_id", how="full", coalesce=True)
    is_new, is_gone = pl.col("marks_then").is_null(), pl.col("marks_now").is_null()
    is_other = ~is_new & ~is_gone & pl.col("pixels_then").ne_missing(pl.col("pixels_now"))
    differs = ~is_new & ~is_gone & ~is_other & (pl.col("marks_then") != pl.col("marks_now"))
    counted = both.select(missing=is_gone.sum(), new=is_new.sum(), replaced=is_other.sum(), changed=differs.sum())
    return {name: int(number) for name, number in counted.collect().row(0, named=True).items()}
