"""The search finds what comparing all with all finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain.added_hashes import pairs_with_added
from dataset_assets.domain.close_hashes import close_pairs, plan, stars
from dataset_assets.domain.hash_pairs import Looks

SMALL_RUN = settings(max_examples=30, deadline=None)


def drawn(seed: int, count: int, free_bits: int) -> Looks:
    """Hashes of which only some bits are free, with copies that a few flipped bits tell apart."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 1 << free_bits, count, dtype=np.uint64)
    for _ in range(4):
        some = random.integers(0, count, count // 4)
        hashes[some] = hashes[random.integers(0, count, len(some))] ^ (
            np.uint64(1) << random.integers(0, 64, len(some), dtype=np.uint64)
        )
    shape, luma = random.integers(0, 4, (2, count)).astype(np.int16)
    return Looks(hashes, shape, luma)


def by_comparing_all(looks: Looks, distance: int, held: int) -> list[tuple[int, int, int]]:
    apart = np.bitwise_count(looks.hashes[:, None] ^ looks.hashes)
    near = apart <= distance
    for classes in (looks.shape, looks.luma):
        near &= np.abs(classes[:, None] - classes) <= 1
    later, earlier = np.nonzero(np.tril(near, -1))
    return [(int(a), int(b), int(apart[a, b])) for a, b in zip(later, earlier, strict=True) if a >= held]


def found(looks: Looks, distance: int, held: int = 0) -> list[tuple[int, int, int]]:
    pairs = close_pairs(looks, distance, held)
    return [(int(a), int(b), int(d)) for a, b, d in zip(*pairs, strict=True)]


@SMALL_RUN
@given(st.integers(0, 2**32), st.integers(2, 600), st.sampled_from([6, 14, 40, 64]), st.integers(0, 7), st.floats(0, 1))
def test_the_pairs_are_those_of_comparing_all_with_all(
    seed: int, count: int, free_bits: int, distance: int, share: float
) -> None:
    looks = drawn(seed, count, free_bits)
    held = int(share * count)

    assert found(looks, distance) == by_comparing_all(looks, distance, 0)
    assert found(looks, distance, held) == by_comparing_all(looks, distance, held)


@SMALL_RUN
@given(st.integers(0, 2**32), st.integers(0, 7))
def test_pairs_do_not_depend_on_the_order_of_the_hashes(seed: int, distance: int) -> None:
    looks = drawn(seed, 300, 30)
    shuffled = np.random.default_rng(seed).permutation(300)
    back = {frozenset((int(shuffled[a]), int(shuffled[b]))) for a, b, _ in found(looks.at(shuffled), distance)}

    assert back == {frozenset((a, b)) for a, b, _ in found(looks, distance)}


@SMALL_RUN
@given(st.integers(0, 2**32), st.integers(1, 299), st.integers(0, 7))
def test_few_held_against_many_and_the_many_among_themselves_are_all_pairs(seed: int, held: int, distance: int) -> None:
    looks = drawn(seed, 300, 30)
    among_held = found(looks.at(slice(held)), distance)

    assert sorted(among_held + found(looks, distance, held)) == found(looks, distance)


@pytest.mark.parametrize("distance", range(8))
@pytest.mark.parametrize("free_bits", [14, 40, 64])
def test_few_added_to_many_are_looked_up_and_found_whole(distance: int, free_bits: int) -> None:
    looks = drawn(distance, 1500, free_bits)
    held = 1450
    wanted = by_comparing_all(looks, distance, held)
    parts = [
        (int(a), int(b), int(d))
        for part in pairs_with_added(looks, held, distance, at_once=20)
        for a, b, d in zip(*part, strict=True)
    ]

    assert found(looks, distance, held) == wanted
    assert sorted(parts) == [(a, b, d) for a, b, d in wanted if b < held]


def test_a_crowd_of_hashes_that_begin_alike_is_searched_whole() -> None:
    crowd = Looks.of_hashes(np.arange(3000, dtype=np.uint64))

    assert found(crowd, 2) == by_comparing_all(crowd, 2, 0)


def test_a_chain_of_like_pictures_is_no_group() -> None:
    chain = Looks.of_hashes(np.array([(1 << steps) - 1 for steps in range(20)], np.uint64))
    leads = stars(20, close_pairs(chain, 3))

    assert all(abs(one - leader) <= 3 for one, leader in enumerate(leads))
    assert len(set(leads)) == 5


def test_distances_beyond_the_search_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 7 bits, found 8"):
        close_pairs(drawn(1, 10, 64), 8)


def test_more_hashes_are_cut_into_smaller_groups() -> None:
    assert plan(12_000_000, 6).shared > plan(1_000, 6).shared
