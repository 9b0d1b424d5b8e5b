"""The Ray engine: batches of rows as tasks on the machines of a Ray cluster.

Every machine must reach the root and the originals by the same paths (a shared disk, or a bucket), and have this
package installed. Ray itself is imported when the first batch runs.
"""

import logging
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_assets.compute.engine import Batch, Loss, Row, RowFunction

ATTEMPTS = 2  # of a batch, and then of each of its rows: a machine that went away is not the row's fault
PER_CPU = 2  # batches in flight: memory stays bounded, and a stop loses little


class RayMissing(ImportError):
    """Ray is asked for and not installed."""


@dataclass(frozen=True)
class _Running:
    index: int
    rows: Sequence[Row]
    began: float
    attempt: int


@dataclass(frozen=True)
class RayEngine:
    """A cluster that is there already, or, without an address, one on this machine that ends with this process.

    A batch whose worker or machine dies is tried again, then cut into single rows; a row that does it alone, twice, is
    lost, the others are not. What a decoder may take of memory is bounded by Ray's own monitor, not for each process.
    """

    address: str | None = None
    workers: int | None = None  # batches at once; None = as many as the cluster has processors
    row_timeout_s: float = 30.0
    batch_timeout_s: float = 120.0

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        ray = _connected(self.address, self.workers)
        task, shared = ray.remote(max_retries=0)(_within), ray.put(function)
        room = PER_CPU * (self.workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
        source, running = enumerate(batches), dict[Any, _Running]()

        def start(index: int, rows: Sequence[Row], attempt: int) -> None:
            reference = task.remote(shared, list(rows), self.batch_timeout_s)
            running[reference] = _Running(index, rows, time.monotonic(), attempt)

        while True:
            while len(running) < room and (batch := next(source, None)) is not None:
                start(*batch, attempt=1)
            if not running:
                return
            finished, _ = ray.wait(list(running), num_returns=1)
            for reference in finished:
                was = running.pop(reference)
                results = _result(ray, reference)
                if results is not None:
                    yield Batch(was.index, results)
                elif was.attempt < ATTEMPTS and time.monotonic() - was.began < self.batch_timeout_s:
                    start(was.index, was.rows, was.attempt + 1)
                else:
                    yield self._one_by_one(ray, task, shared, was)

    def _one_by_one(self, ray: Any, task: Any, shared: Any, batch: _Running) -> Batch:
        results: list[dict[str, Any]] = []
        lost: list[tuple[Row, Loss]] = []
        for row in batch.rows:
            loss: Loss | None = None
            for _ in range(ATTEMPTS):
                began = time.monotonic()
                made = _result(ray, task.remote(shared, [row], self.row_timeout_s))
                if made is not None:
                    results, loss = results + made, None
                    break
                loss = "worker_timeout" if time.monotonic() - began >= self.row_timeout_s else "worker_died"
                if loss == "worker_timeout":
                    break
            if loss is not None:
                lost.append((row, loss))
        return Batch(batch.index, results, lost)


def _connected(address: str | None, workers: int | None) -> Any:
    """Ray, connected to its cluster. Raises: RayMissing."""
    try:
        import ray
    except ImportError:
        raise RayMissing("engine: ray needs Ray, which is not installed: pip install 'dataset_assets[ray]'") from None
    if not ray.is_initialized():
        local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.WARNING, **local)
    return ray


def _within(function: RowFunction, rows: Sequence[Row], seconds: float) -> list[dict[str, Any]]:
    """What a worker runs. The clock ends the process itself: a decoder that hangs hears nothing else."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return function(rows)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _result(ray: Any, reference: Any) -> list[dict[str, Any]] | None:
    """A task's results; None when its worker, or the machine with the results, is gone. The function's own exceptions
    are raised."""
    gone = ray.exceptions
    try:
        results: list[dict[str, Any]] = ray.get(reference)
    except (gone.WorkerCrashedError, gone.NodeDiedError, gone.OutOfMemoryError, gone.ObjectLostError):
        return None
    return results
