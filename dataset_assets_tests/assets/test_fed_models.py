"""Who reads for a model, and what is told of its speed."""

from dataclasses import dataclass

import pytest

from dataset_assets.assets.fed_models import READING_THREADS, readers_beside, speed
from dataset_assets.compute.engine import Engine
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.model_engine import Spent, ThreadEngine


@dataclass(frozen=True)
class Model:
    device: str
    reads_apart: bool


@pytest.mark.parametrize(
    ("device", "reads_apart", "readers"),
    [
        ("cpu", True, ThreadEngine(READING_THREADS)),
        ("cpu", False, ThreadEngine(READING_THREADS)),
        ("cuda", True, LocalEngine(6)),
        ("gpu", True, LocalEngine(6)),
        ("cuda", False, ThreadEngine(6)),
    ],
)
def test_processes_read_beside_a_gpu_and_threads_beside_the_processor(
    device: str, reads_apart: bool, readers: Engine
) -> None:
    assert readers_beside(Model(device, reads_apart), 6) == readers


def test_speed_is_told_of_rows_that_were_made_and_of_no_others() -> None:
    assert speed(Spent()) == {}
    assert speed(Spent(rows=30, waiting=0.5, seconds=2.0)) == {"images_per_second": 15.0, "model_share": 0.75}
