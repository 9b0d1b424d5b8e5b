"""What tests of fetching share: a clock that does not wait, a resolver that asks nobody, one call for many URLs."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from dataset_assets.compute.fetch_engine import FetchEngine
from dataset_assets.compute.fetch_inputs import with_what_is_held
from dataset_assets.compute.fetch_work import KeepFetched, known_of
from dataset_assets.config import Fetch
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets.storage.blobs import Blobs
from dataset_assets.storage.clock import Clock
from dataset_assets.storage.http_fetch import Fetcher
from dataset_assets.storage.http_guard import Guard
from dataset_assets.storage.http_lines import Resolver

LOOPBACK = ("127.0.0.1/32",)
START = datetime(2026, 11, 21, 6, tzinfo=UTC)


class SkippingClock(Clock):
    """Does not wait: the time waited for has passed at once."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.waits: list[float] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)


class Names:
    """Answers from a table; a name may get another address each time. Numbers are read as the C library reads them."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self.table, self.asked = table, 0

    async def __call__(self, host: str, port: int) -> list[str]:
        if host in self.table:
            self.asked += 1
            host = self.table[host][min(self.asked, len(self.table[host])) - 1]
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(place[0]) for *_, place in found]


def settings(**changed: Any) -> Fetch:
    """Settings for a server on loopback, as fast as it goes."""
    return Fetch(**{"allow_addresses": LOOPBACK, "rate_per_host": None, "per_host": 64, **changed})


def located(urls: Mapping[str, str | None], **columns: Sequence[Any]) -> pl.DataFrame:
    """Rows to fetch, by post id."""
    rows = {"image_id": [f"pd12m-{post}-0" for post in urls], "location": list(urls.values())}
    schema = dict.fromkeys(("image_id", "location", "file_ext", "md5", "taken_down"), pl.String)
    empty = [None] * len(urls)
    return pl.DataFrame({**rows, "file_ext": empty, "md5": empty, "taken_down": empty, **columns}, schema=schema)


def fetch(
    root: Path,
    rows: pl.DataFrame,
    fetching: Fetch | None = None,
    *,
    clock: Clock | None = None,
    previous: pl.DataFrame | None = None,
    resolver: Resolver | None = None,
    guard: Guard | None = None,
) -> pl.DataFrame:
    """Fetch rows as the asset does, without its table; returns rows of `raw_images` by image."""
    fetching, clock, blobs = fetching or settings(), clock or SkippingClock(), Blobs(root)
    held = RAW_IMAGES.empty() if previous is None else previous
    inputs = with_what_is_held(rows, held.lazy()).to_dicts()

    def fetcher(chosen: Fetch, scratch: Path, time: Clock) -> Fetcher:
        return Fetcher(chosen, scratch, time, resolver, guard)

    engine = FetchEngine(fetching, root / "_tmp", lambda row: known_of(blobs, row), clock, fetcher)
    keep = KeepFetched(blobs, fetching.md5_mismatch, frozenset(fetching.placeholders))
    batches = [inputs[at : at + 16] for at in range(0, len(inputs), 16)]
    results = [result for batch in engine.run(keep, batches) for result in batch.results]
    return RAW_IMAGES.frame(results).sort("image_id")
