"""What models say about the images."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from dataset_assets.assets.fed_models import fed, speed
from dataset_assets.assets.graph import Graph
from dataset_assets.assets.per_image import HAS_A_WHOLE_FILE, lost, prepared
from dataset_assets.assets.pictures import states
from dataset_assets.compute.update import Recipe
from dataset_assets.config import DatasetConfig
from dataset_assets.domain import schemas
from dataset_assets.resources import Dataset
from dataset_assets.storage.tables import Staged

if TYPE_CHECKING:
    from dataset_assets.models import clip_weights

CLIP_VERSION = "2"


def annotation_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The assets of this stage."""
    table = schemas.clip_embeddings(1)  # the true length stands on every materialization
    from dataset_assets.models import clip_weights

    # The stamp of local files: other weights under the same name are another model, whose vectors are to be made.
    settings = [graph.config.clip.model_dump(), clip_weights.stamp(clip_settings(graph.config))]
    kinds = {"openclip", "pytorch", "parquet"}
    return [
        graph.asset(
            clip_embeddings,
            table,
            group="annotations",
            kinds=kinds,
            version=CLIP_VERSION,
            settings=settings,
            pool="gpu",
        )
    ]


def clip_settings(config: DatasetConfig) -> "clip_weights.ClipSettings":
    """The model that dataset.yaml names; paths in it start from dataset.yaml's folder."""
    from dataset_assets.models import clip_weights

    return clip_weights.ClipSettings(**config.clip.model_dump(), folder=config.folder)


def clip_embeddings(
    context: dg.AssetExecutionContext, dataset: Dataset, training_images: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Image vectors of an open_clip model, of length 1: one row per training image."""
    from dataset_assets.models import clip, clip_weights
    from dataset_assets.models.model_inputs import ROWS_PER_READ

    settings = clip_settings(dataset.config)
    clip_weights.download(settings)  # a model of Hugging Face's hub tells its dimension only once it is here
    table = schemas.clip_embeddings(clip.embedding_dim(settings))
    inputs = prepared(training_images)
    recipe = Recipe(
        parts={"version": CLIP_VERSION, **clip.recipe(settings)},
        function=clip.EmbedShard(dataset.blobs.get, settings),
        lost=lost,
        settled=HAS_A_WHOLE_FILE,
        rows_per_batch=ROWS_PER_READ,
    )
    engine = fed(dataset, lambda: clip.embedder_of(settings), settings.batch_size)
    made = dataset.update(context, table, inputs, recipe, engine)
    marks = {
        "model": clip_weights.find(settings).shown_name,
        "weights": "random: these vectors mean nothing" if settings.random_weights else "trained",
        **speed(engine.spent),
    }
    return dataset.result(context, made, {**states(dataset.tables, made.staged), **marks})
