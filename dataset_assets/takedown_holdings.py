"""What of a root still holds an image: files, rows, sheets, index files, releases; and what lies outside of it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.identity import parse_image_id
from dataset_assets.domain.schemas import RAW_IMAGES, TAG_INDEX
from dataset_assets.domain.takedowns import TAKEDOWNS, Takedown
from dataset_assets.domain.vector_tables import VECTOR_INDEX
from dataset_assets.domain.wording import counted
from dataset_assets.places import S3Place
from dataset_assets.storage.blobs import Blobs
from dataset_assets.storage.durable import sha256_of
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.root import opened
from dataset_assets.storage.snapshots import Snapshots
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.storage.takedown_files import FOLDER

# Tables that keep an image's record: it is what tells that the image is to stay out, and why.
RECORDS = (
    *("source_snapshot", "rejected_records", "vanished_records", "image_metadata", "tag_metadata", "tag_decisions"),
    *("metadata_doubts", "families", "pools", "artist_commentaries", "notes", "pixiv_works", "same_works"),
    *("source_annotations", "annotation_mismatches", "pair_candidates"),
)
OWN = (TAKEDOWNS.name, TAG_INDEX.name, VECTOR_INDEX.name)
NOT_DERIVED = ("id_list/", "release")
INDEXES = (TAG_INDEX, VECTOR_INDEX)
RELEASES = "releases"
REVIEW_SHEETS = "sheets/review/"
# Where no bytes of images lie, so that nothing is searched there.
NO_IMAGES = ("tables/", "_checksums/", "_history/", "_locks/", f"{FOLDER}/", "snapshots/", "_definitions/")


@dataclass(frozen=True, order=True)
class HeldFile:
    """A file below the root that holds an image, or an index that was made of it."""

    file: str
    sha256: str
    bytes: int
    of: str


@dataclass(frozen=True, order=True)
class HeldRows:
    """Rows of a table's partition that say an image is there."""

    table: str
    partition: str
    rows: int


@dataclass(frozen=True, order=True)
class StillHeld:
    """What is left of an image, where, and why."""

    what: str
    where: str
    why: str


def cells_of(one: Takedown) -> set[Cell]:
    """The partitions of the images that a request hit."""
    return {Cell(parse_image_id(hit.image_id).source, hit.year) for hit in one.found if hit.year is not None}


def held_files(config: DatasetConfig, one: Takedown) -> list[HeldFile]:
    """The files of the root that are kept of a request's images, by their names; of scrapes below it, by where."""
    root, blobs = opened(config.root_path), Blobs(config.root_path)
    names = {name: image_id for image_id in one.image_ids for name in blobs.of_image(parse_image_id(image_id))}
    names |= {name: image_id for image_id, name in scraped_files(config, one)}
    return [
        HeldFile(name, sha256, root.size(name) or 0, image_id)
        for name, image_id in sorted(names.items())
        if (sha256 := root.sha256(name)) is not None
    ]


def scraped_files(config: DatasetConfig, one: Takedown) -> Iterator[tuple[str, str]]:
    """Image and file, below the root, of originals that a scrape put there."""
    root = config.root_path
    if not isinstance(root, Path):
        return
    for hit in one.found:
        place = Path(hit.location or "")
        if hit.location and place.is_absolute() and place.is_relative_to(root) and place.is_file():
            yield hit.image_id, place.relative_to(root).as_posix()


def files_of_bytes(config: DatasetConfig, hashes: dict[str, int | None]) -> tuple[list[HeldFile], int, int]:
    """Every file below the root that has one of these SHA-256s, wherever it lies.

    hashes: with the bytes that such a file has, so that others need not be read; null = not known.
    Returns: the files; how many were looked at; how many of them were read.
    """
    root, sizes = opened(config.root_path), {size for size in hashes.values() if size is not None}
    looked_at, candidates = 0, []
    for name, size in root.sizes(""):
        if not name.startswith(NO_IMAGES):
            looked_at += 1
            if size in sizes or (None in hashes.values() and _may_be(name, hashes)):
                candidates.append((name, size))
    digests = root.each(root.sha256, [name for name, _ in candidates])
    found = [
        HeldFile(name, digest, size, "")
        for (name, size), digest in zip(candidates, digests, strict=True)
        if digest in hashes
    ]
    return sorted(found), looked_at, len(candidates)


def _may_be(name: str, hashes: Iterable[str]) -> bool:
    """Whether a file may have one of the hashes by its name: of images, names tell."""
    return not name.startswith("images/") or any(f".{digest[:12]}." in name for digest in hashes)


def held_rows(config: DatasetConfig, one: Takedown) -> list[HeldRows]:
    """The partitions whose rows say that a request's images are there: records of them, and releases, aside."""
    names = [name for name in Tables(config.root_path).names() if name not in (*RECORDS, *OWN)]
    return _partitions_with(config, one, [name for name in names if not name.startswith(NOT_DERIVED)])


def _partitions_with(config: DatasetConfig, one: Takedown, names: Iterable[str]) -> list[HeldRows]:
    tables, ids = Tables(config.root_path), one.image_ids
    sources = {parse_image_id(image_id).source for image_id in ids}
    years = {cell.year for cell in cells_of(one)}
    return [
        HeldRows(name, str(cell), rows)
        for name in names
        for cell in tables.cells(name)
        if cell.source in (None, *sources) and (cell.year is None or cell.year in years)
        if (rows := _rows(tables, name, cell, ids))
    ]


def _rows(tables: Tables, name: str, cell: Cell, ids: Sequence[str]) -> int:
    if not tables.is_intact(name, cell):
        return 0
    scan = pl.scan_parquet(tables.file(name, cell), hive_partitioning=False)
    columns = image_columns(scan.collect_schema())
    if not columns:
        return 0
    is_there = pl.any_horizontal(pl.col(column).is_in(ids) for column in columns)
    if name.startswith("subset/"):
        is_there &= pl.col("drop_reason").is_null()
    elif name == RAW_IMAGES.name:
        is_there &= pl.col("path").is_not_null()
    elif name == "sketch_pairs":
        is_there &= pl.col("state") == "complete"
    return int(scan.filter(is_there).select(pl.len()).collect().item())


def image_columns(names: Iterable[str]) -> list[str]:
    """Those of a table's columns that name images."""
    there = set(names)
    return [column for column in ("image_id", "colored_id", "sketch_id", "duplicate_of") if column in there]


def sheets_of(rows: Sequence[HeldRows]) -> list[str]:
    """The contact sheets that may show an image of which these partitions have rows."""
    by_cell = (f"sheets/{one.table}/{one.partition.replace('|', '_')}.jpg" for one in rows)
    return sorted({*by_cell, *(f"sheets/{one.table}.jpg" for one in rows)})


def superseded_indexes(config: DatasetConfig, cells: Iterable[Cell]) -> list[str]:
    """The index files of some partitions that their tables no longer list."""
    tables, wanted = Tables(config.root_path), {f"/{cell.source}/{cell.year}." for cell in cells}
    listed = [path for table in INDEXES for path in _paths(tables, table.name)]
    unlisted = IndexFiles(config.root_path).unlisted(listed)
    return [name for name in unlisted if any(cell in name for cell in wanted)]


def _paths(tables: Tables, name: str) -> list[str]:
    # One by one: a partition that an older version of the code has written lacks columns.
    scans = (pl.scan_parquet(file, hive_partitioning=False) for file in tables.files(name))
    return [path for scan in scans for path in scan.select("path").collect().to_series()]


def shards_with(config: DatasetConfig, ids: Sequence[str]) -> list[str]:
    """Finished shards of unfinished rebuilds that have rows of these images."""
    root = opened(config.root_path)
    found = []
    for name in root.names("_work/"):
        if name.endswith(".parquet"):
            scan = pl.scan_parquet(root.file(name), hive_partitioning=False)
            has_ids = "image_id" in scan.collect_schema()
            if has_ids and scan.filter(pl.col("image_id").is_in(ids)).select(pl.len()).collect().item():
                found.append(name)
    return found


def forget_in_journals(config: DatasetConfig, ids: Sequence[str]) -> None:
    """Take the lines of these images out of what stopped fetches have written down on this machine."""
    folder = Tables(config.root_path).scratch / "journal"
    for file in sorted(folder.rglob("*.jsonl")) if folder.is_dir() else ():
        lines = file.read_bytes().splitlines(keepends=True)
        left = [line for line in lines if not any(json.dumps(image_id).encode() in line for image_id in ids)]
        if len(left) < len(lines):
            file.write_bytes(b"".join(left))


def forget_on_this_machine(config: DatasetConfig, hashes: set[str]) -> None:
    """Remove copies of such files that this machine keeps of a root in a bucket, and what stopped runs left there."""
    if isinstance(config.root_path, S3Place):
        for file in config.root_path.cache.rglob("*"):
            if file.is_file() and sha256_of(file) in hashes:
                file.unlink(missing_ok=True)


def still_held(config: DatasetConfig, one: Takedown, rows: Sequence[HeldRows]) -> list[StillHeld]:
    """What is left of a request's images, and why. rows: of tables that still have some."""
    held = [
        StillHeld("rows", f"{left.table} {left.partition}", f"{counted(left.rows, 'row')}; it was not rebuilt since")
        for left in rows
    ]
    held += [StillHeld("index", where, "older than the takedown; rebuild it") for where in _old_indexes(config, one)]
    held += [*_in_releases(config, one), *_outside(config, one), *_records(config, one)]
    if any(hit.sha256 for hit in one.found):
        log = "contact sheets of earlier runs may show it, 96 pixels wide; `dagster run wipe` empties all of the log"
        held.append(StillHeld("log", "Dagster's log, in DAGSTER_HOME", log))
    if isinstance(config.root_path, S3Place):
        versions = "where the bucket keeps former versions of objects, they are there until its own rules remove them"
        held.append(StillHeld("versions", str(config.root_path), versions))
    return sorted(set(held))


def _old_indexes(config: DatasetConfig, one: Takedown) -> Iterator[str]:
    tables = Tables(config.root_path)
    for cell in sorted(cells_of(one)):
        for row in tables.scan(TAG_INDEX, cell).collect().to_dicts():
            commit = tables.commit_of(TAKEDOWNS.name, cell)
            if commit is None or row.get("takedowns") != commit.sha256:
                yield f"{TAG_INDEX.name} {cell}"
        for row in tables.scan(VECTOR_INDEX, cell).collect().to_dicts():
            commit = tables.commit_of(row["of"], cell)
            if commit is None or row["made_from"] != commit.sha256:
                yield f"{VECTOR_INDEX.name} {cell}"


def _in_releases(config: DatasetConfig, one: Takedown) -> Iterator[StillHeld]:
    """Releases that were published with one of the images: they are not changed, only named."""
    root = opened(config.root_path)
    for name in root.names(f"{RELEASES}/"):
        if name.endswith("/members.parquet") and name.count("/") == 2:
            release = name.split("/")[1]
            is_one = pl.col("image_id").is_in(one.image_ids)
            is_one |= pl.col("pixel_hash").is_in(sorted(one.hashes("pixel_hash")))
            is_one |= pl.col("original_sha256").is_in(sorted(one.hashes("sha256")))
            members = pl.scan_parquet(root.file(name), hive_partitioning=False).filter(is_one).select("image_id")
            if ids := sorted(members.collect().to_series()):
                if root.size(f"{RELEASES}/{release}/withdrawn.json") is not None:
                    why = "withdrawn: its files are gone, its list of members stays"
                else:
                    why = f"published; `dataset-assets release withdraw {release} --reason ...` removes its files here"
                yield StillHeld("release", f"{RELEASES}/{release}: {', '.join(ids[:5])}", why)
    lists = [name for name in Tables(config.root_path).names() if name.startswith("release")]
    for rows in _partitions_with(config, one, lists):
        why = "a list of members, no picture; the next `dataset-assets release build` makes it anew"
        yield StillHeld("release", f"{rows.table} {rows.partition}", why)


def _outside(config: DatasetConfig, one: Takedown) -> Iterator[StillHeld]:
    """Originals that lie where this platform never removes anything."""
    root = config.root_path
    for hit in one.found:
        if hit.location is None:
            continue
        if "://" in hit.location:
            yield StillHeld("original", hit.location, "the source has it there; it is not asked for again")
            continue
        file = Path(hit.location.partition("!")[0])
        is_inside = isinstance(root, Path) and file.is_relative_to(root)
        if file.exists() and (not is_inside or "!" in hit.location):
            why = (
                "within an archive of the source" if "!" in hit.location else "the source's own file, outside the root"
            )
            yield StillHeld("original", hit.location, f"{why}; remove it there, it is kept out here")


def _records(config: DatasetConfig, one: Takedown) -> Iterator[StillHeld]:
    for cell in sorted(cells_of(one)):
        why = "its record, not its picture: what keeps it out, and says why"
        yield StillHeld("record", f"image_metadata {cell}", why)
    for source in sorted({str(cell.source) for cell in cells_of(one)}):
        if kept := Snapshots(config.root_path).of(source):
            yield StillHeld("record", f"snapshots/source={source}", f"{len(kept)} kept exports name it; no picture")


def as_records(found: Iterable[HeldFile | HeldRows | StillHeld]) -> list[dict[str, object]]:
    """As a proof keeps them."""
    return [asdict(one) for one in found]
