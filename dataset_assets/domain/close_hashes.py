"""All pairs of 64-bit hashes that differ in few bits, exactly, without comparing all with all.

Two hashes that differ in at most T bits, cut into k blocks, have k - T whole blocks in common. So for each choice of
k - T blocks, hashes are grouped by what stands in them, and compared within their groups; k is chosen so that groups
are small and choices few. A few hashes are looked up among many in another way (`added_hashes`).

The bits of real hashes are not alike: flat parts of pictures give runs of zeros, and groups by one row of the hash are
crowds. So bits are ordered by how much they tell, and dealt out evenly over the blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.added_hashes import BAND_BITS, BANDS, pairs_with_added
from dataset_assets.domain.hash_pairs import Hashes, Looks, Pairs, bits_of, compiled

BITS = 64
MAX_DISTANCE = 7  # of four bands, one differs in at most a quarter of the bits, rounded down: here one
FEW = 16  # times fewer are looked up than are held
# Measured on one core: a hash grouped anew, two hashes compared, and what a choice costs at least; in ns.
GROUPING_NS, COMPARING_NS, CHOICE_NS = 30.0, 1.0, 60_000.0
TELLING = 0.85  # what a bit of a real hash halves, as a share of what a bit of a random one would
SAMPLED = 4096


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
        return _ordered([*pairs_with_added(moved, held, distance), *_among_added(moved, held, distance)])
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


def _among_added(looks: Looks, held: int, distance: int) -> list[Pairs]:
    """Pairs of the later ones alone: these are few, and are cut as few."""
    found, shift = close_pairs(looks.at(slice(held, None)), distance), np.int32(held)
    return [Pairs(found.later + shift, found.earlier + shift, found.distance)]


def _grouped(looks: Looks, held: int, distance: int) -> list[Pairs]:
    """Pairs within groups that have blocks in common."""
    cut, count = plan(len(looks.hashes), distance), len(looks.hashes)
    order, values = np.empty((2, count), np.int32), np.empty((2, count), np.uint64)
    told: list[Pairs] = []
    room = max(1 << 12, count // 4)
    for choice in cut.choices:
        starts = np.array([block * cut.width for block in choice], np.uint64)
        before = np.array([block * cut.width for block in range(choice[-1]) if block not in choice], np.uint64)
        keys = _group(looks.hashes, starts, cut.width, order, values)
        while True:
            pairs = Pairs.with_room(room)
            needed = _within_groups(keys, order[0], values[0], looks, before, cut.width, held, distance, pairs)
            if needed <= room:
                break
            room = 2 * needed
        told.append(pairs.first(needed))
    return told


def _ordered(found: list[Pairs]) -> Pairs:
    if not found:
        return Pairs.with_room(0)
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


@compiled
def _moved(hashes, tables):  # type: ignore[no-untyped-def]
    moved = np.empty_like(hashes)
    for at in range(len(hashes)):
        value, result = hashes[at], np.uint64(0)
        for byte in range(8):
            result |= tables[byte, (value >> np.uint64(8 * byte)) & np.uint64(255)]
        moved[at] = result
    return moved


@compiled
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


@compiled
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
                apart = bits_of(different)
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


@compiled
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


@compiled
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
