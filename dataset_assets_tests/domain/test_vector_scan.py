"""The exact scan against NumPy's brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import vector_scan
from dataset_assets.domain.vector_products import PANEL
from dataset_assets.domain.vector_scan import Hits, VectorsDamaged, nearest


def brute(vectors: np.ndarray, query: np.ndarray, limit: int) -> list[int]:
    scores = vectors.astype(np.float32) @ query
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    return order[:limit]


@given(
    rows=st.integers(0, 300),
    dim=st.integers(1, 9),
    queries=st.sampled_from([1, 3, 4, 7]),
    limit=st.integers(1, 320),
    seed=st.integers(0, 10**6),
)
def test_every_query_finds_what_brute_force_finds_in_its_order(
    rows: int, dim: int, queries: int, limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.integers(-2, 3, (rows, dim)) / 16).astype(np.float16)
    asked = (rng.integers(-2, 3, (queries, dim)) / 4).astype(np.float32)

    found = nearest(vectors, asked, limit)

    assert [hits.rows.tolist() for hits in found] == [brute(vectors, query, limit) for query in asked]
    for hits, query in zip(found, asked, strict=True):
        assert np.array_equal(hits.scores, vectors[hits.rows].astype(np.float32) @ query)


@given(st.integers(0, 10**6), st.integers(1, 50))
def test_only_chosen_rows_are_found(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.integers(-2, 3, (80, 5)) / 16).astype(np.float16)
    query = (rng.integers(-2, 3, 5) / 4).astype(np.float32)
    chosen = np.flatnonzero(rng.random(80) < 0.3)

    [hits] = nearest(vectors, query[np.newaxis], limit, chosen)

    assert hits.rows.tolist() == [int(chosen[row]) for row in brute(vectors[chosen], query, limit)]


def test_an_answer_does_not_depend_on_the_queries_beside_it_nor_on_where_blocks_end() -> None:
    rng = np.random.default_rng(5)
    count = 4 * vector_scan.SHARE + 77
    vectors = rng.standard_normal((count, 24), dtype=np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    queries = vectors[rng.integers(0, count, 9)].astype(np.float32)

    together = nearest(vectors, queries, 12)

    for query, hits in zip(queries, together, strict=True):
        [alone] = nearest(vectors, query[np.newaxis], 12)
        assert alone.rows.tolist() == hits.rows.tolist()
        assert np.array_equal(alone.scores, hits.scores)
        assert hits.rows.tolist() == brute(vectors, query, 12)


def test_what_is_no_number_is_never_found() -> None:
    vectors = np.array([[np.nan, 0], [np.inf, 0], [0.5, 0.5]], np.float16)

    for queries in (1, 5):
        for hits in nearest(vectors, np.ones((queries, 2), np.float32), 3):
            assert hits.rows.tolist() == [2]


def test_every_half_is_widened_to_its_value() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)[:, np.newaxis]

    assert np.array_equal(vector_scan.widened(every), every.astype(np.float32), equal_nan=True)


def test_the_best_of_parts_are_the_best_of_all() -> None:
    parts = [
        Hits(np.array([5, 1]), np.array([0.5, 0.25], np.float32)),
        Hits(np.array([3, 2]), np.array([0.5, 0.5], np.float32)),
    ]

    assert vector_scan.merged(parts, 3).rows.tolist() == [2, 3, 5]


@given(st.integers(0, 10**6), st.sampled_from([1, 7, 70]), st.booleans())
def test_a_changed_number_is_noticed_by_whatever_reads_its_row(seed: int, queries: int, few: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.integers(-2, 3, (120, 7)) / 16).astype(np.float16)
    asked = (rng.integers(-2, 3, (queries, 7)) / 4).astype(np.float32)
    sums = vector_scan.checksums(vectors)
    chosen = np.arange(0, 120, 2) if few else None
    expected = [hits.rows.tolist() for hits in nearest(vectors, asked, 5, chosen)]
    assert [hits.rows.tolist() for hits in nearest(vectors, asked, 5, chosen, sums)] == expected

    row, place = 2 * rng.integers(0, 60), rng.integers(0, 7)
    vectors.view(np.uint16)[row, place] ^= np.uint16(1 << rng.integers(0, 16))

    with pytest.raises(VectorsDamaged, match=r"1 of \d+ vectors"):
        nearest(vectors, asked, 5, chosen, sums)


def test_rows_that_changed_places_are_noticed_and_so_are_zeros() -> None:
    vectors = (np.random.default_rng(3).integers(-9, 9, (50, 96)) / 32).astype(np.float16)
    sums = vector_scan.checksums(vectors)

    swapped = vectors[:, np.r_[1, 0, 2:96]]
    assert np.count_nonzero(vector_scan.checksums(swapped) == sums) == np.count_nonzero(vectors[:, 0] == vectors[:, 1])
    assert not (vector_scan.checksums(np.zeros_like(vectors)) == sums).any()


def test_more_queries_than_go_through_one_pass_are_answered_as_one() -> None:
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((3000, 33), dtype=np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    queries = vectors[: 2 * PANEL + 3].astype(np.float32)

    for query, hits in zip(queries, nearest(vectors, queries, 4), strict=True):
        assert hits.rows.tolist() == brute(vectors, query, 4)
