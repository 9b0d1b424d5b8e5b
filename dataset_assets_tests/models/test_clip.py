"""Embedding with a tiny CLIP model of random weights, and every way in which a model may not be had."""

import io
import json
import logging
import pickle
import random
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.compute.engine import Engine
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.model_engine import ModelEngine, ThreadEngine
from dataset_assets.models import clip, clip_loading, clip_weights, weight_files
from dataset_assets.models.clip import ClipEmbedder, ClipSettings, EmbedShard, ModelError, usable
from dataset_assets.models.image_tower import ImageTower
from dataset_assets_tests.models.tiny_models import TINY_CLIP, TINY_COCA, make_local_dir


def settings(folder: Path, model: str = "local-dir:tiny", pretrained: str | None = None) -> ClipSettings:
    return ClipSettings(model, pretrained, "cpu", 8, model.startswith("local-dir:"), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the model folder `tiny`."""
    folder = tmp_path_factory.mktemp("models")
    make_local_dir(folder / "tiny", TINY_CLIP)
    return folder


@pytest.fixture(scope="module")
def embedder(folder: Path) -> ClipEmbedder:
    return ClipEmbedder(settings(folder))


@pytest.fixture(scope="module")
def vectors(embedder: ClipEmbedder) -> np.ndarray:
    """The vectors of PICTURES."""
    return embedder.embed(PICTURES)


@pytest.fixture
def own_folder(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    shutil.copytree(folder / "tiny", tmp_path / "tiny")
    return tmp_path


def noise(seed: int, size: tuple[int, int] = (48, 40), mode: str = "RGB") -> Image.Image:
    return Image.frombytes(mode, size, random.Random(seed).randbytes(size[0] * size[1] * len(mode)))


PICTURES = [noise(seed, (40 + seed, 70 - seed)) for seed in range(19)]


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format)
    return stream.getvalue()


def weights_of(folder: Path) -> Path:
    return folder / "tiny" / "open_clip_model.safetensors"


def rewrite_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights_of(folder))
    change(tensors)
    save_file(tensors, weights_of(folder))


# --- vectors ---


def test_vectors_are_those_of_open_clip(folder: Path, vectors: np.ndarray) -> None:
    import open_clip
    import torch

    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}/tiny")
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(image) for image in PICTURES]), normalize=True)
    assert np.abs(vectors - expected.numpy()).max() < 1e-6


def test_vectors_have_length_one_and_are_told_apart(embedder: ClipEmbedder, vectors: np.ndarray) -> None:
    assert vectors.shape == (19, embedder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert usable(vectors).all()
    assert (vectors @ vectors.T - np.eye(19)).max() < 0.999


@hypothesis.settings(max_examples=12, deadline=None)
@given(chosen=st.lists(st.integers(0, 18), max_size=20))
@example(chosen=[])
@example(chosen=[7])
def test_vector_depends_on_its_image_alone(embedder: ClipEmbedder, vectors: np.ndarray, chosen: list[int]) -> None:
    assert embedder.embed([PICTURES[index] for index in chosen]).tobytes() == vectors[chosen].tobytes()


def test_second_embedder_gives_the_same_bits(folder: Path, vectors: np.ndarray) -> None:
    assert ClipEmbedder(settings(folder)).embed(PICTURES).tobytes() == vectors.tobytes()


def test_model_is_not_in_training_mode(tmp_path: Path) -> None:
    vision = {**TINY_CLIP["vision_cfg"], "patch_dropout": 0.5}  # at random, while training
    make_local_dir(tmp_path / "tiny", {**TINY_CLIP, "vision_cfg": vision})
    embedder = ClipEmbedder(settings(tmp_path))
    assert embedder.embed(PICTURES).tobytes() == embedder.embed(PICTURES).tobytes()


@pytest.mark.parametrize(("size", "mode"), [((1, 1), "RGB"), ((700, 1), "RGB"), ((9, 9), "L"), ((9, 9), "RGBA")])
def test_odd_images_have_vectors(embedder: ClipEmbedder, size: tuple[int, int], mode: str) -> None:
    assert usable(embedder.embed([noise(1, size, mode)])).all()


@given(width=st.integers(1, 400), height=st.integers(1, 400), ratio=st.floats(1, 500))
def test_middle_is_as_long_as_asked_and_keeps_the_centre(width: int, height: int, ratio: float) -> None:
    columns = np.arange(width, dtype=np.int32) - (width - 1) / 2
    image = Image.fromarray(np.tile(columns.astype(np.float32), (height, 1)))
    kept = clip.middle(image, ratio)
    assert max(kept.size) <= ratio * min(image.size) + 1
    assert min(kept.size) == min(image.size)
    assert kept.size == image.size or max(image.size) > ratio * min(image.size)
    assert np.asarray(kept)[0].sum() == 0


def test_strip_is_cut_to_its_middle_before_it_is_resized(embedder: ClipEmbedder) -> None:
    strip = Image.new("RGB", (1, 1_000_001), "white")
    strip.paste("black", (0, 500_000, 1, 500_001))
    short = strip.crop((0, 499_800, 1, 500_201))
    assert embedder.embed([strip]).tobytes() == embedder.embed([short]).tobytes()


def test_coca_model_gives_its_pooled_vector(tmp_path: Path) -> None:
    make_local_dir(tmp_path / "tiny", TINY_COCA)
    assert usable(ClipEmbedder(settings(tmp_path)).embed(PICTURES[:2])).all()


def test_bfloat16_is_close_to_float32(folder: Path, vectors: np.ndarray) -> None:
    cosines = (ClipEmbedder(replace(settings(folder), precision="bf16")).embed(PICTURES) * vectors).sum(axis=1)
    assert 0.999 < cosines.min() < 0.999999


def test_precision_can_be_left_to_the_machine(folder: Path, vectors: np.ndarray) -> None:
    own = ClipEmbedder(replace(settings(folder), precision="auto", device="auto")).embed(PICTURES)
    assert (own * vectors).sum(axis=1).min() > 0.999


def test_rows_without_a_direction_become_nan_and_no_others() -> None:
    rows = np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1], [1e38, 1e38], [-1, 0]], np.float32)
    vectors = clip.unit_length(rows)
    assert usable(vectors).tolist() == [True, False, False, False, True, True]
    assert np.isnan(vectors[~usable(vectors)]).all()
    np.testing.assert_allclose(vectors[[0, 4, 5]], [[0.6, 0.8], [0.5**0.5, 0.5**0.5], [-1, 0]], rtol=1e-6)


def test_batches_go_to_the_model_as_bytes(embedder: ClipEmbedder) -> None:
    assert embedder.prepare(PICTURES[0]).dtype == np.uint8


def test_preprocessing_that_is_not_ours_is_the_models_own(tmp_path: Path) -> None:
    import open_clip
    import torch

    make_local_dir(tmp_path / "tiny", TINY_CLIP)
    file = tmp_path / "tiny" / "open_clip_config.json"
    file.write_text(file.read_text().replace('"shortest"', '"longest"'))
    own = ClipEmbedder(settings(tmp_path))
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}/tiny")
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(image) for image in PICTURES]), normalize=True)
    assert own.preprocessing is None
    assert np.abs(own.embed(PICTURES) - expected.numpy()).max() < 1e-6


# --- the tower's batches ---


@dataclass
class FakeTower:
    """Gives each image its mean three times; fails above so many images at once, as a small GPU does."""

    room: int = 99
    seen: list[int] = field(default_factory=list)

    def __call__(self, inputs: Any) -> Any:
        import torch

        self.seen.append(len(inputs))
        if len(inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inputs.mean(dim=(1, 2, 3)).unsqueeze(1).repeat(1, 3)


def through(tower: ImageTower, count: int) -> np.ndarray:
    """Features of inputs that are all 0, all 1, and so on."""
    import torch

    return tower.finish(tower.start(torch.arange(count).float().reshape(-1, 1, 1, 1).expand(count, 3, 2, 2)))


def test_every_batch_has_the_same_shape() -> None:
    tower = FakeTower()
    rows = through(ImageTower(tower, 3, 8, "cpu"), 19)
    assert tower.seen == [8, 8, 8]
    assert rows[:, 0].tolist() == list(range(19))


def test_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    fake = FakeTower(room=3)
    tower = ImageTower(fake, 3, 16, "cpu")
    assert through(tower, 5)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert fake.seen == [16, 8, 4, 2, 2, 2]
    through(tower, 1)
    assert fake.seen[6:] == [2]


def test_gpu_without_room_for_one_image_is_an_error() -> None:
    with pytest.raises(ModelError, match="no memory left for a single image"):
        through(ImageTower(FakeTower(room=0), 3, 16, "cpu"), 1)


def test_features_of_another_length_than_promised_are_an_error() -> None:
    with pytest.raises(ModelError, match=r"shape \(8, 3\), its configuration promises \(8, 768\)"):
        through(ImageTower(FakeTower(), 768, 8, "cpu"), 1)


# --- rows ---


@dataclass(frozen=True)
class Files:
    """Files in memory, read as the store reads them."""

    content: dict[str, bytes]

    def __call__(self, path: str) -> bytes:
        if path not in self.content:
            raise FileNotFoundError(path)
        return self.content[path]


def rows_of(paths: Sequence[str]) -> list[dict[str, str]]:
    return [{"image_id": f"a-{index}-0", "path": path, "input_key": path} for index, path in enumerate(paths)]


def test_rows_come_back_in_order_with_vectors_or_reasons(folder: Path, vectors: np.ndarray) -> None:
    whole = {f"{index}.png": encoded(image) for index, image in enumerate(PICTURES)}
    bad = {
        "truncated.png": whole["0.png"][:-40],
        "truncated.jpg": encoded(noise(1, (200, 200)), "JPEG")[:5000],
        "empty.png": b"",
        "page.jpg": b"<html>",
        "unwanted.gif": encoded(PICTURES[0], "GIF"),
    }
    paths = [*list(whole)[:5], *bad, *list(whole)[5:], "gone.png"]
    shard = pickle.loads(pickle.dumps(EmbedShard(Files(whole | bad), settings(folder))))
    rows = shard(rows_of(paths))
    assert [row["image_id"] for row in rows] == [f"a-{index}-0" for index in range(25)]
    assert [row["error"] for row in rows] == [None] * 5 + ["undecodable"] * 5 + [None] * 14 + ["missing_file"]
    assert {row["error"] for row in rows} - {None} <= set(clip.ERRORS)
    made = np.stack([row["embedding"] for row in rows if row["error"] is None])
    assert made.dtype == np.float16
    assert made.tobytes() == vectors.astype(np.float16).tobytes()
    assert all((row["embedding"] is None) == (row["error"] is not None) for row in rows)
    marks = {(row["model"], row["weights"], row["precision"]) for row in rows}
    assert marks == {("tiny (random weights)", "random", "fp32")}


@pytest.mark.parametrize("readers", [ThreadEngine(2), LocalEngine(1)], ids=["threads", "processes"])
def test_inputs_read_beside_the_model_give_the_same_rows(folder: Path, readers: Engine, vectors: np.ndarray) -> None:
    shard = EmbedShard(Files({f"{n}.png": encoded(image) for n, image in enumerate(PICTURES)}), settings(folder))
    rows = rows_of([f"{n}.png" for n in range(19)])
    made = [row for batch in ModelEngine(lambda: readers, 8).run(shard, [rows[:7], rows[7:]]) for row in batch.results]
    by_id = {row["image_id"]: row["embedding"] for row in made}
    found = np.stack([by_id[row["image_id"]] for row in rows])
    assert found.tobytes() == vectors.astype(np.float16).tobytes()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_all_formats_of_training_images_are_read(folder: Path, file_format: str) -> None:
    [row] = EmbedShard(Files({"a": encoded(PICTURES[0], file_format)}), settings(folder))(rows_of(["a"]))
    assert row["error"] is None


def test_no_rows_give_no_rows(folder: Path) -> None:
    assert EmbedShard(Files({}), settings(folder))([]) == []


def test_store_that_fails_is_no_row(folder: Path) -> None:
    def broken(path: str) -> bytes:
        raise PermissionError(path)

    with pytest.raises(PermissionError):
        EmbedShard(broken, settings(folder))(rows_of(["a"]))


@pytest.mark.parametrize(("value", "words"), [(0.0, "for a blank picture"), (float("nan"), r"hold NaN.*\(proj\)")])
def test_model_without_sense_is_an_error_before_any_row_is_made(own_folder: Path, value: float, words: str) -> None:
    rewrite_weights(own_folder, lambda tensors: tensors["visual.proj"].fill_(value))
    with pytest.raises(ModelError, match=words):
        EmbedShard(Files({"a": encoded(PICTURES[0])}), settings(own_folder))(rows_of(["a"]))


def broken_for(bad: set[int], embedder: ClipEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model give NaN for the images at these places of a batch."""
    own = embedder._tower._module

    def broken(inputs: Any) -> Any:
        features = own(inputs).clone()
        features[sorted(bad)] = float("nan")
        return features

    monkeypatch.setattr(embedder._tower, "_module", broken)


def test_image_for_which_the_model_gives_no_numbers_is_a_row_with_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_for({1}, clip.embedder_of(settings(folder)), monkeypatch)
    rows = EmbedShard(Files({"a": encoded(PICTURES[0])}), settings(folder))(rows_of(["a", "a", "a"]))
    assert [row["error"] for row in rows] == [None, "bad_output", None]
    assert rows[1]["embedding"] is None


def test_model_that_gives_no_numbers_for_any_image_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_for(set(range(8)), clip.embedder_of(settings(folder)), monkeypatch)
    with pytest.raises(ModelError, match="for all of 3 images in a row"):
        EmbedShard(Files({"a": encoded(PICTURES[0])}), settings(folder))(rows_of(["a"] * 3))


def test_model_is_built_once_and_again_when_its_weights_change(own_folder: Path) -> None:
    first = clip.embedder_of(settings(own_folder))
    assert clip.embedder_of(settings(own_folder)) is first
    rewrite_weights(own_folder, lambda tensors: tensors["visual.proj"].neg_())
    second = clip.embedder_of(settings(own_folder))
    np.testing.assert_allclose(second.embed(PICTURES), -first.embed(PICTURES), atol=1e-6)


# --- models that cannot be had ---


@pytest.mark.parametrize("content", [b"", b"x" * 99, 100, 1_000_000])
def test_damaged_weights_are_an_error_and_never_random(own_folder: Path, content: bytes | int) -> None:
    file = weights_of(own_folder)
    file.write_bytes(file.read_bytes()[:content] if isinstance(content, int) else content)
    with pytest.raises(ModelError, match=r"open_clip_model\.safetensors: cannot be loaded as tiny; copy or fetch it"):
        ClipEmbedder(settings(own_folder))


def test_weights_of_another_architecture_are_an_error(own_folder: Path) -> None:
    rewrite_weights(own_folder, lambda tensors: tensors.pop("visual.proj"))
    with pytest.raises(ModelError, match=r"Missing key.*visual\.proj"):
        ClipEmbedder(settings(own_folder))


def test_configuration_that_open_clip_cannot_build_is_an_error(own_folder: Path) -> None:
    file = own_folder / "tiny" / "open_clip_config.json"
    file.write_text(file.read_text().replace('"quick_gelu"', '"quick_glue"'))
    with pytest.raises(ModelError, match="quick_glue"):
        ClipEmbedder(settings(own_folder))


class Canary:
    """An object whose unpickling writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth"])
def test_pickle_in_a_weight_file_is_not_run(own_folder: Path, name: str) -> None:
    import torch

    weights_of(own_folder).unlink()
    torch.save({"visual.proj": Canary(own_folder / "canary")}, own_folder / "tiny" / name)
    with pytest.raises(ModelError, match="such objects can run code"):
        ClipEmbedder(settings(own_folder))
    assert not (own_folder / "canary").exists()


def test_plain_torch_weights_are_read(own_folder: Path, vectors: np.ndarray) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(weights_of(own_folder)), own_folder / "tiny" / "model.pth")
    weights_of(own_folder).unlink()
    assert ClipEmbedder(settings(own_folder)).embed(PICTURES).tobytes() == vectors.tobytes()


def test_file_of_weights_is_read_for_a_named_architecture(
    own_folder: Path, embedder: ClipEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    architecture = own_folder / "tiny-architecture.json"
    architecture.write_text(json.dumps(TINY_CLIP))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"tiny-architecture": TINY_CLIP})
    files = clip_weights.ModelFiles("tiny/w", TINY_CLIP, architecture, None, weights_of(own_folder))
    model, _ = clip_loading.load(files, "cpu", "fp32")
    assert model.visual.proj.shape == (64, embedder.dim)


def test_gpu_that_is_not_there_is_an_error(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match="finds no GPU here"):
        ClipEmbedder(replace(settings(folder), device="cuda"))


def test_unknown_tag_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="did you mean 'laion2b_s34b_b79k'"):
        ClipEmbedder(settings(tmp_path, "ViT-B-32", "laion2b_s34b_b79"))


@pytest.mark.parametrize(
    ("model", "tag"), [("ViT-L-14", "openai"), ("ViT-B-32", "metaclip_400m"), ("ViT-H-14-378", "dfn5b")]
)
def test_tag_of_another_activation_function_is_refused_before_it_is_fetched(
    tmp_path: Path, model: str, tag: str
) -> None:
    with pytest.raises(ModelError, match=f"set clip.model: {model}-quickgelu"):
        ClipEmbedder(settings(tmp_path, model, tag))


def test_quickgelu_is_what_the_model_runs(folder: Path) -> None:
    model, _ = clip_loading.load(clip_weights.find(settings(folder)), "cpu", "fp32")
    assert type(model.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def test_local_model_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert ClipEmbedder(settings(folder)).dim == 32


def test_loading_says_nothing_and_leaves_logging_as_it_was(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), list(root.filters), root.level)
    with caplog.at_level(logging.DEBUG):
        ClipEmbedder(settings(folder, pretrained="openai"))
    assert [record for record in caplog.records if "open_clip" in record.pathname] == []
    assert (list(root.handlers), list(root.filters), root.level) == before


@pytest.mark.parametrize("model", ["ViT-L-14-quickgelu", "ViT-B-32-quickgelu", "RN50-quickgelu"])
def test_configurations_are_those_that_open_clip_reads(tmp_path: Path, model: str) -> None:
    import open_clip

    assert clip_weights.find(settings(tmp_path, model, "openai")).config == open_clip.get_model_config(model)


def test_weight_file_of_a_folder_is_the_one_that_open_clip_takes(tmp_path: Path) -> None:
    from open_clip import factory

    for name in reversed(weight_files.FOLDER_WEIGHT_NAMES):
        (tmp_path / name).touch()
        assert str(weight_files.weight_file(tmp_path)) == factory._find_checkpoint_in_dir(tmp_path)
