"""Pairs of vectors of a high cosine, without comparing all with all.

Vectors are dealt into clusters. Each is compared with those of the few clusters whose centres are nearest to it: two
vectors that are nearly one have their nearest centres in common. Pairs can be missed, and none is found wrongly.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.clusters import centres, nearest_centres
from dataset_assets.domain.vector_scan import Rows, Vectors, widened

SMALLEST = 8192  # vectors; fewer are compared all with all
PROBED = 4  # clusters in which each vector is looked for
AT_ONCE = 4096
# Of so many like ones before it, as among a thousand blank pages, the first are kept: the leader is one of them.
MOST_PARTNERS = 64


class VectorPairs(NamedTuple):
    """Pairs of rows, `later` > `earlier`, ordered by both, and their cosine."""

    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    cosine: NDArray[np.float32]


def close_vectors(vectors: Vectors, least: float) -> VectorPairs:
    """Pairs whose dot product is `least` or more; of a vector with very many, the first 64 before it.

    `vectors`: (rows, dimensions), of length 1, or 0 for a row that is in no pair; they may lie in a memory map.
    """
    found = [_ordered(*pairs) for pairs in _within(vectors, np.float32(least))]
    none = VectorPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    joined = [np.concatenate(parts) for parts in zip(none, *found, strict=True)]
    return _first_partners(*joined)


def _within(vectors: Vectors, least: np.float32) -> Iterator[tuple[Rows, Rows, NDArray[np.float32]]]:
    """Pairs as they are found, in any order, some of them twice."""
    if len(vectors) <= SMALLEST:
        yield from _between(vectors, np.arange(len(vectors)), np.arange(len(vectors)), least)
        return
    near = nearest_centres(vectors, centres(vectors, round(2 * len(vectors) ** 0.5)), PROBED)
    own_order, own_starts = _by_cluster(near[:, 0])
    asked_order, asked_starts = _by_cluster(near.ravel())
    for cluster in range(len(own_starts) - 1):
        members = own_order[own_starts[cluster] : own_starts[cluster + 1]]
        asked = asked_order[asked_starts[cluster] : asked_starts[cluster + 1]] // PROBED
        yield from _between(vectors, asked, members, least)


def _by_cluster(numbers: NDArray[np.int32]) -> tuple[Rows, Rows]:
    """Positions in order of their cluster, and where each cluster begins."""
    order = np.argsort(numbers, kind="stable")
    return order, np.searchsorted(numbers[order], np.arange(int(numbers.max()) + 2))


def _between(
    vectors: Vectors, some: Rows, others: Rows, least: np.float32
) -> Iterator[tuple[Rows, Rows, NDArray[np.float32]]]:
    for at in range(0, len(others), AT_ONCE):
        members = others[at : at + AT_ONCE]
        across = widened(vectors[members]).T
        for start in range(0, len(some), AT_ONCE):
            asked = some[start : start + AT_ONCE]
            scores = widened(vectors[asked]) @ across
            row, column = np.nonzero(scores >= least)
            one, other = asked[row], members[column]
            differ = one != other
            yield one[differ], other[differ], scores[row, column][differ]


def _ordered(one: Rows, other: Rows, cosine: NDArray[np.float32]) -> VectorPairs:
    return _first_partners(np.maximum(one, other), np.minimum(one, other), cosine)


def _first_partners(later: Rows, earlier: Rows, cosine: NDArray[np.float32]) -> VectorPairs:
    """Each pair once, in order; of each later row, the first partners."""
    order = np.lexsort((earlier, later))
    later, earlier, cosine = later[order], earlier[order], cosine[order]
    is_new = np.ones(len(later), np.bool_)
    is_new[1:] = (later[1:] != later[:-1]) | (earlier[1:] != earlier[:-1])
    later, earlier, cosine = later[is_new], earlier[is_new], cosine[is_new]
    place = np.arange(len(later)) - np.searchsorted(later, later)
    few = place < MOST_PARTNERS
    return VectorPairs(later[few].astype(np.int64), earlier[few].astype(np.int64), cosine[few])
