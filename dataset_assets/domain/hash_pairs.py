"""Close pairs of 64-bit hashes: what is compared, what is found, and what the searches for them share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int32]


class Looks(NamedTuple):
    """What is compared: a perceptual hash, and coarse classes of shape and brightness, one element per picture."""

    hashes: Hashes
    shape: NDArray[np.int16]  # class of the ratio of width to height
    luma: NDArray[np.int16]  # class of mean luma

    def at(self, chosen: NDArray[np.integer] | slice) -> "Looks":
        return Looks(self.hashes[chosen], self.shape[chosen], self.luma[chosen])

    @classmethod
    def of_hashes(cls, hashes: Hashes) -> "Looks":
        """Hashes alone: every pair of them that is close counts."""
        same = np.zeros(len(hashes), np.int16)
        return cls(hashes, same, same)


class Pairs(NamedTuple):
    """Pairs of positions, `later` > `earlier`, ordered by both; and in how many bits they differ."""

    later: Numbers
    earlier: Numbers
    distance: NDArray[np.uint8]

    @classmethod
    def with_room(cls, count: int) -> "Pairs":
        """So many pairs that are still to be written."""
        return cls(np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.uint8))

    def first(self, count: int) -> "Pairs":
        """A copy of the first ones."""
        return Pairs(self.later[:count].copy(), self.earlier[:count].copy(), self.distance[:count].copy())


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call, and keep the result on disk for the next process where that can be written to."""
    try:
        kept: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder for it
        kept = numba.njit(nogil=True)(function)
    return kept


@numba.njit(inline="always")
def bits_of(value):  # type: ignore[no-untyped-def]  # compiled: the types are those of its call
    """How many bits are set; the compiler makes one instruction of it."""
    value -= (value >> np.uint64(1)) & np.uint64(0x5555555555555555)
    value = (value & np.uint64(0x3333333333333333)) + ((value >> np.uint64(2)) & np.uint64(0x3333333333333333))
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (value * np.uint64(0x0101010101010101)) >> np.uint64(56)
