"""Captions by a tiny BLIP model: what transformers itself would generate, alone and in any company."""

import json
import math
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("transformers", reason="the extra `blip` is not installed")

from dataset_assets.models import blip_files
from dataset_assets.models.blip import BlipCaptioner
from dataset_assets.models.blip_files import BlipSettings, Sampling, recipe
from dataset_assets.models.weight_files import ModelError
from dataset_assets_tests.models.tiny_models import make_blip_dir

MAX_LENGTH = 14
PROMPT_TOKENS = 4  # [DEC] a picture of


def settings(folder: Path, **changes: Any) -> BlipSettings:
    return replace(BlipSettings("local-dir:blip", "cpu", 4, True, folder, max_length=MAX_LENGTH), **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_blip_dir(folder / "blip", gain=3.0)
    return folder


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A model that a test may damage."""
    make_blip_dir(tmp_path / "blip")
    return tmp_path


@pytest.fixture(scope="module")
def captioner(folder: Path) -> BlipCaptioner:
    return BlipCaptioner(settings(folder))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """The model as transformers itself gives it."""
    from transformers import BlipForConditionalGeneration

    return BlipForConditionalGeneration.from_pretrained(folder / "blip").eval()


def noise(seed: int) -> Image.Image:
    return Image.frombytes("RGB", (48, 40), random.Random(seed).randbytes(48 * 40 * 3))


PICTURES = [noise(seed) for seed in range(6)]
IDS = [f"s-{number}-0" for number in range(6)]


def captions_of(captioner: BlipCaptioner, chosen: Sequence[int]) -> list[tuple[str, float]]:
    size = captioner.batch_size
    batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    return [
        found
        for batch in batches
        for found in captioner.write(
            [captioner.prepare(PICTURES[index]) for index in batch], [IDS[index] for index in batch]
        )
    ]


def generated(
    reference: Any, captioner: BlipCaptioner, folder: Path, index: int, **choice: Any
) -> tuple[str, list[int]]:
    """One caption as BLIP's own `generate` gives it, and its tokens with those of the prompt."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "blip")
    prompt = tokenizer("a picture of", return_tensors="pt")
    [tokens] = reference.generate(
        pixel_values=captioner.prepare(PICTURES[index])[None],
        input_ids=prompt.input_ids,
        attention_mask=prompt.attention_mask,
        max_length=MAX_LENGTH,
        min_length=5,
        **choice,
    ).tolist()
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    assert text.startswith("a picture of")
    return text.removeprefix("a picture of").strip(), tokens


# --- the same as transformers ---


@pytest.mark.parametrize("beams", [1, 3])
def test_captions_are_those_of_transformers_own_generate(
    folder: Path, reference: Any, captioner: BlipCaptioner, beams: int
) -> None:
    found = captions_of(BlipCaptioner(settings(folder, beams=beams)), range(6))
    expected = [
        generated(reference, captioner, folder, index, do_sample=False, num_beams=beams)[0] for index in range(6)
    ]

    assert [text for text, _ in found] == expected
    assert len(set(expected)) > 2, "the model tells pictures apart"


def test_a_score_is_the_mean_log_probability_of_the_words_and_the_end(
    folder: Path, reference: Any, captioner: BlipCaptioner
) -> None:
    import torch

    lengths = set()
    for index, (_, score) in enumerate(captions_of(captioner, range(6))):
        _, tokens = generated(reference, captioner, folder, index, do_sample=False, num_beams=1)
        with torch.inference_mode():
            logits = reference(captioner.prepare(PICTURES[index])[None], torch.tensor([tokens])).logits[0]
        said = logits.log_softmax(-1)[range(PROMPT_TOKENS - 1, len(tokens) - 1), tokens[PROMPT_TOKENS:]]
        assert score == pytest.approx(said.mean().item(), abs=1e-5)
        lengths.add(len(tokens))
    assert len(lengths) > 1, "some captions end early"


def test_pixels_are_stretched_to_the_models_side_as_blips_own_transform_does(captioner: BlipCaptioner) -> None:
    from torchvision import transforms
    from torchvision.transforms.functional import InterpolationMode

    published = transforms.Compose(
        [
            transforms.Resize((32, 32), InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    for picture in PICTURES:
        assert (captioner.prepare(picture) - published(picture)).abs().max() < 1e-6


# --- alone and in any company ---


@pytest.mark.parametrize("change", [{}, {"beams": 3}, {"sampling": Sampling(), "repetition_penalty": 1.1}])
def test_a_caption_depends_on_its_image_alone(folder: Path, change: dict[str, Any]) -> None:
    captioner = BlipCaptioner(settings(folder, **change))
    together = captions_of(captioner, range(6))

    for chosen in ([3], [5, 0, 5]):
        assert captions_of(captioner, chosen) == [together[index] for index in chosen]
    assert captions_of(BlipCaptioner(settings(folder, **change)), range(6)) == together


def test_lots_are_drawn_by_the_images_id_and_the_seed(folder: Path) -> None:
    captioner = BlipCaptioner(settings(folder, sampling=Sampling()))
    inputs = [captioner.prepare(PICTURES[0])] * 4
    by_id = captioner.write(inputs, IDS[:4])

    assert len({text for text, _ in by_id}) > 1
    assert captioner.write(inputs, IDS[:4]) == by_id
    assert BlipCaptioner(settings(folder, sampling=Sampling(seed=43))).write(inputs, IDS[:4]) != by_id


def test_drawing_lots_leaves_torchs_own_generator_alone(folder: Path) -> None:
    import torch

    captioner = BlipCaptioner(settings(folder, sampling=Sampling()))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    captions_of(captioner, [0])

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("change", [{}, {"sampling": Sampling()}])
def test_an_image_of_which_the_model_makes_no_numbers_has_no_score_and_spoils_no_other(
    folder: Path, change: dict[str, Any]
) -> None:
    import torch

    captioner = BlipCaptioner(settings(folder, **change))
    inputs = [captioner.prepare(picture) for picture in PICTURES[:3]]
    broken = captioner.write([inputs[0], torch.full_like(inputs[1], math.nan), inputs[2]], IDS[:3])
    whole = captions_of(captioner, [0, 1, 2])

    assert (broken[0], broken[2]) == (whole[0], whole[2])
    assert math.isnan(broken[1][1])


def test_bf16_weights_write_too(folder: Path) -> None:
    found = captions_of(BlipCaptioner(settings(folder, precision="bf16")), [0, 1])

    assert all(math.isfinite(score) for _, score in found)


# --- recipes ---


@pytest.mark.parametrize(
    "change",
    [
        {"beams": 2},
        {"min_length": 6},
        {"max_length": 15},
        {"prompt": "a girl"},
        {"repetition_penalty": 1.1},
        {"sampling": Sampling()},
        {"sampling": Sampling(seed=1)},
    ],
)
def test_the_recipe_knows_how_a_caption_is_written(folder: Path, change: dict[str, Any]) -> None:
    others = recipe(settings(folder, **({"sampling": Sampling()} if change == {"sampling": Sampling(seed=1)} else {})))

    assert recipe(settings(folder, **change)) != others


# --- models that may not be had ---


def rewrite_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "blip" / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def rewrite_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "blip" / "config.json"
    config = json.loads(file.read_text("utf-8"))
    change(config)
    file.write_text(json.dumps(config), "utf-8")


EMBEDDING = "text_decoder.bert.embeddings.position_embeddings.weight"


def test_missing_tensors_are_never_made_up(own_folder: Path) -> None:
    rewrite_weights(own_folder, lambda tensors: tensors.pop(EMBEDDING))
    with pytest.raises(ModelError, match=r"lacks 1 tensors of a BLIP captioner, such as .*position_embeddings"):
        BlipCaptioner(settings(own_folder))


def test_weights_with_nan_are_refused(own_folder: Path) -> None:
    rewrite_weights(own_folder, lambda tensors: tensors[EMBEDDING][0].fill_(math.nan))
    with pytest.raises(ModelError, match="hold NaN or infinity"):
        BlipCaptioner(settings(own_folder))


def test_tensors_of_another_size_are_refused(own_folder: Path) -> None:
    rewrite_config(own_folder, lambda config: config["text_config"].update(intermediate_size=128))
    with pytest.raises(ModelError, match=r"cannot be loaded as a BLIP captioner|would be random"):
        BlipCaptioner(settings(own_folder))


def test_truncated_weights_are_refused(own_folder: Path) -> None:
    file = own_folder / "blip" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be loaded as a BLIP captioner; copy or fetch it again"):
        BlipCaptioner(settings(own_folder))


def test_a_file_that_holds_more_than_weights_is_not_run(own_folder: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (own_folder / "was_run",))

    (own_folder / "blip" / "model.safetensors").unlink()
    (own_folder / "blip" / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Hostile()}))
    with pytest.raises(ModelError, match=r"holds more than weights|cannot be loaded as a BLIP captioner"):
        BlipCaptioner(settings(own_folder))
    assert not (own_folder / "was_run").exists()


def test_the_tokenizer_of_another_model_is_refused(own_folder: Path) -> None:
    rewrite_config(own_folder, lambda config: config["text_config"].update(sep_token_id=3))
    with pytest.raises(ModelError, match="has the tokenizer of another model"):
        BlipCaptioner(settings(own_folder))


def test_a_tokenizer_with_a_word_too_few_is_refused(own_folder: Path) -> None:
    words = own_folder / "blip" / "vocab.txt"
    words.write_text("\n".join(words.read_text("utf-8").split("\n")[:-1]), "utf-8")
    (own_folder / "blip" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has the tokenizer of another model"):
        BlipCaptioner(settings(own_folder))


def test_another_kind_of_model_is_refused_before_it_is_loaded(own_folder: Path) -> None:
    rewrite_config(own_folder, lambda config: config.update(model_type="git"))
    with pytest.raises(ModelError, match="is of a model of type 'git', expected 'blip'"):
        recipe(settings(own_folder))


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (("model.safetensors",), "holds no weights; expected model.safetensors or pytorch_model.bin"),
        (blip_files.TOKENIZER_NAMES, "holds no tokenizer"),
        (("config.json",), "cannot be read as a model's configuration"),
    ],
)
def test_a_file_that_is_not_there_is_named(own_folder: Path, gone: Sequence[str], said: str) -> None:
    for name in gone:
        (own_folder / "blip" / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=said):
        recipe(settings(own_folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "Salesforce/blip-image-captioning-large"}, "write hf-hub:<owner>/<name> or local-dir:<folder>"),
        ({"model": "local-dir:gone"}, r"gone is no folder"),
        ({"max_length": 65}, r"captioner\.max_length: 65, but blip writes at most 64 tokens"),
        ({"random_weights": False}, r"set captioner\.random_weights: true"),
    ],
)
def test_settings_that_name_no_model_are_said_in_words(folder: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        recipe(settings(folder, **change))


def test_a_prompt_longer_than_any_caption_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="the prompt alone has 8 tokens"):
        BlipCaptioner(settings(folder, prompt="a girl with red hair and cat", max_length=7, min_length=1))


def test_a_repository_that_is_not_on_this_machine_and_not_to_be_had_is_an_error_in_words(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    asked = settings(folder, model="hf-hub:nobody/no-such-blip-model")
    with pytest.raises(ModelError, match="is not on this machine yet"):
        recipe(asked)
    with pytest.raises(ModelError, match=r"captioner\.model: hf-hub:nobody/no-such-blip-model cannot be fetched"):
        BlipCaptioner(asked)


def test_without_the_extra_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blip_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'dataset_assets\[blip\]'"):
        recipe(settings(folder))
