"""Captions, tags and vectors that are published beside the images: their tables, and how kohya's files write tags."""

import re
from collections.abc import Sequence

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, Column, Table

ORIGIN = Column(
    "origin",
    pl.String,
    "source = in the record itself; sidecar = `<stem>.txt` or `<stem>.caption`; meta_cap, meta_clean, ... = that file; "
    "coca, blip = a model of ours",
)

SOURCE_ANNOTATIONS = Table(
    "source_annotations",
    "caption or list of tags that stands in a file beside the images, as published",
    (
        Column("image_id", pl.String, "the listed image that it is about; null = it names no one image"),
        Column("year", pl.Int32, "year of that image"),
        Column("image", pl.String, "that image's file within the scrape"),
        Column("file", pl.String, "where it stands (within an archive: archive!member)"),
        Column("key", pl.String, "key in that file; null = the file is about one image"),
        ORIGIN,
        Column("caption", pl.String, "the caption; null = there is none"),
        Column("tags", pl.List(pl.String), "the tags in published order; empty = none were found; null = no list"),
        Column("extra", pl.String, "JSON of what else stands under the key; null = nothing"),
        Column("problem", pl.String, "why it is not used: not_listed = its image has no record; else a mismatch"),
    ),
    sorted_by=("year", "image_id", "origin", "file", "key"),
)

# Why published annotations do not fit their images, or one another.
MISMATCHES = {
    "sidecar_without_image": "a sidecar (.json, .txt or .caption) beside which there is no image",
    "image_without_sidecar": "an image without `<image>.json`",
    "image_without_tags": "an image without `<stem>.txt`, where others have one",
    "image_without_caption": "an image without `<stem>.caption`, where others have one",
    "bad_sidecar": "an image whose `.json` is no record of its own; `rejected_records` may say more",
    "stem_conflict": "a stem or key that is that of several images",
    "key_names_no_image": "a key of a meta file that names no image",
    "tags_disagree": "a meta file's tags are not those of the image's `.txt`",
    "captions_disagree": "a meta file's caption is not that of the image's `.caption`",
    "not_in_preprocessed": "an image of `images` that `preprocessed` has not",
    "not_in_images": "an image of `preprocessed` that `images` does not list",
    "repeated_annotation": "a second caption or list of tags of one image and origin; the first, by file, counts",
    "repeated_tag": "a list of tags that has one of them twice",
    "empty_caption": "a caption without words",
    "unsafe_file": "a file that is not read: the name or kind is unsafe",
    "unreadable_file": "a file that cannot be opened or unpacked",
    "bad_encoding": "text that is not UTF-8",
    "too_long": "more bytes than a caption, list or file of them can have",
    "not_json": "a meta file that is no JSON object, or goes wrong on the way; what stands before is read",
    "bad_entry": "an entry of a meta file that is no {caption, tags} of texts",
}

ANNOTATION_MISMATCHES = Table(
    "annotation_mismatches",
    "published annotation, image or file that does not fit the others",
    (
        Column("kind", pl.String, f"one of: {', '.join(MISMATCHES)}"),
        Column("file", pl.String, "the file that it is about (within an archive: archive!member)"),
        Column("key", pl.String, "key in that file; null = the file itself"),
        Column("image_id", pl.String, "the image that it is about; null = no one image"),
        Column("detail", pl.String, "what was found, at most 500 characters"),
    ),
    sorted_by=("kind", "file", "key", "image_id", "detail"),
)

_OF_IMAGE = Column("image_id", pl.String, IMAGE_ID.description, ("image_metadata.image_id",))

CAPTIONS = Table(
    "captions",
    "image and origin",
    (
        _OF_IMAGE,
        ORIGIN,
        Column("caption", pl.String, "the caption", ("source_annotations.caption",)),
        Column("caption_model", pl.String, "what wrote it; of a published one, as dataset.yaml says; null = unknown"),
        Column("score", pl.Float32, "of a model of ours, how sure it is, as in model_captions; null = published"),
        Column("file", pl.String, "where it stands; null = nowhere else", ("source_annotations.file",)),
    ),
    sorted_by=("image_id", "origin"),
)

PUBLISHED_TAGS = Table(
    "published_tags",
    "image, origin and tag",
    (
        Column("tag", pl.String, "the tag, spelt as in its file", ("source_annotations.tags",)),
        _OF_IMAGE,
        ORIGIN,
        Column("position", pl.Int32, "0-based place in its list", ("source_annotations.tags",)),
        Column("tag_model", pl.String, "what gave it, as dataset.yaml says; null = unknown"),
        Column("tag_threshold", pl.Float64, "least confidence, as dataset.yaml says; null = unknown"),
        Column("file", pl.String, "where it stands", ("source_annotations.file",)),
    ),
    sorted_by=("tag", "image_id", "origin"),
)

# Vectors have the type of `clip_embeddings`, so that what reads the one reads the other. Half the disk of float32: the
# cosine of two unit vectors of 768 numbers moves by less than 0.001, and `norm` keeps the published length.
PUBLISHED_EMBEDDINGS = Table(
    "published_embeddings",
    "listed image of a source that publishes vectors",
    (
        _OF_IMAGE,
        Column(
            "error",
            pl.String,
            "why there is no vector: not_finite, bad_norm (zero or absurd), no_embedding_file, bad_embedding_file (its "
            "numbers are not those of its rows); null = there is one",
        ),
        Column("embedding", pl.Array(pl.Float16, 768), "published vector scaled to length 1"),
        Column("norm", pl.Float32, "length as published; null = not finite, or no vector"),
        Column("file", pl.String, "the file of vectors; null = there is none for this row"),
        Column("position", pl.Int64, "0-based row in that file"),
        Column("model", pl.String, "what made it, as dataset.yaml says; null = unknown"),
    ),
    sorted_by=("file", "position", "image_id"),  # as published: twelve million vectors are never sorted
)


def split_tags(text: str) -> list[str]:
    """The tags of a comma-separated text, in its order; blanks round them and empty ones are no tags."""
    return [tag for part in re.split(r"[,\n]", text) if (tag := part.strip())]


def disagreement(sidecar: Sequence[str], meta: Sequence[str], *, is_cleaned: bool) -> str | None:
    """How a meta file's tags differ from those of the `.txt` that it was made of; null = they do not.

    Cleaned tags have blanks for underscores, and may lack some.
    Source: kohya-trainer, clean_captions_and_tags.py, which replaces `_`, cuts ratings off, and later drops more.
    """
    first, second = ([tag.replace("_", " ") for tag in tags] if is_cleaned else list(tags) for tags in (sidecar, meta))
    if first == second:
        return None
    if added := sorted(set(second) - set(first)):
        return f"{len(added)} not in the .txt: {', '.join(added[:5])}"
    if is_cleaned:
        left = iter(first)
        return None if all(tag in left for tag in second) else "in another order than in the .txt"
    missing = sorted(set(first) - set(second))
    return f"{len(missing)} of the .txt are missing: {', '.join(missing[:5])}" if missing else "in another order"
