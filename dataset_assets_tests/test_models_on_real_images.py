"""Real illustrations embedded, captioned and tagged by tiny models: a row for each, and paid for once."""

from pathlib import Path

import polars as pl
import pytest

from dataset_assets.domain.predicted_tags import scores
from dataset_assets.likeness import alike
from dataset_assets.models import captioning, clip, tagger
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror
from dataset_assets_tests.models.tiny_models import TINY_CLIP, TINY_COCA, make_local_dir
from dataset_assets_tests.models.tiny_taggers import write_tiny_onnx

CELL = Cell("danbooru", 2005)
BEFORE = ["source_snapshot", "image_metadata", "raw_images", "training_images"]
MODELS = {"clip_embeddings": clip.ERRORS, "model_captions": captioning.ERRORS, "predicted_tags": tagger.ERRORS}
SETTINGS = """
sources:
  danbooru: {{kind: danbooru, metadata: some.json, images: {images}, years: [2005], license: {{name: x, basis: y}}}}
clip: {{model: "local-dir:clip", pretrained: null, random_weights: true, batch_size: 16}}
captioner: {{kind: coca, model: "local-dir:coca", pretrained: null, random_weights: true, batch_size: 8, max_length: 9}}
tagger: {{model: ./tagger, batch_size: 8}}
workers: 2
"""


@pytest.fixture
def mirror(tmp_path: Path, real_data: Path) -> Mirror:
    """Half a year of openclipart's mirror, as far as training images, and a model of each kind."""
    original = real_data / "openclipart_mirror"
    (tmp_path / "some.json").write_bytes((original / "metadata_old" / "2005b.json").read_bytes())
    make_local_dir(tmp_path / "clip", TINY_CLIP)
    make_local_dir(tmp_path / "coca", TINY_COCA, gain=2.0)
    write_tiny_onnx(tmp_path / "tagger")
    (tmp_path / "dataset.yaml").write_text(SETTINGS.format(images=original / "original"), "utf-8")
    mirror = Mirror(tmp_path)
    mirror.rebuild(assets=BEFORE)
    return mirror


def rebuild(mirror: Mirror) -> tuple[int, int]:
    """Have all models look at all images; returns how many rows were computed, and how many carried over."""
    outcomes = mirror.rebuild(assets=[*MODELS], everything=True)
    return sum(one.computed for one in outcomes), sum(one.reused for one in outcomes)


def tables(mirror: Mirror) -> dict[str, pl.DataFrame]:
    return {name: mirror.table(name, CELL) for name in MODELS}


@pytest.mark.slow
def test_every_real_image_has_a_state_from_each_model_and_is_paid_for_once(mirror: Mirror, real_data: Path) -> None:
    made = mirror.table("training_images", CELL)
    prepared = made.filter(pl.col("error").is_null())
    assert made.height == 81
    assert prepared.height > 70

    # Two files are damaged behind the tables' back: rows with a reason, and nothing happens to the others.
    gone, torn = (mirror.root / prepared.item(row, "path") for row in (3, 40))
    kept = {file: file.read_bytes() for file in (gone, torn)}
    gone.unlink()
    torn.write_bytes(kept[torn][: len(kept[torn]) // 2])
    assert rebuild(mirror) == (3 * prepared.height, 0)
    for name, rows in tables(mirror).items():
        assert rows["image_id"].to_list() == prepared["image_id"].to_list(), name
        failed = rows.filter(pl.col("error").is_not_null())
        assert failed.select("image_id", "error").rows() == [
            (prepared.item(3, "image_id"), "missing_file"),
            (prepared.item(40, "image_id"), "undecodable"),
        ], name
        assert set(failed["error"]) <= set(MODELS[name])

    # Mended, they alone are looked at again; after that nothing is, and the rows stay what they are.
    for file, data in kept.items():
        file.write_bytes(data)
    assert rebuild(mirror) == (3 * 2, 3 * (prepared.height - 2))
    whole = tables(mirror)
    assert all(rows["error"].null_count() == rows.height for rows in whole.values())
    assert rebuild(mirror) == (0, 3 * prepared.height)
    assert all(rows.equals(whole[name]) for name, rows in tables(mirror).items())

    # Each says something of its own: what is the same everywhere was not made of the images.
    assert whole["model_captions"]["caption"].n_unique() > 5
    given = scores(whole["predicted_tags"].lazy()).collect()["score"]
    assert given.is_between(0, 1).all()
    assert given.n_unique() > prepared.height
    for image_id in prepared["image_id"].gather_every(12):
        post = int(image_id.split("-")[1])
        file = real_data / "openclipart_mirror" / "original" / f"{post % 1000:04d}" / f"{post}.png"
        found = alike(mirror.config, like=file, limit=3)
        assert found.rows.item(0, "image_id") == image_id
        assert found.rows.item(0, "cosine") == pytest.approx(1, abs=2e-3)
