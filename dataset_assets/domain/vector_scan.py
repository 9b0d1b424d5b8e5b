"""The nearest of many vectors, exactly: rows of half precision are read where they lie, such as in a memory map.

A few queries are bound by memory: each row is widened in registers and multiplied at once. Of many queries, rows are
widened a tile at a time and go through one matrix product; what it finds near the best is reckoned again in the first
way, so that a query's answer does not depend on the queries beside it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic
from numpy.typing import NDArray

Vectors = NDArray[np.float16]
Rows = NDArray[np.int64]

FEW_QUERIES = 4
FEW_ROWS = 4096  # which one thread reckons sooner than several begin
ROWS_AT_ONCE = 1 << 17  # scored by one query before the best of them are kept
TILE = 1024  # rows that are widened and multiplied together
TILES = 16  # between two looks at what was found
# By which the two ways of adding up a product of vectors of length 1 can differ, many times over.
SLACK = np.float32(1e-4)


class Hits(NamedTuple):
    """Rows in order of falling score; of equal scores, the lower row first. A score is a dot product."""

    rows: Rows
    scores: NDArray[np.float32]


def nearest(vectors: Vectors, queries: NDArray[np.float32], limit: int, chosen: Rows | None = None) -> list[Hits]:
    """For each query the rows of the highest dot products: all that there are, or `limit`.

    `vectors`: (rows, dimensions), of length 1 at most, contiguous; queries: (queries, dimensions). `chosen`: only these
    rows, ascending. A row or a product that is no finite number is never found.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    if chosen is not None or len(queries) < FEW_QUERIES:
        return [_of_one(vectors, query, limit, chosen) for query in queries]
    return _of_many(vectors, queries, limit)


def dots(vectors: Vectors, query: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """The dot products of a query with some rows."""
    found = np.empty(len(rows), np.float32)
    reckon = _dots_at if len(rows) > FEW_ROWS else _few_dots_at
    reckon(vectors.view(np.uint16), rows, np.ascontiguousarray(query, np.float32), found)
    return found


def widened(vectors: Vectors) -> NDArray[np.float32]:
    """Contiguous rows in single precision."""
    result = np.empty(vectors.shape, np.float32)
    _widen(np.ascontiguousarray(vectors).view(np.uint16), result)
    return result


def merged(parts: Sequence[Hits], limit: int) -> Hits:
    """The best of several parts, whose rows are numbered in common."""
    return _best(np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts]), limit)


def _of_one(vectors: Vectors, query: NDArray[np.float32], limit: int, chosen: Rows | None) -> Hits:
    count = len(vectors) if chosen is None else len(chosen)
    hits, scores = Hits(np.empty(0, np.int64), np.empty(0, np.float32)), np.empty(ROWS_AT_ONCE, np.float32)
    for start in range(0, count, ROWS_AT_ONCE):
        if chosen is None:
            part = vectors[start : start + ROWS_AT_ONCE]
            found = scores[: len(part)]
            _dots(part.view(np.uint16), query, found)
        else:
            found = dots(vectors, query, chosen[start : start + ROWS_AT_ONCE])
        floor = hits.scores[-1] if len(hits.scores) == limit and limit else -np.inf
        near = np.flatnonzero(found >= floor)
        rows = near + start if chosen is None else chosen[start + near]
        hits = merged([hits, Hits(rows, found[near])], limit)
    return hits


def _best(rows: Rows, scores: NDArray[np.float32], limit: int) -> Hits:
    if not np.isfinite(scores).all():
        rows, scores = rows[np.isfinite(scores)], scores[np.isfinite(scores)]
    if 0 < limit < len(scores):
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        near = scores >= least
        rows, scores = rows[near], scores[near]
    order = np.lexsort((rows, -scores))[:limit]
    return Hits(rows[order].astype(np.int64), scores[order])


def _of_many(vectors: Vectors, queries: NDArray[np.float32], limit: int) -> list[Hits]:
    """Candidates by matrix products, then each query's own products of them."""
    across, floors = np.ascontiguousarray(queries.T), np.full(len(queries), -np.inf, np.float32)
    found: list[list[Hits]] = [[] for _ in queries]
    tile = np.empty((TILE, vectors.shape[1]), np.float32)
    scores = np.empty((TILE * TILES, len(queries)), np.float32)
    for start in range(0, len(vectors), TILE * TILES):
        group = vectors[start : start + TILE * TILES]
        for at in range(0, len(group), TILE):
            part = group[at : at + TILE]
            _widen(part.view(np.uint16), tile)
            with np.errstate(invalid="ignore", over="ignore"):
                np.matmul(tile[: len(part)], across, out=scores[at : at + len(part)])
        for query, near in enumerate(_above(scores[: len(group)], floors)):
            if len(near):
                found[query].append(Hits(near + start, scores[near, query]))
                floors[query] = _floor(found[query], limit)
    return [_reckoned(vectors, query, parts, limit) for query, parts in zip(queries, found, strict=True)]


def _above(scores: NDArray[np.float32], floors: NDArray[np.float32]) -> list[Rows]:
    """For each query the rows of the group that may be among its best."""
    rows, queries = np.empty(scores.size, np.int32), np.empty(scores.size, np.int32)
    count = _find_above(scores, floors, rows, queries)
    rows, queries = rows[:count], queries[:count]
    order = np.argsort(queries, kind="stable")
    ends = np.searchsorted(queries[order], np.arange(len(floors) + 1))
    return [rows[order[a:b]].astype(np.int64) for a, b in pairwise(ends)]


def _floor(parts: list[Hits], limit: int) -> np.float32:
    """Below which a product is not among the best; drops what has fallen below it."""
    rows, scores = np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts])
    if len(scores) <= limit or not limit:
        parts[:] = [Hits(rows, scores)]
        return np.float32(-np.inf) if limit else np.float32(np.inf)
    floor = np.float32(np.partition(scores, len(scores) - limit)[len(scores) - limit] - 2 * SLACK)
    parts[:] = [Hits(rows[scores >= floor], scores[scores >= floor])]
    return floor


def _reckoned(vectors: Vectors, query: NDArray[np.float32], parts: list[Hits], limit: int) -> Hits:
    rows = np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)])
    return _best(rows, dots(vectors, query, rows), limit)


@intrinsic
def _half(context, bits):  # type: ignore[no-untyped-def]
    """Half precision, given as its bits, to single: one instruction for sixteen of them."""
    del context, bits

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return numba.types.float32(numba.types.uint16), code


def _compiled(function: Callable[..., Any], *, threads: bool = False) -> Callable[..., Any]:
    """Compile on the first call, and keep the result on disk for the next process where that can be written to."""
    # Sums in any order, so that sixteen run at once; the same order for every row.
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"}, "parallel": threads}
    try:
        kept: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for it
        kept = numba.njit(**options)(function)
    return kept


def _score_all(vectors, query, found):  # type: ignore[no-untyped-def]  # compiled: the types are those of its call
    for row in numba.prange(vectors.shape[0]):
        total = np.float32(0)
        for at in range(vectors.shape[1]):
            total += _half(vectors[row, at]) * query[at]
        found[row] = total


def _score_some(vectors, rows, query, found):  # type: ignore[no-untyped-def]
    for number in numba.prange(len(rows)):
        total, row = np.float32(0), rows[number]
        for at in range(vectors.shape[1]):
            total += _half(vectors[row, at]) * query[at]
        found[number] = total


def _widen_all(vectors, result):  # type: ignore[no-untyped-def]
    for row in range(vectors.shape[0]):
        for at in range(vectors.shape[1]):
            result[row, at] = _half(vectors[row, at])


def _find_all_above(scores, floors, rows, queries):  # type: ignore[no-untyped-def]
    count = 0
    for row in range(scores.shape[0]):
        for query in range(scores.shape[1]):
            if floors[query] <= scores[row, query] < np.inf:
                rows[count], queries[count] = row, query
                count += 1
    return count


_dots = _compiled(_score_all, threads=True)
_dots_at = _compiled(_score_some, threads=True)
# Where matrix products run too, on threads of their own, one thread does better than several.
_few_dots_at = _compiled(_score_some)
_widen = _compiled(_widen_all)
_find_above = _compiled(_find_all_above)
