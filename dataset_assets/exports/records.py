"""What the layouts of Hugging Face say of an image beside its pixels: one row of flat, typed fields."""

import polars as pl

from dataset_assets.domain.attribution import credit_columns
from dataset_assets.domain.members import CAPTION

TIME = pl.Datetime("us", "UTC")
# tag_categories: of each tag, in the order of `tags`. caption: the first of `captions`.
_FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "image_id": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "caption": pl.String,
    "captions": pl.List(CAPTION),
    "caption_model": pl.String,
    "tags": pl.List(pl.String),
    "tag_categories": pl.List(pl.String),
    "title": pl.String,
    "rating": pl.String,
    "score": pl.Int32,
    "is_ai_generated": pl.Boolean,
    "artist": pl.String,
    "source_url": pl.String,
    "license": pl.String,
    "license_basis": pl.String,
    "original_md5": pl.String,
    "post_id": pl.String,
    "created_at": TIME,
    "year": pl.Int32,
    "source": pl.String,
}
RECORD = pl.Schema(_FIELDS)


def record_columns() -> list[pl.Expr]:
    """RECORD of a frame of members."""
    made = {
        "caption": pl.col("captions").list.first().struct.field("caption"),
        "tags": pl.col("tags").list.eval(pl.element().struct.field("tag")),
        "tag_categories": pl.col("tags").list.eval(pl.element().struct.field("category")),
        **{column.meta.output_name(): column for column in credit_columns()},
    }
    return [made.get(name, pl.col(name)).alias(name).cast(dtype) for name, dtype in RECORD.items()]
