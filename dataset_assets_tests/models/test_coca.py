"""Captions by a tiny CoCa model: open_clip's own logits, and what a search without any cache would find."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.models.clip_weights import ClipSettings
from dataset_assets.models.coca import END, PADDING, START, CocaCaptioner, CocaSettings, recipe
from dataset_assets.models.coca_decoder import CocaDecoder
from dataset_assets.models.weight_files import ModelError
from dataset_assets_tests.models.tiny_models import TINY_CLIP, TINY_COCA, make_local_dir

MAX_LENGTH = 9
PREFIX = "text_decoder.text_projection"


def settings(folder: Path, model: str = "coca", **changes: Any) -> CocaSettings:
    clip = ClipSettings(f"local-dir:{model}", None, "cpu", 4, True, folder, block="captioner")
    return replace(CocaSettings(clip, beams=1, min_length=4, max_length=MAX_LENGTH), **changes)


def rewrite_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "open_clip_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def make_eloquent(folder: Path) -> Path:
    """A model that says of each picture something else, in few words, and comes to an end."""
    make_local_dir(folder, TINY_COCA, gain=2.0, seed=1)
    rewrite_weights(folder, _prefer_few_words)
    return folder


def _prefer_few_words(tensors: dict[str, Any]) -> None:
    few = [*(random.Random(2).randrange(1000, 40_000) for _ in range(6)), END]
    said = tensors[PREFIX][:, few] * 120
    tensors[PREFIX] *= 0.2
    tensors[PREFIX][:, few] = said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_eloquent(folder / "coca")
    return folder


@pytest.fixture(scope="module")
def greedy(folder: Path) -> CocaCaptioner:
    return CocaCaptioner(settings(folder))


@pytest.fixture(scope="module")
def by_beams(folder: Path) -> CocaCaptioner:
    return CocaCaptioner(settings(folder, beams=3))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """The model as open_clip itself gives it."""
    import open_clip

    return open_clip.create_model_from_pretrained(f"local-dir:{folder}/coca")[0].eval()


def noise(seed: int) -> Image.Image:
    return Image.frombytes("RGB", (48, 40), random.Random(seed).randbytes(48 * 40 * 3))


PICTURES = [noise(seed) for seed in range(6)]
IDS = [f"s-{number}-0" for number in range(6)]


def captions_of(captioner: CocaCaptioner, pictures: Sequence[Image.Image]) -> list[tuple[str, float]]:
    inputs = [captioner.prepare(picture) for picture in pictures]
    size = captioner.batch_size
    batches = [inputs[start : start + size] for start in range(0, len(inputs), size)]
    return [found for batch in batches for found in captioner.write(batch, IDS[: len(batch)])]


@pytest.fixture(scope="module")
def of_beams(by_beams: CocaCaptioner) -> list[tuple[str, float]]:
    """What `by_beams` says of PICTURES."""
    return captions_of(by_beams, PICTURES)


# --- the same as open_clip ---


def test_logits_are_those_of_open_clips_forward_pass(reference: Any, greedy: CocaCaptioner) -> None:
    import torch

    images = torch.stack([greedy.prepare(picture) for picture in PICTURES])
    said = torch.tensor([[START, *random.Random(seed).choices(range(1, END), k=7)] for seed in range(6)])
    with torch.inference_mode():
        expected = reference(images, said, output_labels=False)["logits"]
        decoder = CocaDecoder(reference, reference._encode_image(images)[1], 1)
        found = torch.stack([decoder(said[:, place], None) for place in range(8)], dim=1)

    assert (found - expected).abs().max() < 1e-4
    assert expected.abs().max() > 1


def sought_plainly(model: Any, image: Any, beams: int, min_length: int) -> tuple[list[int], float]:
    """Beam search for one image in plain lists, by open_clip's forward pass over the whole caption each time."""
    import torch

    alive: list[tuple[float, list[int]]] = [(0.0, [START])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, MAX_LENGTH):
        further = []
        for summed, tokens in alive:
            with torch.inference_mode():
                logits = model(image[None], torch.tensor([tokens]), output_labels=False)["logits"][0, -1]
            said = logits.log_softmax(-1)
            said[[PADDING, START]] = -math.inf
            if length < min_length:
                said[END] = -math.inf
            best = said.topk(2 * beams)
            further += [(summed + v, [*tokens, t]) for v, t in zip(best[0].tolist(), best[1].tolist(), strict=True)]
        further = sorted(further, key=lambda one: -one[0])[: 2 * beams]
        ended += [(summed / length, tokens) for summed, tokens in further[:beams] if tokens[-1] == END]
        alive = [one for one in further if one[1][-1] != END][:beams]
    if ended:
        score, tokens = max(ended, key=lambda one: one[0])
        return tokens[1:-1], score
    return alive[0][1][1:], alive[0][0] / (MAX_LENGTH - 1)


@pytest.mark.parametrize("beams", [1, 3])
def test_captions_are_those_of_a_plain_search_without_a_cache(
    reference: Any, greedy: CocaCaptioner, by_beams: CocaCaptioner, beams: int
) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    captioner = greedy if beams == 1 else by_beams
    found = captions_of(captioner, PICTURES)
    expected = [sought_plainly(reference, captioner.prepare(picture), beams, 4) for picture in PICTURES]

    assert [text for text, _ in found] == [SimpleTokenizer().decode(tokens) for tokens, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-4)
    assert len({text for text, _ in found}) > 2, "the model tells pictures apart"
    assert any(len(tokens) < MAX_LENGTH - 1 for tokens, _ in expected), "some captions come to their end"


def test_no_caption_is_shorter_than_the_least_length(folder: Path, greedy: CocaCaptioner) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    lengths = [
        [len(SimpleTokenizer().encode(text)) for text, _ in captions_of(captioner, PICTURES)]
        for captioner in (greedy, CocaCaptioner(settings(folder, min_length=8)))
    ]
    assert min(lengths[0]) < 7 <= min(lengths[1])


# --- alone and in any company ---


@hypothesis_settings(max_examples=10, deadline=None)
@given(chosen=st.lists(st.integers(0, 5), min_size=1, max_size=6))
@example(chosen=[3])
@example(chosen=[5, 0, 5])
def test_a_caption_depends_on_its_image_alone(
    by_beams: CocaCaptioner, of_beams: list[tuple[str, float]], chosen: list[int]
) -> None:
    assert captions_of(by_beams, [PICTURES[index] for index in chosen]) == [of_beams[index] for index in chosen]


def test_a_second_captioner_says_the_same(folder: Path, of_beams: list[tuple[str, float]]) -> None:
    assert captions_of(CocaCaptioner(settings(folder, beams=3)), PICTURES) == of_beams


def test_an_image_of_which_the_model_makes_no_numbers_has_no_score_and_spoils_no_other(
    by_beams: CocaCaptioner, of_beams: list[tuple[str, float]]
) -> None:
    import torch

    inputs = [by_beams.prepare(picture) for picture in PICTURES[:3]]
    broken = by_beams.write([inputs[0], torch.full_like(inputs[1], math.nan), inputs[2]], IDS[:3])

    assert (broken[0], broken[2]) == (of_beams[0], of_beams[2])
    assert math.isnan(broken[1][1])


def test_bf16_weights_write_too(folder: Path) -> None:
    coarse = settings(folder)
    found = captions_of(CocaCaptioner(replace(coarse, model=replace(coarse.model, precision="bf16"))), PICTURES[:2])

    assert all(text and math.isfinite(score) for text, score in found)


# --- recipes ---


@pytest.mark.parametrize("change", [{"beams": 2}, {"min_length": 3}, {"max_length": 8}])
def test_the_recipe_knows_how_a_caption_is_sought(folder: Path, change: dict[str, int]) -> None:
    assert recipe(settings(folder)) != recipe(settings(folder, **change))


def test_the_recipe_knows_the_weights(folder: Path, tmp_path: Path) -> None:
    make_local_dir(tmp_path / "coca", TINY_COCA, seed=7)

    assert recipe(settings(folder)) != recipe(settings(tmp_path))


# --- models that may not be had ---


def broken_copy(folder: Path, at: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    make_eloquent(at / "coca")
    rewrite_weights(at / "coca", change)
    return at


def test_weights_with_nan_are_refused(tmp_path: Path, folder: Path) -> None:
    at = broken_copy(folder, tmp_path, lambda tensors: tensors[PREFIX][0].fill_(math.nan))
    with pytest.raises(
        ModelError, match=r"captioner\.model: the weights of coca .* hold NaN or infinity \(text_decoder"
    ):
        CocaCaptioner(settings(at))


def test_a_model_whose_numbers_overflow_is_refused(tmp_path: Path, folder: Path) -> None:
    at = broken_copy(folder, tmp_path, lambda tensors: tensors["visual.conv1.weight"].fill_(3e38))
    with pytest.raises(ModelError, match="gives NaN or infinity for a blank picture"):
        CocaCaptioner(settings(at))


def test_missing_tensors_are_never_made_up(tmp_path: Path, folder: Path) -> None:
    at = broken_copy(folder, tmp_path, lambda tensors: tensors.pop(PREFIX))
    with pytest.raises(ModelError, match=r"text_decoder\.text_projection"):
        CocaCaptioner(settings(at))


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    file = make_eloquent(tmp_path / "coca") / "open_clip_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="copy or fetch it again"):
        CocaCaptioner(settings(tmp_path))


def test_random_weights_are_refused_unless_asked_for(folder: Path) -> None:
    asked = settings(folder)
    with pytest.raises(ModelError, match=r"captioner\.random_weights: true"):
        recipe(replace(asked, model=replace(asked.model, random_weights=False)))


def test_a_model_that_only_embeds_is_refused(tmp_path: Path) -> None:
    make_local_dir(tmp_path / "coca", TINY_CLIP)
    with pytest.raises(ModelError, match="writes no captions; name a CoCa model"):
        recipe(settings(tmp_path))


@pytest.mark.parametrize(
    ("side", "key", "value", "said"),
    [
        ("text_cfg", "vocab_size", 64, "other tokens"),
        ("text_cfg", "hf_tokenizer_name", "roberta-base", "other tokens"),
        ("text_cfg", "qk_norm", True, "qk_norm is set"),
        ("text_cfg", "embed_cls", False, r"text_cfg\.embed_cls is not"),
        ("vision_cfg", "output_tokens", False, r"vision_cfg\.output_tokens is not"),
        ("multimodal_cfg", "context_length", 5, "writes at most 5 tokens"),
    ],
)
def test_a_model_of_another_build_is_refused_in_words(
    folder: Path, tmp_path: Path, side: str, key: str, value: object, said: str
) -> None:
    original = json.loads((folder / "coca" / "open_clip_config.json").read_text("utf-8"))
    original["model_cfg"][side][key] = value
    (tmp_path / "coca").mkdir()
    (tmp_path / "coca" / "open_clip_config.json").write_text(json.dumps(original), "utf-8")
    (tmp_path / "coca" / "open_clip_model.safetensors").write_bytes(b"never read")
    with pytest.raises(ModelError, match=said):
        recipe(settings(tmp_path))


def test_an_absent_gpu_is_said_in_words(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    asked = settings(folder)
    with pytest.raises(ModelError, match=r"captioner\.device: cuda, but torch .* finds no GPU here"):
        CocaCaptioner(replace(asked, model=replace(asked.model, device="cuda")))
