"""PD12M's layout: Parquet shards of addresses and captions, and vectors in `.npy` files. No pixels leave in it.

The first columns are those of PD12M's card, the others our own. As there, a file of vectors is that of ten shards, and
where every image has one it can be read by position alone. Where some have none, a row of the file for each image would
have to hold something, and zeros or NaN spoil an index that is built of the file as it is. So only vectors are in it,
and `embedding_row` says where: a number in the row itself stays true when rows are filtered or put in another order.
"""

import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from dataset_assets.domain.attribution import credit_columns
from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.formats import Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.pd12m_vectors import VectorFile
from dataset_assets.exports.target import Target, Written
from dataset_assets.storage.durable import scratch_file

ROWS_PER_SHARD = 100_000
SHARDS_PER_FILE = 10
ROWS_AT_ONCE = 10_000

_MIME_TYPES = {
    **{"jpg": "image/jpeg", "tif": "image/tiff", "ico": "image/vnd.microsoft.icon", "psd": "image/vnd.adobe.photoshop"},
    **{name: f"image/{name}" for name in ("png", "gif", "webp", "avif", "bmp", "jxl", "jp2", "heic")},
}
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_READ = (
    *("image_id", "source", "year", "split", "post_id", "page", "page_url", "source_url", "file_url", "title"),
    *("original_width", "original_height", "original_extension", "original_md5", "original_sha256", "pixel_hash"),
    *("rating", "artist", "license", "license_basis", "captions", "caption_model"),
)


def write(members: Members, target: Target, settings: Settings) -> Iterator[Written]:
    """Write `metadata/pd12m.NNN.parquet` and, of vectors, `embeddings/pd12m.NN.npy`: (rows, dim) float32."""
    for number, shards in groupby(enumerate(_shards(members)), key=lambda shard: shard[0] // SHARDS_PER_FILE):
        with ExitStack() as stack:
            made = stack.enter_context(scratch_file(target.scratch, ".npy"))
            vectors = None if members.embeddings is None else stack.enter_context(VectorFile(made, members.embeddings))
            for shard, rows in shards:
                listed = rows if vectors is None else rows.with_columns(vectors.add(rows))
                yield target.put(f"pd12m/metadata/pd12m.{shard:03}.parquet", _parquet(listed), rows.height)
            if vectors is not None:
                vectors.finish()
                yield target.take(f"pd12m/embeddings/pd12m.{number:02}.npy", made)


def _shards(members: Members) -> Iterator[pl.DataFrame]:
    """The rows of each shard, all but the last full; without members, one that is empty."""
    waiting, shards = [_listed(MEMBERS.empty())], 0
    for batch in members.batches(_READ, min(ROWS_AT_ONCE, ROWS_PER_SHARD)):
        waiting.append(_listed(batch))
        if sum(rows.height for rows in waiting) >= ROWS_PER_SHARD:
            together = pl.concat(waiting, rechunk=True)
            yield together.head(ROWS_PER_SHARD)
            waiting, shards = [together.slice(ROWS_PER_SHARD)], shards + 1
    rest = pl.concat(waiting, rechunk=True)
    if rest.height or not shards:
        yield rest


def _listed(rows: pl.DataFrame) -> pl.DataFrame:
    """Members as rows of a shard."""
    ids = [_uuid(*found) for found in rows.select("image_id", "post_id", "page").iter_rows()]
    return rows.select(
        pl.Series("id", ids, pl.String),
        pl.col("file_url").alias("url"),
        pl.col("captions").list.first().struct.field("caption"),
        pl.col("original_width").cast(pl.Int64).alias("width"),
        pl.col("original_height").cast(pl.Int64).alias("height"),
        pl.col("original_extension").replace_strict(_MIME_TYPES, default=None).alias("mime_type"),
        pl.col("original_md5").alias("hash"),
        *("license", "source", "image_id", "post_id", "page", "year", "split", "title"),
        *(column for column in credit_columns() if column.meta.output_name() not in ("license", "license_basis")),
        *("license_basis", "rating", "pixel_hash"),
        pl.col("original_sha256").alias("sha256"),
        pl.col("captions").list.first().struct.field("origin").alias("caption_origin"),
        "caption_model",
    )


def _uuid(image_id: str, post_id: str, page: int) -> str:
    """The post's own UUID, where it has one, else one that follows from the image's name."""
    return post_id.lower() if page == 0 and _UUID.fullmatch(post_id) else str(uuid5(NAMESPACE_URL, image_id))


def _parquet(rows: pl.DataFrame) -> bytes:
    with io.BytesIO() as buffer:
        rows.write_parquet(buffer, compression="zstd", compression_level=3)
        return buffer.getvalue()
