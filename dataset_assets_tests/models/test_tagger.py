import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset_assets.models import onnx_files, tagger_onnx
from dataset_assets.models.tagger import Tagger, TagShard
from dataset_assets.models.tagger_files import TaggerSettings, recipe
from dataset_assets.models.tagger_input import bgr_pixels, white_square
from dataset_assets.models.tagger_labels import read_labels
from dataset_assets.models.weight_files import ModelError
from dataset_assets_tests.models.tiny_taggers import NAMES, ROWS, write_labels, write_tiny_onnx, write_tiny_timm

RED, BLUE = Image.new("RGB", (20, 20), (255, 0, 0)), Image.new("RGB", (30, 20), (0, 0, 255))


@pytest.fixture(scope="module")
def onnx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_onnx(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def timm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_timm(tmp_path_factory.mktemp("timm"))


def settings(folder: Path, **changes: Any) -> TaggerSettings:
    return replace(TaggerSettings(str(folder), 0.05, 4, "cpu", folder), **changes)


def noise(count: int) -> list[Image.Image]:
    numbers = np.random.default_rng(7)
    return [Image.fromarray(numbers.integers(0, 256, (30 + n, 40, 3), np.uint8)) for n in range(count)]


def score(tagger: Tagger, image: Image.Image, tag: str) -> float:
    return float(tagger.score([image])[0][NAMES.index(tag)])


def test_red_is_seen_as_red_and_blue_as_blue(onnx_folder: Path) -> None:
    tagger = Tagger(settings(onnx_folder))

    assert score(tagger, RED, "red_background") > 0.99
    assert score(tagger, RED, "blue_sky") < 0.01
    assert score(tagger, BLUE, "red_background") < 0.01


def test_scores_are_those_of_the_library_fed_as_published(onnx_folder: Path) -> None:
    import onnxruntime

    images = noise(3)
    padded = []
    for image in images:  # as the taggers' own demo does it
        side = max(image.size)
        square = Image.new("RGB", (side, side), (255, 255, 255))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        padded.append(np.asarray(square.resize((16, 16), Image.Resampling.BICUBIC), np.float32)[:, :, ::-1])
    session = onnxruntime.InferenceSession(onnx_folder / "model.onnx", providers=["CPUExecutionProvider"])
    [expected] = session.run(None, {"input_1:0": np.stack(padded)})

    assert np.allclose(Tagger(settings(onnx_folder)).score(images), expected, atol=1e-6)


def test_timm_scores_are_those_of_timm_itself_with_blue_first(timm_folder: Path) -> None:
    import timm
    import torch
    from timm.data import create_transform, resolve_data_config

    model = timm.create_model(f"local-dir:{timm_folder}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config(model.pretrained_cfg, model=model))
    images = noise(3)
    batch = torch.stack([transform(white_square(image)) for image in images])[:, [2, 1, 0]]
    with torch.inference_mode():
        expected = torch.sigmoid(model(batch)).numpy()

    found = Tagger(settings(timm_folder)).score(images)

    assert np.allclose(found, expected, atol=1e-6)
    assert found.std() > 0.01


@pytest.mark.parametrize("runtime", ["onnx", "timm"])
def test_an_image_has_the_same_scores_alone_and_in_any_batch(
    onnx_folder: Path, timm_folder: Path, runtime: str
) -> None:
    tagger = Tagger(settings({"onnx": onnx_folder, "timm": timm_folder}[runtime]))
    images = noise(7)

    together = tagger.score(images)

    assert all(np.array_equal(tagger.score([image])[0], row) for image, row in zip(images, together, strict=True))


def test_a_model_whose_batch_is_fixed_is_run_in_that_batch(tmp_path: Path) -> None:
    tagger = Tagger(settings(write_tiny_onnx(tmp_path, batch=1), batch_size=16))

    assert tagger.batch_size == 1
    assert tagger.score([RED, BLUE]).shape == (2, len(ROWS))


def test_a_row_has_what_reaches_the_floor_by_score_and_all_ratings(onnx_folder: Path) -> None:
    tagger = Tagger(settings(onnx_folder))

    row = tagger.row(tagger.score([RED])[0])

    tags = [(one["tag"], one["category"]) for one in row["tags"]]
    assert [name for name, category in tags if category != "rating"] == ["red_background", "1girl"]
    assert {name for name, category in tags if category == "rating"} == set(NAMES[:4])
    assert row["rating"] == "explicit"
    assert all(one["score"] == round(one["score"], 4) for one in row["tags"])


def test_an_image_is_padded_to_a_white_square_and_shown_blue_first() -> None:
    pixels = bgr_pixels(Image.new("RGB", (4, 2), (255, 0, 10)), 4)

    assert pixels.dtype == np.uint8
    assert pixels[:, 0].tolist() == [[255, 255, 255], [10, 0, 255], [10, 0, 255], [255, 255, 255]]


def test_transparency_is_shown_on_white() -> None:
    assert bgr_pixels(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), 4).min() == 255


def test_a_strip_takes_no_more_memory_than_a_large_picture() -> None:
    assert white_square(Image.new("RGB", (16_000, 1))).size == (4096, 4096)


def png(image: Image.Image) -> bytes:
    with io.BytesIO() as buffer:
        image.save(buffer, "PNG")
        return buffer.getvalue()


def test_bad_files_are_rows_with_an_error_among_good_ones(onnx_folder: Path) -> None:
    files = {"red": png(RED), "torn": png(BLUE)[:60], "blue": png(BLUE)}

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    rows = TagShard(read, settings(onnx_folder))(
        [{"image_id": f"x-{path}-0", "path": path} for path in ("red", "gone", "torn", "blue")]
    )

    assert [row["error"] for row in rows] == [None, "missing_file", "undecodable", None]
    assert rows[3]["tags"][0]["tag"] == "blue_sky"


def test_not_a_number_for_one_image_is_its_error(onnx_folder: Path) -> None:
    tagger = Tagger(settings(onnx_folder))

    assert tagger.row(np.array([np.nan] * len(ROWS), np.float32)) == {"error": "bad_output"}
    assert tagger.row(np.array([7.0] * len(ROWS), np.float32)) == {"error": "bad_output"}


def test_a_model_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    write_tiny_onnx(tmp_path, weights=np.full((3, len(ROWS)), np.nan, np.float32))

    with pytest.raises(ModelError, match="gives NaN"):
        Tagger(settings(tmp_path))


WRONG_LABELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a tag too few": (lambda folder: write_labels(folder, ROWS[:-1]), "has 8 tags, the model gives 9 scores"),
    "no name column": (lambda folder: write_labels(folder, header="tag_id,tag,category"), "has no column name"),
    "unknown category": (lambda folder: write_labels(folder, [*ROWS[:-1], (1, "x", 8)]), "line 10: '8' is no category"),
    "category is no number": (lambda folder: write_labels(folder, [*ROWS[:-1], (1, "x", "²")]), "is no category"),
    "tag twice": (
        lambda folder: write_labels(folder, [*ROWS[:-1], (1, "1girl", 0)]),
        "line 10: .*'1girl' stands twice",
    ),
    "empty name": (lambda folder: write_labels(folder, [*ROWS[:-1], (1, "", 0)]), "line 10: '' is no tag"),
    "nothing": (lambda folder: write_labels(folder, []), "names no tag"),
    "not text": (lambda folder: _write(folder / "selected_tags.csv", b"\xff\xfe\x00"), "cannot be read"),
    "not there": (lambda folder: (folder / "selected_tags.csv").unlink(), "has no selected_tags.csv"),
}


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


@pytest.mark.parametrize("damage", WRONG_LABELS)
def test_labels_that_do_not_fit_the_model_are_refused(tmp_path: Path, damage: str) -> None:
    write_tiny_onnx(tmp_path)
    change, said = WRONG_LABELS[damage]
    change(tmp_path)

    with pytest.raises(ModelError, match=said):
        Tagger(settings(tmp_path))


def test_labels_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    write_tiny_onnx(tmp_path)
    file = tmp_path / "selected_tags.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert [label.name for label in read_labels(file)] == NAMES


@pytest.mark.parametrize("data", [b"", b"not a model", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    write_tiny_onnx(tmp_path)
    (tmp_path / "model.onnx").write_bytes(data)

    with pytest.raises(ModelError, match=r"model\.onnx: is (empty|no ONNX|Git LFS)"):
        Tagger(settings(tmp_path))


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    file = write_tiny_onnx(tmp_path) / "model.onnx"
    whole = file.read_bytes()
    for length in range(1, len(whole), 37):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            Tagger(settings(tmp_path))


@pytest.mark.parametrize("where", ["initializer", "constant"])
def test_a_model_that_reads_other_files_is_refused(tmp_path: Path, where: str) -> None:
    import onnx
    from onnx import TensorProto, helper

    file = write_tiny_onnx(tmp_path) / "model.onnx"
    model = onnx.load(file)
    tensor = TensorProto(name="bias", data_type=TensorProto.FLOAT, dims=[9], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    if where == "initializer":
        del model.graph.initializer[1]
        model.graph.initializer.append(tensor)
    else:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["other"], value=tensor))
    file.write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match="keeps tensors in other files"):
        onnx_files.require_self_contained(file)


def test_a_model_with_operators_of_its_own_is_refused(tmp_path: Path) -> None:
    import onnx

    file = write_tiny_onnx(tmp_path) / "model.onnx"
    model = onnx.load(file)
    model.graph.node[3].domain = "evil.corp"
    model.opset_import.append(onnx.helper.make_opsetid("evil.corp", 1))
    file.write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match="cannot be loaded; expected a tagger's graph of standard operators"):
        Tagger(settings(tmp_path))


def test_a_gpu_that_is_not_there_is_an_error_and_never_the_processor(onnx_folder: Path, timm_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"tagger\.device: .* has no CUDAExecutionProvider here"):
        Tagger(settings(onnx_folder, device="cuda"))
    with pytest.raises(ModelError, match=r"tagger\.provider: .* has no DmlExecutionProvider here"):
        Tagger(settings(onnx_folder, provider="DmlExecutionProvider"))
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match=r"tagger\.device: cuda, but torch"):
            Tagger(settings(timm_folder, device="cuda"))


def test_a_session_that_falls_back_is_refused(onnx_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    available: Sequence[str] = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: available
    )  # as where CUDA's libraries are broken
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(ModelError, match="fell back"),
    ):
        tagger_onnx.OnnxTagger(_files(onnx_folder), settings(onnx_folder, device="auto"))


def _files(folder: Path) -> Any:
    from dataset_assets.models.tagger_files import find

    return find(settings(folder))


def test_timm_weights_of_another_model_are_refused(timm_folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    for name in ("config.json", "selected_tags.csv"):
        (tmp_path / name).write_bytes((timm_folder / name).read_bytes())
    save_file({"head.weight": np.zeros((2, 2), np.float32)}, tmp_path / "model.safetensors")

    with pytest.raises(ModelError, match="cannot be loaded as"):
        Tagger(settings(tmp_path))


@pytest.mark.parametrize("config", ['{"architecture": "hf-hub:evil/model"}', "[]", "{", '{"architecture": 5}'])
def test_a_configuration_that_names_no_architecture_is_refused(timm_folder: Path, tmp_path: Path, config: str) -> None:
    for name in ("model.safetensors", "selected_tags.csv"):
        (tmp_path / name).write_bytes((timm_folder / name).read_bytes())
    (tmp_path / "config.json").write_text(config, "utf-8")

    with pytest.raises(ModelError, match=r"config\.json"):
        Tagger(settings(tmp_path))


def test_a_name_that_is_neither_folder_nor_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no folder, and nowhere no repository"):
        recipe(settings(tmp_path, model="nowhere"))


def test_the_recipe_changes_with_model_labels_and_floor_and_not_with_the_device(tmp_path: Path) -> None:
    folder = write_tiny_onnx(tmp_path)
    before = recipe(settings(folder))

    assert recipe(settings(folder, device="auto")) == before
    assert recipe(settings(folder, floor=0.1)) != before
    write_labels(folder, [*ROWS[:-1], (1, "kagamine_rin", 4)])
    assert recipe(settings(folder)) != before


def test_a_repository_that_was_fetched_before_is_used_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    folder = tmp_path / "models--someone--tagger"
    write_tiny_onnx(folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc", "utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    assert score(Tagger(settings(tmp_path / "no_folder", model="someone/tagger")), RED, "red_background") > 0.99
