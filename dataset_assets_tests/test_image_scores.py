"""`image_scores` through real runs, and what asks for them."""

import hashlib
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from dataset_assets import search
from dataset_assets.config import ConfigError, load_config
from dataset_assets_tests.mirror import Mirror

NEEDED = ["source_snapshot", "image_metadata", "tag_metadata", "raw_images", "image_facts", "training_images"]
MADE = [*NEEDED, "clip_embeddings", "image_scores", "subset/beautiful"]
CLIP = "tiny-clip-random (random weights)"
WEIGHTS = np.linspace(-2, 2, 32, dtype=np.float32)[np.newaxis]


def scored_mirror(folder: Path, head: str) -> Mirror:
    mirror = Mirror.make(folder, posts_by_year=3)
    save_file({"weight": WEIGHTS, "bias": np.array([5.0], np.float32)}, folder / "head.safetensors")
    text = mirror.config_file.read_text("utf-8").replace("2005..2007", "2005")
    text += f'  beautiful: {{where: "aesthetic_score > {THRESHOLD}"}}\nimage_scores: {{aesthetic: {{{head}}}}}\n'
    mirror.config_file.write_text(text, "utf-8")
    return mirror


THRESHOLD = 5
HEAD = f'weights: ./head.safetensors, clip: "{CLIP}"'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = scored_mirror(tmp_path_factory.mktemp("scored"), HEAD)
    mirror.rebuild(assets=MADE)
    return mirror


def test_every_vector_has_its_score_and_says_whose_it_is(built: Mirror) -> None:
    vectors, scores = built.table("clip_embeddings"), built.table("image_scores")

    unit = vectors.get_column("embedding").to_numpy().astype(np.float64)
    expected = (unit / np.linalg.norm(unit, axis=1, keepdims=True)) @ WEIGHTS[0] + 5

    assert scores.get_column("image_id").to_list() == vectors.get_column("image_id").to_list()
    assert np.allclose(scores.get_column("aesthetic_score").to_numpy(), expected, atol=1e-4)
    sha256 = hashlib.sha256((built.folder / "head.safetensors").read_bytes()).hexdigest()
    assert scores.get_column("aesthetic_head").unique().to_list() == [f"head.safetensors {sha256[:12]}"]
    assert scores.get_column("model").unique().to_list() == [CLIP]
    assert scores.get_column("quality_score").null_count() == scores.height


def test_a_subset_and_a_search_can_ask_for_the_score(built: Mirror) -> None:
    scores = dict(built.table("image_scores").select("image_id", "aesthetic_score").iter_rows())
    beautiful = sorted(image_id for image_id, score in scores.items() if score > THRESHOLD)
    assert 0 < len(beautiful) < len(scores)

    kept = built.table("subset/beautiful").filter(pl.col("drop_reason").is_null()).get_column("image_id").to_list()
    found = search.find(built.config, "", where=f"aesthetic_score > {THRESHOLD}").image_ids()

    assert sorted(kept) == sorted(found) == beautiful


def test_only_a_subset_that_asks_for_scores_depends_on_them(built: Mirror) -> None:
    graph = built.definitions.resolve_asset_graph()
    score = dg.AssetKey("image_scores")

    assert graph.get(score).parent_keys == {dg.AssetKey("clip_embeddings")}
    assert score in graph.get(dg.AssetKey(["subset", "beautiful"])).parent_keys
    assert score not in graph.get(dg.AssetKey(["subset", "everything"])).parent_keys


@pytest.mark.slow
def test_another_head_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    mirror = scored_mirror(tmp_path, HEAD)
    mirror.rebuild(assets=MADE)
    before = mirror.table("image_scores").get_column("aesthetic_score")
    save_file({"weight": WEIGHTS, "bias": np.array([6.0], np.float32)}, tmp_path / "head.safetensors")

    mirror.rebuild(assets=MADE)

    after = mirror.table("image_scores").get_column("aesthetic_score")
    assert np.allclose(after.to_numpy(), before.to_numpy() + 1, atol=1e-4)


def test_vectors_of_another_model_are_refused_and_nothing_is_committed(built: Mirror) -> None:
    text = built.config_file.read_text("utf-8")
    (built.folder / "other.yaml").write_text(text.replace(HEAD, "weights: ./head.safetensors"), "utf-8")
    other = Mirror(built.folder, built.posts, "other")
    before = built.commits("image_scores")

    outcomes = other.rebuild(built.instance, assets=["image_scores"], strict=False)

    errors = [error for outcome in outcomes for error in outcome.errors]
    assert any("made for vectors of 'ViT-L-14-quickgelu/openai', those of the images are of" in one for one in errors)
    assert built.commits("image_scores") == before


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("weights: http://example.org/h.pth", "begins with https://"),
        ("weights: https://example.org/h.pth", "sha256 is missing"),
        ("weights: h.pth, sha256: abc", "image_scores.aesthetic.sha256"),
    ],
)
def test_a_head_that_cannot_be_trusted_is_refused(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(scored_mirror(tmp_path, head).config_file)


def test_a_condition_on_a_score_that_nothing_makes_is_refused(tmp_path: Path) -> None:
    mirror = scored_mirror(tmp_path, HEAD)
    text = mirror.config_file.read_text("utf-8").replace("aesthetic_score >", "quality_score >")
    mirror.config_file.write_text(text, "utf-8")

    with pytest.raises(ConfigError, match=r"subsets.beautiful.where: asks for quality_score; no image_scores"):
        load_config(mirror.config_file)
