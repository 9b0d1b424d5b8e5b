"""One writer at a time in a bucket: an object that says who works and for how long, renewed while they do.

A lease keeps others from doing work in vain. It is not what keeps tables right: whoever was stopped for longer than
a lease lasts, and wakes up after another has written, is refused when it commits (see `Bucket.publish`).
"""

import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import obstore
from obstore.store import S3Store

from dataset_assets.places import S3Place
from dataset_assets.storage import s3
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import RootUnavailable

LEASE_S = 60.0
NOBODY = ""


@contextmanager
def lease(
    at: S3Place,
    name: str,
    seconds: float = LEASE_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[None]:
    """Hold a name in the bucket, or fail at once; a lease that was not renewed in time may be taken over.

    Raises: PartitionLocked when another run holds it.
    """
    held = Lease(at, name, seconds)
    held.take(now())
    stop = threading.Event()
    keeper = threading.Thread(target=held.keep, args=(stop,), daemon=True, name=f"lease of {name}")
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        held.release()


@dataclass
class Lease:
    """A lease of this process, taken or to be taken."""

    at: S3Place
    name: str
    seconds: float
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    e_tag: str | None = None  # of the object as we wrote it last; null = it is not ours

    def take(self, now: datetime) -> None:
        """Take the lease. Raises: PartitionLocked."""
        if self._write(self.token, None):
            return
        found = s3.tried(self.at, lambda store: _read(store, self.name))
        if found is None or (found.owner != NOBODY and not found.is_over(now)):
            raise self._locked(found)
        if not self._write(self.token, found.e_tag):
            raise self._locked(None)

    def keep(self, stop: threading.Event) -> None:
        """Renew the lease until told to stop, or until it is lost."""
        renewed = time.monotonic()
        while not stop.wait(self.seconds / 3):
            try:
                if not self._write(self.token, self.e_tag):
                    return
                renewed = time.monotonic()
            except RootUnavailable:
                if time.monotonic() - renewed > self.seconds:
                    return

    def release(self) -> None:
        """Leave the lease to others at once; one that cannot be reached is over soon in any case."""
        if self.e_tag is not None:
            with suppress(RootUnavailable):
                self._write(NOBODY, self.e_tag)

    def _write(self, owner: str, over: str | None) -> bool:
        """Write the object in place of one version of it (null = of none); false = another was faster."""
        written = {
            "owner": owner,
            "seconds": self.seconds,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "write": uuid.uuid4().hex,  # no two writes are equal, so no two have one ETag
        }
        data = json.dumps(written).encode()
        metadata = {s3.SHA256: hashlib.sha256(data).hexdigest()}
        self.e_tag = s3.put_over(self.at, self.name, data, metadata, over)
        return self.e_tag is not None

    def _locked(self, found: "_Found | None") -> PartitionLocked:
        by = f"process {found.pid} on {found.host}" if found else "another run"
        return PartitionLocked(
            f"{self.at}/{self.name}: {by} is writing this partition; wait for it, or stop it first. The lock of a run "
            f"that died is free after {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class _Found:
    owner: str
    host: str
    pid: int
    seconds: float
    written_at: datetime
    e_tag: str

    def is_over(self, now: datetime) -> bool:
        """Whether it has not been renewed in time, by the store's clock and ours."""
        return (now - self.written_at).total_seconds() > self.seconds


def _read(store: S3Store, name: str) -> _Found | None:
    try:
        reply = obstore.get(store, name)
        found, meta = json.loads(s3.whole(reply)), reply.meta
    except FileNotFoundError:
        return None
    fields = {key: found[key] for key in ("owner", "host", "pid", "seconds")}
    return _Found(**fields, written_at=meta["last_modified"], e_tag=str(meta["e_tag"]))
