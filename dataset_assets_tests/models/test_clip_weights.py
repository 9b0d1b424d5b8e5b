"""Finding a CLIP model's files, and refusing the wrong ones, with no torch in sight."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dataset_assets.models import clip_weights
from dataset_assets.models.clip_weights import ClipSettings, UnknownDimension, embedding_dim, recipe
from dataset_assets.models.weight_files import ModelError

CONFIG = {
    "model_cfg": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": {"image_size": 32}, "text_cfg": {"width": 32}},
    "weights": "random",
}


def settings(folder: Path, model: str = "local-dir:tiny", pretrained: str | None = None) -> ClipSettings:
    return ClipSettings(model, pretrained, "cpu", 8, model.startswith("local-dir:"), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds the model folder `tiny`."""
    write_model(tmp_path / "tiny")
    return tmp_path


def write_model(where: Path, config: object = CONFIG) -> None:
    where.mkdir(parents=True)
    (where / "open_clip_config.json").write_text(json.dumps(config))
    (where / "open_clip_model.safetensors").write_bytes(b"weights")


def test_length_of_vectors_is_known_without_torch(folder: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from dataset_assets.models.clip import ClipSettings, embedding_dim, recipe
folder = Path({str(folder)!r})
for model, tag, random, dim in [("ViT-L-14-quickgelu", "openai", False, 768), ("local-dir:tiny", None, True, 32)]:
    settings = ClipSettings(model, tag, "auto", 8, random, folder)
    assert embedding_dim(settings) == dim, model
    recipe(settings)
assert not {{"torch", "open_clip", "torchvision", "pandas"}} & set(sys.modules)
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_name_is_accepted_as_openai_writes_it(tmp_path: Path) -> None:
    assert embedding_dim(settings(tmp_path, "ViT-L/14-quickgelu", "OpenAI")) == 768
    assert clip_weights.find(settings(tmp_path, "ViT-B-32-quickgelu", "OpenAI")).name == "ViT-B-32-quickgelu/openai"


def test_unknown_model_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="did you mean 'ViT-L-14-quickgelu'"):
        embedding_dim(settings(tmp_path, "ViT-L-14-quikgelu", "openai"))


@pytest.mark.parametrize("model", ["../../../etc/passwd", "", "ViT-L-14-quickgelu.json", "\0"])
def test_name_cannot_lead_out_of_the_list_of_models(tmp_path: Path, model: str) -> None:
    with pytest.raises(ModelError, match="open_clip knows no model"):
        embedding_dim(settings(tmp_path, model, "openai"))


def test_openai_weights_without_quickgelu_are_refused_with_the_right_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"set clip\.model: ViT-L-14-quickgelu"):
        embedding_dim(settings(tmp_path, "ViT-L-14", "openai"))


@pytest.mark.parametrize("name", ["vit_l_14.openai.safetensors", "vit_b_32-quickgelu-laion400m_e32.pt"])
def test_file_whose_name_tells_of_quickgelu_is_refused_without_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(ModelError, match="trained with QuickGELU"):
        embedding_dim(settings(tmp_path, "ViT-L-14", name))
    assert embedding_dim(settings(tmp_path, "ViT-L-14-quickgelu", name)) == 768


def test_openai_folder_without_quickgelu_is_refused(tmp_path: Path) -> None:
    model_cfg = {**CONFIG["model_cfg"], "quick_gelu": False}  # type: ignore[dict-item]
    write_model(tmp_path / "vit_large.openai", {**CONFIG, "model_cfg": model_cfg})
    with pytest.raises(ModelError, match='set "quick_gelu" in its model_cfg'):
        embedding_dim(settings(tmp_path, "local-dir:vit_large.openai"))


def test_relative_paths_start_from_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert embedding_dim(settings(folder)) == 32
    assert embedding_dim(settings(folder / "elsewhere", "local-dir:../tiny")) == 32
    assert embedding_dim(settings(Path("/"), f"local-dir:{folder}/tiny")) == 32


def test_model_says_in_its_name_that_its_weights_are_random(folder: Path) -> None:
    assert recipe(settings(folder))["model"] == "tiny (random weights)"


def test_random_weights_are_refused_unless_asked_for(folder: Path) -> None:
    with pytest.raises(ModelError, match="what it says means nothing"):
        embedding_dim(replace(settings(folder), random_weights=False))


@pytest.mark.parametrize(("model", "tag"), [("ViT-B-32-quickgelu", "openai"), ("local-dir:trained", None)])
def test_trained_weights_are_refused_when_random_ones_are_asked_for(
    tmp_path: Path, model: str, tag: str | None
) -> None:
    write_model(tmp_path / "trained", {"model_cfg": CONFIG["model_cfg"]})
    with pytest.raises(ModelError, match="not marked as random"):
        embedding_dim(replace(settings(tmp_path, model, tag), random_weights=True))


def break_config(content: bytes) -> Callable[[Path], object]:
    return lambda tiny: (tiny / "open_clip_config.json").write_bytes(content)


def break_weights(content: bytes) -> Callable[[Path], object]:
    return lambda tiny: (tiny / "open_clip_model.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "is no folder"),
        (lambda tiny: (tiny / "open_clip_config.json").unlink(), "No such file"),
        (lambda tiny: (tiny / "open_clip_model.safetensors").unlink(), "holds no weights; expected open_clip_model"),
        (break_config(b"{"), "cannot be read as a model's configuration"),
        (break_config(b"[" * 100_000), "cannot be read as a model's configuration"),
        (break_config(b"\xff"), "cannot be read as a model's configuration"),
        (break_config(b"[]"), "expected a JSON object, found list"),
        (break_config(b" " * 2_000_000), "larger than 1,000,000 bytes"),
        (break_config(b'{"weights": "random"}'), "has no model_cfg"),
        (break_config(b'{"weights": "random", "model_cfg": {"embed_dim": 32}}'), "expected text_cfg and vision_cfg"),
        (break_weights(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "run `git lfs pull`"),
    ],
)
def test_folder_that_holds_no_whole_model_is_refused(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder / "tiny")
    with pytest.raises(ModelError, match=message):
        embedding_dim(settings(folder))


@pytest.mark.parametrize("dim", ["768", 0, -1, 10**9, True, None])
def test_length_that_no_vector_has_is_refused(tmp_path: Path, dim: object) -> None:
    model_cfg = {**CONFIG["model_cfg"], "embed_dim": dim}  # type: ignore[dict-item]
    write_model(tmp_path / "tiny", {**CONFIG, "model_cfg": model_cfg})
    with pytest.raises(ModelError, match="expected 1 to 65536"):
        embedding_dim(settings(tmp_path))


@pytest.mark.parametrize(
    "tower", [{"text_cfg": {"hf_model_name": "a/b"}}, {"vision_cfg": {"timm_model_name": "hf-hub:a/b"}}]
)
def test_local_model_that_would_fetch_a_tower_is_refused(tmp_path: Path, tower: dict[str, object]) -> None:
    model_cfg = {**CONFIG["model_cfg"], **tower}  # type: ignore[dict-item]
    write_model(tmp_path / "tiny", {**CONFIG, "model_cfg": model_cfg})
    with pytest.raises(ModelError, match="would be fetched from the network"):
        embedding_dim(settings(tmp_path))


@pytest.mark.parametrize(
    ("pretrained", "message"),
    [
        (None, "clip.pretrained: missing"),
        ("gone.safetensors", "no such file"),
        ("folder/gone", "no such file"),
        ("./numpy.npz", "not a weight file by its name"),
        ("scripted.pt", "is a TorchScript archive"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path: Path, pretrained: str | None, message: str) -> None:
    (tmp_path / "numpy.npz").write_bytes(b"numbers")
    with zipfile.ZipFile(tmp_path / "scripted.pt", "w") as archive:
        archive.writestr("scripted/constants.pkl", b"")
    with pytest.raises(ModelError, match=message):
        embedding_dim(settings(tmp_path, "ViT-B-32", pretrained))


def test_weight_file_beside_a_model_with_its_own_weights_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="leave one of the two out"):
        embedding_dim(settings(folder, pretrained="other.safetensors"))
    assert embedding_dim(settings(folder, pretrained="openai")) == 32  # the default tag says nothing here


def test_several_weight_files_of_which_none_is_usual_are_refused(folder: Path) -> None:
    (folder / "tiny" / "open_clip_model.safetensors").rename(folder / "tiny" / "b.bin")
    assert embedding_dim(settings(folder)) == 32
    (folder / "tiny" / "a.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"holds a\.safetensors, b\.bin"):
        embedding_dim(settings(folder))


def test_recipe_is_the_same_until_something_in_it_changes(folder: Path) -> None:
    first = settings(folder)
    parts = recipe(first)
    assert parts == recipe(first)
    assert recipe(replace(first, device="auto")) == parts
    assert recipe(replace(first, batch_size=16)) != parts
    assert recipe(replace(first, precision="bf16")) != parts


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_config.json"])
def test_changed_file_changes_the_recipe(folder: Path, name: str) -> None:
    before = recipe(settings(folder))
    with (folder / "tiny" / name).open("ab") as stream:
        stream.write(b" ")
    assert recipe(settings(folder)) != before


def test_recipe_names_a_tag_or_the_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert recipe(settings(tmp_path, "ViT-B-32", "w.safetensors"))["weights"] == f"sha256:{empty}"
    assert recipe(settings(tmp_path, "ViT-B-32-quickgelu", "openai"))["weights"] == "tag:openai"


REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Hugging Face, in place of the user's own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "models--artist--tiny"


def put_into(hub: Path) -> None:
    write_model(hub / "snapshots" / REVISION, {"model_cfg": CONFIG["model_cfg"]})
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(REVISION)


def test_model_of_hugging_face_is_unknown_until_it_is_here(tmp_path: Path, hub: Path) -> None:
    wanted = settings(tmp_path, "hf-hub:artist/tiny")
    with pytest.raises(UnknownDimension, match="not on this machine yet"):
        embedding_dim(wanted)
    put_into(hub)
    assert embedding_dim(wanted) == 32
    assert recipe(wanted)["model"] == "artist/tiny"
    assert embedding_dim(replace(wanted, model=f"hf-hub:artist/tiny@{REVISION}")) == 32
    with pytest.raises(UnknownDimension):
        embedding_dim(replace(wanted, model="hf-hub:artist/tiny@another"))


def test_name_that_no_repository_can_have_is_refused(tmp_path: Path, hub: Path) -> None:
    with pytest.raises(ModelError, match=r"a/\.\./b"):
        embedding_dim(settings(tmp_path, "hf-hub:a/../b"))


def test_model_is_fetched_once_and_then_kept(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    asked: list[str] = []

    def fake_download(name: str, file: str, *, revision: str | None) -> None:
        asked.append(file)
        if file == "open_clip_model.safetensors":
            raise EntryNotFoundError("404")
        if not hub.exists():
            put_into(hub)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake_download)
    for _ in range(2):
        clip_weights.download(settings(tmp_path, "hf-hub:artist/tiny"))
    assert asked == ["open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"]


def test_model_that_cannot_be_fetched_is_an_error(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_network)
    with pytest.raises(ModelError, match="cannot be fetched: no route to host"):
        clip_weights.download(settings(tmp_path, "hf-hub:artist/tiny"))
