"""A file of vectors in clusters: scanned whole for an exact answer, or the nearest clusters for a quick one.

    header | centres | first row of each cluster, and the end | row of the table for each vector | vectors

Vectors lie as they are in the table, in half precision, cluster by cluster, so that both ways read long runs of a
memory map and nothing is held twice. What leads to them is checked against its checksum when the file is opened.
Numbers are little-endian. The same vectors give the same file.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.clusters import centres, nearest_centres
from dataset_assets.domain.vector_scan import Hits, Rows, Vectors, merged, nearest

VERSION, MAGIC, ALIGNED = 1, b"VECTORIX", 4096
_HEADER = struct.Struct("<8sIIQII")  # version, dimensions, vectors, clusters, CRC-32 of what leads to the vectors
SMALLEST = 20_000  # vectors; fewer are one cluster: a scan of them takes milliseconds
PROBED, LEAST_PROBED = 1 / 50, 16  # clusters that a query looks into
FEW = 1 / 20  # of the vectors: so few chosen ones are scanned, wherever they lie
ROWS_AT_ONCE = 8192


class VectorIndexDamaged(ValueError):
    """Bytes that are no index, or no longer the one that was written."""


def clusters_for(count: int) -> int:
    """How many clusters so many vectors are dealt into."""
    return 1 if count < SMALLEST else round(2 * count**0.5)


def pieces(vectors: Vectors, rows: NDArray[np.uint32]) -> Iterator[bytes]:
    """An index's bytes. `vectors` may lie in a memory map; `rows` are their rows in the table."""
    count = clusters_for(len(vectors))
    middles = centres(vectors, count) if count > 1 else np.zeros((1, vectors.shape[1]), np.float32)
    own = nearest_centres(vectors, middles)[:, 0] if count > 1 else np.zeros(len(vectors), np.int32)
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(count + 1)).astype("<u8")
    leading = middles.astype("<f4").tobytes() + starts.tobytes() + rows[order].astype("<u4").tobytes()
    header = _HEADER.pack(MAGIC, VERSION, vectors.shape[1], len(vectors), count, zlib.crc32(leading))
    yield header
    yield leading
    yield b"\0" * (_aligned(len(header) + len(leading)) - len(header) - len(leading))
    for start in range(0, len(order), ROWS_AT_ONCE):
        yield vectors[order[start : start + ROWS_AT_ONCE]].astype("<f2").tobytes()


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


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
        ends = np.cumsum([_HEADER.size, 4 * clusters * dim, 8 * (clusters + 1), 4 * count])
        first = _aligned(int(ends[-1]))
        if len(data) != first + 2 * count * dim or not dim or not clusters:
            raise VectorIndexDamaged(f"{len(data)} bytes cannot hold {count} vectors of {dim} numbers")
        if zlib.crc32(data[ends[0] : ends[-1]]) != checksum:
            raise VectorIndexDamaged("what leads to the vectors does not match its checksum")
        self.dim = int(dim)
        self._centres = np.frombuffer(data[ends[0] : ends[1]], "<f4").reshape(clusters, dim)
        self._starts = np.frombuffer(data[ends[1] : ends[2]], "<u8").astype(np.int64)
        self.rows: NDArray[np.uint32] = np.frombuffer(data[ends[2] : ends[3]], "<u4")
        self.vectors: Vectors = np.frombuffer(data[first:], "<f2").reshape(count, dim)

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
        """
        places = None if allowed is None else np.flatnonzero(allowed[self.rows])
        if exact or len(self._centres) == 1 or (places is not None and len(places) < FEW * len(self.rows)):
            return [self._named(hits, limit) for hits in nearest(self.vectors, queries, limit, places)]
        return [self._quick(query, limit, allowed) for query in queries]

    def _quick(self, query: NDArray[np.float32], limit: int, allowed: NDArray[np.bool_] | None) -> Hits:
        """From the clusters nearest to the query; from further ones while too little is found."""
        order, hits = (
            np.argsort(-(self._centres @ query), kind="stable"),
            Hits(np.empty(0, np.int64), np.empty(0, "f4")),
        )
        start, probed = 0, max(LEAST_PROBED, round(PROBED * len(order)))
        while start < len(order) and (not start or len(hits.rows) < limit):
            places = self._places(order[start : start + probed])
            if allowed is not None:
                places = places[allowed[self.rows[places]]]
            found = nearest(self.vectors, query[np.newaxis], limit, places)[0]
            hits = merged([hits, self._named(found, limit)], limit)
            start, probed = start + probed, 2 * probed
        return hits

    def _places(self, clusters: NDArray[np.int64]) -> Rows:
        spans = [np.arange(self._starts[one], self._starts[one + 1]) for one in np.sort(clusters)]
        return np.concatenate(spans)

    def _named(self, hits: Hits, limit: int) -> Hits:
        """Places in the file as rows of the table; of equal scores, the lower row first."""
        return merged([Hits(self.rows[hits.rows].astype(np.int64), hits.scores)], limit)

    def vector_of(self, row: int) -> NDArray[np.float32] | None:
        """The vector of a row of the table; null = it has none."""
        places = np.flatnonzero(self.rows == row)
        return None if not len(places) else np.asarray(self.vectors[places[0]], np.float32)
