"""The index file: its answers beside an exact scan's, filters, and damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import vector_index
from dataset_assets.domain.vector_index import VectorIndex, VectorIndexDamaged, clusters_for, layout_of, pieces
from dataset_assets.domain.vector_scan import VectorsDamaged, nearest


def made(count: int, seed: int = 0, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around forty centres, and their rows in a table that has others between."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((40, dim))[rng.integers(0, 40, count)] + 0.4 * rng.standard_normal((count, dim))
    rows = np.sort(rng.choice(2 * count + 1, count, replace=False)).astype(np.uint32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), rows


def index_of(vectors: np.ndarray, rows: np.ndarray) -> VectorIndex:
    return VectorIndex(memoryview(b"".join(pieces(vectors, rows))))


@pytest.fixture
def clustered(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray, VectorIndex]:
    monkeypatch.setattr(vector_index, "SMALLEST", 1000)
    monkeypatch.setattr(vector_index, "LEAST_PROBED", 6)
    vectors, rows = made(4000)
    return vectors, rows, index_of(vectors, rows)


@given(st.integers(1, 200), st.integers(0, 1000), st.integers(1, 30))
def test_an_exact_answer_is_that_of_a_scan_of_the_table(count: int, seed: int, limit: int) -> None:
    vectors, rows = made(count, seed)
    queries = vectors[:5].astype(np.float32)

    found = index_of(vectors, rows).search(queries, limit, exact=True)

    for hits, expected in zip(found, nearest(vectors, queries, limit), strict=True):
        assert hits.rows.tolist() == rows[expected.rows].tolist()
        assert np.array_equal(hits.scores, expected.scores)


Clustered = tuple[np.ndarray, np.ndarray, VectorIndex]


def test_a_quick_answer_has_nearly_all_of_the_exact_one(clustered: Clustered) -> None:
    vectors, _, index = clustered
    queries = vectors[::80].astype(np.float32)

    quick, exact = index.search(queries, 10), index.search(queries, 10, exact=True)

    shared = [len(set(a.rows) & set(b.rows)) for a, b in zip(quick, exact, strict=True)]
    assert np.mean(shared) > 9.8
    assert all(a.rows[0] == b.rows[0] for a, b in zip(quick, exact, strict=True))


@pytest.mark.parametrize("share", [0.001, 0.02, 0.2, 0.9])
def test_a_filter_never_leaves_fewer_than_there_are(clustered: Clustered, share: float) -> None:
    vectors, rows, index = clustered
    allowed = np.random.default_rng(1).random(rows.max() + 1) < share
    there = int(allowed[rows].sum())

    for limit in (5, 300, 5000):
        for exact in (False, True):
            [hits] = index.search(vectors[:1].astype(np.float32), limit, exact=exact, allowed=allowed)
            assert len(hits.rows) == min(limit, there)
            assert allowed[hits.rows].all()
            assert len(set(hits.rows.tolist())) == len(hits.rows)


def test_the_same_vectors_give_the_same_file() -> None:
    vectors, rows = made(300)

    assert b"".join(pieces(vectors, rows)) == b"".join(pieces(vectors.copy(), rows.copy()))


def test_clusters_hold_every_vector_once(clustered: Clustered) -> None:
    vectors, rows, index = clustered

    assert sorted(index.rows.tolist()) == rows.tolist()
    order = np.argsort(index.rows)
    assert np.array_equal(index.vectors[order], vectors)


@pytest.mark.parametrize("place", [0, 9, 12, 17, 30, 40, 100, 400])
def test_a_flipped_byte_on_the_way_to_the_vectors_is_damage(place: int) -> None:
    data = bytearray(b"".join(pieces(*made(100))))
    data[place] ^= 1

    with pytest.raises(VectorIndexDamaged):
        VectorIndex(memoryview(bytes(data)))


def damaged_at(vectors: np.ndarray, rows: np.ndarray, part: str, offset: int = 0) -> VectorIndex:
    data = bytearray(b"".join(pieces(vectors, rows)))
    at = layout_of(vectors.shape[1], len(vectors), clusters_for(len(vectors)))
    data[getattr(at, part).start + offset] ^= 1
    return VectorIndex(memoryview(bytes(data)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("together", [1, 9])
def test_a_changed_vector_is_damage_when_it_is_read(clustered: Clustered, exact: bool, together: int) -> None:
    vectors, rows, index = clustered
    place = int(np.flatnonzero(index.rows == rows[7])[0])
    queries = vectors[7 : 7 + together].astype(np.float32)
    damaged = damaged_at(vectors, rows, "vectors", 2 * vectors.shape[1] * place)

    with pytest.raises(VectorsDamaged, match="do not match their checksums"):
        damaged.search(queries, 10, exact=exact)
    others = np.ones(rows.max() + 1, np.bool_)
    others[rows[7]] = False
    found = damaged.search(queries[:1], 10, allowed=others)[0]
    assert found.rows.tolist() == index.search(queries[:1], 10, allowed=others)[0].rows.tolist()


def test_changed_sketches_are_damage_when_their_cluster_is_read_and_an_exact_scan_needs_none(
    clustered: Clustered,
) -> None:
    vectors, rows, index = clustered
    damaged = damaged_at(vectors, rows, "sketches", 3)
    queries = vectors[:3].astype(np.float32)

    with pytest.raises(VectorIndexDamaged, match="sketches"):
        damaged.search(queries, len(vectors))
    exact = damaged.search(queries, 10, exact=True)
    assert [hits.rows.tolist() for hits in exact] == [
        hits.rows.tolist() for hits in index.search(queries, 10, exact=True)
    ]


@pytest.mark.parametrize("part", ["leading", "sums", "checks"])
def test_what_leads_and_what_follows_is_checked_when_the_file_is_opened(clustered: Clustered, part: str) -> None:
    vectors, rows, _ = clustered

    with pytest.raises(VectorIndexDamaged, match="checksum"):
        damaged_at(vectors, rows, part, 5)


def test_equal_vectors_in_one_cluster_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "SMALLEST", 1000)
    monkeypatch.setattr(vector_index, "ROWS_AT_ONCE", 700)
    vectors = np.zeros((1500, 16), np.float16)
    vectors[:, 3] = 1

    [hits] = index_of(vectors, np.arange(1500, dtype=np.uint32)).search(vectors[:1].astype(np.float32), 2000)

    assert hits.rows.tolist() == list(range(1500))


def test_a_file_of_the_former_version_is_refused() -> None:
    data = bytearray(b"".join(pieces(*made(100))))
    data[8] = 1

    with pytest.raises(VectorIndexDamaged, match="version 1; expected"):
        VectorIndex(memoryview(bytes(data)))


@given(st.integers(0, 5000))
def test_a_file_cut_short_is_damage(length: int) -> None:
    data = b"".join(pieces(*made(100)))

    with pytest.raises(VectorIndexDamaged):
        VectorIndex(memoryview(data[: min(length, len(data) - 1)]))
