"""All pairs of 64-bit hashes that differ in few bits, exactly, without comparing all with all.

Two hashes that differ in at most T bits, cut into k blocks, have k - T whole blocks in common. So for each choice of
k - T blocks, hashes are grouped by what stands in them, and compared within their groups; k is chosen so that groups
are small and choices few. A few hashes are looked up among many in another way: cut into four bands, one band differs
in at most one bit.

The bits of real hashes are not alike: flat parts of pictures give runs of zeros, and groups by one row of the hash are
crowds. So bits are ordered by how much they tell, and dealt out evenly over the blocks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int32]

BITS, BANDS, BAND_BITS = 64, 4, 16
MAX_DISTANCE = 7  # of four bands, one differs in at most a quarter of the bits, rounded down: here one
FEW = 16  # times fewer are looked up than are held
# Measured on one core: a hash grouped anew, two hashes compared, and what a choice costs at least; in ns.
GROUPING_NS, COMPARING_NS, CHOICE_NS = 30.0, 1.0, 60_000.0
TELLING = 0.85  # what a bit of a real hash halves, as a share of what a bit of a random one would
SAMPLED = 4096


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


@dataclass(frozen=True)
class Cut:
    """A way to cut hashes into blocks, of which each close pair has `shared` in common."""

    blocks: int
    width: int
    shared: int

    @property
    def choices(self) -> Iterator[tuple[int, ...]]:
        return combinations(range(self.blocks), self.shared)


def close_pairs(looks: Looks, distance: int, held: int = 0) -> Pairs:
    """Every pair that differs in at most `distance` bits, and in neither class by more than one.

    The first `held` are not paired with one another. Memory: 24 bytes a hash, and 9 a pair that is found, twice.
    Raises: ValueError when the distance is not 0 to 7.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"a distance is 0 to {MAX_DISTANCE} bits, found {distance}")
    count = len(looks.hashes)
    if count < 2 or held >= count:
        return _ordered([])
    moved = looks._replace(hashes=_deal(looks.hashes, *_cards(count, held, distance)))
    if (count - held) * FEW < held:
        return _ordered([_looked_up(moved, held, distance), *_grouped(moved, held, distance, only_new=True)])
    return _ordered(_grouped(moved, held, distance))


def stars(count: int, pairs: Pairs) -> NDArray[np.int64]:
    """Who leads whom: each joins the nearest of the leaders before it, the first of equally near ones, or leads."""
    leads: NDArray[np.int64] = _stars(count, pairs.later, pairs.earlier, pairs.distance)
    return leads


def plan(count: int, distance: int) -> Cut:
    """The cut that costs least for so many hashes."""

    def cost(cut: Cut) -> float:
        alike = count * count / 2 / 2.0 ** (TELLING * cut.width * cut.shared)
        return float(comb(cut.blocks, cut.shared) * (GROUPING_NS * count + COMPARING_NS * alike + CHOICE_NS))

    cuts = [Cut(distance + shared, min(BITS // (distance + shared), 24 // shared), shared) for shared in (1, 2, 3, 4)]
    return min((cut for cut in cuts if cut.width <= BAND_BITS), key=cost)


def _cards(count: int, held: int, distance: int) -> tuple[int, int]:
    """Over how many blocks, and how wide ones, the bits are dealt."""
    if (count - held) * FEW < held:
        return BANDS, BAND_BITS
    cut = plan(count, distance)
    return cut.blocks, cut.width


def _deal(hashes: Hashes, blocks: int, width: int) -> Hashes:
    """Hashes with their bits in another order: the most telling ones dealt out over the blocks, to and fro."""
    source = np.zeros(BITS, np.int64)
    free = list(range(BITS))
    for rank, bit in enumerate(_most_telling_first(hashes)):
        turn, block = divmod(rank, blocks)
        if turn < width:
            target = (blocks - 1 - block if turn % 2 else block) * width + turn
            free.remove(target)
        else:
            target = free.pop()
        source[target] = bit
    moved: Hashes = _moved(np.ascontiguousarray(hashes), _tables(source))
    return moved


def _most_telling_first(hashes: Hashes) -> list[int]:
    sample = hashes[:: max(1, len(hashes) // SAMPLED)]
    bits = np.unpackbits(sample.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    share = bits.mean(axis=0)
    return [int(bit) for bit in np.argsort(-np.minimum(share, 1 - share), kind="stable")]


def _tables(source: NDArray[np.int64]) -> NDArray[np.uint64]:
    """For each byte of a hash and each of its values, the bits it sets in the result; (8, 256)."""
    tables = np.zeros((8, 256), np.uint64)
    values = np.arange(256, dtype=np.uint64)
    for target, bit in enumerate(source.tolist()):
        tables[bit // 8] |= ((values >> np.uint64(bit % 8)) & np.uint64(1)) << np.uint64(target)
    return tables


def _grouped(looks: Looks, held: int, distance: int, *, only_new: bool = False) -> list[Pairs]:
    """Pairs within groups that have blocks in common."""
    if only_new:  # these are few, and the cut is for the many
        found = close_pairs(looks.at(slice(held, None)), distance)
        shift = np.int32(held)
        return [Pairs(found.later + shift, found.earlier + shift, found.distance)]
    cut, count = plan(len(looks.hashes), distance), len(looks.hashes)
    order, values = np.empty((2, count), np.int32), np.empty((2, count), np.uint64)
    told: list[Pairs] = []
    room = max(1 << 12, count // 4)
    for choice in cut.choices:
        starts = np.array([block * cut.width for block in choice], np.uint64)
        before = np.array([block * cut.width for block in range(choice[-1]) if block not in choice], np.uint64)
        keys = _group(looks.hashes, starts, cut.width, order, values)
        while True:
            pairs = _room_for(room)
            needed = _within_groups(keys, order[0], values[0], looks, before, cut.width, held, distance, pairs)
            if needed <= room:
                break
            room = 2 * needed
        told.append(_first(pairs, needed))
    return told


def _looked_up(looks: Looks, held: int, distance: int) -> Pairs:
    """Pairs of a new hash and a held one."""
    room = 1 << 16
    new, old = looks.at(slice(held, None)), looks.at(slice(held))
    bands = [_band(old.hashes, np.uint64(band * BAND_BITS)) for band in range(BANDS)]
    while True:
        pairs = _room_for(room)
        needed = 0
        for number, (edges, order, values) in enumerate(bands):
            needed = _look_up(number, edges, order, values, old, new, held, distance, pairs, needed)
        if needed <= room:
            return _first(pairs, needed)
        room = 2 * needed


def _room_for(count: int) -> Pairs:
    return Pairs(np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.uint8))


def _first(pairs: Pairs, count: int) -> Pairs:
    return Pairs(pairs.later[:count].copy(), pairs.earlier[:count].copy(), pairs.distance[:count].copy())


def _ordered(found: list[Pairs]) -> Pairs:
    if not found:
        return _room_for(0)
    later, earlier, distance = (np.concatenate(columns) for columns in zip(*found, strict=True))
    # One number holds all three, so that one sort of plain numbers does: 29 bits for each picture
    # are enough for 500 million.
    packed = later.astype(np.uint64) << np.uint64(35) | earlier.astype(np.uint64) << np.uint64(6) | distance
    packed.sort()
    return Pairs(
        (packed >> np.uint64(35)).astype(np.int32),
        (packed >> np.uint64(6) & np.uint64((1 << 29) - 1)).astype(np.int32),
        (packed & np.uint64(63)).astype(np.uint8),
    )


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call, and keep the result on disk for the next process where that can be written to."""
    try:
        kept: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder for it
        kept = numba.njit(nogil=True)(function)
    return kept


@numba.njit(inline="always")
def _bits_of(value):  # type: ignore[no-untyped-def]  # compiled: the types are those of its call
    """How many bits are set; the compiler makes one instruction of it."""
    value -= (value >> np.uint64(1)) & np.uint64(0x5555555555555555)
    value = (value & np.uint64(0x3333333333333333)) + ((value >> np.uint64(2)) & np.uint64(0x3333333333333333))
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (value * np.uint64(0x0101010101010101)) >> np.uint64(56)


@_compiled
def _moved(hashes, tables):  # type: ignore[no-untyped-def]
    moved = np.empty_like(hashes)
    for at in range(len(hashes)):
        value, result = hashes[at], np.uint64(0)
        for byte in range(8):
            result |= tables[byte, (value >> np.uint64(8 * byte)) & np.uint64(255)]
        moved[at] = result
    return moved


@_compiled
def _group(hashes, starts, width, order, values):  # type: ignore[no-untyped-def]
    """Sort by the chosen blocks: by the lower half of the key, then by the upper one. Returns the sorted keys."""
    count, field = len(hashes), np.uint64((1 << width) - 1)
    keys, between = np.empty(count, np.uint32), np.empty(count, np.uint32)
    half = (width * len(starts) + 1) // 2
    low = np.uint32((1 << half) - 1)
    lower, upper = np.zeros((1 << half) + 1, np.int64), np.zeros((1 << half) + 1, np.int64)
    for at in range(count):
        key = np.uint64(0)
        for start in starts:
            key = key << np.uint64(width) | ((hashes[at] >> start) & field)
        keys[at] = key
        lower[(keys[at] & low) + 1] += 1
        upper[(keys[at] >> half) + 1] += 1
    for at in range(1 << half):
        lower[at + 1] += lower[at]
        upper[at + 1] += upper[at]
    for at in range(count):
        place = lower[keys[at] & low]
        lower[keys[at] & low] += 1
        between[place], order[1, place], values[1, place] = keys[at], at, hashes[at]
    for at in range(count):
        place = upper[between[at] >> half]
        upper[between[at] >> half] += 1
        keys[place], order[0, place], values[0, place] = between[at], order[1, at], values[1, at]
    return keys


@_compiled
def _within_groups(keys, order, values, looks, before, width, held, distance, pairs):  # type: ignore[no-untyped-def]
    """Write down the close pairs of each group; those that have an earlier block in common too were told before.

    Returns how many there are, written or, where there is no room, only counted.
    """
    field, found, end, start = np.uint64((1 << width) - 1), 0, 0, 0
    count, room = len(keys), len(pairs.later)
    while start < count:
        end = start + 1
        while end < count and keys[end] == keys[start]:
            end += 1
        for one in range(start, end - 1):
            value = values[one]
            for other in range(one + 1, end):
                different = value ^ values[other]
                apart = _bits_of(different)
                if apart <= distance:
                    told = False
                    for block in before:
                        if (different >> block) & field == 0:
                            told = True
                            break
                    if not told:
                        found = _note(looks, order[one], order[other], apart, held, pairs, found, room)
        start = end
    return found


@_compiled
def _note(looks, one, other, apart, held, pairs, found, room):  # type: ignore[no-untyped-def]
    """Write a pair down if it counts. Returns how many were found."""
    later, earlier = max(one, other), min(one, other)
    if (
        later < held
        or abs(looks.shape[later] - looks.shape[earlier]) > 1
        or abs(looks.luma[later] - looks.luma[earlier]) > 1
    ):
        return found
    if found < room:
        pairs.later[found], pairs.earlier[found], pairs.distance[found] = later, earlier, apart
    return found + 1


@_compiled
def _band(hashes, shift):  # type: ignore[no-untyped-def]
    """Hashes sorted by one band: where each value begins, their positions, and themselves."""
    size = 1 << BAND_BITS
    edges, mask = np.zeros(size + 1, np.int64), np.uint64(size - 1)
    for value in hashes:
        edges[((value >> shift) & mask) + np.uint64(1)] += 1
    for key in range(size):
        edges[key + 1] += edges[key]
    place = edges[:-1].copy()
    order, values = np.empty(len(hashes), np.int32), np.empty_like(hashes)
    for at in range(len(hashes)):
        key = (hashes[at] >> shift) & mask
        order[place[key]], values[place[key]] = at, hashes[at]
        place[key] += 1
    return edges, order, values


@_compiled
def _look_up(number, edges, order, values, old, new, held, distance, pairs, found):  # type: ignore[no-untyped-def]
    """Compare each new hash with the held ones whose band is as its own, or one bit beside it."""
    mask, room = np.uint64((1 << BAND_BITS) - 1), len(pairs.later)
    for at in range(len(new.hashes)):
        value = new.hashes[at]
        own = (value >> np.uint64(number * BAND_BITS)) & mask
        for flip in range(BAND_BITS + 1):
            key = own if flip == BAND_BITS else own ^ (np.uint64(1) << np.uint64(flip))
            for other in range(edges[key], edges[key + np.uint64(1)]):
                different = value ^ values[other]
                apart = _bits_of(different)
                if apart <= distance:
                    told = False
                    for band in range(number):
                        told |= _bits_of((different >> np.uint64(band * BAND_BITS)) & mask) <= 1
                    there = order[other]
                    if (
                        not told
                        and abs(new.shape[at] - old.shape[there]) <= 1
                        and abs(new.luma[at] - old.luma[there]) <= 1
                    ):
                        if found < room:
                            pairs.later[found], pairs.earlier[found] = held + at, there
                            pairs.distance[found] = apart
                        found += 1
    return found


@_compiled
def _stars(count, later, earlier, distance):  # type: ignore[no-untyped-def]
    """Pairs are ordered, so all before a picture are judged when it is asked."""
    leads, nearest, asked = np.arange(count), np.int64(65), np.int64(-1)
    for at in range(len(later)):
        one, other, apart = later[at], earlier[at], np.int64(distance[at])
        if leads[other] == other:
            if one != asked:
                asked, nearest = np.int64(one), np.int64(65)
            if apart < nearest:
                nearest, leads[one] = apart, other
    return leads
