"""Linear heads over image vectors, such as LAION's aesthetic predictors."""

import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from dataset_assets.models.weight_files import ModelError

MAX_BYTES = 50_000_000
LAYER = re.compile(r"(?:layers\.(\d+)\.)?(weight|bias)")

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearHead:
    """One number of a vector: its dot product with `weights`, plus `bias`."""

    name: str
    weights: Numbers
    bias: float

    def scores(self, vectors: npt.NDArray[np.floating]) -> Numbers:
        """Scores of (n, dim) vectors, which are brought to length 1 first; a row does not depend on the others.

        Raises: ModelError when the vectors have another dimension.
        """
        if vectors.shape[1] != len(self.weights):
            raise ModelError(
                f"{self.name}: is made for vectors of {len(self.weights)} numbers, the images' have "
                f"{vectors.shape[1]}; use the head of another CLIP model, or the CLIP model of this head"
            )
        rows = vectors.astype(np.float64)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        scores: Numbers = (unit * self.weights).sum(axis=1) + self.bias
        return scores


def read_head(file_name: str, data: bytes, block: str) -> LinearHead:
    """A head from the bytes of a `.safetensors` or `.pth` file: one linear layer, or several with nothing in between.

    Raises: ModelError.
    """
    layers = _layers(file_name, _tensors(file_name, data, block), block)
    weights, bias = layers[0]
    for weight, offset in layers[1:]:  # without activations between them, layers are one layer
        weights, bias = weight @ weights, weight @ bias + offset
    if weights.shape[0] != 1:
        raise ModelError(f"{block}: {file_name} gives {weights.shape[0]} numbers for an image, expected one score")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ModelError(f"{block}: {file_name} holds NaN or infinity; copy or fetch it again")
    return LinearHead(f"{file_name} {hashlib.sha256(data).hexdigest()[:12]}", weights[0], float(bias[0]))


def require_sha256(data: bytes, expected: str | None, file: str, block: str) -> None:
    """Refuse bytes that are not the ones that were meant. Raises: ModelError."""
    found = hashlib.sha256(data).hexdigest()
    if expected is not None and found != expected:
        raise ModelError(f"{block}: {file} has SHA-256 {found}, dataset.yaml says {expected}")


def _tensors(file_name: str, data: bytes, block: str) -> Mapping[str, Numbers]:
    """Every tensor by its name; only numbers are read, never objects that could run code."""
    suffix = PurePosixPath(file_name).suffix
    try:
        if suffix == ".safetensors":
            from safetensors.numpy import load

            return {name: np.asarray(tensor, np.float64) for name, tensor in load(data).items()}
        if suffix in (".pth", ".pt", ".bin"):
            import torch

            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            return {str(name): tensor.double().numpy() for name, tensor in dict(loaded).items()}
    except pickle.UnpicklingError:  # torch's own words advise to run the file's code
        raise ModelError(
            f"{block}: {file_name} is damaged, or holds more than weights, and such objects can run code when they are "
            "read; expected a file of weights alone, best as .safetensors"
        ) from None
    except Exception as error:  # noqa: BLE001 - damaged or hostile files make the loaders raise anything
        found = f"{type(error).__name__}: {str(error)[:300]}"
        # A run shows the innermost error: this one.
        raise ModelError(f"{block}: {file_name} cannot be read; copy or fetch it again; {found}") from None
    raise ModelError(f"{block}: {file_name} is no weight file by its name; expected .safetensors or .pth")


def _layers(file_name: str, tensors: Mapping[str, Numbers], block: str) -> list[tuple[Numbers, Numbers]]:
    """The weight and bias of each layer, first to last, each fitting the one before."""
    found: dict[int, dict[str, Numbers]] = {}
    for name, tensor in tensors.items():
        match = LAYER.fullmatch(name)
        if match is None or tensor.ndim != (2 if match[2] == "weight" else 1):
            raise ModelError(
                f"{block}: {file_name} holds {name[:80]} of shape {tensor.shape}; expected weight and bias of a linear "
                "layer, or layers.<n>.weight and layers.<n>.bias of several"
            )
        found.setdefault(int(match[1] or 0), {})[match[2]] = tensor
    layers = [(layer.get("weight"), layer.get("bias")) for _, layer in sorted(found.items())]
    width = None
    whole: list[tuple[Numbers, Numbers]] = []
    for weight, bias in layers:
        if weight is None or bias is None or len(bias) != len(weight) or width not in (None, weight.shape[1]):
            raise ModelError(f"{block}: the layers of {file_name} do not fit one another; copy or fetch it again")
        width = weight.shape[0]
        whole.append((weight, bias))
    if not whole:
        raise ModelError(f"{block}: {file_name} holds no layer")
    return whole
