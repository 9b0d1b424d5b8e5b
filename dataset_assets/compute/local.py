"""The local engine: worker processes that can be killed one by one."""

import atexit
import contextlib
import os
import resource
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import popen_forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from dataset_assets.compute.engine import Batch, Loss, Row, RowFunction

MEMORY_LIMIT = 6 << 30  # address space of a worker: two copies of the largest lawful image, and room
TASKS_PER_WORKER = 2_000  # then a fresh process, in case a decoder leaks


@dataclass(frozen=True)
class LocalEngine:
    """A pool of worker processes on this machine.

    A batch whose worker dies or hangs is cut into single rows; a row that does it alone is lost, the others are not.
    """

    workers: int
    row_timeout_s: float = 30.0
    batch_timeout_s: float = 120.0

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        pool = shared_pool(self.workers)
        source = enumerate(batches)
        running: dict[Future[list[dict[str, Any]]], tuple[int, Sequence[Row]]] = {}
        future: Future[list[dict[str, Any]]]
        while True:
            # Few in flight: memory stays bounded, and a stop loses little.
            while len(running) < 2 * self.workers and (task := next(source, None)) is not None:
                future = pool.schedule(function, args=(task[1],), timeout=self.batch_timeout_s)
                running[future] = task
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                index, rows = running.pop(future)
                try:
                    yield Batch(index, future.result())
                except (ProcessExpired, TimeoutError):
                    yield self._one_by_one(pool, function, index, rows)

    def _one_by_one(self, pool: ProcessPool, function: RowFunction, index: int, rows: Sequence[Row]) -> Batch:
        results: list[dict[str, Any]] = []
        lost: list[tuple[Row, Loss]] = []
        for row in rows:
            try:
                results += pool.schedule(function, args=([row],), timeout=self.row_timeout_s).result()
            except ProcessExpired:
                lost.append((row, "worker_died"))
            except TimeoutError:
                lost.append((row, "worker_timeout"))
        return Batch(index, results, lost)


@lru_cache(maxsize=2)
def shared_pool(workers: int) -> ProcessPool:
    """One pool for the whole process: starting workers costs more than a small partition's work."""
    context = _WorkerContext()
    context.set_forkserver_preload(["dataset_assets.compute.image_work"])
    pool = ProcessPool(max_workers=workers, max_tasks=TASKS_PER_WORKER, initializer=_limit_worker, context=context)
    atexit.register(_stop, pool)
    return pool


class _Launch(popen_forkserver.Popen):
    """Starts a worker that knows nothing of the program around it.

    Otherwise each worker imports that program's main module first: for `dagster` a second of CPU, for a script that
    was read from a pipe an error.
    """

    def _launch(self, process: BaseProcess) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super()._launch(process)  # type: ignore[misc]  # the stubs leave it out
        finally:
            sys.modules["__main__"] = main


class _Worker(ForkServerProcess):
    _start_method = "forkserver"

    @staticmethod
    def _Popen(process: BaseProcess) -> popen_forkserver.Popen:
        return _Launch(process)


class _WorkerContext(ForkServerContext):
    Process = _Worker


def _limit_worker() -> None:
    """Bound what a hostile image can take, and keep decoders from writing to the run's log."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # a lower limit of the machine stands
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.close(quiet)


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble types its results, not its methods
    pool.join(timeout=10)
