"""What a tagger sees in the images."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from dataset_assets.assets.fed_models import fed, speed
from dataset_assets.assets.graph import Graph
from dataset_assets.assets.per_image import HAS_A_WHOLE_FILE, lost, prepared
from dataset_assets.assets.pictures import staged_rows, states
from dataset_assets.compute.update import Recipe
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.predicted_tags import PREDICTED_TAGS
from dataset_assets.resources import Dataset
from dataset_assets.storage.tables import Staged

if TYPE_CHECKING:
    from dataset_assets.models.tagger_files import TaggerSettings

TAGS_VERSION = "1"
# What changes no score: thresholds are applied when scores are read, and devices agree.
NOT_OF_THE_SCORES = {"thresholds", "learnt_from", "device", "provider"}


def predicted_tags_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The asset `predicted_tags`; none where dataset.yaml names no tagger."""
    tagger = graph.config.tagger
    if tagger is None:
        return []
    from dataset_assets.models import tagger_files

    # The stamp of local files: another model under the same name gives other scores, which are to be made.
    stamp = tagger_files.stamp(tagger_settings(graph.config))
    return [
        graph.asset(
            predicted_tags,
            PREDICTED_TAGS,
            group="annotations",
            kinds={"onnx", "pytorch", "parquet"},
            version=TAGS_VERSION,
            settings=[tagger.model_dump(exclude=NOT_OF_THE_SCORES), stamp],
            pool="gpu",
        )
    ]


def tagger_settings(config: DatasetConfig) -> "TaggerSettings":
    """The tagger that dataset.yaml names; a relative path in it starts from dataset.yaml's folder."""
    from dataset_assets.models.tagger_files import TaggerSettings

    assert config.tagger is not None
    return TaggerSettings(**config.tagger.model_dump(exclude={"thresholds", "learnt_from"}), folder=config.folder)


def predicted_tags(
    context: dg.AssetExecutionContext, dataset: Dataset, training_images: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Tags, characters and ratings that a tagger sees, with their scores: one row per training image."""
    from dataset_assets.models import tagger, tagger_files
    from dataset_assets.models.model_inputs import ROWS_PER_READ

    settings = tagger_settings(dataset.config)
    inputs = prepared(training_images)
    recipe = Recipe(
        parts={"version": TAGS_VERSION, **tagger_files.recipe(settings)},
        function=tagger.TagShard(dataset.blobs.get, settings),
        lost=lost,
        settled=HAS_A_WHOLE_FILE,
        rows_per_batch=ROWS_PER_READ,
    )
    engine = fed(dataset, lambda: tagger.tagger_of(settings), settings.batch_size)
    made = dataset.update(context, PREDICTED_TAGS, inputs, recipe, engine)
    per_image = _tags_per_image(staged_rows(dataset.tables, made.staged))
    marks = {"model": settings.model, "tags_per_image": per_image, **speed(engine.spent)}
    if made.counts.computed:
        marks["ran_on"] = tagger.tagger_of(settings).runs_on
    return dataset.result(context, made, {**states(dataset.tables, made.staged), **marks})


def _tags_per_image(rows: pl.LazyFrame) -> float:
    mean = rows.select(pl.col("tags").list.len().mean()).collect().item()
    return round(float(mean or 0), 1)
