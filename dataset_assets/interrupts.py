"""Whether someone asked to stop: Dagster takes signals to itself while a run begins and ends, and forgets some."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

STOPS = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def hearing_stops() -> Iterator[Callable[[], bool]]:
    """Within this block, a function that tells whether Ctrl-C or SIGTERM came in it, whoever has handled it.

    Signals reach the main thread alone: in another one nothing is heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    heard = bytearray()

    def is_stop() -> bool:
        with suppress(BlockingIOError):  # nothing came
            while some := os.read(reader, 4096):
                heard.extend(some)
        return not STOPS.isdisjoint(heard)

    try:
        yield is_stop
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
