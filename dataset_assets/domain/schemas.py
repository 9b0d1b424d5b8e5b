"""Every table that leaves the platform: its columns, types, order, and where each column comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Column:
    """One column. `comes_from` names upstream columns as `table.column`, and becomes the lineage in the UI."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    description: str
    comes_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table: what one row is, its columns, and the order of its rows.

    keeps_before: whether a partition's content before its last change is kept, to be compared with.
    """

    name: str
    one_row_per: str
    columns: tuple[Column, ...]
    sorted_by: tuple[str, ...] = ("image_id",)
    keeps_before: bool = False

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.schema)

    def frame(self, rows: Sequence[dict[str, object]]) -> pl.DataFrame:
        """Rows as a frame of this table; a key that a row lacks is null."""
        return pl.DataFrame(rows, schema=self.schema, orient="row", strict=True) if rows else self.empty()


class SchemaMismatch(ValueError):
    """A frame whose columns are not the declared ones."""


def require_schema(table: Table, found: pl.Schema) -> None:
    """Refuse a frame that is not this table.

    Raises: SchemaMismatch naming each missing, unexpected or differently typed column.
    """
    expected = table.schema
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not declared" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name]}, declared as {dtype}"
        for name, dtype in expected.items()
        if name in found and found[name] != dtype
    ]
    if not problems and list(expected) != list(found):
        problems = [f"columns stand as {list(found)}, declared as {list(expected)}"]
    if problems:
        raise SchemaMismatch(f"{table.name}: " + "; ".join(problems))


def _from(table: str, *columns: Column) -> tuple[Column, ...]:
    """The columns as another table hands them on."""
    return tuple(Column(c.name, c.dtype, c.description, (f"{table}.{c.name}",)) for c in columns)


IMAGE_ID = Column("image_id", pl.String, "the image's one name, <source>-<post_id>-<page>")

# How a row was made: what `compute.update` compares to tell whether it may be carried over.
INPUT_KEY = Column("input_key", pl.String, "what the row was made from, such as the image's SHA-256")
RECIPE = Column("recipe", pl.String, "fingerprint of the code and settings that made the row")

REJECTED_RECORDS = Table(
    "rejected_records",
    "line or file that could not be read as a record, or image file that no record names",
    (
        Column("file", pl.String, "the export's file (within an archive: archive!member)"),
        Column("line", pl.Int64, "1-based line number; null when the whole file is meant"),
        Column("reason", pl.String, "why, from a closed list"),
        Column("detail", pl.String, "what was found, at most 500 characters"),
        Column("content", pl.String, "the beginning of the line, at most 200 characters; null for files"),
    ),
    sorted_by=("file", "line", "reason"),
)

IMAGE_METADATA = Table(
    "image_metadata",
    "image that the source lists",
    (
        IMAGE_ID,
        Column("post_id", pl.String, "the source's own id of the post"),
        Column("page", pl.Int32, "0-based page within the post"),
        Column("page_count", pl.Int32, "pages of the post; null when the source does not say"),
        Column("created_at", TIME, "when the post was uploaded; null when the source does not say"),
        Column("updated_at", TIME, "when the record was last changed"),
        Column("title", pl.String, "the artist's title"),
        Column("description", pl.String, "the artist's words, as HTML where the source has HTML"),
        Column("uploader_id", pl.String, "who posted it, as the source numbers people"),
        Column("uploader_name", pl.String, "who posted it, by name"),
        Column("page_url", pl.String, "the post's page at the source"),
        Column("source_url", pl.String, "where the uploader says the image is from"),
        Column("file_url", pl.String, "the original file at the source"),
        Column("file_name", pl.String, "path of the image within the scrape; null where the layout follows the id"),
        Column("file_ext", pl.String, "extension that the source claims, lower case"),
        Column("file_size", pl.Int64, "size in bytes that the source claims"),
        Column("md5", pl.String, "MD5 that the source claims, lower-case hex"),
        Column("width", pl.Int32, "width that the source claims"),
        Column("height", pl.Int32, "height that the source claims"),
        Column("rating", pl.String, "general, sensitive, questionable or explicit; null = unrated"),
        Column("rating_source", pl.String, "the rating in the source's own word"),
        Column("rating_scale", pl.String, "danbooru_sqe, danbooru_gsqe or pixiv: what rating_source is measured on"),
        Column("score", pl.Int32, "the source's score"),
        Column("up_score", pl.Int32, "votes up"),
        Column("down_score", pl.Int32, "votes down, zero or negative"),
        Column("fav_count", pl.Int32, "favourites or bookmarks"),
        Column("view_count", pl.Int64, "views"),
        Column("parent_id", pl.String, "post that this one is a child of"),
        Column("has_children", pl.Boolean, "whether other posts name this one as parent"),
        Column("pools", pl.List(pl.String), "collections that the post is in, in order of id"),
        Column("pixiv_id", pl.String, "the same work at Pixiv"),
        Column("is_ai_generated", pl.Boolean, "as the source declares it; null = not declared"),
        Column("is_deleted", pl.Boolean, "deleted at the source, record kept"),
        Column("is_banned", pl.Boolean, "removed at the artist's request"),
        Column("is_pending", pl.Boolean, "waiting for approval"),
        Column("is_flagged", pl.Boolean, "flagged for review"),
        Column("is_vanished", pl.Boolean, "gone from the source's newest export; the row is as an earlier one has it"),
    ),
)

TAG_METADATA = Table(
    "tag_metadata",
    "image and tag",
    (
        Column("tag", pl.String, "the tag's name"),
        Column("image_id", pl.String, IMAGE_ID.description, ("image_metadata.image_id",)),
        Column("category", pl.String, "general, artist, copyright, character or meta; other numbers as they are"),
        Column("origin", pl.String, "source = as tagged by the source; alias = renamed; implication or human = added"),
    ),
    sorted_by=("tag", "image_id", "category"),  # by tag first: 13 to 27 times faster to search than in post order
)

TAG_INDEX = Table(
    "tag_index",
    "index file",
    (
        Column("path", pl.String, "the index file, relative to the root"),
        Column("sha256", pl.String, "SHA-256 of the index file"),
        Column("size", pl.Int64, "bytes"),
        Column("images", pl.Int64, "images that it knows", ("image_metadata.image_id",)),
        Column("pairs", pl.Int64, "pairs of image and tag that it was made from", ("tag_metadata.tag",)),
        Column("image_metadata", pl.String, "SHA-256 of the image_metadata that it was made from"),
        Column("tag_metadata", pl.String, "SHA-256 of the tag_metadata that it was made from"),
        Column("takedowns", pl.String, "SHA-256 of the takedowns whose images it has not; null = no such table"),
    ),
    sorted_by=("path",),
)

RAW_IMAGES = Table(
    "raw_images",
    "image that the source lists, with its one state",
    (
        *_from("image_metadata", IMAGE_ID),
        Column("state", pl.String, "stored, excluded, quarantined or pending"),
        Column("reason", pl.String, "why it is not stored, from a closed list; null = stored"),
        Column("detail", pl.String, "what was found, at most 500 characters"),
        Column("path", pl.String, "the stored file, relative to the root (absolute for store: reference)"),
        Column("location", pl.String, "where the bytes were read (within an archive: archive!member)"),
        Column("size", pl.Int64, "bytes"),
        Column("md5_claimed", pl.String, "MD5 that the source claims", ("image_metadata.md5",)),
        Column("md5", pl.String, "MD5 of the bytes"),
        Column("md5_matches", pl.Boolean, "whether the two agree; null = nothing was claimed", ("image_metadata.md5",)),
        Column("sha256", pl.String, "SHA-256 of the bytes, hex"),
        Column("format", pl.String, "what the bytes are, by their magic number: jpeg, png, gif, webp, mp4, ..."),
        Column("extension", pl.String, "extension that fits the bytes"),
        Column("extension_matches", pl.Boolean, "whether the claimed extension fits", ("image_metadata.file_ext",)),
        Column("http_status", pl.Int16, "status of the last answer; null = not fetched, or nobody answered"),
        Column("etag", pl.String, "the host's ETag of the file, sent back when it is asked for again"),
        Column("last_modified", pl.String, "the host's Last-Modified of the file, likewise"),
        Column("attempts", pl.Int32, "runs that asked for it, until an answer settled it; null = not fetched"),
        Column("next_try_at", TIME, "when a pending fetch is asked for again; null = it is not"),
        INPUT_KEY,
        RECIPE,
    ),
)

_SHA256 = Column("sha256", pl.String, "SHA-256 of the raw bytes")

IMAGE_FACTS = Table(
    "image_facts",
    "stored raw image",
    (
        *_from("raw_images", IMAGE_ID, _SHA256),
        Column("error", pl.String, "why it could not be decoded, from a closed list; null = decoded whole"),
        Column("error_detail", pl.String, "the decoder's words, at most 500 characters"),
        Column("format", pl.String, "format that the decoder found"),
        Column("mode", pl.String, "colour mode: RGB, RGBA, P, CMYK, L, I;16, ..."),
        Column("bits", pl.Int8, "bits of a stored channel, or of a palette's index; null = the format does not say"),
        Column("width", pl.Int32, "width of the stored pixels, before any rotation"),
        Column("height", pl.Int32, "height of the stored pixels"),
        Column("frames", pl.Int32, "frames; 1 = a still image; of an animated PNG, those of the animation"),
        Column("is_animated", pl.Boolean, "more than one frame"),
        Column("has_alpha", pl.Boolean, "any pixel less than opaque"),
        Column("orientation", pl.Int8, "EXIF orientation 1 to 8; null = not given"),
        Column("icc_profile", pl.String, "description of the embedded ICC profile; null = none"),
        Column("is_srgb", pl.Boolean, "no profile or an sRGB one; false for CMYK"),
        Column("has_exif", pl.Boolean, "holds EXIF"),
        Column("has_gps", pl.Boolean, "EXIF or XMP say where it was taken"),
        Column("trailing_bytes", pl.Int64, "bytes behind the image's end; null = the format tells of no end"),
        Column("trailing_format", pl.String, "what those bytes are, when they are a file of their own: zip, mp4, ..."),
        Column("pixel_hash", pl.String, "hash of the upright RGBA (or CMYK) pixels, equal for lossless re-encodings"),
        Column("perceptual_hash", pl.UInt64, "64-bit difference hash; 0 = one colour, says nothing"),
        Column("luma_mean", pl.Float32, "mean luma, 0 to 255"),
        Column("luma_spread", pl.Float32, "standard deviation of luma"),
        Column("white_share", pl.Float32, "share of near-white pixels, 0 to 1"),
        Column("black_share", pl.Float32, "share of near-black pixels, 0 to 1"),
        Column("dominant_share", pl.Float32, "share of the most frequent colour, 0 to 1"),
        Column("colours", pl.Int32, "distinct colours in a 256-pixel thumbnail"),
        Column("is_blank", pl.Boolean, "one colour for all practical purposes"),
        Column("is_too_white", pl.Boolean, "nothing to be seen, or too faint, on white; true of blank white"),
        Column("is_too_black", pl.Boolean, "nothing to be seen, or too dark, on black; true of blank black"),
        INPUT_KEY,
        RECIPE,
    ),
)

TRAINING_IMAGES = Table(
    "training_images",
    "stored raw image, as prepared for training",
    (
        *_from("raw_images", IMAGE_ID),
        Column("error", pl.String, "why there is no training image, from a closed list; null = made"),
        Column("error_detail", pl.String, "the decoder's words, at most 500 characters"),
        Column("path", pl.String, "the training image, relative to the root"),
        Column("sha256", pl.String, "SHA-256 of the training image"),
        Column("size", pl.Int64, "bytes"),
        Column("width", pl.Int32, "width of the training image"),
        Column("height", pl.Int32, "height of the training image"),
        Column("upright_width", pl.Int32, "width of the original, upright"),
        Column("upright_height", pl.Int32, "height of the original, upright"),
        Column("scale_x", pl.Float64, "pixels across for one of the original: x is shown at x * scale_x + offset_x"),
        Column("scale_y", pl.Float64, "pixels down for one of the original, upright"),
        Column("offset_x", pl.Int32, "left: pixels of padding, or negative, pixels cut off after scaling"),
        Column("offset_y", pl.Int32, "top: pixels of padding, or negative, pixels cut off after scaling"),
        Column("background", pl.String, "colour put behind transparency, #rrggbb; null = the image is opaque"),
        Column("was_rotated", pl.Boolean, "EXIF orientation was applied"),
        Column("was_converted", pl.Boolean, "an ICC profile was converted to sRGB"),
        Column("input_key", pl.String, INPUT_KEY.description, ("raw_images.sha256",)),
        RECIPE,
    ),
)


def clip_embeddings(dim: int) -> Table:
    """The embeddings table of a model whose vectors have `dim` numbers."""
    return Table(
        "clip_embeddings",
        "training image",
        (
            *_from("training_images", IMAGE_ID),
            Column("error", pl.String, "why there is no embedding, from a closed list; null = embedded"),
            Column("embedding", pl.Array(pl.Float16, dim), "image vector of length 1: a dot product is a cosine"),
            Column("model", pl.String, "the model's name and weights"),
            Column("weights", pl.String, "trained, or random: vectors of a random model mean nothing"),
            Column("precision", pl.String, "of the model's arithmetic: fp32, or bf16"),
            Column("input_key", pl.String, INPUT_KEY.description, ("training_images.sha256",)),
            RECIPE,
        ),
    )


SUBSET = Table(
    "subset",
    "candidate image",
    (
        *_from("image_metadata", IMAGE_ID),
        Column("drop_reason", pl.String, "first rule that the image broke; null = kept"),
        Column("split", pl.String, "the part that the image is in, such as train; null = dropped, or there are none"),
    ),
)

ROW_HISTORY = Table(
    "row_history",
    "row of another table: the run that made it",
    (
        IMAGE_ID,
        Column("run_id", pl.String, "Dagster run that computed the row"),
        Column("made_at", TIME, "when that run wrote it"),
    ),
)

# Tables whose columns do not depend on settings, by name.
TABLES = {
    table.name: table
    for table in (REJECTED_RECORDS, IMAGE_METADATA, TAG_METADATA, TAG_INDEX, RAW_IMAGES, IMAGE_FACTS, TRAINING_IMAGES)
}


def subset(name: str) -> Table:
    """The table of one subset."""
    return Table(f"subset/{name}", SUBSET.one_row_per, SUBSET.columns, keeps_before=True)
