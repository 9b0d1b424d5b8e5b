"""Whether published vectors are those of the model that dataset.yaml says made them."""

import hashlib

import dagster as dg
import polars as pl

from dataset_assets.assets.annotations import clip_settings
from dataset_assets.assets.fed_models import fed, speed
from dataset_assets.assets.graph import Graph
from dataset_assets.assets.per_image import HAS_A_WHOLE_FILE, lost
from dataset_assets.assets.pictures import staged_rows
from dataset_assets.compute.update import Recipe
from dataset_assets.config import Pd12mSource
from dataset_assets.domain.annotations import PUBLISHED_EMBEDDINGS
from dataset_assets.domain.embedding_agreement import EMBEDDING_AGREEMENT, sample
from dataset_assets.resources import Dataset, cell_of, say
from dataset_assets.storage.tables import Staged

AGREEMENT_VERSION = "1"


def agreement_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The asset `embedding_agreement`, where some source publishes vectors."""
    publishing = {
        name: source.models.embeddings
        for name, source in graph.config.sources.items()
        if isinstance(source, Pd12mSource) and source.embeddings
    }
    if not publishing:
        return []
    return [
        graph.asset(
            embedding_agreement,
            EMBEDDING_AGREEMENT,
            group="annotations",
            kinds={"openclip", "pytorch", "parquet"},
            version=AGREEMENT_VERSION,
            settings=[publishing, graph.config.clip.model_dump()],
            pool="gpu",
        )
    ]


def embedding_agreement(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    published_embeddings: pl.LazyFrame,
    training_images: pl.LazyFrame,
) -> dg.MaterializeResult[Staged]:
    """Published vectors beside those of the model that is said to have made them: one row per image of a sample."""
    table, cell = EMBEDDING_AGREEMENT, cell_of(context)
    chosen = sample(published_embeddings, training_images)
    name, block = dataset.config.sources[str(cell.source)].models.embeddings, f"sources.{cell.source}.models.embeddings"
    if chosen.is_empty() or name is None:
        nothing = "no image has a published vector and a training image"
        return _skipped(context, dataset, nothing if name else f"{block} names no model")
    from dataset_assets.models import agreement, clip, clip_weights
    from dataset_assets.models.model_inputs import ROWS_PER_READ
    from dataset_assets.models.weight_files import ModelError

    try:
        settings = agreement.named_model(name, clip_settings(dataset.config), block)
        agreement.require_here(settings, PUBLISHED_EMBEDDINGS.schema["embedding"].shape[0])  # type: ignore[attr-defined]
    except ModelError as error:
        return _skipped(context, dataset, str(error))
    recipe = Recipe(
        parts={"version": AGREEMENT_VERSION, **clip_weights.recipe(settings)},
        function=agreement.AgreementShard(dataset.blobs.get, settings),
        lost=lost,
        settled=HAS_A_WHOLE_FILE,
        rows_per_batch=ROWS_PER_READ,
    )
    keys = pl.Series("input_key", [f"{row['sha256']} {_digest(row['embedding'])}" for row in chosen.to_dicts()])
    engine = fed(dataset, lambda: clip.embedder_of(settings), settings.batch_size)
    made = dataset.update(context, table, chosen.drop("sha256").with_columns(keys), recipe, engine)
    return dataset.result(context, made, {**_summary(dataset, made.staged), **speed(engine.spent)})


def _skipped(context: dg.AssetExecutionContext, dataset: Dataset, why: str) -> dg.MaterializeResult[Staged]:
    """No rows, and the reason why nothing was compared."""
    say(context)(f"embedding_agreement {cell_of(context)}: skipped: {why}")
    table = EMBEDDING_AGREEMENT
    return dataset.result(context, dataset.tables.stage(table, cell_of(context), table.empty()), {"skipped": why})


def _summary(dataset: Dataset, staged: Staged) -> dict[str, float]:
    cosine = pl.col("cosine")
    rows = staged_rows(dataset.tables, staged).select(cosine.count(), least=cosine.min(), median=cosine.median())
    count, least, median = rows.collect().row(0)
    return {"compared": count, **({"cosine_min": least, "cosine_median": median} if count else {})}


def _digest(vector: list[float]) -> str:
    return hashlib.sha256(repr(vector).encode()).hexdigest()[:16]
