"""Many files at once, over a line that fails: what arrives, in what memory, and what a stop costs."""

import asyncio
import hashlib
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.compute.engine import Batch, Row, RowFunction
from dataset_assets.compute.fetch_engine import ROWS_IN_HAND, FetchEngine
from dataset_assets.compute.fetch_journal import LINES_PER_FILE, JournaledEngine
from dataset_assets.compute.fetch_work import KeepFetched
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets.storage.blobs import Blobs
from dataset_assets_tests.fetching import SkippingClock, fetch, located, settings
from dataset_assets_tests.mirror import picture
from dataset_assets_tests.web_server import Request, WebServer, bytes_of, status_of

IMAGE = picture(1)


def unreliable(data: bytes, faults: random.Random, share: float) -> Any:
    """An answer that goes wrong in this share of cases, in one of the ways that pass."""

    async def reset(request: Request) -> None:
        request.reset()

    async def reset_midway(request: Request) -> None:
        await request.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:100])
        request.reset()

    async def short(request: Request) -> None:
        await request.reply(200, data[: len(data) // 2], {"Content-Length": str(len(data))})
        request.writer.close()

    async def short_unsaid(request: Request) -> None:
        await request.reply(200, data[: len(data) // 2], {"Content-Length": "", "Connection": "close"})
        request.writer.close()

    async def silent(request: Request) -> None:
        await asyncio.sleep(30)

    async def flipped(request: Request) -> None:
        at = faults.randrange(len(data))
        await request.reply(200, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    busy, broken = status_of(503, Retry_After="1"), status_of(500)
    ways = [reset, reset_midway, short, short_unsaid, silent, flipped, busy, broken]

    async def answer(request: Request) -> None:
        way = faults.choice(ways) if faults.random() < share else bytes_of(data)
        await way(request)

    return answer


def test_every_image_lands_right_when_three_requests_in_ten_fail(tmp_path: Path) -> None:
    images = {str(post): picture(post, (40, 30), form) for post, form in enumerate(["PNG", "JPEG", "WEBP"] * 60, 1)}
    faults = random.Random(20261121)
    with WebServer() as server:
        urls = {post: server.give(f"/{post}", unreliable(data, faults, 0.3)) for post, data in images.items()}
        claimed = [hashlib.md5(data).hexdigest() for data in images.values()]
        rows = located(urls, md5=claimed)
        found = fetch(tmp_path, rows, settings(attempts=10, timeout_s=1, concurrency=64))

    stored = dict(found.select("image_id", "path").iter_rows())
    assert set(found["state"]) == {"stored"}, found.group_by("state", "reason", "detail").len().to_dicts()
    for post, data in images.items():
        assert Blobs(tmp_path).get(stored[f"pd12m-{post}-0"]) == data
    assert server.requests.total() > 1.2 * len(images)
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == len(images)


def test_faults_of_a_file_of_unknown_md5_never_store_half_of_it(tmp_path: Path) -> None:
    images = {str(post): picture(post, form="JPEG") for post in range(1, 61)}
    faults = random.Random(7)

    def cut(data: bytes) -> Any:
        async def answer(request: Request) -> None:
            end = faults.randrange(1, len(data)) if faults.random() < 0.3 else len(data)
            await request.reply(200, data[:end], {"Content-Length": "", "Connection": "close"})
            request.writer.close()

        return answer

    with WebServer() as server:
        urls = {post: server.give(f"/{post}", cut(data)) for post, data in images.items()}
        found = fetch(tmp_path, located(urls), settings(attempts=10))

    sizes = {f"pd12m-{post}-0": len(data) for post, data in images.items()}
    assert dict(found.filter(state="stored").select("image_id", "size").iter_rows()) == sizes


def endless(server: WebServer, asked: list[int]) -> Iterator[list[dict[str, Any]]]:
    held = {f"held_{name}": None for name in ("path", "size", "etag", "last_modified")}
    for number in range(1_000_000):
        asked.append(number)
        row = {"image_id": f"pd12m-{number}-0", "location": server.url("/a"), "input_key": str(number)}
        yield [{**row, "md5": None, "file_ext": "png", "attempts": None, **held}]


def test_rows_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    asked: list[int] = []
    with WebServer() as server:
        server.give("/a", IMAGE)
        engine = FetchEngine(settings(), tmp_path, clock=SkippingClock())
        batches = list(islice(engine.run(KeepFetched(Blobs(tmp_path)), endless(server, asked)), 20))

    assert len(asked) <= ROWS_IN_HAND + sum(len(batch.results) for batch in batches)


def test_an_engine_that_is_left_half_way_leaves_no_thread(tmp_path: Path) -> None:
    with WebServer() as server:
        server.give("/a", IMAGE)
        engine = FetchEngine(settings(), tmp_path, clock=SkippingClock())
        running = engine.run(KeepFetched(Blobs(tmp_path)), endless(server, []))
        next(running)
        running.close()

    assert [thread.name for thread in threading.enumerate() if thread.name == "fetch"] == []


def test_as_many_images_are_kept_at_once_as_there_are_keepers(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def waiting(rows: Sequence[Row]) -> list[dict[str, Any]]:
        together.wait(30)
        return [{"image_id": row["image_id"], "state": "stored"} for row in rows]

    with WebServer(default=bytes_of(IMAGE)) as server:
        engine = FetchEngine(settings(), tmp_path, keepers=4)
        made = [row for batch in engine.run(waiting, islice(endless(server, []), 40)) for row in batch.results]

    assert len({row["image_id"] for row in made}) == 40


def test_a_bug_of_the_function_is_raised(tmp_path: Path) -> None:
    def wrong(rows: Sequence[Row]) -> list[dict[str, Any]]:
        raise KeyError("a bug")

    with WebServer(default=bytes_of(IMAGE)) as server:
        running = FetchEngine(settings(), tmp_path).run(wrong, islice(endless(server, []), 3))
        with pytest.raises(KeyError, match="a bug"):
            list(running)


def test_a_run_that_ends_early_keeps_no_part_of_a_file(tmp_path: Path) -> None:
    ended = threading.Event()

    class Late:
        """Says that nothing is blocked, once the run has ended: after the hashes, before the file is written."""

        def file(self, sha256: str, md5: str) -> None:
            threading.Timer(0.5, ended.set).start()
            assert ended.wait(30)

    keep = KeepFetched(Blobs(tmp_path), blocked=Late())  # type: ignore[arg-type]
    hashed = threading.Event()

    def keeping(rows: Sequence[Row]) -> list[dict[str, Any]]:
        if rows[0]["image_id"] == "pd12m-1-0":
            assert hashed.wait(30)
            raise KeyError("a bug")
        threading.Timer(0.1, hashed.set).start()
        return keep(rows)

    with WebServer(default=bytes_of(IMAGE)) as server:
        running = FetchEngine(settings(), tmp_path, keepers=2).run(keeping, islice(endless(server, []), 2))
        with pytest.raises(KeyError, match="a bug"):
            list(running)

    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_what_no_program_expects_of_the_function_is_raised_too(tmp_path: Path) -> None:
    class Panic(BaseException):
        """As a library in Rust raises."""

    def wrong(rows: Sequence[Row]) -> list[dict[str, Any]]:
        raise Panic("in a library")

    with WebServer(default=bytes_of(IMAGE)) as server:
        running = FetchEngine(settings(), tmp_path).run(wrong, islice(endless(server, []), 3))
        with pytest.raises(Panic, match="in a library"):
            list(running)


@pytest.mark.parametrize(("per_host", "concurrency", "most"), [(3, 64, 3), (64, 5, 5)])
def test_no_more_requests_run_at_once_than_allowed(tmp_path: Path, per_host: int, concurrency: int, most: int) -> None:
    running, highest = 0, 0

    async def watched(request: Request) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.01)
        running -= 1
        await request.reply(200, IMAGE)

    with WebServer() as server:
        url = server.give("/a", watched)
        fetch(tmp_path, located({str(n): url for n in range(40)}), settings(per_host=per_host, concurrency=concurrency))

    assert highest == most


def test_a_host_is_asked_no_faster_than_its_rate(tmp_path: Path) -> None:
    clock = SkippingClock()
    with WebServer() as server:
        url = server.give("/a", IMAGE)
        fetch(tmp_path, located({str(n): url for n in range(50)}), settings(rate_per_host=10, per_host=8), clock=clock)

    assert 4.5 < clock.passed < 5.5


class Recorded:
    """An engine that makes rows of its own, and remembers what it was asked for."""

    def __init__(self, stop_after: int = 1_000_000) -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        for index, rows in enumerate(batches):
            if index == self.stop_after:
                raise KeyboardInterrupt
            self.asked += [row["image_id"] for row in rows]
            made = [
                {"image_id": row["image_id"], "state": "pending" if row["image_id"].endswith("3-0") else "stored"}
                | {"path": f"{row['image_id']}.png", "size": 5}
                for row in rows
            ]
            yield Batch(index, made)


def batches_of(count: int, key: str = "k") -> list[list[dict[str, Any]]]:
    rows = [{"image_id": f"pd12m-{number}-0", "input_key": f"{key}{number}"} for number in range(count)]
    return [rows[at : at + 10] for at in range(0, count, 10)]


def journaled(folder: Path, engine: Recorded, count: int, *, key: str = "k", size: int | None = 5) -> list[str]:
    work = JournaledEngine(engine, RAW_IMAGES, folder, lambda path: size)
    made = [row for batch in work.run(lambda rows: [], batches_of(count, key)) for row in batch.results]
    RAW_IMAGES.frame(made)
    return sorted(row["image_id"] for row in made)


def test_p10_a_stopped_run_asks_for_nothing_that_it_had_kept(tmp_path: Path) -> None:
    first, second = Recorded(stop_after=4), Recorded()
    with pytest.raises(KeyboardInterrupt):
        journaled(tmp_path, first, 100)

    made = journaled(tmp_path, second, 100)

    kept = {name for name in first.asked if not name.endswith("3-0")}
    assert len(kept) == 36
    assert set(second.asked) == {row["image_id"] for rows in batches_of(100) for row in rows} - kept
    assert len(made) == len(set(made)) == 100


@pytest.mark.parametrize(("key", "size"), [("other", 5), ("k", None), ("k", 4)])
def test_p10_what_was_kept_counts_only_for_the_same_input_and_a_whole_file(
    tmp_path: Path, key: str, size: int | None
) -> None:
    journaled(tmp_path, Recorded(), 50)
    again = Recorded()

    journaled(tmp_path, again, 50, key=key, size=size)

    assert len(again.asked) == 50


def test_p10_a_torn_line_is_no_row(tmp_path: Path) -> None:
    journaled(tmp_path, Recorded(), 50)
    file = next(tmp_path.glob("*.jsonl"))
    file.write_bytes(file.read_bytes()[:-20])
    again = Recorded()

    journaled(tmp_path, again, 50)

    assert [name for name in again.asked if not name.endswith("3-0")] == ["pd12m-49-0"]


def test_p10_a_long_journal_keeps_what_no_shard_holds_yet(tmp_path: Path) -> None:
    count = 3 * LINES_PER_FILE
    journaled(tmp_path, Recorded(), count)
    again = Recorded()
    journaled(tmp_path, again, count)

    kept = pl.Series([f"pd12m-{number}-0" for number in range(count - LINES_PER_FILE, count) if number % 10 != 3])
    assert not set(kept) & set(again.asked)
    assert sum(file.stat().st_size for file in tmp_path.glob("*.jsonl")) < 3 * LINES_PER_FILE * 150
