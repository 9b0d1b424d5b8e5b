"""A file of vectors in clusters: scanned whole for an exact answer, or by sketches of the nearest clusters.

    header | centres | first row of each cluster, and the end | row of the table for each vector | turn of sketches
    sketches | vectors | checksum of each vector | CRC-32 of each cluster's sketches | CRC-32 of these two

Vectors lie as they are in the table, in half precision, cluster by cluster, so that both ways read long runs of a
memory map and nothing is held twice. What leads to the sketches, and what follows the vectors, is checked when the file
is opened; the sketches of a cluster when they are first read; a vector whenever it is read. Numbers are little-endian.
The same vectors give the same file.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.clusters import centres, nearest_centres
from dataset_assets.domain.vector_scan import (
    Hits,
    Rows,
    Sums,
    Vectors,
    VectorsDamaged,
    checksums,
    dots,
    every_dot,
    merged,
    nearest,
    widened,
)
from dataset_assets.domain.vector_sketches import Sketches, asked, estimates, sketched, turn, words_of

VERSION, MAGIC, ALIGNED = 2, b"VECTORIX", 4096
_HEADER = struct.Struct("<8sIIQII")  # version, dimensions, vectors, clusters, CRC-32 of what leads to the sketches
_CHECK = struct.Struct("<I")
SMALLEST = 20_000  # vectors; fewer are one cluster without sketches: a scan of them takes milliseconds
PROBED, LEAST_PROBED = 1 / 5, 300  # clusters whose sketches a query is compared with
RECKONED, RECKONED_EACH = 500, 10  # best by estimate that are reckoned exactly, and more for each that is asked for
FEW = 1 / 20  # of the vectors: so few chosen ones are scanned, wherever they lie
ROWS_AT_ONCE = 8192


class VectorIndexDamaged(VectorsDamaged):
    """Bytes that are no index, or no longer the one that was written."""


def clusters_for(count: int) -> int:
    """How many clusters so many vectors are dealt into."""
    return 1 if count < SMALLEST else round(2 * count**0.5)


def pieces(vectors: Vectors, rows: NDArray[np.uint32]) -> Iterator[bytes]:
    """An index's bytes. `vectors` may lie in a memory map; `rows` are their rows in the table."""
    (count, dim), clusters = vectors.shape, clusters_for(len(vectors))
    middles = (centres(vectors, clusters) if clusters > 1 else np.zeros((1, dim))).astype("<f2")
    own = nearest_centres(vectors, widened(middles))[:, 0] if clusters > 1 else np.zeros(count, np.int32)
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(clusters + 1))
    turned_by = turn(dim) if clusters > 1 else np.empty((0, dim), "<f2")
    parts = (middles, starts.astype("<u8"), rows[order].astype("<u4"), turned_by)
    leading = b"".join(part.tobytes() for part in parts)
    header = _HEADER.pack(MAGIC, VERSION, dim, count, clusters, zlib.crc32(leading))
    yield header + leading + _padding(len(header) + len(leading))
    checks: list[int] = []
    if clusters > 1:
        for middle, (start, end) in zip(widened(middles), pairwise(starts), strict=True):
            data = _sketches(vectors, order[start:end], middle, turned_by)
            checks.append(zlib.crc32(data))
            yield data
        yield _padding(8 * words_of(dim) * count)
    sums = []
    for start in range(0, count, ROWS_AT_ONCE):
        some = vectors[order[start : start + ROWS_AT_ONCE]]
        sums.append(checksums(some).astype("<i4").tobytes())
        yield some.astype("<f2").tobytes()
    trailing = b"".join(sums) + np.array(checks, "<u4").tobytes()
    yield trailing + _CHECK.pack(zlib.crc32(trailing))


def _sketches(vectors: Vectors, members: Rows, middle: NDArray[np.float32], turned_by: Vectors) -> bytes:
    """The sketches of a cluster, which can have all vectors, if they are equal."""
    parts = (members[start : start + ROWS_AT_ONCE] for start in range(0, len(members), ROWS_AT_ONCE))
    return b"".join(sketched(widened(vectors[some]) - middle, turned_by).tobytes() for some in parts)


class Layout(NamedTuple):
    """Where the parts of a file lie."""

    leading: slice
    parts: list[slice]  # of what leads
    sketches: slice
    vectors: slice
    sums: slice
    checks: slice
    trailing: slice  # the former two
    size: int


def layout_of(dim: int, count: int, clusters: int) -> Layout:
    """The layout of a file of so many vectors and clusters."""
    several = clusters > 1
    sizes = [2 * clusters * dim, 8 * (clusters + 1), 4 * count, 2 * dim * dim * several]
    ends = list(accumulate([_HEADER.size, *sizes]))
    sketches = _run(_aligned(ends[-1]), 8 * words_of(dim) * count * several)
    vectors = _run(_aligned(sketches.stop), 2 * dim * count)
    sums = _run(vectors.stop, 4 * count)
    checks = _run(sums.stop, 4 * clusters * several)
    return Layout(
        leading=slice(ends[0], ends[-1]),
        parts=[slice(start, end) for start, end in pairwise(ends)],
        sketches=sketches,
        vectors=vectors,
        sums=sums,
        checks=checks,
        trailing=slice(sums.start, checks.stop),
        size=checks.stop + _CHECK.size,
    )


def _run(start: int, size: int) -> slice:
    return slice(start, start + size)


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def _padding(size: int) -> bytes:
    return b"\0" * (_aligned(size) - size)


class VectorIndex:
    """An index over its bytes, such as a memory map of its file.

    Raises: VectorIndexDamaged.
    """

    def __init__(self, data: memoryview) -> None:
        if len(data) < _HEADER.size:
            raise VectorIndexDamaged(f"{len(data)} bytes are no index of vectors")
        magic, version, dim, count, clusters, checksum = _HEADER.unpack(data[: _HEADER.size])
        if (magic, version) != (MAGIC, VERSION):
            raise VectorIndexDamaged(f"begins with {magic!r}, version {version}; expected {MAGIC!r}, {VERSION}")
        at = layout_of(dim, count, clusters)
        if len(data) != at.size or not dim or not clusters:
            raise VectorIndexDamaged(f"{len(data)} bytes cannot hold {count} vectors of {dim} numbers")
        if zlib.crc32(data[at.leading]) != checksum:
            raise VectorIndexDamaged("what leads to the vectors does not match its checksum")
        if zlib.crc32(data[at.trailing]) != _CHECK.unpack(data[at.trailing.stop :])[0]:
            raise VectorIndexDamaged("the checksums of the vectors do not match their own")
        middles, starts, rows, turned_by = (data[part] for part in at.parts)
        self.dim = int(dim)
        self._centres: Vectors = np.frombuffer(middles, "<f2").reshape(clusters, dim)
        self._starts = np.frombuffer(starts, "<u8").astype(np.int64)
        self.rows: NDArray[np.uint32] = np.frombuffer(rows, "<u4")
        self._turn = np.frombuffer(turned_by, "<f2").reshape(-1, dim)
        self._sketches: Sketches = np.frombuffer(data[at.sketches], "<u8").reshape(-1, words_of(dim))
        self.vectors: Vectors = np.frombuffer(data[at.vectors], "<f2").reshape(count, dim)
        self._sums: Sums = np.frombuffer(data[at.sums], "<i4")
        self._checks = np.frombuffer(data[at.checks], "<u4")
        self._is_checked = np.zeros(len(self._checks), np.bool_)

    def search(
        self,
        queries: NDArray[np.float32],
        limit: int,
        *,
        exact: bool = False,
        allowed: NDArray[np.bool_] | None = None,
    ) -> list[Hits]:
        """For each query the nearest rows of the table: `limit` of them wherever there are as many.

        `allowed`: by row of the table, whether it may be found. Few allowed rows are scanned exactly in any case.
        Raises: VectorsDamaged.
        """
        places = None if allowed is None else np.flatnonzero(allowed[self.rows])
        if exact or len(self._centres) == 1 or (places is not None and len(places) < FEW * len(self.rows)):
            every = nearest(self.vectors, queries, limit, places, self._sums)
            return [self._named(hits, limit) for hits in every]
        return [self._quick(query, limit, allowed) for query in np.ascontiguousarray(queries, np.float32)]

    def _quick(self, query: NDArray[np.float32], limit: int, allowed: NDArray[np.bool_] | None) -> Hits:
        """From the clusters nearest to the query; from further ones while too little is found."""
        middles = every_dot(self._centres, query)
        order, hits = np.argsort(-middles, kind="stable"), Hits(np.empty(0, np.int64), np.empty(0, np.float32))
        start, probed = 0, max(LEAST_PROBED, round(PROBED * len(order)))
        while start < len(order) and (not start or len(hits.rows) < limit):
            some = order[start : start + probed]
            places = self._likely(query, some, middles[some], RECKONED + RECKONED_EACH * limit, allowed)
            found = Hits(places, dots(self.vectors, query, places, self._sums))
            hits = merged([hits, self._named(found, limit)], limit)
            start, probed = start + probed, 2 * probed
        return hits

    def _likely(
        self,
        query: NDArray[np.float32],
        clusters: NDArray[np.int64],
        middles: NDArray[np.float32],
        limit: int,
        allowed: NDArray[np.bool_] | None,
    ) -> Rows:
        """The places in some clusters, the nearest first, that are best by estimate."""
        self._require_sketches(clusters)
        starts, ends = self._starts[clusters], self._starts[clusters + 1]
        found = estimates(self._sketches, asked(query, self._turn), (starts, ends), middles, self.dim)
        before = np.concatenate([[0], np.cumsum(ends - starts)])
        if allowed is not None:
            every = np.repeat(starts - before[:-1], ends - starts) + np.arange(len(found))
            found[~allowed[self.rows[every]]] = -np.inf
        numbers = _best_of(found, limit)
        runs = np.searchsorted(before, numbers, side="right") - 1
        return np.sort(starts[runs] + numbers - before[runs])

    def _require_sketches(self, clusters: NDArray[np.int64]) -> None:
        """Check what has not been read before."""
        for cluster in clusters[~self._is_checked[clusters]]:
            data = self._sketches[self._starts[cluster] : self._starts[cluster + 1]]
            if zlib.crc32(data.data) != self._checks[cluster]:
                raise VectorIndexDamaged("sketches of vectors do not match their checksum")
            self._is_checked[cluster] = True

    def _named(self, hits: Hits, limit: int) -> Hits:
        """Places in the file as rows of the table; of equal scores, the lower row first."""
        return merged([Hits(self.rows[hits.rows].astype(np.int64), hits.scores)], limit)


def _best_of(scores: NDArray[np.float32], limit: int) -> Rows:
    """Where the highest finite ones are. The first are the likeliest: their best say what later ones must reach."""
    if len(scores) > 16 * limit:
        near = np.flatnonzero(scores >= _highest(scores[: 8 * limit], limit))
    else:
        near = np.flatnonzero(scores > -np.inf)
    return near[scores[near] >= _highest(scores[near], limit)]


def _highest(scores: NDArray[np.float32], place: int) -> np.float32:
    """The score at that place from the top, or one that all finite ones reach."""
    finite = scores[np.isfinite(scores)]
    if len(finite) <= place:
        return np.finfo(np.float32).min
    return np.float32(np.partition(finite, len(finite) - place)[len(finite) - place])
