"""A root below a prefix of an S3 bucket.

Every object that is put carries its SHA-256, which every read compares: a reply whose bits were flipped is asked for
again. A partition's object carries its record too, so that one PUT replaces both and a reader never meets the one
without the other; the PUT is held against the version that was seen, so that of two writers one is refused. (The
record lies below `_checksums/` as well, for tools that see only files, and to tell that an object was lost.)
"""

import glob
import hashlib
import json
import mmap
import os
import time
import uuid
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.store import S3Store

from dataset_assets.places import S3Place
from dataset_assets.storage import s3
from dataset_assets.storage.durable import scratch_file, sha256_of
from dataset_assets.storage.leases import lease
from dataset_assets.storage.listed import Listed
from dataset_assets.storage.root import Held, Replaced, WrongRoot
from dataset_assets.storage.s3 import SHA256, DamagedReply

if TYPE_CHECKING:
    from obstore import ObjectMeta

Item = TypeVar("Item")
Result = TypeVar("Result")

PER_PAGE = 1000  # objects, of a list and of a request to remove some
AT_ONCE = 32  # requests, where waiting is most of the work
UNUSED_S = 7 * 24 * 3600
RECORD = "record"  # the name of the metadata that says what a partition holds
LARGEST_PUT = 5 << 30  # of S3, for an object in one piece, and only such a PUT can be conditional


@dataclass(frozen=True)
class Bucket:
    """A root in a bucket. Small and picklable: workers get one each, and open their own connections."""

    at: S3Place
    is_bucket = True

    @property
    def scratch(self) -> Path:
        return self.at.cache / "_tmp"

    def require(self) -> None:
        probe, data = f"_probe/{uuid.uuid4().hex}", b"may this be a root?"
        try:
            if not self._create(probe, data) or self.get(probe) != data:
                raise WrongRoot(f"{self.at}: what was put there is not what came back")
            if self._create(probe, b"once more"):
                raise WrongRoot(
                    f"{self.at}: this store ignores `If-None-Match`, so that two runs could write one table at once; "
                    "use one that has conditional writes, as S3 has"
                )
        except FileNotFoundError:
            raise WrongRoot(f"{self.at}: what was put there is not there") from None
        self.remove(probe)
        self._forget_unused()

    def _forget_unused(self) -> None:
        """Remove copies that nothing has read for a week; a run that needs one again fetches it."""
        for file in self.at.cache.rglob("*"):
            with suppress(FileNotFoundError):
                if file.is_file() and time.time() - file.stat().st_mtime > UNUSED_S:
                    file.unlink()

    def _create(self, name: str, data: bytes) -> bool:
        """Put an object where there is none; false = one is there."""
        return s3.put_over(self.at, name, data, {SHA256: hashlib.sha256(data).hexdigest()}, None) is not None

    def shown(self, name: str) -> str:
        return f"{self.at}/{name}"

    def get(self, name: str) -> bytes:
        return s3.tried(self.at, lambda store: s3.whole(obstore.get(store, name)))

    def put(self, name: str, data: bytes) -> None:
        metadata = {SHA256: hashlib.sha256(data).hexdigest()}
        s3.tried(self.at, lambda store: obstore.put(store, name, data, attributes=metadata, use_multipart=False))

    def write(self, name: str, data: bytes) -> None:
        self.put(name, data)

    def keep(self, name: str, data: bytes) -> None:
        if not self._create(name, data) and self.size(name) != len(data):
            self.put(name, data)

    def settle(self) -> None:
        """What a bucket has taken, it keeps."""

    def put_file(self, name: str, finished: Path) -> Path:
        metadata = {SHA256: sha256_of(finished)}
        with _mapped(finished) as data:
            s3.tried(
                self.at,
                lambda store: obstore.put(store, name, data, attributes=metadata, use_multipart=False),
                len(data),
            )
        return self._cached(name, finished)

    def size(self, name: str) -> int | None:
        seen = s3.seen(self.at, name)
        return None if seen is None else seen.size

    def stamp(self, name: str) -> Hashable:
        seen = s3.seen(self.at, name)
        return None if seen is None else (seen.e_tag, seen.size)

    def file(self, name: str) -> Path:
        seen = s3.seen(self.at, name)
        if seen is None:
            return self._copy(name, "absent")
        copy = self._copy(name, seen.metadata.get(SHA256) or seen.e_tag)
        if copy.is_file() and copy.stat().st_size == seen.size:
            os.utime(copy)  # what is used stays
            return copy
        return self._fetched(name, seen.size)

    def names(self, below: str) -> list[str]:
        found = self._listed(below)
        while self._may_be_flipped and found != (again := self._listed(below)):
            found = again
        return found

    def _listed(self, below: str) -> list[str]:
        def listed(store: S3Store) -> list[str]:
            return [found["path"] for batch in obstore.list(store, below.rstrip("/")) for found in batch]

        return sorted(s3.tried(self.at, listed))

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        def listed(store: S3Store) -> list[tuple[str, int]]:
            pages = obstore.list(store, below.rstrip("/") or None)
            return [(found["path"], found["size"]) for page in pages for found in page]

        yield from s3.tried(self.at, listed)

    def listed(self, below: str, skipped: Collection[str] = ()) -> Iterator[Listed]:
        last: str | None = None
        while page := self._page(below, last):
            last = page[-1].name
            yield from (found for found in page if not found.name.startswith(tuple(skipped)))

    def _page(self, below: str, after: str | None) -> list[Listed]:
        """The objects that come next after a name, in order of name."""

        def listed(store: S3Store) -> list[Listed]:
            # The library takes a prefix for a folder's name, and leaves out what only begins like it.
            found = obstore.list(store, below.rstrip("/") or None, offset=after, chunk_size=PER_PAGE)
            return [_as_listed(one) for one in next(iter(found), [])]

        page = s3.tried(self.at, listed)
        while self._may_be_flipped and page != (again := s3.tried(self.at, listed)):
            page = again
        return page

    @property
    def _may_be_flipped(self) -> bool:
        """Whether a list, which carries no hash, could come with a wrong bit. Then two answers have to agree."""
        return str(self.at.endpoint_url).startswith("http://")

    def remove_listed(self, files: Collection[Listed]) -> list[Listed]:
        some = list(files)
        for start in range(0, len(some), PER_PAGE):
            names = [file.name for file in some[start : start + PER_PAGE]]
            s3.tried(self.at, lambda store, names=names: obstore.delete(store, names))  # type: ignore[misc]
        return some

    def sha256(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self.get(name)).hexdigest()
        except FileNotFoundError:
            return None

    def forget_copies(self, name: str) -> None:
        seen, path = s3.seen(self.at, name), PurePosixPath(name)
        current = None if seen is None else self._copy(name, seen.metadata.get(SHA256) or seen.e_tag)
        for copy in (self.at.cache / path.parent).glob(f"{glob.escape(path.stem)}.*{path.suffix}"):
            if copy != current:
                copy.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        if names := self.names(name) if name.endswith("/") else [name]:
            s3.tried(self.at, lambda store: obstore.delete(store, names))

    def lock(self, name: str) -> AbstractContextManager[None]:
        return lease(self.at, name)

    def held(self, name: str, record: str) -> Held:
        seen = s3.seen(self.at, name)
        if seen is not None and RECORD in seen.metadata:
            return Held(json.loads(seen.metadata[RECORD]), seen.size, seen.e_tag)
        try:
            written = json.loads(self.get(record))
        except FileNotFoundError:
            written = None
        return Held(written, seen.size if seen else None, seen.e_tag if seen else None)

    def has_content(self, name: str, sha256: str) -> bool:
        seen = s3.seen(self.at, name)
        if seen is None or seen.metadata.get(SHA256, sha256) != sha256:
            return False
        copy = self._copy(name, seen.metadata.get(SHA256) or seen.e_tag)
        if copy.is_file() and sha256_of(copy) != sha256:
            copy.unlink()  # the copy may be what is wrong
        try:
            return sha256_of(self.file(name)) == sha256
        except DamagedReply:
            return False

    def publish(self, name: str, record: str, finished: Path | None, values: Mapping[str, Any], over: Held) -> None:
        text, file = json.dumps(values), finished or self.file(name)
        metadata = {SHA256: sha256_of(file), RECORD: text}
        with _mapped(file) as data:
            if s3.put_over(self.at, name, data, metadata, over.version) is None:
                raise Replaced(name)
        self.put(record, text.encode())
        self._cached(name, file)

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(function, items))

    def _fetched(self, name: str, size: int) -> Path:
        """A fresh copy of an object, compared with its SHA-256; which of its versions, that very reply says."""

        def fetch(store: S3Store) -> Path:
            with scratch_file(self.scratch) as file:
                reply, digest = obstore.get(store, name), hashlib.sha256()
                with file.open("wb") as stream:
                    for chunk in reply.stream():
                        stream.write(chunk)
                        digest.update(chunk)
                sha256 = str(reply.attributes.get(SHA256, digest.hexdigest()))
                if digest.hexdigest() != sha256 or file.stat().st_size != reply.meta["size"]:
                    raise DamagedReply(f"{self.shown(name)} does not have the bytes that were stored")
                return self._place(file, self._copy(name, reply.attributes.get(SHA256) or str(reply.meta["e_tag"])))

        try:
            return s3.tried(self.at, fetch, size)
        except FileNotFoundError:  # removed since it was seen
            return self._copy(name, "absent")

    def _cached(self, name: str, finished: Path) -> Path:
        """Make a file that was just put the copy of itself."""
        return self._place(finished, self._copy(name, sha256_of(finished)))

    def _place(self, file: Path, copy: Path) -> Path:
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, copy)
        return copy

    def _copy(self, name: str, version: str) -> Path:
        """Where a version of an object lies on this machine: its hive folders stay, since readers look at them."""
        path = PurePosixPath(name)
        mark = "".join(character for character in version if character.isalnum())[:16]
        return self.at.cache / path.parent / f"{path.stem}.{mark}{path.suffix}"


def _as_listed(found: "ObjectMeta") -> Listed:
    changed_at = found["last_modified"].timestamp()
    return Listed(found["path"], found["size"], changed_at, changed_at)


@contextmanager
def _mapped(file: Path) -> Iterator[bytes | memoryview]:
    """A file's bytes, which memory need not hold at once. Raises: WrongRoot when S3 would not take so many."""
    size = file.stat().st_size
    if size > LARGEST_PUT:
        raise WrongRoot(f"a file of {size:,} bytes cannot be kept in a bucket, which takes {LARGEST_PUT:,} at a time")
    with file.open("rb") as stream:
        yield memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)) if size else b""
