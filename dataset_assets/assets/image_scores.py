"""Scores of the images, by small heads over their CLIP vectors."""

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.pictures import staged_rows, states
from dataset_assets.config import DatasetConfig, ImageScores, ScoreHead
from dataset_assets.domain.image_scores import DECIMALS, IMAGE_SCORES, SCORES, Score, column_of
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.blobs import BlobMissing
from dataset_assets.storage.tables import Staged

if TYPE_CHECKING:
    from dataset_assets.models.linear_head import LinearHead

SCORES_VERSION = "1"
ROWS_AT_A_TIME = 20_000
FETCH_TIMEOUT_S = 60


def image_scores_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The asset `image_scores`; none where dataset.yaml names no head."""
    settings = graph.config.image_scores
    if settings is None:
        return []
    return [
        graph.asset(
            image_scores,
            IMAGE_SCORES,
            group="annotations",
            kinds={"numpy", "parquet"},
            version=SCORES_VERSION,
            # The stamp of local files: another head under the same name gives other scores, which are to be made.
            settings=[settings.model_dump(), _stamp(graph.config, settings)],
        )
    ]


def _stamp(config: DatasetConfig, settings: ImageScores) -> list[tuple[str, int, int]]:
    from dataset_assets.models.weight_files import stamps

    heads = [head for score in SCORES if (head := getattr(settings, score)) is not None]
    try:
        return stamps(_file(config, head) for head in heads if not head.is_remote)
    except OSError:
        return []  # whoever reads it will say why


def _file(config: DatasetConfig, head: ScoreHead) -> Path:
    return (config.folder / Path(head.weights).expanduser()).absolute()


def image_scores(
    context: dg.AssetExecutionContext, dataset: Dataset, clip_embeddings: pl.LazyFrame
) -> dg.MaterializeResult[Staged]:
    """Scores by heads over CLIP vectors, such as LAION's aesthetic predictors: one row per training image."""
    settings = dataset.config.image_scores
    assert settings is not None
    heads = {score: getattr(settings, score) for score in SCORES if getattr(settings, score) is not None}
    loaded = {score: load_head(dataset, head, f"image_scores.{score}") for score, head in heads.items()}
    for score, head in heads.items():
        _require_model(clip_embeddings, head, score)
    vectors = clip_embeddings.select("image_id", "embedding", "model")
    height = int(vectors.select(pl.len()).collect().item())
    # Slices: polars' batches gather nearly all of a table before the first of them is used.
    batches = (vectors.slice(start, ROWS_AT_A_TIME).collect() for start in range(0, height, ROWS_AT_A_TIME))
    made = (_scored(rows, loaded) for rows in batches)
    staged = dataset.tables.stage_frames(IMAGE_SCORES, cell_of(context), made)
    rows = staged_rows(dataset.tables, staged)
    return dataset.result(context, staged, {**states(dataset.tables, staged), **_means(rows, loaded)})


def _require_model(vectors: pl.LazyFrame, head: ScoreHead, score: Score) -> None:
    """Refuse vectors of another model than the head was trained on: of equal length, they would give nonsense."""
    is_other = pl.col("error").is_null() & (pl.col("model") != head.clip)
    others = vectors.filter(is_other).select(pl.col("model").unique().sort()).collect().get_column("model")
    if len(others):
        raise dg.Failure(
            f"image_scores.{score}: the head is made for vectors of {head.clip!r}, those of the images are of "
            f"{others[0]!r}; name that model under `clip` if both are one, else set image_scores.{score}.clip",
            allow_retries=False,
        )


def _scored(vectors: pl.DataFrame, heads: "dict[Score, LinearHead]") -> pl.DataFrame:
    has_vector = pl.col("embedding").is_not_null()
    present = vectors.filter(has_vector)
    columns: dict[str, Any] = {"image_id": present.get_column("image_id")}
    for score, head in heads.items():
        numbers = present.get_column("embedding").to_numpy()
        found = head.scores(numbers).round(DECIMALS).tolist() if len(present) else []
        columns[column_of(score)] = pl.Series(found, dtype=pl.Float32)
    names = {f"{score}_head": pl.lit(head.name) for score, head in heads.items()}
    error = pl.when(~has_vector).then(pl.lit("no_vector"))
    found_rows = pl.DataFrame(columns)
    rows = vectors.with_columns(error=error, **names).join(found_rows, on="image_id", how="left", maintain_order="left")
    lacking = [
        pl.lit(None, dtype).alias(name) for name, dtype in IMAGE_SCORES.schema.items() if name not in rows.columns
    ]
    return rows.with_columns(lacking).select(IMAGE_SCORES.schema.names())


def _means(rows: pl.LazyFrame, heads: "dict[Score, LinearHead]") -> dict[str, Any]:
    """What the UI plots over partitions: each score's mean."""
    means = rows.select(pl.col(column_of(score)).mean() for score in heads).collect().row(0, named=True)
    return {f"mean_{name}": round(float(mean), 3) for name, mean in means.items() if mean is not None}


def load_head(dataset: Dataset, head: ScoreHead, block: str) -> "LinearHead":
    """A head from its file, or from its URL: that is fetched once, and kept below the root. Raises: ModelError."""
    from dataset_assets.models.linear_head import read_head, require_sha256
    from dataset_assets.models.weight_files import ModelError

    file_name = PurePosixPath(head.weights).name
    if head.is_remote:
        data = _fetched_once(dataset, head, block)
    else:
        file = _file(dataset.config, head)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{block}.weights: {file} cannot be read: {error}") from None
    require_sha256(data, head.sha256, head.weights, block)
    return read_head(file_name, data, block)


def _fetched_once(dataset: Dataset, head: ScoreHead, block: str) -> bytes:
    import urllib.request

    from dataset_assets.models.linear_head import MAX_BYTES, require_sha256
    from dataset_assets.models.weight_files import ModelError

    kept = f"models/{head.sha256}{os.path.splitext(head.weights)[1]}"
    try:
        return dataset.blobs.get(kept)
    except BlobMissing:
        pass
    try:
        with urllib.request.urlopen(head.weights, timeout=FETCH_TIMEOUT_S) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{block}.weights: {head.weights} cannot be fetched: {error}") from None
    if len(data) > MAX_BYTES:
        raise ModelError(f"{block}.weights: {head.weights} is larger than {MAX_BYTES:,} bytes; this is no linear head")
    require_sha256(data, head.sha256, head.weights, block)
    dataset.blobs.put(kept, data)
    return data
