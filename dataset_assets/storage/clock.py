"""The time, handed to what waits, so that a test need not."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
