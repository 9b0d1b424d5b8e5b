"""The table `embedding_agreement`: whether published vectors are those of the model that is said to have made them."""

import polars as pl

from dataset_assets.domain.schemas import IMAGE_ID, RECIPE, Column, Table

SAMPLE = 200  # images of each source and year: enough for a median
# Training images are smaller than the originals, and compressed anew; the same model still sees the same picture in
# them, while another model's vectors have nothing to do with these.
SAME_MODEL_COSINE = 0.98

EMBEDDING_AGREEMENT = Table(
    "embedding_agreement",
    "image of a sample: one that has a published vector and a training image",
    (
        Column(IMAGE_ID.name, IMAGE_ID.dtype, IMAGE_ID.description, ("published_embeddings.image_id",)),
        Column("error", pl.String, "why it was not compared, from the list of `clip_embeddings`; null = it was"),
        Column("cosine", pl.Float32, "of the published vector and the one that the named model gives"),
        Column("model", pl.String, "the model that was asked: its name and weights"),
        Column("weights", pl.String, "trained, or random: a random model agrees with nothing but itself"),
        Column(
            "input_key",
            pl.String,
            "SHA-256 of the training image, and a digest of the published vector",
            ("training_images.sha256", "published_embeddings.embedding"),
        ),
        RECIPE,
    ),
)


def sample(published: pl.LazyFrame, training: pl.LazyFrame) -> pl.DataFrame:
    """SAMPLE images that have both, chosen by their training images' hashes: a few more images change few of them.

    Returns: image_id, path, sha256 (of the training image) and embedding (as published).
    """
    vectors = published.filter(pl.col("error").is_null()).select("image_id")
    images = training.filter(pl.col("error").is_null()).select("image_id", "path", "sha256")
    chosen = images.join(vectors, on="image_id", how="semi").bottom_k(SAMPLE, by=["sha256", "image_id"]).collect()
    of_chosen = published.select("image_id", "embedding").join(chosen.lazy(), on="image_id", how="inner")
    return of_chosen.select("image_id", "path", "sha256", "embedding").sort("image_id").collect()
