"""`clip_embeddings` through the graph: what a change makes anew, and models that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

BEFORE = ["source_snapshot", "image_metadata", "raw_images", "image_facts", "training_images"]
ALL = [*BEFORE, "clip_embeddings"]
WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
DANBOORU = Cell("danbooru", 2005)


def small(folder: Path, clip: str = "batch_size: 4") -> Mirror:
    """A mirror of one year of one source."""
    made = Mirror.make(folder)
    text = made.config_file.read_text("utf-8").replace("years: 2005..2007", "years: [2005]")
    first, last = text.index("  pixiv_niji:"), text.index("clip:")
    made.config_file.write_text(text[:first] + text[last:].replace("batch_size: 4", clip), "utf-8")
    return made


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = small(tmp_path)
    made.rebuild(assets=ALL)
    return made


def change_weights(mirror: Mirror, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.numpy import load_file, save_file

    file = mirror.folder / "tiny-clip-random" / WEIGHTS
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def committed(mirror: Mirror, *names: str) -> dict[str, Any]:
    return {name: {cell: commit.sha256 for cell, commit in mirror.commits(name).items()} for name in names}


def runs(mirror: Mirror, name: str) -> set[str]:
    return {commit.run_id for commit in mirror.commits(name).values()}


def test_other_weights_under_the_same_name_make_all_vectors_anew_and_nothing_else(mirror: Mirror) -> None:
    images, old = runs(mirror, "training_images"), mirror.table("clip_embeddings")
    change_weights(mirror, lambda tensors: tensors.update({"visual.proj": -tensors["visual.proj"]}))
    outcomes = mirror.rebuild(assets=ALL)
    assert sum(outcome.computed for outcome in outcomes) == old.height == 3
    assert runs(mirror, "training_images") == images
    new = mirror.table("clip_embeddings")
    np.testing.assert_allclose(new["embedding"].to_numpy(), -old["embedding"].to_numpy(), atol=2e-3)


def test_weights_that_were_merely_copied_anew_make_no_vector(mirror: Mirror) -> None:
    before = committed(mirror, "clip_embeddings")
    file = mirror.folder / "tiny-clip-random" / WEIGHTS
    file.write_bytes(file.read_bytes())
    outcomes = mirror.rebuild(assets=ALL)
    assert sum(outcome.computed for outcome in outcomes) == 0
    assert committed(mirror, "clip_embeddings") == before


def test_changed_tags_touch_no_vector_and_one_new_image_is_one_new_vector(mirror: Mirror) -> None:
    before = runs(mirror, "clip_embeddings")
    mirror.set_tags(5000, ["another_tag"])
    mirror.rebuild(assets=[*ALL, "tag_metadata"])
    assert runs(mirror, "clip_embeddings") == before
    old = mirror.table("clip_embeddings", DANBOORU)
    mirror.add_post(5009, 2005, ["1girl"])
    mirror.write_metadata()
    outcomes = mirror.rebuild(assets=ALL)
    assert {outcome.cell: outcome.computed for outcome in outcomes}[DANBOORU] == 4  # raw, facts, training, vector
    new = mirror.table("clip_embeddings", DANBOORU)
    assert new.height == old.height + 1
    assert new.filter(new["image_id"] != "danbooru-5009-0").equals(old)


def test_materialization_says_model_precision_and_rates(mirror: Mirror) -> None:
    found = mirror.told("clip_embeddings")
    assert found["weights"] == "random: these vectors mean nothing"
    assert found["images_per_second"] > 0
    assert 0 <= found["model_share"] <= 1
    assert set(mirror.table("clip_embeddings")["precision"]) <= {"fp32", "bf16"}


def set_nan(tensors: dict[str, Any]) -> None:
    tensors["visual.conv1.weight"] = np.full_like(tensors["visual.conv1.weight"], np.nan)


def set_zero(tensors: dict[str, Any]) -> None:
    tensors["visual.proj"] = np.zeros_like(tensors["visual.proj"])


def drop(tensors: dict[str, Any]) -> None:
    del tensors["visual.proj"]


@pytest.mark.parametrize(
    ("change", "words"),
    [(set_nan, "hold NaN or infinity"), (set_zero, "for a blank picture"), (drop, "cannot be loaded as")],
)
def test_model_without_sense_is_an_error_and_nothing_is_committed(
    mirror: Mirror, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    before = committed(mirror, *ALL)
    change_weights(mirror, change)
    outcomes = mirror.rebuild(assets=ALL, strict=False)
    assert words in "\n".join(error for outcome in outcomes for error in outcome.errors)
    assert committed(mirror, *ALL) == before


def test_gpu_that_is_not_there_is_an_error_and_nothing_is_committed(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    mirror = small(tmp_path, "device: cuda")
    outcomes = mirror.rebuild(assets=ALL, strict=False)
    assert "finds no GPU here" in "\n".join(error for outcome in outcomes for error in outcome.errors)
    assert mirror.commits("clip_embeddings") == {}
    assert len(mirror.commits("training_images")) == 1
