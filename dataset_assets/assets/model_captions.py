"""Captions that a model writes, where dataset.yaml names a `captioner`."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from dataset_assets.assets.fed_models import fed, speed
from dataset_assets.assets.graph import Graph
from dataset_assets.assets.per_image import HAS_A_WHOLE_FILE, lost, prepared
from dataset_assets.assets.pictures import staged_rows, states
from dataset_assets.compute.update import Recipe
from dataset_assets.config import BlipCaptioner, DatasetConfig
from dataset_assets.domain.model_captions import MODEL_CAPTIONS
from dataset_assets.resources import Dataset
from dataset_assets.storage.tables import Staged, Tables

if TYPE_CHECKING:
    from dataset_assets.models import captioning

MODEL_CAPTIONS_VERSION = "1"
SHOWN = 10


def model_captions_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The asset `model_captions`, where there is a captioner; without one, what it wrote before is kept unused."""
    captioner = graph.config.captioner
    if captioner is None:
        return []
    from dataset_assets.models import captioning

    # The stamp of local files: other weights under the same name are another model, whose captions are to be made.
    settings = [captioner.model_dump(), captioning.stamp(captioner_settings(graph.config))]
    return [
        graph.asset(
            model_captions,
            MODEL_CAPTIONS,
            group="annotations",
            kinds={"openclip" if captioner.kind == "coca" else "huggingface", "pytorch", "parquet"},
            version=MODEL_CAPTIONS_VERSION,
            settings=settings,
            pool="gpu",
        )
    ]


def captioner_settings(config: DatasetConfig) -> "captioning.CocaSettings | captioning.BlipSettings":
    """The model that dataset.yaml names; paths in it start from dataset.yaml's folder."""
    from dataset_assets.models import blip_files, captioning, clip_weights

    captioner = config.captioner
    assert captioner is not None
    said = captioner.model_dump(exclude={"kind"})
    if isinstance(captioner, BlipCaptioner):
        sampling = said.pop("sampling")
        lots = sampling and blip_files.Sampling(**sampling)
        return captioning.BlipSettings(**said, sampling=lots, folder=config.folder)
    decoding = {name: said.pop(name) for name in ("beams", "min_length", "max_length")}
    return captioning.CocaSettings(
        clip_weights.ClipSettings(**said, folder=config.folder, block="captioner"), **decoding
    )


def model_captions(
    context: dg.AssetExecutionContext, dataset: Dataset, training_images: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Captions that the captioner writes, with what it makes of them itself: one row per training image."""
    from dataset_assets.models import captioning
    from dataset_assets.models.model_inputs import ROWS_PER_READ

    settings = captioner_settings(dataset.config)
    captioning.download(settings)  # what a model of Hugging Face's hub is shows only once it is here
    inputs = prepared(training_images)
    batch_size = dataset.config.captioner.batch_size if dataset.config.captioner else 1
    recipe = Recipe(
        parts={"version": MODEL_CAPTIONS_VERSION, **captioning.recipe(settings)},
        function=captioning.CaptionShard(dataset.blobs.get, settings),
        lost=lost,
        settled=HAS_A_WHOLE_FILE,
        rows_per_batch=ROWS_PER_READ,
    )
    engine = fed(dataset, lambda: captioning.captioner_of(settings), batch_size)
    made = dataset.update(context, MODEL_CAPTIONS, inputs, recipe, engine)
    marks = {**_at_a_glance(dataset.tables, made.staged), **speed(engine.spent)}
    return dataset.result(context, made, {**states(dataset.tables, made.staged), **marks})


def _at_a_glance(tables: Tables, staged: Staged) -> dict[str, object]:
    """How many captions there are, how sure the model is of them, and some to read."""
    captions = staged_rows(tables, staged).filter(pl.col("caption").is_not_null())
    distinct, score = captions.select(pl.col("caption").n_unique(), pl.col("score").mean()).collect().row(0)
    step = max(1, (staged.rows or 1) // SHOWN)
    some = captions.select("image_id", "caption", "score").gather_every(step).head(SHOWN).collect()
    columns = [dg.TableColumn("image_id"), dg.TableColumn("caption"), dg.TableColumn("score", "float")]
    shown = dg.MetadataValue.table(
        [dg.TableRecord({**row, "score": round(row["score"], 3)}) for row in some.to_dicts()],
        schema=dg.TableSchema(columns),
    )
    if not distinct:
        return {"distinct_captions": 0}
    return {"distinct_captions": distinct, "mean_score": score, "examples": shown}
