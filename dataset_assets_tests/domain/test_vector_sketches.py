"""Estimates from sketches, beside the products that they estimate."""

import numpy as np
import pytest

from dataset_assets.domain import vector_sketches
from dataset_assets.domain.vector_scan import widened
from dataset_assets.domain.vector_sketches import asked, estimates, sketched, turn, words_of


def drawn(count: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def whole(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([0]), np.array([count])


@pytest.mark.parametrize("dim", [64, 96, 512])
def test_an_estimate_is_right_on_average_and_off_by_what_theory_says(dim: int) -> None:
    vectors, query = drawn(20_000, dim), drawn(1, dim, 1)[0]
    turned_by = turn(dim)

    found = estimates(sketched(vectors, turned_by), asked(query, turned_by), whole(20_000), np.zeros(1, "f4"), dim)

    off = found - vectors @ query
    assert abs(off.mean()) < 0.01 * dim**-0.5
    assert off.std() < 0.85 * dim**-0.5  # sqrt(pi/2 - 1), and what sixteen levels of the query add


def test_runs_follow_one_another_each_with_its_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, query, turned_by = drawn(300, 70), drawn(1, 70, 1)[0], turn(70)
    sketches, ready = sketched(vectors, turned_by), asked(query, turned_by)
    every = estimates(sketches, ready, whole(300), np.zeros(1, np.float32), 70)
    spans = np.array([200, 10, 50]), np.array([290, 10, 60])
    middles = np.array([0.5, 9, -0.25], np.float32)
    expected = np.concatenate([every[200:290] + np.float32(0.5), every[50:60] - np.float32(0.25)])

    for few in (0, 1000):
        monkeypatch.setattr(vector_sketches, "FEW_SKETCHES", few)
        assert np.allclose(estimates(sketches, ready, spans, middles, 70), expected, atol=1e-6)


def test_nothing_remains_of_a_centre_and_nothing_is_asked_by_zeros() -> None:
    turned_by = turn(8)
    sketches = sketched(np.zeros((2, 8), np.float32), turned_by)

    for query in (np.ones(8, np.float32), np.zeros(8, np.float32)):
        found = estimates(sketches, asked(query, turned_by), whole(2), np.array([0.75], np.float32), 8)
        assert found.tolist() == [0.75, 0.75]


def test_the_turn_keeps_products_and_is_always_the_same() -> None:
    turned_by = widened(turn(32))

    assert np.allclose(turned_by @ turned_by.T, np.eye(32), atol=3e-3)
    assert np.array_equal(turn(32), turn(32))
    assert sketched(drawn(3, 65), turn(65)).shape == (3, words_of(65)) == (3, 3)
