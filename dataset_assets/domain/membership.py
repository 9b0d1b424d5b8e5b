"""Who the members of a release are, and all that leaves with each: the rows of MEMBERS, out of the tables of a year."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from dataset_assets.domain.members import CAPTION, CATEGORY_ORDER, MEMBERS, PLACED, STATED, TAG

ImageKind = Literal["training", "original", "optimized"]
TagKind = Literal["source", "predicted", "published"]
# A release may end at a post id, or with a day: what Danbooru2021's page says of its last image.
Until = int | date


@dataclass(frozen=True)
class YearTables:
    """The tables of one source and year that members are made from.

    files: path, sha256 and size of the file that leaves, and of training images its width, height and place; with the
    column `error`. captions: as the table of that name. tags: image_id, tag and category, in any order. artists: the
    same of the source's own tags, which name the artists whatever tags leave.
    """

    metadata: pl.LazyFrame
    raw: pl.LazyFrame
    facts: pl.LazyFrame
    files: pl.LazyFrame
    captions: pl.LazyFrame
    tags: pl.LazyFrame
    artists: pl.LazyFrame


@dataclass(frozen=True)
class Stated:
    """What holds for all images of one source.

    names_artists: whether who uploads an image made it, as at Pixiv.
    """

    source: str
    year: int
    license: str
    license_basis: str
    may_redistribute: bool
    names_artists: bool


def within(until: Until | None) -> pl.Expr:
    """Whether a listed image is of the release's time. An image without a date is not known to be within a day."""
    if until is None:
        return pl.lit(True)
    if isinstance(until, int):
        return (pl.col("post_id").cast(pl.Int64, strict=False) <= until).fill_null(False)
    return (pl.col("created_at").dt.date() <= until).fill_null(False)


def member_ids(subset: pl.LazyFrame, metadata: pl.LazyFrame, until: Until | None) -> pl.LazyFrame:
    """image_id and split of what a subset keeps of a year and the release's time has, in order of image_id."""
    in_time = metadata.filter(within(until)).select("image_id")
    split = "split" if "split" in subset.collect_schema() else pl.lit(None, pl.String).alias("split")
    kept = subset.filter(pl.col("drop_reason").is_null()).select("image_id", split)
    return kept.join(in_time, on="image_id", how="semi").sort("image_id")


def members(ids: pl.LazyFrame, tables: YearTables, stated: Stated, origins: Sequence[str]) -> pl.LazyFrame:
    """Rows of MEMBERS of these images, in order of image_id. An image whose file was not made has no path.

    origins: of captions, the preferred first; the others follow by name.
    """
    rows = ids.join(tables.metadata.select("image_id", *STATED), on="image_id", how="left")
    for table in (
        _files(tables.files),
        _originals(tables.raw),
        _facts(tables.facts),
        _captions(tables.captions.join(ids, on="image_id", how="semi"), origins),
        _tags(tables.tags.join(ids, on="image_id", how="semi")),
        _artists(tables.artists.join(ids, on="image_id", how="semi")),
    ):
        rows = rows.join(table, on="image_id", how="left")
    nobody = pl.lit([], pl.List(pl.String))
    uploader = pl.concat_list("uploader_name").list.drop_nulls() if stated.names_artists else nobody
    rows = rows.with_columns(
        pl.coalesce("extension", "original_extension").alias("extension"),
        pl.coalesce("width", "original_width").alias("width"),
        pl.coalesce("height", "original_height").alias("height"),
        pl.when(pl.col("artist").list.len() > 0).then("artist").otherwise(uploader).alias("artist"),
        pl.col("captions").fill_null([]),
        pl.col("tags").fill_null([]),
        source=pl.lit(stated.source),
        year=pl.lit(stated.year, pl.Int32),
        license=pl.lit(stated.license),
        license_basis=pl.lit(stated.license_basis),
        may_redistribute=pl.lit(stated.may_redistribute),
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in MEMBERS.schema.items()).sort("image_id")


def _files(files: pl.LazyFrame) -> pl.LazyFrame:
    known = files.collect_schema()
    lacking = {"width": pl.Int32, "height": pl.Int32, "scale_x": pl.Float64, "scale_y": pl.Float64}
    lacking |= {"offset_x": pl.Int32, "offset_y": pl.Int32}
    made = files.filter(pl.col("error").is_null()) if "error" in known else files
    # A mirror's files may be misnamed; an original, or one in fewer bytes, is of the raw file's format.
    ending = pl.col("path").str.extract(r"\.([a-z0-9]+)$") if "scale_x" in known else pl.lit(None, pl.String)
    return made.filter(pl.col("path").is_not_null()).select(
        "image_id",
        "path",
        "sha256",
        "size",
        ending.alias("extension"),
        *(name if name in known else pl.lit(None, lacking[name]).alias(name) for name in ("width", "height", *PLACED)),
    )


def _originals(raw: pl.LazyFrame) -> pl.LazyFrame:
    names = ("sha256", "md5", "size", "extension")
    return raw.select("image_id", *(pl.col(name).alias(f"original_{name}") for name in names))


def _facts(facts: pl.LazyFrame) -> pl.LazyFrame:
    lies_on_its_side = pl.col("orientation") >= 5
    return facts.select(
        "image_id",
        "pixel_hash",
        original_width=pl.when(lies_on_its_side).then("height").otherwise("width"),
        original_height=pl.when(lies_on_its_side).then("width").otherwise("height"),
    )


def _captions(captions: pl.LazyFrame, origins: Sequence[str]) -> pl.LazyFrame:
    rank = pl.col("origin").replace_strict(
        list(origins), list(range(len(origins))), default=len(origins), return_dtype=pl.Int32
    )
    said = captions.filter(pl.col("caption").is_not_null()).sort("image_id", rank, "origin")
    return said.group_by("image_id").agg(
        captions=pl.struct("origin", "caption").cast(CAPTION), caption_model=pl.col("caption_model").first()
    )


def _tags(tags: pl.LazyFrame) -> pl.LazyFrame:
    rank = pl.col("category").replace_strict(
        list(CATEGORY_ORDER), list(range(len(CATEGORY_ORDER))), default=len(CATEGORY_ORDER), return_dtype=pl.Int32
    )
    ordered = tags.sort("image_id", rank, "category", "tag")
    once = ordered.unique(["image_id", "tag"], keep="first", maintain_order=True)
    return once.group_by("image_id").agg(tags=pl.struct("tag", "category").cast(TAG))


def _artists(artists: pl.LazyFrame) -> pl.LazyFrame:
    named = artists.filter(pl.col("category") == "artist").select("image_id", "tag").unique()
    return named.group_by("image_id").agg(artist=pl.col("tag").sort())


def held_back(rows: pl.LazyFrame) -> Mapping[str, int]:
    """By source, how many members' pixels may not be passed on."""
    counted = rows.filter(~pl.col("may_redistribute")).group_by("source").len().sort("source").collect()
    return dict(counted.iter_rows())
