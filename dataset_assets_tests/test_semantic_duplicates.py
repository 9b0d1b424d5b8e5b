"""Near-duplicates by what a model sees, and splits that part no group, through the graph."""

import numpy as np
import polars as pl
import pytest

from dataset_assets.search import find
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

pytestmark = pytest.mark.slow  # a rebuild of every table for each case

SUBSETS = """
near_duplicates: {min_cosine: 0.8}
subsets:
  train: {where: "split_key % 100 < 50"}
  test: {where: "split_key % 100 >= 50"}
"""
WANTED = [
    *("source_snapshot", "image_metadata", "tag_metadata", "tag_relations", "raw_images", "image_facts"),
    *("training_images", "clip_embeddings", "families", "sketch_pairs", "picture_hashes", "near_duplicates"),
    *("subset/train", "subset/test"),
]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    made = Mirror.make(tmp_path_factory.mktemp("semantic"))
    settings = made.config_file.read_text("utf-8")
    made.config_file.write_text(settings[: settings.index("subsets:")] + SUBSETS.lstrip(), "utf-8")
    made.rebuild(assets=WANTED)
    return made


def test_images_of_like_vectors_are_grouped_around_a_leader_of_such_a_vector(mirror: Mirror) -> None:
    rows = mirror.table("near_duplicates", Cell())
    vectors = mirror.table("clip_embeddings").select("image_id", pl.col("embedding").cast(pl.Array(pl.Float32, 32)))
    vector_of = dict(vectors.iter_rows())

    seen = rows.filter(kind="semantic")
    assert seen.height  # of random weights, and so of pictures that are not alike
    for one, leader, cosine in seen.select("image_id", "duplicate_of", "cosine").iter_rows():
        assert np.dot(vector_of[one], vector_of[leader]) == pytest.approx(cosine, abs=1e-3)
        assert cosine >= 0.8
    leaders = rows.filter(pl.col("duplicate_of").is_null())
    assert set(seen.get_column("duplicate_of")) <= set(leaders.get_column("image_id"))


def test_no_group_stands_on_both_sides_of_a_split_and_no_image_on_neither(mirror: Mirror) -> None:
    groups = mirror.table("near_duplicates", Cell()).select("image_id", "group_id")
    sides = {}
    for name in ("train", "test"):
        kept = mirror.table(f"subset/{name}").filter(pl.col("drop_reason").is_null()).select("image_id")
        sides[name] = groups.join(kept, on="image_id")

    assert set(sides["train"]["group_id"]).isdisjoint(sides["test"]["group_id"])
    assert sides["train"].height + sides["test"].height == groups.height
    assert find(mirror.config, "", where="split_key % 100 < 50").count == sides["train"].height
