"""The table of vector indexes, and the tables whose vectors they hold."""

import polars as pl

from dataset_assets.domain.schemas import Column, Table

# Each is a space of its own: vectors of different models cannot be compared.
CLIP, PUBLISHED = "clip_embeddings", "published_embeddings"

VECTOR_INDEX = Table(
    "vector_index",
    "index file, of the vectors of one model",
    (
        Column("of", pl.String, f"the table of the vectors: {CLIP} or {PUBLISHED}"),
        Column("path", pl.String, "the index file, relative to the root"),
        Column("sha256", pl.String, "SHA-256 of the index file"),
        Column("size", pl.Int64, "bytes"),
        Column("vectors", pl.Int64, "vectors in it", ("clip_embeddings.embedding", "published_embeddings.embedding")),
        Column("dimensions", pl.Int32, "numbers of a vector"),
        Column("model", pl.String, "the model's name", ("clip_embeddings.model", "published_embeddings.model")),
        Column("recipe", pl.String, "fingerprint of that model and its preprocessing; null = published"),
        Column("made_from", pl.String, "SHA-256 of the table's file that it was made from"),
    ),
    sorted_by=("of",),
)
