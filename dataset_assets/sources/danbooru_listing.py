"""The images of a Danbooru mirror in a bucket or in archives, `BBBB/ID.EXT`, found in a table of its files."""

import polars as pl

from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.sources.local_files import LOCATED

# Archives often begin with the mirror's own folder, alone or below others; what lies below 512px is no original.
IMAGE_NAME = r"^(?:\./)?(?:(?:.*/)?original/)?(0[0-9]{3})/([1-9][0-9]{0,18})\.([A-Za-z0-9]{1,16})$"


def locate_among(files: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Where the image of each row of `image_metadata` lies among the files of a listing; see `Adapter.locate`.

    That is ID.EXT in the bucket of the id, with the claimed extension, else with the first other by name; of two such
    the one that lies less deep.
    """
    images = _images(files).join(listed.select("post_id"), on="post_id", how="semi")
    claims = listed.select("image_id", "post_id", "file_ext")
    found = claims.join(images, on="post_id", how="left").sort(
        pl.col("extension").eq(pl.col("file_ext")).fill_null(False),
        pl.col("name").str.count_matches("/", literal=True),
        "name",
        descending=[True, False, False],
        nulls_last=True,
    )
    first = found.unique("image_id", keep="first").select(*LOCATED)
    return listed.select("image_id").join(first, on="image_id", how="left", maintain_order="left")


def orphans_among(files: pl.DataFrame, snapshot: pl.LazyFrame) -> pl.DataFrame:
    """Every file of a listing that is no record's image, as rows of `rejected_records`, by path."""
    records = snapshot.select(post_id=pl.col("id").cast(pl.String), file_ext="file_ext").collect()
    listed = records.with_columns(image_id="post_id").unique("image_id", keep="first")
    read = locate_among(files, listed).drop_nulls("location").select("location", is_read=True)
    rows = (
        files.with_columns(_parts())
        .join(read, on="location", how="left")
        .filter(pl.col("is_read").is_null())
        .join(listed.select("post_id", is_known=True), on="post_id", how="left")
        .select(
            file="name",
            reason=pl.when(pl.col("problem").is_null()).then(pl.lit("orphan_file")).otherwise(pl.lit("unsafe_path")),
            detail=pl.coalesce(
                "problem",
                pl.when(pl.col("post_id").is_null()).then(pl.lit("no file named BBBB/ID.EXT")),
                pl.when(pl.col("is_known").is_null()).then(pl.format("no record has the id {}", "post_id")),
                pl.when(~_is_in_its_bucket()).then(pl.format("belongs in bucket {}", _bucket_of_id())),
                pl.format("another file is the image of {}", "post_id"),
            ).str.slice(0, 500),
        )
    )
    return pl.concat([REJECTED_RECORDS.empty(), rows], how="diagonal").sort("file")


def _images(files: pl.DataFrame) -> pl.DataFrame:
    """The files that are images by their name and place: post_id, extension, and the columns of the listing."""
    readable = files.filter(pl.col("problem").is_null()).with_columns(_parts()).drop_nulls("post_id")
    return readable.filter(_is_in_its_bucket())


def _parts() -> list[pl.Expr]:
    name = pl.col("name")
    return [
        name.str.extract(IMAGE_NAME, 1).alias("bucket"),
        name.str.extract(IMAGE_NAME, 2).alias("post_id"),
        name.str.extract(IMAGE_NAME, 3).alias("extension"),
    ]


def _bucket_of_id() -> pl.Expr:
    return pl.lit("0") + pl.col("post_id").str.zfill(3).str.tail(3)


def _is_in_its_bucket() -> pl.Expr:
    return pl.col("bucket") == _bucket_of_id()
