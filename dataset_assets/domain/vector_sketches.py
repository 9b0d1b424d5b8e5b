"""Sketches of vectors: a bit for each dimension, from which products are estimated at a fifteenth of the reading.

A vector is seen from the centre of its cluster, and turned at random, the same way for all; a sketch has the signs of
what remains, and one number that makes up for what signs leave out. An estimate is right on average and off by some
hundredths, so the best by estimate are reckoned exactly. Source: Gao and Long, RaBitQ, SIGMOD 2024.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

from dataset_assets.domain.vector_products import compiled
from dataset_assets.domain.vector_scan import Vectors, every_dot, widened

Sketches = NDArray[np.uint64]  # (rows, words of signs and one more, of which the first half is the factor)

PLANES = 4  # bits by which each number of a turned query is said
WORD_BITS = 64
FEW_SKETCHES = 1 << 16  # which one thread compares sooner than several begin


class TurnedQuery(NamedTuple):
    """A query as sketches are compared with it: sixteen levels, bit by bit, and the size of one."""

    planes: NDArray[np.uint64]
    step: np.float32


def turn(dim: int) -> Vectors:
    """(dim, dim): a rotation at random, always the same."""
    drawn = np.random.default_rng(0).standard_normal((dim, dim))
    return np.linalg.qr(drawn)[0].astype("<f2")


def words_of(dim: int) -> int:
    """The 64-bit words of a sketch."""
    return -(-dim // WORD_BITS) + 1


def sketched(remains: NDArray[np.float32], turned_by: Vectors) -> Sketches:
    """Sketches of what remains of vectors without the centre of their cluster."""
    turned = remains @ widened(turned_by).T
    total = np.abs(turned).sum(axis=1)
    result = np.zeros((len(turned), words_of(turned.shape[1])), "<u8")
    result[:, :-1] = _packed(turned >= 0)
    factors = np.square(turned).sum(axis=1) / np.where(total == 0, 1, total)
    result.view("<f4")[:, -2] = factors
    return result


def asked(query: NDArray[np.float32], turned_by: Vectors) -> TurnedQuery:
    """A query made ready for `estimates`."""
    turned, most = every_dot(turned_by, query), (1 << PLANES) - 1
    step = np.float32(np.abs(turned).max() / most)
    levels = np.rint((turned / (step or 1) + most) / 2).astype(np.uint8)
    return TurnedQuery(np.stack([_packed((levels >> plane & 1).astype(np.bool_)) for plane in range(PLANES)]), step)


def estimates(
    sketches: Sketches, query: TurnedQuery, spans: Sequence[NDArray[np.int64]], middles: NDArray[np.float32], dim: int
) -> NDArray[np.float32]:
    """The estimated products of a query with some runs of rows, one run after another.

    `spans`: where each begins, and where it ends; `middles`: the query's product with the centre of each.
    """
    starts, ends = spans
    places = np.concatenate([[0], np.cumsum(ends - starts)])
    found = np.empty(places[-1], np.float32)
    estimate = _estimate if len(found) > FEW_SKETCHES else _estimate_few
    estimate(sketches, sketches.view(np.float32), starts, places, middles, query.planes, query.step, dim, found)
    return found


def _packed(signs: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bits as words, those beyond the last dimension 0."""
    missing = -signs.shape[-1] % WORD_BITS
    padded = np.concatenate([signs, np.zeros((*signs.shape[:-1], missing), np.bool_)], axis=-1)
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8")


@intrinsic
def _ones(context, word):  # type: ignore[no-untyped-def]
    """How many bits of a word are set."""
    del context, word

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return numba.types.uint64(numba.types.uint64), code


def _estimate_runs(sketches, numbers, starts, places, middles, planes, step, dim, found):  # type: ignore[no-untyped-def]
    words = sketches.shape[1] - 1
    for run in numba.prange(len(starts)):
        for number in range(places[run + 1] - places[run]):
            row, differ = starts[run] + number, np.uint64(0)
            for word in range(words):
                signs = sketches[row, word]
                differ += (
                    _ones(signs ^ planes[0, word])
                    + (_ones(signs ^ planes[1, word]) << np.uint64(1))
                    + (_ones(signs ^ planes[2, word]) << np.uint64(2))
                    + (_ones(signs ^ planes[3, word]) << np.uint64(3))
                )
            product = step * np.float32(15 * dim - 2 * np.int64(differ))
            found[places[run] + number] = middles[run] + numbers[row, 2 * words] * product


_estimate = compiled(_estimate_runs, threads=True)
_estimate_few = compiled(_estimate_runs)
