"""Taking images down: what a request hits is looked up once, and written with it."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import polars as pl

from dataset_assets.assets.takedowns import year_tables
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES
from dataset_assets.domain.schemas import IMAGE_METADATA
from dataset_assets.domain.takedown_matching import found_in, not_yet_noted
from dataset_assets.domain.takedowns import BadTakedown, Hit, Kind, Takedown, lift_line, require_request, require_texts
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_holdings import cells_of
from dataset_assets.takedown_removal import plan

SAME_FILE_IMAGES = 20  # of so many images one file is no picture of any of them


@dataclass(frozen=True)
class Asked:
    """What a person asks for, as it was typed."""

    kind: Kind
    value: str
    reason: str
    who: str
    source: str | None = None
    replacement: str | None = None


def resolved(config: DatasetConfig, asked: Asked, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Takedown:
    """The request with every image that it hits, in all sources; nothing is written.

    What was found is followed: the file and the picture of an image hit other images, whatever their names.
    Raises: BadTakedown.
    """
    texts = {"reason": asked.reason, "who": asked.who}
    value = require_request(asked.kind, asked.value, asked.replacement, texts)
    if asked.source is not None and asked.kind != "artist":
        raise BadTakedown("--source says where an artist's name counts; an image, a file and a picture need none")
    if asked.source is not None and asked.source not in config.sources:
        raise BadTakedown(f"there is no source {asked.source!r}; there are: {', '.join(config.sources)}")
    moment = now().astimezone(UTC)
    one = Takedown(
        id=f"{moment:%Y%m%d}-{uuid.uuid4().hex[:6]}",
        kind=asked.kind,
        value=value,
        reason=asked.reason,
        who=asked.who,
        requested_at=moment.isoformat(timespec="seconds"),
        source=asked.source,
        replacement=asked.replacement,
    )
    return _followed(config, one)


def _followed(config: DatasetConfig, one: Takedown) -> Takedown:
    cells = Tables(config.root_path).cells(IMAGE_METADATA.name)
    others = [hit for other in TakedownFiles(config.root_path).all() for hit in other.found]
    while True:
        found: list[Hit] = []
        known_ids = {known.image_id for known in one.found}
        for cell in cells:
            hits = found_in([one], year_tables(config, cell))
            found += not_yet_noted([one], hits).get(one.id, [])
            found += [hit for hit in hits.get(one.id, []) if hit.image_id not in known_ids]
        found += list(_known_elsewhere(one, others))
        noted = set(one.found)
        new = tuple(dict.fromkeys(hit for hit in found if hit not in noted))
        if not new:
            return one
        one = replace(one, found=(*one.found, *new))


def _known_elsewhere(one: Takedown, others: Sequence[Hit]) -> Iterator[Hit]:
    """What other requests know of the same images and files, of which the tables may have forgotten all."""
    ids, files, pictures = set(one.image_ids), one.hashes("sha256"), one.hashes("pixel_hash")
    for hit in others:
        if hit.image_id in ids:
            yield replace(hit, met_by="image")
        elif hit.sha256 in files:
            yield replace(hit, met_by="sha256")
        elif hit.pixel_hash in pictures:
            yield replace(hit, met_by="pixel_hash")


def add(config: DatasetConfig, one: Takedown) -> None:
    """Write a request down, and what holds its images now."""
    TakedownFiles(config.root_path).add([one.line()])
    plan(config, one)


def lift(config: DatasetConfig, request: str, who: str, why: str) -> Takedown:
    """Lift a request: its images may come in again. Raises: BadTakedown."""
    require_texts({"reason": why, "who": who})
    one = known(config, request)
    if one.is_lifted:
        raise BadTakedown(f"takedown {one.id} was lifted already, by {one.lifted_by}: {one.lifted_why}")
    TakedownFiles(config.root_path).add([lift_line(one.id, who, why, datetime.now(UTC))])
    return one


def known(config: DatasetConfig, request: str) -> Takedown:
    """A request by its name, or the beginning of one. Raises: BadTakedown."""
    every = TakedownFiles(config.root_path).all()
    found = [one for one in every if one.id == request] or [one for one in every if one.id.startswith(request)]
    if len(found) != 1:
        said = "no takedown" if not found else f"{len(found)} takedowns"
        raise BadTakedown(f"{said} of that name: {request!r}; `dataset-assets takedown list` shows them")
    return found[0]


def alike(config: DatasetConfig, one: Takedown) -> list[str]:
    """Images that look like those of a request and are not hit by it."""
    tables, cell = Tables(config.root_path), Cell()
    if not tables.is_intact(NEAR_DUPLICATES.name, cell):
        return []
    rows = tables.scan(NEAR_DUPLICATES, cell)
    groups = rows.filter(pl.col("image_id").is_in(one.image_ids)).select("group_id").unique()
    others = rows.join(groups, on="group_id", how="semi").filter(~pl.col("image_id").is_in(one.image_ids))
    return others.select("image_id").sort("image_id").collect().to_series().to_list()


def doubts(one: Takedown) -> list[str]:
    """What a person should know before a request is written, in words."""
    said = []
    if not one.found:
        said.append("no table knows it yet; it will be kept out when it comes")
    by_file: dict[str, int] = {}
    for hit in one.found:
        if hit.sha256:
            by_file[hit.sha256] = by_file.get(hit.sha256, 0) + 1
    for digest, images in sorted(by_file.items()):
        if images > SAME_FILE_IMAGES:
            said.append(f"the file {digest[:12]} is that of {images} images: it may be a placeholder of a host")
    return said


def cells_to_rebuild(config: DatasetConfig, requests: Sequence[Takedown]) -> list[tuple[str, int]]:
    """The partitions, as a rebuild takes them, that requests hit and dataset.yaml declares."""
    cells = {(cell.source, cell.year) for one in requests for cell in cells_of(one)}
    return [cell for cell in config.cells() if cell in cells]


def sources_to_rebuild(config: DatasetConfig, requests: Sequence[Takedown]) -> set[str]:
    """The declared sources of images that requests hit, of declared years or not: some tables are over all years."""
    return {str(cell.source) for one in requests for cell in cells_of(one)} & set(config.sources)
