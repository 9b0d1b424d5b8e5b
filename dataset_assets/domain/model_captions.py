"""The table `model_captions`."""

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, INPUT_KEY, RECIPE, Column, Table

MODEL_CAPTIONS = Table(
    "model_captions",
    "training image",
    (
        Column(IMAGE_ID.name, IMAGE_ID.dtype, IMAGE_ID.description, ("training_images.image_id",)),
        Column("error", pl.String, "why there is no caption, from a closed list; null = there is one"),
        Column("caption", pl.String, "the caption, blanks between words made single"),
        Column(
            "score",
            pl.Float32,
            "mean log-probability that the model gives each token of the caption, its end included: 0 = certain",
        ),
        Column("caption_model", pl.String, "the model's name and weights"),
        Column("weights", pl.String, "trained, or random: captions of a random model mean nothing"),
        Column("input_key", pl.String, INPUT_KEY.description, ("training_images.sha256",)),
        RECIPE,
    ),
)
