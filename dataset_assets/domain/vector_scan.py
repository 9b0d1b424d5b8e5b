"""The nearest of many vectors, exactly: rows of half precision are read where they lie, such as in a memory map.

A few queries are bound by memory: each row is widened in registers and multiplied at once. Of many queries, rows are
widened a tile at a time and multiplied with all of them; what is found near the best is reckoned again in the first
way, so that a query's answer does not depend on the queries beside it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain import vector_products
from dataset_assets.domain.vector_products import PANEL, weights

Vectors = NDArray[np.float16]
Rows = NDArray[np.int64]
Sums = NDArray[np.int32]

FEW_QUERIES = 6  # sooner answered one by one than together
FEW_ROWS = 4096  # which one thread reckons sooner than several begin
ROWS_AT_ONCE = 1 << 17  # scored before the best of them are kept
FIRST_ROWS = 512  # of many queries: the best of these are the least that later ones must reach
SHARE = 1024  # rows that one thread takes at a time
# By which the two ways of adding up a product of vectors of length 1 can differ, many times over.
SLACK = np.float32(1e-4)


class VectorsDamaged(ValueError):
    """Vectors that are no longer those that were written."""


class Hits(NamedTuple):
    """Rows in order of falling score; of equal scores, the lower row first. A score is a dot product."""

    rows: Rows
    scores: NDArray[np.float32]


class Candidates(NamedTuple):
    """Rows that may be among the best of a query, by query and falling score."""

    queries: NDArray[np.int32]
    rows: Rows
    scores: NDArray[np.float32]


def nearest(
    vectors: Vectors,
    queries: NDArray[np.float32],
    limit: int,
    chosen: Rows | None = None,
    sums: Sums | None = None,
) -> list[Hits]:
    """For each query the rows of the highest dot products: all that there are, or `limit`.

    `vectors`: (rows, dimensions), of length 1 at most, contiguous; queries: (queries, dimensions). `chosen`: only these
    rows, ascending. `sums`: what `checksums` gave of all rows when they were written: each row that is read is held
    against it. A row or a product that is no finite number is never found.
    Raises: VectorsDamaged.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    if chosen is not None or len(queries) < FEW_QUERIES:
        return [_of_one(vectors, query, limit, chosen, sums) for query in queries]
    panels = [queries[start : start + PANEL] for start in range(0, len(queries), PANEL)]
    return [hits for panel in panels for hits in _of_many(vectors, panel, limit, sums)]


def dots(vectors: Vectors, query: NDArray[np.float32], rows: Rows, sums: Sums | None = None) -> NDArray[np.float32]:
    """The dot products of a query with some rows. Raises: VectorsDamaged."""
    found, seen = np.empty(len(rows), np.float32), np.empty(len(rows), np.int32)
    reckon = vector_products.score_some if len(rows) > FEW_ROWS else vector_products.score_few
    query = np.ascontiguousarray(query, np.float32)
    reckon(vectors.view(np.uint16), rows, weights(vectors.shape[1]), query, found, seen)
    _require_same(seen, None if sums is None else sums[rows])
    return found


def every_dot(vectors: Vectors, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """The dot products of a query with all rows. BLAS waits for its threads, which is long for so little."""
    return dots(vectors, query, np.arange(len(vectors)))


def widened(vectors: Vectors) -> NDArray[np.float32]:
    """Contiguous rows in single precision."""
    result = np.empty(vectors.shape, np.float32)
    vector_products.widen(np.ascontiguousarray(vectors).view(np.uint16), result)
    return result


def checksums(vectors: Vectors) -> Sums:
    """A number of each row by which a changed one is known."""
    result = np.empty(len(vectors), np.int32)
    vector_products.sum_all(np.ascontiguousarray(vectors).view(np.uint16), weights(vectors.shape[1]), result)
    return result


def merged(parts: Sequence[Hits], limit: int) -> Hits:
    """The best of several parts, whose rows are numbered in common."""
    return _best(np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts]), limit)


def _require_same(seen: Sums, written: Sums | None) -> None:
    if written is not None and not np.array_equal(seen, written):
        changed = np.count_nonzero(seen != written)
        raise VectorsDamaged(f"{changed} of {len(seen)} vectors that were read do not match their checksums")


def _of_one(vectors: Vectors, query: NDArray[np.float32], limit: int, chosen: Rows | None, sums: Sums | None) -> Hits:
    count = len(vectors) if chosen is None else len(chosen)
    hits = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    for start in range(0, count, ROWS_AT_ONCE):
        end = min(count, start + ROWS_AT_ONCE)
        if chosen is None:
            found = _dots_of_run(vectors[start:end], query, None if sums is None else sums[start:end])
        else:
            found = dots(vectors, query, chosen[start:end], sums)
        floor = hits.scores[-1] if len(hits.scores) == limit and limit else -np.inf
        near = np.flatnonzero(found >= floor)
        rows = near + start if chosen is None else chosen[start + near]
        hits = merged([hits, Hits(rows, found[near])], limit)
    return hits


def _dots_of_run(vectors: Vectors, query: NDArray[np.float32], sums: Sums | None) -> NDArray[np.float32]:
    found, seen = np.empty(len(vectors), np.float32), np.empty(len(vectors), np.int32)
    vector_products.score_all(vectors.view(np.uint16), weights(vectors.shape[1]), query, found, seen)
    _require_same(seen, sums)
    return found


def _best(rows: Rows, scores: NDArray[np.float32], limit: int) -> Hits:
    if not np.isfinite(scores).all():
        rows, scores = rows[np.isfinite(scores)], scores[np.isfinite(scores)]
    if 0 < limit < len(scores):
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        near = scores >= least
        rows, scores = rows[near], scores[near]
    order = np.lexsort((rows, -scores))[:limit]
    return Hits(rows[order].astype(np.int64), scores[order])


def _of_many(vectors: Vectors, queries: NDArray[np.float32], limit: int, sums: Sums | None) -> list[Hits]:
    """Candidates by products of all with all, then each query's own products of them."""
    if not limit:
        return [Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    panel, floors = _panel(queries), np.full(PANEL, np.inf, np.float32)
    floors[: len(queries)] = -np.inf
    kept = Candidates(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))
    start, size = 0, FIRST_ROWS
    # As many again each time: about as many new ones are found, whatever the vectors' number.
    while start < len(vectors):
        end = min(len(vectors), start + size)
        found = _above(vectors[start:end], panel, floors, None if sums is None else sums[start:end])
        kept, reached = _near_best(_joined([kept, found._replace(rows=found.rows + start)]), limit)
        floors[: len(queries)] = reached[: len(queries)]
        start, size = end, min(end, ROWS_AT_ONCE)
    ends = np.searchsorted(kept.queries, np.arange(len(queries) + 1))
    rows = [kept.rows[ends[place] : ends[place + 1]] for place in range(len(queries))]
    return [_best(near, dots(vectors, query, near, sums), limit) for query, near in zip(queries, rows, strict=True)]


def _panel(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """(dimensions, PANEL): a query in each column, then zeros; at the beginning of a line of the processor's cache."""
    size = queries.shape[1] * PANEL
    space = np.zeros(size + 16, np.float32)
    first = -space.ctypes.data % 64 // 4
    panel = space[first : first + size].reshape(queries.shape[1], PANEL)
    panel[:, : len(queries)] = queries.T
    return panel


def _above(vectors: Vectors, panel: NDArray[np.float32], floors: NDArray[np.float32], sums: Sums | None) -> Candidates:
    """What reaches the floor of its query."""
    size, counts = len(vectors) * PANEL, np.empty(-(-len(vectors) // SHARE), np.int64)
    rows, queries, scores = np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.float32)
    seen = np.empty(len(vectors), np.int32)
    bits, scale = vectors.view(np.uint16), weights(vectors.shape[1])
    vector_products.find_above(bits, scale, panel, floors, SHARE, rows, queries, scores, counts, seen)
    _require_same(seen, sums)
    starts = range(0, size, SHARE * PANEL)
    parts = [slice(start, start + count) for start, count in zip(starts, counts, strict=True)]
    return _joined([Candidates(queries[part], rows[part], scores[part]) for part in parts])


def _joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([part.queries for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def _near_best(found: Candidates, limit: int) -> tuple[Candidates, NDArray[np.float32]]:
    """Without what is too far below the best of its query; and for each query how far that is."""
    order = np.lexsort((-found.scores, found.queries))
    queries, rows, scores = found.queries[order], found.rows[order], found.scores[order]
    last = np.searchsorted(queries, np.arange(PANEL)) + limit - 1
    ends = np.searchsorted(queries, np.arange(PANEL), side="right")
    floors = np.full(PANEL, -np.inf, np.float32)
    enough = last < ends
    floors[enough] = scores[last[enough]] - 2 * SLACK
    near = scores >= floors[queries]
    return Candidates(queries[near], rows[near], scores[near]), floors
