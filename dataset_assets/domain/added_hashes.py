"""A few hashes looked up among many: the few are put into tables, and the many read once, as they lie.

Cut into four bands, two hashes that differ in at most T bits differ in at most one bit of some band; and where T is 6
or less, it is enough to allow one bit in T - 3 of the bands and none in the others. So each added hash stands in the
table of a band under its own value of it, and, where a bit is allowed, under each value that is one bit beside.
Source: Qin et al., GPH: Similarity Search in Hamming Space, ICDE 2018.
"""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.hash_pairs import Hashes, Looks, Numbers, Pairs, bits_of, compiled

BANDS, BAND_BITS = 4, 16
ADDED_AT_ONCE = 1 << 16  # whose tables, of at most 14 bytes in each of 68 places, are held together
BLOCK = 4  # places that are compared together: most values of a band have no more


def pairs_with_added(looks: Looks, held: int, distance: int, at_once: int = ADDED_AT_ONCE) -> list[Pairs]:
    """Close pairs of one of the first `held` hashes and a later one, in no order.

    It is fast where the bits are dealt evenly over the bands. The held ones are read once for every `at_once` others.
    """
    starts = range(held, len(looks.hashes), at_once)
    return [_some(looks, held, slice(start, start + at_once), distance) for start in starts]


def _some(looks: Looks, held: int, added: slice, distance: int) -> Pairs:
    old, new = looks.at(slice(held)), looks.at(added)
    allowed = np.array([int(band < distance - BANDS + 1) for band in range(BANDS)])
    tables = [_table(new.hashes, np.uint64(band * BAND_BITS), allowed[band]) for band in range(BANDS)]
    room = 1 << 16
    while True:
        pairs, found = Pairs.with_room(room), 0
        for band, table in enumerate(tables):
            found = _read(band, allowed, *table, old, new, added.start, distance, pairs, found)
        if found <= room:
            return pairs.first(found)
        room = 2 * found


@compiled
def _table(hashes: Hashes, shift: np.uint64, allowed: int) -> tuple[Numbers, Numbers, Hashes]:
    """For each value of a band, from which block to which the hashes stand; whose each is, and each; -1 = nobody's."""
    size = 1 << BAND_BITS
    edges, mask = np.zeros(size + 1, np.int32), np.uint64(size - 1)
    beside = BAND_BITS if allowed else 0
    for value in hashes:
        own = (value >> shift) & mask
        edges[own + np.uint64(1)] += 1
        for flip in range(beside):
            edges[(own ^ (np.uint64(1) << np.uint64(flip))) + np.uint64(1)] += 1
    for key in range(size):
        edges[key + 1] = edges[key] + (edges[key + 1] + BLOCK - 1) // BLOCK
    place = edges[:-1] * BLOCK
    whose, values = np.full(edges[size] * BLOCK, -1, np.int32), np.zeros(edges[size] * BLOCK, np.uint64)
    for at in range(len(hashes)):
        own = (hashes[at] >> shift) & mask
        for flip in range(beside + 1):
            key = own if flip == beside else own ^ (np.uint64(1) << np.uint64(flip))
            whose[place[key]], values[place[key]] = at, hashes[at]
            place[key] += 1
    return edges, whose, values


@compiled
def _read(
    band: int,
    allowed: NDArray[np.int64],
    edges: Numbers,
    whose: Numbers,
    values: Hashes,
    old: Looks,
    new: Looks,
    shift: int,
    distance: int,
    pairs: Pairs,
    found: int,
) -> int:
    """Compare each held hash with the added ones that stand under its own value of a band.

    Pairs that an earlier band has told are left out. Returns how many there are, as `_note` counts them.
    """
    most, own = np.uint64(distance), np.uint64(band * BAND_BITS)
    mask = np.uint64((1 << BAND_BITS) - 1)
    for at in range(len(old.hashes)):
        value = old.hashes[at]
        key = (value >> own) & mask
        for block in range(edges[key] * BLOCK, edges[key + np.uint64(1)] * BLOCK, BLOCK):
            # All of a block without a branch between them: which of them are close cannot be foreseen.
            near = False
            for one in range(block, block + BLOCK):
                near |= bits_of(value ^ values[one]) <= most
            if near:
                for one in range(block, block + BLOCK):
                    if whose[one] >= 0 and bits_of(value ^ values[one]) <= most:
                        found = _note(band, allowed, value ^ values[one], old, at, new, whose[one], shift, pairs, found)
    return found


@compiled
def _note(
    band: int,
    allowed: NDArray[np.int64],
    different: np.uint64,
    old: Looks,
    there: int,
    new: Looks,
    here: int,
    shift: int,
    pairs: Pairs,
    found: int,
) -> int:
    """Write a pair down if it counts and there is room. Returns how many were found."""
    mask = np.uint64((1 << BAND_BITS) - 1)
    for before in range(band):
        if bits_of((different >> np.uint64(before * BAND_BITS)) & mask) <= allowed[before]:
            return found
    if abs(new.shape[here] - old.shape[there]) > 1 or abs(new.luma[here] - old.luma[there]) > 1:
        return found
    if found < len(pairs.later):
        pairs.later[found], pairs.earlier[found] = shift + here, there
        pairs.distance[found] = bits_of(different)
    return found + 1
