"""One writer at a time for each partition of a table."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class PartitionLocked(Exception):
    """Another run is writing the same partition."""


@contextmanager
def partition_lock(file: Path) -> Iterator[None]:
    """Hold a lock file of the root, or fail at once.

    The lock belongs to the process and ends with it, however it ends; the file itself stays.
    Raises: PartitionLocked when another run holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise PartitionLocked(f"{file}: another run is writing this partition; wait for it, or stop it first") from None
    try:
        yield
    finally:
        lock.release()
