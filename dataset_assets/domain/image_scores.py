"""How good an image is, by small heads over its CLIP vector."""

from typing import Literal, get_args

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, Column, Table

Score = Literal["aesthetic", "quality"]
SCORES: tuple[Score, ...] = get_args(Score)
DECIMALS = 4  # vectors are kept in float16, and say no more


def column_of(score: Score) -> str:
    """The column that holds a score."""
    return f"{score}_score"


_OF_VECTOR = ("clip_embeddings.embedding",)

IMAGE_SCORES = Table(
    "image_scores",
    "training image",
    (
        Column("image_id", pl.String, IMAGE_ID.description, ("clip_embeddings.image_id",)),
        Column("error", pl.String, "no_vector = the image has no CLIP vector; null = scored"),
        Column("aesthetic_score", pl.Float32, "the aesthetic head's score, on the head's own scale", _OF_VECTOR),
        Column("aesthetic_head", pl.String, "that head: its file and the beginning of its SHA-256; null = none is set"),
        Column("quality_score", pl.Float32, "the quality head's score, on the head's own scale", _OF_VECTOR),
        Column("quality_head", pl.String, "that head, likewise"),
        Column("model", pl.String, "the CLIP model whose vectors were scored", ("clip_embeddings.model",)),
    ),
)
