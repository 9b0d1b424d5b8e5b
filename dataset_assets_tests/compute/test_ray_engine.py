"""The Ray engine on a real cluster of two worker nodes on this machine."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dataset_assets.compute import image_work
from dataset_assets.compute.engine import Batch, Row
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.ray_engine import RayEngine
from dataset_assets.domain.images import LIMITS
from dataset_assets.domain.training import TrainingRecipe
from dataset_assets.storage.blobs import Blobs
from dataset_assets_tests.mirror import picture

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings are not ours


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.nodes_of_work = [made.add_node(num_cpus=1), made.add_node(num_cpus=1)]
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@dataclass(frozen=True)
class Squares:
    """Squares; a row may ask for its worker's death or sleep, and each batch leaves a mark."""

    marks: Path

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        with (self.marks / f"{rows[0]['n']}-{len(rows)}").open("a") as mark:
            mark.write("x")
        for row in rows:
            if row.get("dies"):
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(row.get("sleeps", 0.0))
        return [{"n": row["n"], "square": row["n"] ** 2} for row in rows]


def batches(count: int, size: int = 4, **special: dict[str, object]) -> list[list[Row]]:
    rows = [{"n": n, **special.get(f"n{n}", {})} for n in range(count)]
    return [rows[start : start + size] for start in range(0, count, size)]


def squares(done: list[Batch]) -> dict[int, int]:
    return {row["n"]: row["square"] for batch in done for row in batch.results}


def test_every_batch_comes_back_and_only_the_row_that_kills_its_worker_is_lost(cluster: Any, tmp_path: Path) -> None:
    engine = RayEngine(cluster.address)
    done = list(engine.run(Squares(tmp_path), batches(20, n5={"dies": True})))

    assert [(row["n"], loss) for batch in done for row, loss in batch.lost] == [(5, "worker_died")]
    assert squares(done) == {n: n * n for n in range(20) if n != 5}
    assert sorted(batch.index for batch in done) == [0, 1, 2, 3, 4]


def test_a_row_that_hangs_is_lost_when_its_time_is_over(cluster: Any, tmp_path: Path) -> None:
    engine = RayEngine(cluster.address, row_timeout_s=1.0, batch_timeout_s=2.0)
    done = list(engine.run(Squares(tmp_path), batches(4, n2={"sleeps": 60.0})))

    assert [(row["n"], loss) for batch in done for row, loss in batch.lost] == [(2, "worker_timeout")]
    assert squares(done) == {0: 0, 1: 1, 3: 9}


def test_an_error_of_the_function_itself_is_raised(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        list(RayEngine(cluster.address).run(Squares(tmp_path), [[{"n": None}]]))


def test_training_images_are_the_bytes_that_the_local_engine_makes(cluster: Any, tmp_path: Path) -> None:
    rows: list[Row] = []
    for number in range(6):
        data = picture(number)
        (tmp_path / f"{number}.png").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        rows.append({"image_id": f"a-{number}-0", "path": str(tmp_path / f"{number}.png"), "sha256": digest})
    made = []
    for name, engine in (("local", LocalEngine(2)), ("ray", RayEngine(cluster.address))):
        work = image_work.Prepare(Blobs(tmp_path / name), TrainingRecipe(max_side=32, quality=90), LIMITS)
        done = [row for batch in engine.run(work, [rows[:3], rows[3:]]) for row in batch.results]
        made.append(sorted(done, key=lambda row: str(row["image_id"])))
        assert all((tmp_path / name / row["path"]).is_file() for row in done)

    assert made[0] == made[1]


def test_a_killed_node_costs_its_batches_only(cluster: Any, tmp_path: Path) -> None:
    slow = {f"n{n}": {"sleeps": 0.2} for n in range(40)}
    done = []
    for batch in RayEngine(cluster.address).run(Squares(tmp_path), batches(40, **slow)):
        done.append(batch)
        if len(done) == 2:
            cluster.remove_node(cluster.nodes_of_work[1], allow_graceful=False)
    runs = {mark.name: len(mark.read_text()) for mark in tmp_path.iterdir()}

    assert squares(done) == {n: n * n for n in range(40)}
    assert not any(batch.lost for batch in done)
    assert set(runs) == {f"{n}-4" for n in range(0, 40, 4)}
    assert sum(runs.values()) <= 12  # ten batches, and those that the node had begun
