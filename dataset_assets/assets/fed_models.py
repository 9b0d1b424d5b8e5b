"""Models that look at images: who reads for them, and how fast they were fed."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from dataset_assets.compute.engine import Engine
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.model_engine import ModelEngine, Spent, ThreadEngine
from dataset_assets.resources import Dataset

if TYPE_CHECKING:
    from dataset_assets.models.model_inputs import FedModel

READING_THREADS = 2  # beside a model on the processor, which uses all of it; more of them only take turns


def fed(dataset: Dataset, model: "Callable[[], FedModel]", batch_size: int) -> ModelEngine:
    """An engine that feeds this process's model, which is built once there are rows for it."""
    workers = dataset.config.workers or os.cpu_count() or 1
    return ModelEngine(lambda: readers_beside(model(), workers), batch_size)


def readers_beside(model: "FedModel", workers: int) -> Engine:
    """Who decodes: processes beside a GPU, which outruns threads; threads beside a model on the processor."""
    if model.device == "cpu":
        return ThreadEngine(READING_THREADS)
    return LocalEngine(workers) if model.reads_apart else ThreadEngine(workers)


def speed(spent: Spent) -> dict[str, float]:
    """How fast rows were made, and the share of the time in which the model worked; nothing where none was made."""
    if not spent.rows:
        return {}
    return {"images_per_second": round(spent.rate, 1), "model_share": round(spent.working_share, 3)}
