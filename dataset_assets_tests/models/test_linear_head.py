import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from dataset_assets.models.linear_head import LinearHead, read_head, require_sha256
from dataset_assets.models.weight_files import ModelError

WEIGHT, BIAS = np.array([[1.0, -2.0, 0.5]], np.float32), np.array([3.0], np.float32)
NUMBERS = np.random.default_rng(5)


def pth(content: Any) -> bytes:
    import torch

    with io.BytesIO() as buffer:
        torch.save(content, buffer)
        return buffer.getvalue()


def stacked() -> Any:
    """Layers as LAION's second predictor has them, with dropout in between."""
    import torch

    sizes = [(3, 8), (8, 4), (4, 1)]
    torch.manual_seed(0)
    return torch.nn.Sequential(
        *(module for pair in sizes for module in (torch.nn.Linear(*pair), torch.nn.Dropout(0.2)))
    ).eval()


def head(data: bytes, name: str = "head.safetensors") -> LinearHead:
    return read_head(name, data, "image_scores.aesthetic")


def test_a_linear_layer_scores_vectors_of_any_length_as_unit_vectors() -> None:
    found = head(save({"weight": WEIGHT, "bias": BIAS}))

    assert found.scores(np.array([[4.0, 0.0, 0.0], [0.0, 0.1, 0.0]])) == pytest.approx([4.0, 1.0])
    assert found.name.startswith("head.safetensors ")


def test_both_kinds_of_file_give_the_same_head() -> None:
    import torch

    tensors = {"weight": torch.from_numpy(WEIGHT), "bias": torch.from_numpy(BIAS)}
    vectors = NUMBERS.normal(size=(5, 3))

    of_pth = head(pth(tensors), "sa_0_4_vit_l_14_linear.pth").scores(vectors)

    assert np.array_equal(of_pth, head(save({"weight": WEIGHT, "bias": BIAS})).scores(vectors))


def test_layers_without_activation_score_as_torch_runs_them() -> None:
    import torch

    model = stacked()
    vectors = NUMBERS.normal(size=(5, 3)).astype(np.float32)
    unit = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    state = {f"layers.{name}": tensor for name, tensor in model.state_dict().items()}

    with torch.inference_mode():
        expected = model(unit).numpy()[:, 0]

    assert np.allclose(head(pth(state), "sac+logos+ava1.pth").scores(vectors), expected, atol=1e-6)


@given(st.integers(1, 40))
def test_a_score_does_not_depend_on_the_vectors_beside_it(count: int) -> None:
    found = LinearHead("h", np.linspace(-1, 1, 768), 0.5)
    vectors = np.random.default_rng(count).normal(size=(count, 768)).astype(np.float16)

    alone = [float(found.scores(vectors[n : n + 1])[0]) for n in range(count)]

    assert found.scores(vectors).tolist() == alone


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(ModelError, match="made for vectors of 3 numbers, the images' have 4"):
        head(save({"weight": WEIGHT, "bias": BIAS})).scores(np.ones((1, 4)))


class Runs:
    """Runs code when it is unpickled by a reader that lets it."""

    def __reduce__(self) -> Any:
        return (Path("/").joinpath, ("tmp",))


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "hostile pickle": ("h.pth", pth({"weight": Runs()}), "holds more than weights"),
    "not a file of torch": ("h.pth", b"nothing", "damaged|cannot be read"),
    "truncated": ("h.safetensors", save({"weight": WEIGHT, "bias": BIAS})[:-5], "cannot be read"),
    "empty": ("h.safetensors", b"", "cannot be read"),
    "other tensors": ("h.safetensors", save({"conv1.weight": WEIGHT}), "holds conv1.weight of shape"),
    "no tensors": ("h.safetensors", save({}), "holds no layer"),
    "no bias": ("h.safetensors", save({"weight": WEIGHT}), "do not fit one another"),
    "several outputs": ("h.safetensors", save({"weight": np.ones((2, 3)), "bias": np.ones(2)}), "gives 2 numbers"),
    "not a number": ("h.safetensors", save({"weight": WEIGHT * np.nan, "bias": BIAS}), "holds NaN"),
    "another kind": ("h.npy", b"", "no weight file by its name"),
    "layers of other models": (
        "h.safetensors",
        save({"layers.0.weight": WEIGHT, "layers.0.bias": BIAS, "layers.1.weight": WEIGHT, "layers.1.bias": BIAS}),
        "do not fit one another",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_head_is_refused(case: str) -> None:
    name, data, said = REFUSED[case]

    with pytest.raises(ModelError, match=said) as raised:
        head(data, name)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None  # a run shows the innermost error


def test_a_file_with_another_checksum_is_refused() -> None:
    require_sha256(b"x", hashlib.sha256(b"x").hexdigest(), "f", "b")
    require_sha256(b"x", None, "f", "b")
    with pytest.raises(ModelError, match="has SHA-256"):
        require_sha256(b"x", "0" * 64, "f", "b")
