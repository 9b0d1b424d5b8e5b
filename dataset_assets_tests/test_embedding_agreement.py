"""Published vectors against those of the model that is said to have made them, through the graph."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from dataset_assets.checks import has_the_vectors_of_the_named_model
from dataset_assets.domain.embedding_agreement import EMBEDDING_AGREEMENT, SAMPLE, sample
from dataset_assets.models import agreement
from dataset_assets.models.clip_weights import ClipSettings
from dataset_assets.models.weight_files import ModelError
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.models.tiny_models import TINY_CLIP, make_local_dir
from dataset_assets_tests.sources.test_pd12m import row, uuid

BEFORE = ["source_snapshot", "image_metadata", "raw_images", "image_facts", "training_images", "published_embeddings"]
ALL = [*BEFORE, "embedding_agreement"]
PD12M = Cell("pd12m", 2024)
IMAGES = 5
TINY: dict[str, Any] = {**TINY_CLIP, "embed_dim": 768, "text_cfg": {**TINY_CLIP["text_cfg"], "vocab_size": 64}}
SETTINGS = """
sources:
  pd12m:
    kind: pd12m
    metadata: pd12m.00.parquet
    embeddings: '*.npy'
    images: images
    collected: 2024
    license: {{name: CDLA, basis: card}}
    models: {{embeddings: {model}}}
clip: {{model: "local-dir:tiny", pretrained: null, random_weights: true, batch_size: 4}}
workers: 1
"""


def clip_settings(folder: Path, model: str = "local-dir:tiny") -> ClipSettings:
    return ClipSettings(model, None, "cpu", 4, True, folder)


def mirror_of(folder: Path, vectors: np.ndarray, model: str = "'local-dir:tiny'") -> Mirror:
    """PD12M's first images and vectors; the model `tiny` stands beside them."""
    pl.DataFrame([row(number) for number in range(IMAGES)]).write_parquet(folder / "pd12m.00.parquet")
    (folder / "images").mkdir()
    for number in range(IMAGES):
        (folder / "images" / f"{uuid(number)}.jpeg").write_bytes(picture(number, (90, 70), "JPEG"))
    np.save(folder / "pd12m.00.npy", vectors.astype(np.float32))
    (folder / "dataset.yaml").write_text(SETTINGS.format(model=model), "utf-8")
    return Mirror(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the model folder `tiny`."""
    folder = tmp_path_factory.mktemp("model")
    make_local_dir(folder / "tiny", TINY)
    return folder


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    (tmp_path / "tiny").symlink_to(tiny / "tiny")
    return tmp_path


def own_vectors(folder: Path) -> np.ndarray:
    """What the model `tiny` says of the originals, of any length, as somebody might publish it."""
    from PIL import Image

    from dataset_assets.models.clip import embedder_of

    files = [folder / "images" / f"{uuid(number)}.jpeg" for number in range(IMAGES)]
    images = [Image.open(file) for file in files]
    return embedder_of(clip_settings(folder)).embed(images) * 11


def verdict(mirror: Mirror) -> tuple[bool, dict[str, int | str]]:
    rows = mirror.table("embedding_agreement", PD12M).lazy()
    return has_the_vectors_of_the_named_model(rows, mirror.config.sources["pd12m"])


def test_vectors_of_the_named_model_agree_and_others_do_not(folder: Path) -> None:
    mirror = mirror_of(folder, np.ones((IMAGES, 768)))
    vectors = own_vectors(folder)
    vectors[3] = np.nan
    np.save(folder / "pd12m.00.npy", vectors)
    mirror.rebuild(assets=ALL)
    found = mirror.table("embedding_agreement", PD12M)
    assert found.height == IMAGES - 1, "an image without a published vector is not compared"
    assert found["cosine"].min() > 0.98  # type: ignore[operator]  # training images are compressed anew
    assert set(found["model"]) == {"tiny (random weights)"}
    assert verdict(mirror)[0]
    told = mirror.told("embedding_agreement")
    assert told["images_per_second"] > 0
    assert 0 <= told["model_share"] <= 1

    np.save(folder / "pd12m.00.npy", np.random.default_rng(1).normal(size=(IMAGES, 768)).astype(np.float32))
    mirror.rebuild(assets=ALL)
    assert mirror.table("embedding_agreement", PD12M).height == IMAGES
    passed, said = verdict(mirror)
    assert not passed
    assert abs(float(said["cosine_median"])) < 0.5


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("null", "names no model"),
        ("CLIP", "'CLIP' names no model and its weights"),
        ("ViT-L-14-quickgelu/openai", "the weights of ViT-L-14-quickgelu/openai are not on this machine"),
    ],
)
def test_what_cannot_be_compared_is_skipped_and_the_reason_is_said(
    folder: Path, model: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "empty"))
    mirror = mirror_of(folder, np.ones((IMAGES, 768)), model)
    text = mirror.config_file.read_text("utf-8")
    if "/" in model:  # a real model's weights are not marked as random
        text = text.replace("random_weights: true", "random_weights: false")
    mirror.config_file.write_text(text, "utf-8")
    mirror.rebuild(assets=ALL)
    assert why in mirror.told("embedding_agreement")["skipped"]
    assert mirror.table("embedding_agreement", PD12M).is_empty()
    assert verdict(mirror)[0]


def test_model_of_another_length_is_refused(tmp_path: Path) -> None:
    make_local_dir(tmp_path / "tiny", TINY_CLIP)
    with pytest.raises(ModelError, match="tiny makes 32 numbers, published are 768"):
        agreement.require_here(clip_settings(tmp_path), 768)


@pytest.mark.parametrize(
    ("name", "model", "pretrained"),
    [
        ("ViT-L-14-quickgelu/openai", "ViT-L-14-quickgelu", "openai"),
        ("ViT-L-14-quickgelu/weights/l14.safetensors", "ViT-L-14-quickgelu", "weights/l14.safetensors"),
        ("hf-hub:owner/name", "hf-hub:owner/name", None),
    ],
)
def test_models_are_named_as_vectors_name_theirs(tmp_path: Path, name: str, model: str, pretrained: str | None) -> None:
    found = agreement.named_model(name, clip_settings(tmp_path), "here")
    assert (found.model, found.pretrained, found.block) == (model, pretrained, "here")


def test_sample_is_of_images_with_both_and_grows_no_further() -> None:
    ids = [f"a-{number}-0" for number in range(2 * SAMPLE)]
    published = pl.DataFrame({"image_id": ids, "error": [None] * len(ids), "embedding": [[1.0]] * len(ids)})
    training = pl.DataFrame(
        {"image_id": ids[1:], "path": ids[1:], "sha256": [f"{n:064x}" for n in range(1, len(ids))], "error": None},
        schema_overrides={"error": pl.String},
    )
    published = published.with_columns(pl.when(pl.col("image_id") == "a-2-0").then(pl.lit("x")).alias("error"))
    chosen = sample(published.lazy(), training.lazy())
    assert set(chosen["image_id"]) == {f"a-{number}-0" for number in range(1, SAMPLE + 2)} - {"a-2-0"}
    assert chosen.columns == ["image_id", "path", "sha256", "embedding"]


def test_graph_without_published_vectors_has_no_such_asset(tmp_path: Path) -> None:
    keys = Mirror.make(tmp_path, posts_by_year=0).definitions.resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(EMBEDDING_AGREEMENT.name) not in keys
