"""The engine of fetches: one thread that asks hosts for many files at once, and hands each answer to a function."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_assets.compute.engine import Batch, Row, RowFunction
from dataset_assets.config import Fetch
from dataset_assets.domain.fetching import backoff_s
from dataset_assets.domain.states import NETWORK_REASONS, PASSING_REASONS
from dataset_assets.storage.bucket_access import SourceDown
from dataset_assets.storage.clock import Clock
from dataset_assets.storage.host_limits import LONGEST_PAUSE_S, Hosts
from dataset_assets.storage.http_fetch import Answer, Fetcher, Known

# Rows that wait for a slot, so that a slow host does not keep the others idle; only those with a slot hold bytes.
ROWS_IN_HAND = 512
RESULTS_AT_ONCE = 32
LONGEST_HOLD_S = 0.1
KEPT_AT_ONCE = 32
STOP_S = 30.0

Result = dict[str, Any]


@dataclass(frozen=True)
class FetchEngine:
    """Fetches the `location` of each row that has one, and runs the function over the row with its `answer`.

    What may pass is asked for again, after a while that grows, up to `settings.attempts` times; the function sees the
    answer of each attempt. `known` says what is held of a row's file. `keepers` is how many threads run the function:
    one where it writes to a disk, since more would only wait for one another; many where each put waits for an answer.
    """

    settings: Fetch
    scratch: Path
    known: Callable[[Row], Known | None] = lambda row: None
    clock: Clock = field(default_factory=Clock)
    fetcher: Callable[[Fetch, Path, Clock], Fetcher] = Fetcher
    keepers: int = 1

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        """Yield results as they come, in any order.

        Raises: SourceDown when the network is gone; rows that met nothing but that are in no batch.
        """
        index = in_hand = 0
        with _FetchThread(self, function) as thread:
            for rows in batches:
                thread.give(rows)
                in_hand += len(rows)
                while in_hand >= ROWS_IN_HAND:
                    results = thread.take()
                    in_hand -= len(results)
                    yield Batch(index, results)
                    index += 1
            thread.give(None)
            while in_hand:
                results = thread.take()
                in_hand -= len(results)
                yield Batch(index, results)
                index += 1


class _FetchThread:
    """A thread with an event loop: rows go in, lists of results come out, or the error that ended it."""

    def __init__(self, engine: FetchEngine, function: RowFunction) -> None:
        self._engine, self._function = engine, function
        self._results: queue.SimpleQueue[list[Result] | BaseException] = queue.SimpleQueue()
        self._started: Future[tuple[asyncio.AbstractEventLoop, _Work]] = Future()
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)

    def __enter__(self) -> "_FetchThread":
        self._thread.start()
        self._loop, self._work = self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._tell(self._work.stop)
        self._thread.join(STOP_S)

    def give(self, rows: Sequence[Row] | None) -> None:
        """Hand over rows; None = there are no more."""
        self._tell(self._work.rows.put_nowait, rows)

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed; `take` says why
            self._loop.call_soon_threadsafe(function, *arguments)

    def take(self) -> list[Result]:
        """Some results, when there are any. Raises: what ended the thread."""
        results = self._results.get()
        if isinstance(results, BaseException):
            raise results
        return results

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised by `take`, in the thread that waits
            self._results.put(error)
            if not self._started.done():
                self._started.set_exception(error)

    async def _main(self) -> None:
        engine = self._engine
        with _Keepers(self._function, engine.keepers) as keepers:
            async with engine.fetcher(engine.settings, engine.scratch, engine.clock) as fetcher:
                work = _Work(engine, self._function, fetcher, keepers, self._results.put)
                self._started.set_result((asyncio.get_running_loop(), work))
                await work.run()


class _Keepers:
    """Threads that run the function over answers with bytes to hash and to write.

    A single thread takes several answers where they wait, and the event loop is woken once for all that is kept
    meanwhile: threads of Python that wake each other for each image cost more than the image.
    """

    def __init__(self, function: RowFunction, threads: int) -> None:
        self._function, self._at_once = function, KEPT_AT_ONCE if threads == 1 else 1
        self._waiting: queue.SimpleQueue[tuple[Row, asyncio.Future[Result]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._kept: deque[tuple[asyncio.Future[Result], Result | BaseException]] = deque()
        self._is_told = False
        self._threads = [threading.Thread(target=self._run, name="keep", daemon=True) for _ in range(threads)]

    def __enter__(self) -> "_Keepers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def keep(self, asked: Row) -> asyncio.Future[Result]:
        """What the function makes of a row, once a thread has come to it."""
        result: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.put((asked, result))
        return result

    def _run(self) -> None:
        while taken := self._taken():
            self._kept.extend([(result, self._result(row)) for row, result in taken if not result.done()])
            if not self._is_told:  # what is told and has not come yet hands this over too
                self._is_told = True
                self._loop.call_soon_threadsafe(self._hand_back)

    def _hand_back(self) -> None:
        self._is_told = False  # first: what is kept from now on is told anew
        while self._kept:
            result, row = self._kept.popleft()
            if result.done():  # its row is no longer waited for
                continue
            if isinstance(row, BaseException):
                result.set_exception(row)
            else:
                result.set_result(row)

    def _taken(self) -> list[tuple[Row, asyncio.Future[Result]]]:
        """Some of what waits, as soon as anything does; none = no more will come."""
        taken: list[tuple[Row, asyncio.Future[Result]]] = []
        one = self._waiting.get()
        with suppress(queue.Empty):
            while one is not None:
                taken.append(one)
                if len(taken) == self._at_once:
                    return taken
                one = self._waiting.get_nowait()
            if taken:
                self._waiting.put(None)  # for this thread's next look
        return taken

    def _result(self, row: Row) -> Result | BaseException:
        try:
            return self._function([row])[0]
        except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
            return error


class _Work:
    """The fetches of one run, within its event loop."""

    def __init__(
        self,
        engine: FetchEngine,
        function: RowFunction,
        fetcher: Fetcher,
        keepers: _Keepers,
        hand_over: Callable[[list[Result]], None],
    ) -> None:
        self.rows: asyncio.Queue[Sequence[Row] | None] = asyncio.Queue()
        self._engine, self._function, self._fetcher, self._keepers = engine, function, fetcher, keepers
        self._hosts = Hosts(engine.settings, engine.clock)
        self._running = asyncio.Semaphore(engine.settings.concurrency)
        self._hand_over = hand_over
        self._finished: list[Result] = []
        self._unanswered: list[Result] = []  # kept back until some host answers: it may be that the network is gone
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        """Leave off as soon as may be."""
        if not self._ended.done():
            self._ended.set_result(None)

    async def run(self) -> None:
        """Fetch what is given until there is no more. Raises: SourceDown."""
        feeding = asyncio.create_task(self._feed())
        try:
            await asyncio.wait([feeding, self._ended], return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                return self._ended.result()
            await feeding
        finally:
            feeding.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(feeding, *self._tasks, return_exceptions=True)

    async def _feed(self) -> None:
        while (rows := await self.rows.get()) is not None:
            for row in rows:
                task = asyncio.create_task(self._finish(row))
                self._tasks.add(task)
                task.add_done_callback(self._done)
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # their callbacks come first
        if self._hosts.is_silent:
            raise self._down("no host answered")
        self._finished += self._unanswered
        self._flush()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._ended.done():
            self._ended.set_exception(error)

    async def _finish(self, row: Row) -> None:
        """See one row to its end."""
        if row["location"] is None:
            return self._emit(self._function([{**row, "answer": None}]))
        host = _host_of(row["location"])
        result = await self._attempts(row, host)
        if result.get("reason") == "host_down":
            return self._emit([result])
        self._hosts.note(host, result.get("reason"))
        if outage := self._hosts.outage:
            raise self._down(outage)
        if result.get("reason") in NETWORK_REASONS:
            self._unanswered.append(result)
        else:
            self._emit([*self._unanswered, result])
            self._unanswered.clear()

    async def _attempts(self, row: Row, host: str) -> Result:
        allowed = self._engine.settings.attempts
        earlier: list[str] = []
        for attempt in range(1, allowed + 1):
            result, wait = await self._attempt({**row, "earlier_md5s": earlier if allowed > 1 else None}, host)
            earlier += [result["md5"]] if "md5" in result else []
            if result.get("reason") not in PASSING_REASONS or attempt == allowed or wait > LONGEST_PAUSE_S:
                break
            if wait:
                self._hosts.pause(host, wait)
            await self._engine.clock.sleep(max(wait, backoff_s(attempt, row["image_id"])))
        return result

    async def _attempt(self, row: Row, host: str) -> tuple[Result, float]:
        """The row that one attempt comes to, and how long the host asks to be left alone."""
        async with self._hosts.slot(host), self._running:
            if down := self._hosts.down_for(host):
                answer = Answer(self._engine.clock.now(), "host_down", f"{host} was given up in this run: {down}")
            else:
                answer = await self._fetcher.ask(row["location"], self._engine.known(row))
            try:
                return await self._keep({**row, "answer": answer}), answer.retry_after_s or 0.0
            finally:
                if answer.body is not None:
                    answer.body.close()

    async def _keep(self, asked: Row) -> Result:
        """Run the function, in a thread where it has bytes to hash and to write."""
        if asked["answer"].reason is not None:
            return self._function([asked])[0]
        return await self._keepers.keep(asked)

    def _emit(self, results: list[Result]) -> None:
        """Hand results over some at a time: each time wakes the thread that waits for them."""
        if not self._finished:
            asyncio.get_running_loop().call_later(LONGEST_HOLD_S, self._flush)
        self._finished += results
        if len(self._finished) >= RESULTS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._finished:
            self._hand_over(self._finished)
            self._finished = []

    def _down(self, why: str) -> SourceDown:
        last = self._unanswered[-1]["detail"] if self._unanswered else "nothing was received"
        hosts = ", ".join(sorted(self._hosts.names)[:5])
        return SourceDown(
            f"nothing can be fetched from {hosts} ({why}; last: {last}); no image is marked for it: "
            "look at the network and run again"
        )


def _host_of(location: str) -> str:
    """The host that a URL names, for its limits alone: of a strange URL it may be no host, and is asked for nothing."""
    _, _, rest = location.partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    return (authority if authority.startswith("[") else authority.partition(":")[0]).lower()


def _new_loop() -> asyncio.AbstractEventLoop:
    """An event loop in C, at half the cost of the standard one."""
    import uvloop

    return uvloop.new_event_loop()
