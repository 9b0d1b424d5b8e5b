"""Vectors in clusters: centres that stand among them, and which centres are nearest to each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.vector_scan import Vectors, widened

Centres = NDArray[np.float32]

SAMPLED = 32  # vectors looked at for each centre
ROUNDS = 4
ROWS_AT_ONCE = 4096


def centres(vectors: Vectors, count: int) -> Centres:
    """(count, dimensions), each of length 1, by a few rounds of k-means over an even sample of the vectors.

    The same vectors give the same centres.
    """
    sample = widened(vectors[:: max(1, len(vectors) // (SAMPLED * count))])
    sample = sample[np.isfinite(sample).all(axis=1)]
    found = _unit(sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)])
    for _ in range(ROUNDS):
        nearest = np.concatenate([np.argmax(part @ found.T, axis=1) for part in _parts(sample)])
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        found[present] = np.add.reduceat(sample[order], starts)  # a centre that is nearest to none stays
        found = _unit(found)
    return found


def nearest_centres(vectors: Vectors, middles: Centres, some: int = 1) -> NDArray[np.int32]:
    """(rows, some): the nearest centres of each vector, the nearest of all first."""
    found, across = np.empty((len(vectors), some), np.int32), np.ascontiguousarray(middles.T)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        scores = widened(vectors[start : start + ROWS_AT_ONCE]) @ across
        rows = np.arange(len(scores))
        for place in range(some):
            best = np.argmax(scores, axis=1)
            found[start : start + len(scores), place] = best
            scores[rows, best] = -np.inf
    return found


def _parts(rows: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length == 0, 1, length), np.float32)
