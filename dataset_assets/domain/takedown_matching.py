"""Which images of a source and year takedown requests hit, as its tables stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, TAG_METADATA
from dataset_assets.domain.takedowns import MET_BY, TAKEDOWNS, Hit, Takedown

_FOUND = {"request": pl.String, "image_id": pl.String, "met_by": pl.String}
_KNOWN = ("sha256", "md5", "pixel_hash", "size", "location", "uploader_id")
ARTIST = "artist"


@dataclass(frozen=True)
class YearTables:
    """The tables of one source and year as they stand; one that was never made has no rows.

    names_artists: whether at this source who uploads an image made it.
    """

    source: str
    year: int | None
    names_artists: bool
    metadata: pl.LazyFrame
    tags: pl.LazyFrame
    raw: pl.LazyFrame
    facts: pl.LazyFrame

    @classmethod
    def empty(cls, source: str, year: int | None = None) -> "YearTables":
        tables = (IMAGE_METADATA, TAG_METADATA, RAW_IMAGES, IMAGE_FACTS)
        return cls(source, year, False, *(table.empty().lazy() for table in tables))


def found_in(requests: Sequence[Takedown], tables: YearTables) -> dict[str, list[Hit]]:
    """The listed images that requests hit, by request, in order of image_id. Lifted requests hit none."""
    active = [one for one in requests if not one.is_lifted]
    if not active:
        return {}
    met = [*_by_id(active, tables), *_by_hash(active, tables), *_by_artist(active, tables)]
    rows = pl.concat([pl.LazyFrame(schema=_FOUND), *met]).unique(maintain_order=False).collect()
    if rows.is_empty():
        return {}
    order = {name: place for place, name in enumerate(MET_BY)}
    rows = rows.with_columns(rank=pl.col("met_by").replace_strict(order, return_dtype=pl.Int8))
    first = rows.sort("request", "image_id", "rank").unique(("request", "image_id"), keep="first", maintain_order=True)
    told = first.lazy().join(_known(tables, first), on="image_id", how="inner").sort("request", "image_id").collect()
    found: dict[str, list[Hit]] = {}
    for row in told.iter_rows(named=True):
        known = {name: row[name] for name in _KNOWN}
        found.setdefault(row["request"], []).append(Hit(row["image_id"], row["met_by"], tables.year, **known))
    return found


def not_yet_noted(requests: Sequence[Takedown], found: dict[str, list[Hit]]) -> dict[str, list[Hit]]:
    """Of what was found, what its requests do not say yet: another image, or a hash of one that they name."""
    lacking: dict[str, list[Hit]] = {}
    for one in requests:
        ids = set(one.image_ids)
        known = {None, *one.hashes("sha256"), *one.hashes("md5"), *one.hashes("pixel_hash")}
        new = [
            hit
            for hit in found.get(one.id, [])
            if hit.image_id not in ids or not {hit.sha256, hit.md5, hit.pixel_hash} <= known
        ]
        lacking |= {one.id: new} if new else {}
    return lacking


def rows_of(requests: Sequence[Takedown], image_ids: pl.Series) -> pl.DataFrame:
    """Rows of TAKEDOWNS: those of `image_ids` that a request names or has found."""
    named = {image_id for one in requests if not one.is_lifted for image_id in one.image_ids}
    listed = set(image_ids.filter(image_ids.is_in(sorted(named))))
    by_image: dict[str, list[Takedown]] = {}
    for one in requests:
        for image_id in one.image_ids if not one.is_lifted else ():
            if image_id in listed:
                by_image.setdefault(image_id, []).append(one)
    met: dict[tuple[str, str], str] = {}
    for one in requests:
        for hit in one.found:
            met.setdefault((one.id, hit.image_id), hit.met_by)
    return TAKEDOWNS.frame([_row(image_id, hitting, met) for image_id, hitting in sorted(by_image.items())])


def _row(image_id: str, requests: Sequence[Takedown], met: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    first = requests[0]
    return {
        "image_id": image_id,
        "request": first.id,
        "met_by": met.get((first.id, image_id), first.kind),
        "reason": first.reason,
        "who": first.who,
        "requested_at": datetime.fromisoformat(first.requested_at),
        "replacement": next((one.replacement for one in requests if one.replacement), None),
        "other_requests": [one.id for one in requests[1:]],
    }


def _frame(pairs: Sequence[tuple[str, str]], column: str) -> pl.LazyFrame:
    return pl.LazyFrame(list(pairs), schema={"request": pl.String, column: pl.String}, orient="row")


def _by_id(requests: Sequence[Takedown], tables: YearTables) -> list[pl.LazyFrame]:
    named = _frame([(one.id, image_id) for one in requests for image_id in one.image_ids], "image_id")
    met = tables.metadata.select("image_id").join(named, on="image_id")
    return [met.select("request", "image_id", met_by=pl.lit("image"))]


def _by_hash(requests: Sequence[Takedown], tables: YearTables) -> list[pl.LazyFrame]:
    places: list[tuple[Literal["sha256", "md5", "pixel_hash"], pl.LazyFrame]] = [
        ("sha256", tables.raw),
        ("md5", tables.raw),
        ("md5", tables.metadata),  # what the source claims
        ("pixel_hash", tables.facts),
    ]
    found = []
    for name, rows in places:
        if pairs := [(one.id, value) for one in requests for value in sorted(one.hashes(name))]:
            met = rows.select("image_id", name).join(_frame(pairs, name), on=name)
            found.append(met.select("request", "image_id", met_by=pl.lit(name)))
    return found


def _by_artist(requests: Sequence[Takedown], tables: YearTables) -> list[pl.LazyFrame]:
    wanted = [one for one in requests if one.kind == ARTIST and one.source in (None, tables.source)]
    if not wanted:
        return []
    artists = tables.tags.filter(pl.col("category") == ARTIST)
    tags = _frame([(one.id, _as_tag(one.value)) for one in wanted], "tag")
    found = [artists.select("image_id", pl.col("tag").str.to_lowercase()).join(tags, on="tag")]
    if tables.names_artists:
        uploaders = tables.metadata.select("image_id", "uploader_id", name=pl.col("uploader_name").str.to_lowercase())
        others = uploaders.join(artists.select("image_id"), on="image_id", how="anti")
        names = _frame([(one.id, one.value.lower()) for one in wanted], "name")
        ids = [(one.id, account) for one in wanted for source, account in one.accounts if source == tables.source]
        ids += [(one.id, one.value) for one in wanted]
        found += [others.join(names, on="name"), others.join(_frame(sorted(set(ids)), "uploader_id"), on="uploader_id")]
    return [met.select("request", "image_id", met_by=pl.lit(ARTIST)) for met in found]


def _as_tag(name: str) -> str:
    return "_".join(name.lower().split())


def _known(tables: YearTables, wanted: pl.DataFrame) -> pl.LazyFrame:
    """What is known of the wanted images that are listed: image_id and _KNOWN."""
    ids = wanted.select("image_id").unique().lazy()
    uploader = pl.col("uploader_id") if tables.names_artists else pl.lit(None, pl.String).alias("uploader_id")
    listed = tables.metadata.select("image_id", uploader, claimed="md5").join(ids, on="image_id", how="semi")
    raw = tables.raw.select("image_id", "sha256", "md5", "size", "location").join(ids, on="image_id", how="semi")
    facts = tables.facts.filter(~pl.col("is_blank").fill_null(False)).select("image_id", "pixel_hash")
    told = listed.join(raw, on="image_id", how="left").join(
        facts.join(ids, on="image_id", how="semi"), on="image_id", how="left"
    )
    return told.with_columns(md5=pl.coalesce("md5", "claimed"))
