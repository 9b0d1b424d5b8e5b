"""Captions that models write, through the graph: beside the published ones, carried over, or not made at all."""

import io
import math
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from PIL import Image

from dataset_assets.checks import has_a_caption_and_its_score_or_an_error
from dataset_assets.config import ConfigError, load_config
from dataset_assets.domain.annotations import CAPTIONS
from dataset_assets.domain.model_captions import MODEL_CAPTIONS
from dataset_assets.models import captioning
from dataset_assets.models.blip import Stretched
from dataset_assets.rebuild import Outcome
from dataset_assets.sample.tiny_clip import write_tiny_clip
from dataset_assets.storage.tables import Cell, Commit
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.models.tiny_models import TINY_COCA, make_blip_dir, make_local_dir
from dataset_assets_tests.sources.scrapes import as_bytes, put, sidecar
from dataset_assets_tests.sources.test_pd12m import row as pd12m_row

NIJI = Cell("niji", 2022)
ASSETS = ["source_snapshot", "source_annotations", "snapshot_year", "image_metadata", "raw_images", "training_images"]
ASSETS += ["clip_embeddings", "model_captions", "captions"]
SOURCE = """
root: ./data
sources:
  niji: {kind: gallery_dl, images: images, years: [2022], license: {name: x, basis: y}}
clip: {model: "local-dir:tiny-clip-random", pretrained: null, random_weights: true, batch_size: 4}
workers: 1
"""
COCA = 'captioner: {kind: coca, model: "local-dir:coca", pretrained: null, random_weights: true, batch_size: 2, '
COCA += "device: cpu, beams: %d, max_length: 9}\n"
BLIP = 'captioner: {kind: blip, model: "local-dir:blip", random_weights: true, batch_size: 2, device: cpu, '
BLIP += "max_length: 12, min_length: 6}\n"


def write_settings(mirror: Mirror, captioner: str) -> None:
    mirror.config_file.write_text(SOURCE + captioner, "utf-8")


def write_work(mirror: Mirror, work: int, *, caption: str | None = None, seed: int | None = None) -> None:
    files = {f"{work}_p0.png": picture(seed or work), f"{work}_p0.png.json": as_bytes(sidecar(work))}
    put(mirror.folder / "images", files | ({f"{work}_p0.caption": caption.encode()} if caption else {}))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_local_dir(folder / "coca", TINY_COCA, gain=2.0)
    make_blip_dir(folder / "blip", gain=3.0)
    write_tiny_clip(folder / "tiny-clip-random")
    return folder


@pytest.fixture
def mirror(tmp_path: Path, models: Path) -> Mirror:
    """Three works, of which the first has a caption beside it, and a captioner."""
    mirror = Mirror(tmp_path)
    for name in ("coca", "blip", "tiny-clip-random"):
        (tmp_path / name).mkdir()
        for file in (models / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    write_work(mirror, 1, caption="a hat")
    write_work(mirror, 2)
    write_work(mirror, 3)
    write_settings(mirror, COCA % 1)
    return mirror


def rebuild(mirror: Mirror, *, strict: bool = True) -> Outcome:
    """Rebuild what the tests look at; returns what became of the year."""
    return next(one for one in mirror.rebuild(assets=ASSETS, strict=strict) if one.cell == NIJI)


def written(mirror: Mirror) -> dict[str, str]:
    return dict(mirror.table("model_captions", NIJI).select("image_id", "caption").iter_rows())


def commit(mirror: Mirror, name: str) -> Commit:
    return mirror.commits(name)[NIJI]


def test_captions_of_a_model_stand_beside_the_published_ones_and_are_paid_for_once(mirror: Mirror) -> None:
    rebuild(mirror)

    found = mirror.table("model_captions", NIJI)
    assert found["image_id"].to_list() == ["niji-1-0", "niji-2-0", "niji-3-0"]
    assert found["error"].null_count() == 3
    assert set(found["weights"]) == {"random"}
    said = mirror.told("model_captions")
    assert said["images_per_second"] > 0
    assert 0 <= said["model_share"] <= 1
    captions = mirror.table("captions", NIJI).select("image_id", "origin", "caption", "caption_model", "file")
    assert captions.filter(image_id="niji-1-0", origin="sidecar")["caption"].to_list() == ["a hat"]
    assert captions.filter(origin="coca").select("image_id", "caption").rows() == list(written(mirror).items())
    assert captions.filter(origin="coca").select("caption_model", "file").unique().rows() == [
        ("coca (random weights)", None)
    ]
    assert captions.height == 4
    told = {chapter.table: chapter.facts for chapter in trace(mirror.config, "niji-1-0")}
    assert told["captions"]["sidecar"] == "a hat"
    assert "caption" in told["model_captions"]

    # A changed caption file touches no vector, and no caption of a model.
    before = {name: commit(mirror, name) for name in ("clip_embeddings", "model_captions")}
    put(mirror.folder / "images", {"1_p0.caption": b"a red hat"})
    assert rebuild(mirror).computed == 0
    assert {name: commit(mirror, name) for name in before} == before
    changed = mirror.table("captions", NIJI)
    assert changed.filter(origin="sidecar")["caption"].to_list() == ["a red hat"]

    # A changed image and a new one are captioned, and no other.
    write_work(mirror, 2, seed=22)
    write_work(mirror, 4)
    rebuild(mirror)
    made = mirror.tables.history("model_captions", NIJI).collect()
    latest = commit(mirror, "model_captions").run_id
    assert made.filter(run_id=latest)["image_id"].to_list() == ["niji-2-0", "niji-4-0"]
    assert written(mirror)["niji-3-0"] == dict(found.select("image_id", "caption").iter_rows())["niji-3-0"]


@pytest.mark.slow
def test_a_changed_captioner_recomputes_only_its_own_rows_and_captions(mirror: Mirror) -> None:
    rebuild(mirror)
    first = written(mirror)
    kept = {name: commit(mirror, name) for name in ("clip_embeddings", "training_images")}
    write_settings(mirror, COCA % 3)
    assert rebuild(mirror).computed == 3
    assert written(mirror) != first
    assert {name: commit(mirror, name) for name in kept} == kept

    # Without a captioner its captions are left out, and kept for when it comes back.
    beams = commit(mirror, "model_captions")
    write_settings(mirror, "")
    mirror.rebuild(assets=[name for name in ASSETS if name != "model_captions"])
    assert mirror.table("captions", NIJI)["origin"].to_list() == ["sidecar"]
    write_settings(mirror, COCA % 3)
    assert rebuild(mirror).computed == 0
    assert commit(mirror, "model_captions") == beams
    assert mirror.table("captions", NIJI).filter(origin="coca").height == 3

    # Batches of another size are another recipe, and yet say the same.
    said = written(mirror)
    write_settings(mirror, (COCA % 3).replace("batch_size: 2", "batch_size: 3"))
    assert rebuild(mirror).computed == 3
    assert written(mirror) == said

    # Other weights under the same name are another model.
    make_local_dir(mirror.folder / "other", TINY_COCA, gain=2.0, seed=1)
    weights = "open_clip_model.safetensors"
    (mirror.folder / "coca" / weights).write_bytes((mirror.folder / "other" / weights).read_bytes())
    assert rebuild(mirror).computed == 3
    assert written(mirror) != said


def test_blip_writes_captions_too(mirror: Mirror) -> None:
    write_settings(mirror, BLIP)
    rebuild(mirror)

    captions = mirror.table("captions", NIJI).filter(origin="blip")
    assert captions["image_id"].to_list() == ["niji-1-0", "niji-2-0", "niji-3-0"]
    assert set(captions["caption_model"]) == {"blip (random weights)"}
    assert captions["score"].is_between(-20, 0).all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"coca/open_clip_model.safetensors": b"\x10"}, "cannot be loaded as coca; copy or fetch it again"),
        ({"coca/open_clip_config.json": b"{}"}, "has no model_cfg"),
    ],
)
def test_a_damaged_model_is_an_error_in_words_and_nothing_is_committed(
    mirror: Mirror, damage: dict[str, bytes], said: str
) -> None:
    put(mirror.folder, damage)
    outcome = rebuild(mirror, strict=False)

    assert any(said in error for error in outcome.errors), outcome
    assert NIJI not in mirror.commits("model_captions")
    assert NIJI not in mirror.commits("captions")
    assert NIJI in mirror.commits("clip_embeddings"), "what does not depend on it is built"


def test_captions_of_a_large_source_are_merged_in_the_order_of_images(tmp_path: Path, models: Path) -> None:
    mirror = Mirror(tmp_path)
    pl.DataFrame([pd12m_row(number) for number in range(40)]).write_parquet(tmp_path / "pd12m.00.parquet")
    pd12m = "{kind: pd12m, metadata: pd12m.00.parquet, collected: 2024, license: {name: x, basis: y}}"
    mirror.config_file.write_text(f"sources:\n  pd12m: {pd12m}\n{COCA % 1}", "utf-8")
    cell = Cell("pd12m", 2024)
    mirror.rebuild(assets=["source_snapshot", "image_metadata"])
    images = mirror.table("image_metadata", cell)["image_id"].sort().to_list()
    some = [images[0], images[17], images[39]]
    rows: list[dict[str, object]] = [{"image_id": name, "caption": "a cat", "score": -1.0} for name in some]
    rows += [{"image_id": images[5], "error": "bad_output"}]
    mirror.tables.commit(mirror.tables.stage(MODEL_CAPTIONS, cell, MODEL_CAPTIONS.frame(rows)), "a run")
    mirror.rebuild(assets=["captions"])

    found = mirror.table("captions", cell)
    assert found.select("image_id", "origin").rows() == sorted(
        [(name, "source") for name in images] + [(name, "coca") for name in some]
    )
    assert found.filter(origin="coca")["score"].to_list() == [-1.0] * 3
    assert mirror.tables.stage(CAPTIONS, cell, found).sha256 == mirror.commits("captions")[cell].sha256


def test_captions_alone_say_what_is_missing(mirror: Mirror) -> None:
    some = [name for name in ASSETS if name != "model_captions"]
    outcomes = mirror.rebuild(assets=some, strict=False)
    said = [error for outcome in outcomes for error in outcome.errors]

    assert len(said) == 1
    assert "dataset-assets rebuild --source niji --years 2022 --assets model_captions" in said[0]


def test_the_graph_has_model_captions_between_training_images_and_captions(mirror: Mirror) -> None:
    graph = mirror.definitions.resolve_asset_graph()
    captions, written_by_model = graph.get(dg.AssetKey("captions")), graph.get(dg.AssetKey("model_captions"))

    assert dg.AssetKey("model_captions") in captions.parent_keys
    assert written_by_model.parent_keys == {dg.AssetKey("training_images")}
    assert written_by_model.pools == {"gpu"}
    assert "one row per" in (written_by_model.description or "")
    rebuilt = mirror.definitions.resolve_job_def("rebuild").asset_layer.executable_asset_keys
    assert dg.AssetKey("model_captions") in rebuilt


class Speechless:
    """A captioner that says what it is told to."""

    name, weights, batch_size, preparation = "speechless", "trained", 2, Stretched(8)

    def __init__(self, said: list[tuple[str, float]]) -> None:
        self.said = iter(said)

    def write(self, inputs: Any, image_ids: Any) -> list[tuple[str, float]]:
        return [next(self.said) for _ in inputs]


def test_files_and_words_that_are_none_are_rows_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.BytesIO() as buffer:
        Image.new("RGB", (8, 8)).save(buffer, "PNG")
        whole = buffer.getvalue()
    files = {"1": whole, "2": whole[:40], "4": whole, "5": whole, "6": whole}
    captioner = Speechless([("a  cat\n", -1.0), ("", -2.0), ("x", math.nan), ("a dog", -0.5)])
    monkeypatch.setattr(captioning, "captioner_of", lambda settings: captioner)

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    settings: Any = None
    rows = captioning.CaptionShard(read, settings)([{"image_id": f"s-{n}-0", "path": str(n)} for n in range(1, 7)])
    assert [(row["error"], row["caption"], row["score"]) for row in rows] == [
        (None, "a cat", -1.0),
        ("undecodable", None, None),
        ("missing_file", None, None),
        ("empty_caption", None, None),
        ("bad_output", None, None),
        (None, "a dog", -0.5),
    ]
    assert {row["error"] for row in rows} - {None} == set(captioning.ERRORS)


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        ({"caption": "a cat", "score": -1.0}, True),
        ({"error": "bad_output"}, True),
        ({}, False),
        ({"caption": "", "score": -1.0}, False),
        ({"caption": "a cat", "score": math.nan}, False),
        ({"caption": "a cat", "score": 0.5}, False),
        ({"caption": "a cat", "score": -1.0, "error": "bad_output"}, False),
        ({"caption": "a cat"}, False),
    ],
)
def test_every_row_has_words_or_a_reason(row: dict[str, object], passes: bool) -> None:
    table = MODEL_CAPTIONS.frame([{"image_id": "s-1-0", **row}]).lazy()

    def rows(name: str) -> pl.LazyFrame:
        return table

    assert has_a_caption_and_its_score_or_an_error(rows)[0] == passes


@pytest.mark.parametrize(
    ("captioner", "said"),
    [
        ("{kind: git}", r"captioner\.kind: 'git' is no kind of captioner; expected 'coca', 'blip'"),
        ("{beams: 3}", r"captioner\.kind: missing; expected 'coca' or 'blip'"),
        ("{kind: coca, prompt: a}", r"captioner\.prompt: unknown key"),
        ("{kind: coca, beams: 0}", r"captioner\.beams: input should be greater than or equal to 1, found 0"),
        ("{kind: blip, max_length: 5}", r"captioner: min_length 5 is not below max_length 5"),
        ("{kind: blip, beams: 2, sampling: {}}", r"captioner: sampling draws one caption"),
    ],
)
def test_a_captioner_that_cannot_be_is_refused_by_its_key(tmp_path: Path, captioner: str, said: str) -> None:
    (tmp_path / "dataset.yaml").write_text(f"{SOURCE}captioner: {captioner}\n", "utf-8")
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path / "dataset.yaml")


def test_kohyas_defaults_are_those_of_blip(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(f"{SOURCE}captioner: {{kind: blip, sampling: {{}}}}\n", "utf-8")
    found = load_config(tmp_path / "dataset.yaml").captioner

    assert found is not None
    assert found.model_dump(include={"beams", "min_length", "max_length", "prompt", "sampling"}) == {
        "beams": 1,
        "min_length": 5,
        "max_length": 75,
        "prompt": "a picture of ",
        "sampling": {"seed": 42, "top_p": 0.9, "top_k": 50},
    }
