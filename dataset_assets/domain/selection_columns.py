"""The columns that a subset's `where` may name, and the table that holds them.

A plain name is what was found by looking at the bytes; what a source merely says of them is `claimed_...`:

| name | is | the source's word for it |
|---|---|---|
| width, height | upright, as the decoder found them (`image_facts`) | claimed_width, claimed_height |
| format | as the decoder found it, else by magic number (`raw_images`) | |
| file_size, md5, file_ext | of the bytes (`raw_images`) | claimed_file_size, claimed_md5, claimed_file_ext |
| split_key | one for all near-duplicates of an image (`near_duplicates`), as in `split_key % 100 < 95` | |
| aesthetic_score, quality_score | by the heads of `image_scores`; null = no such head, or no vector | |
| is_decoded, decode_error | whether the whole image could be decoded, and why not (`image_facts.error`) | |

Every other name is that of its table. Whole numbers are 64 bits wide, so that `width * height` does not overflow.
"""

import polars as pl

from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES
from dataset_assets.domain.image_scores import IMAGE_SCORES, SCORES, column_of
from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, Column, Table

_CLAIMED = {name: f"claimed_{name}" for name in ("width", "height", "file_size", "md5", "file_ext")}
_OBSERVED = {
    "state": "state",
    "reason": "reason",
    "format": "format",
    "size": "file_size",
    "md5": "md5",
    "sha256": "sha256",
    "extension": "file_ext",
    "md5_matches": "md5_matches",
    "extension_matches": "extension_matches",
}
_DECODED = tuple(
    column.name
    for column in IMAGE_FACTS.columns
    if column.name not in ("image_id", "sha256", "error", "error_detail", "format", "input_key", "recipe")
)

_SCORED = tuple(column_of(score) for score in SCORES)


def _public(table: Table, source: str, name: str) -> Column:
    column = next(column for column in table.columns if column.name == source)
    dtype = pl.Int64() if column.dtype in (pl.Int8, pl.Int16, pl.Int32) else column.dtype
    return Column(name, dtype, column.description, (f"{table.name}.{source}",))


# The public columns with their descriptions and lineage, in the order in which `candidates` has them.
COLUMNS: tuple[Column, ...] = (
    *(_public(IMAGE_METADATA, c.name, _CLAIMED.get(c.name, c.name)) for c in IMAGE_METADATA.columns[1:]),
    *(_public(RAW_IMAGES, source, name) for source, name in _OBSERVED.items()),
    Column("is_decoded", pl.Boolean, "whether the whole image could be decoded", ("image_facts.error",)),
    _public(IMAGE_FACTS, "error", "decode_error"),
    *(_public(IMAGE_FACTS, name, name) for name in _DECODED),
    *(_public(IMAGE_SCORES, name, name) for name in _SCORED),
    _public(NEAR_DUPLICATES, "split_key", "split_key"),
)
PUBLIC_COLUMNS = pl.Schema({column.name: column.dtype for column in COLUMNS})


def candidates(
    images: pl.LazyFrame,
    raw: pl.LazyFrame,
    facts: pl.LazyFrame,
    scores: pl.LazyFrame | None = None,
    duplicates: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """One row for each row of `image_metadata`, in its order: image_id and the public columns.

    Takes `image_metadata`, `raw_images`, `image_facts` and, where they are asked for, `image_scores` and
    `near_duplicates`; an image that one of the latter lacks has nulls there.
    """
    claimed = images.select(pl.col(c.name).alias(_CLAIMED.get(c.name, c.name)) for c in IMAGE_METADATA.columns)
    observed = raw.select("image_id", *(pl.col(source).alias(name) for source, name in _OBSERVED.items()))
    joined = claimed.join(observed, on="image_id", how="left", maintain_order="left")
    joined = joined.join(_decoded(facts), on="image_id", how="left", maintain_order="left")
    scored = (IMAGE_SCORES.empty().lazy() if scores is None else scores).select("image_id", *_SCORED)
    joined = joined.join(scored, on="image_id", how="left", maintain_order="left")
    grouped = NEAR_DUPLICATES.empty().lazy() if duplicates is None else duplicates
    # Of all sources' rows; those of others are let go before the engine holds them.
    keys = grouped.select("image_id", "split_key").join(images.select("image_id"), on="image_id", how="semi")
    joined = joined.join(keys, on="image_id", how="left", maintain_order="left")
    joined = joined.with_columns(
        pl.coalesce("decoded_format", "format").alias("format"), pl.col("is_decoded").fill_null(False)
    )
    return joined.select("image_id", *(pl.col(name).cast(dtype) for name, dtype in PUBLIC_COLUMNS.items()))


def _decoded(facts: pl.LazyFrame) -> pl.LazyFrame:
    lies_on_its_side = pl.col("orientation") >= 5
    upright = {
        "width": pl.when(lies_on_its_side).then("height").otherwise("width"),
        "height": pl.when(lies_on_its_side).then("width").otherwise("height"),
    }
    return facts.select(
        "image_id",
        pl.col("error").is_null().alias("is_decoded"),
        pl.col("error").alias("decode_error"),
        pl.col("format").alias("decoded_format"),
        *(upright.get(name, pl.col(name)).alias(name) for name in _DECODED),
    )
