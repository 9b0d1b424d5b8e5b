"""Pairs of close vectors, and the groups that they make with looks."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import close_vectors as module
from dataset_assets.domain.close_vectors import VectorPairs, close_vectors
from dataset_assets.domain.duplicate_tables import split_keys
from dataset_assets.domain.duplicates import Facts, near_duplicates


def drawn(count: int, seed: int, dim: int = 32) -> np.ndarray:
    """Vectors of which a fifth are copies of others with a little noise."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dim))
    copies = count // 5
    vectors[rng.permutation(count)[:copies]] = vectors[:copies] + 0.15 * rng.standard_normal((copies, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def all_pairs(vectors: np.ndarray, least: float) -> set[tuple[int, int]]:
    scores = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    return {(int(a), int(b)) for a, b in zip(*np.nonzero(scores >= np.float32(least)), strict=True) if a > b}


def found(pairs: VectorPairs) -> list[tuple[int, int]]:
    return list(zip(pairs.later.tolist(), pairs.earlier.tolist(), strict=True))


@given(st.integers(0, 200), st.integers(0, 10**6))
def test_few_vectors_are_compared_all_with_all(count: int, seed: int) -> None:
    vectors = drawn(count, seed)

    pairs = close_vectors(vectors, 0.9)

    assert set(found(pairs)) == all_pairs(vectors, 0.9)
    assert found(pairs) == sorted(found(pairs))


def test_of_many_vectors_nearly_all_pairs_are_found_none_wrongly_and_none_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SMALLEST", 500)
    vectors = drawn(6000, 3)

    pairs = found(close_vectors(vectors, 0.95))

    true = all_pairs(vectors, 0.95)
    assert len(true) > 500
    assert set(pairs) <= true
    assert len(pairs) >= 0.995 * len(true)
    assert len(pairs) == len(set(pairs))


def test_of_a_thousand_equal_vectors_each_keeps_its_first_partners_and_zeros_have_none() -> None:
    vectors = np.zeros((1100, 8), np.float16)
    vectors[:1000, 0] = 1

    pairs = close_vectors(vectors, 0.9)

    assert pairs.later.max() == 999
    assert pairs.earlier.max() == module.MOST_PARTNERS - 1
    assert set(pairs.later[pairs.earlier == 0].tolist()) == set(range(1, 1000))


HASHES = (0x0F0F0F0F0F0F0F0F, 0x0F0F0F0F0F0F0F0E, 0x33333333FFFF0000, 0x55AA55AA12345678)


def judged(pairs: list[tuple[int, int, float]], previous: pl.DataFrame | None = None) -> pl.DataFrame:
    """Four images, the largest first, of which the second looks like the first; and what a model sees."""
    images = pl.DataFrame(
        {
            "image_id": [f"danbooru-{number}-0" for number in range(4)],
            "pixel_hash": [f"p{number}" for number in range(4)],
            "perceptual_hash": HASHES,
            "width": [100, 90, 80, 70],
            "height": [100, 90, 80, 70],
            "luma_mean": [100.0] * 4,
        },
        schema_overrides={"perceptual_hash": pl.UInt64, "luma_mean": pl.Float32},
    )
    empty = pl.DataFrame(schema={"image_id": pl.String, "root_id": pl.String})
    sketches = pl.DataFrame(schema={"colored_id": pl.String, "sketch_id": pl.String})
    before = pl.DataFrame(schema={"image_id": pl.String, "pixel_hash": pl.String, "group_id": pl.String})

    def semantic(ids: pl.Series) -> VectorPairs:
        place = {image_id: at for at, image_id in enumerate(ids)}
        rows = sorted(
            (*sorted((place[f"danbooru-{a}-0"], place[f"danbooru-{b}-0"]), reverse=True), cosine)
            for a, b, cosine in pairs
        )
        later, earlier, cosines = zip(*rows, strict=True) if rows else ((), (), ())
        return VectorPairs(np.array(later, np.int64), np.array(earlier, np.int64), np.array(cosines, np.float32))

    return near_duplicates(
        Facts(images, empty, sketches), before if previous is None else previous, ["danbooru"], 3, semantic
    )


def test_what_a_model_sees_joins_the_groups_by_looks() -> None:
    rows = {row["image_id"]: row for row in judged([(2, 0, 0.97), (3, 1, 0.99)]).to_dicts()}

    assert [rows[f"danbooru-{n}-0"]["duplicate_of"] for n in range(4)] == [None, *["danbooru-0-0"] * 2, None]
    assert (rows["danbooru-1-0"]["kind"], rows["danbooru-1-0"]["distance"]) == ("perceptual", 1)
    seen = rows["danbooru-2-0"]
    assert (seen["kind"], seen["distance"], seen["group_size"]) == ("semantic", None, 3)
    assert seen["cosine"] == pytest.approx(0.97)
    # The fourth is like the second, which leads nobody: a group is a star.
    assert rows["danbooru-3-0"]["split_key"] != rows["danbooru-0-0"]["split_key"]


def test_looks_go_before_what_a_model_sees_and_the_nearest_leader_is_joined() -> None:
    rows = judged([(2, 0, 0.97), (3, 2, 0.999), (3, 0, 0.96)])

    assert rows.get_column("duplicate_of").to_list() == [None, "danbooru-0-0", "danbooru-0-0", "danbooru-0-0"]
    assert rows.get_column("split_key").n_unique() == 1
    apart = judged([(3, 0, 0.96), (3, 2, 0.999)])
    assert apart.get_column("duplicate_of").to_list() == [None, "danbooru-0-0", None, "danbooru-2-0"]


def test_judged_again_with_what_was_found_nothing_changes() -> None:
    first = judged([(2, 0, 0.97), (3, 2, 0.999)])
    again = judged([(2, 0, 0.97), (3, 2, 0.999)], first)

    assert again.drop("cosine").equals(first.drop("cosine"))
    assert again.equals(first)


def test_split_keys_are_evenly_spread_and_always_the_same() -> None:
    keys = split_keys(pl.Series([f"danbooru-{number}-0" for number in range(20_000)]))

    assert keys.head(2).to_list() == split_keys(pl.Series(["danbooru-0-0", "danbooru-1-0"])).to_list()
    assert keys.min() >= 0
    assert keys.max() < 1 << 32
    assert abs((keys % 100 < 95).mean() - 0.95) < 0.01
    assert split_keys(pl.Series(["danbooru-1525146-0"])).to_list() == [int("ddfe318c", 16)]
