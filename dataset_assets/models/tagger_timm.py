"""Taggers run by timm: the newer ones come with its weights as well, and need no other library on a GPU."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset_assets.models.clip_loading import choose_device
from dataset_assets.models.clip_preprocessing import Preprocessing, probe_pictures
from dataset_assets.models.finite import require_finite_weights
from dataset_assets.models.model_inputs import Preparation, WholeTransform, numbers_of
from dataset_assets.models.tagger_files import TaggerFiles, TaggerSettings
from dataset_assets.models.tagger_input import OnWhite, white_square
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch
    from PIL import Image

BLUE_FIRST = [2, 1, 0]


class TimmTagger:
    """A tagger of timm's; `prepare` and `scores` as `Tagger` uses them.

    Raises on construction: ModelError.
    """

    def __init__(self, files: TaggerFiles, settings: TaggerSettings) -> None:
        self.device = choose_device(settings.device, "tagger")
        self._model, self.prepare = _load(files)
        self.reads_apart = not isinstance(self.prepare.preparation, WholeTransform)
        require_finite_weights(self._model, files.name, "tagger")
        self._model.eval().requires_grad_(False).to(self.device)
        self.runs_on = f"timm on {self.device}"
        self.batch_size = settings.batch_size
        self.width = int(self._model.num_classes)

    def scores(self, inputs: Sequence[np.ndarray]) -> npt.NDArray[np.float32]:
        """Scores of at most `batch_size` inputs: one shape always, so that a row does not depend on its companions."""
        import torch

        batch = numbers_of(self.prepare, inputs)[:, BLUE_FIRST].contiguous()
        padded = torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, 0, 0, self.batch_size - len(inputs)))
        try:
            with torch.inference_mode():
                found = torch.sigmoid(self._model(padded.to(self.device)).float())
        except torch.OutOfMemoryError:
            raise ModelError(f"tagger.batch_size: {self.batch_size} images are too many for this GPU") from None
        array: npt.NDArray[np.float32] = found[: len(inputs)].cpu().numpy()
        return array


def _load(files: TaggerFiles) -> tuple[Any, OnWhite]:
    """The model and its preparation; every tensor comes from the file, and the network is not asked."""
    import timm
    from safetensors.torch import load_file
    from timm.data.config import resolve_data_config
    from timm.data.transforms_factory import create_transform

    config = files.config()
    name, arguments, pretrained = (config.get(key) for key in ("architecture", "model_args", "pretrained_cfg"))
    if not isinstance(name, str) or not timm.is_model(name):
        raise ModelError(f"{files.folder}/config.json: {name!r} is no architecture of timm {timm.__version__}")
    arguments = {key: value for key, value in (arguments or {}).items() if not key.startswith("pretrained")}
    try:
        model = timm.create_model(name, pretrained=False, num_classes=config["num_classes"], **arguments)
        model.load_state_dict(load_file(files.weights), strict=True)
        known = {key: value for key, value in (pretrained or {}).items() if value is not None}
        data = resolve_data_config({}, pretrained_cfg=known, model=model)  # type: ignore[no-untyped-call]
        transform = create_transform(**data, is_training=False)
    except Exception as error:  # noqa: BLE001 - damaged or hostile files make the loaders raise anything
        found = f"{type(error).__name__}: {str(error)[:500]}"
        raise ModelError(
            f"{files.weights}: cannot be loaded as {files.name}; copy or fetch it again; {found}"
        ) from None
    return model, OnWhite(_preparation(data, transform))


def _preparation(data: Mapping[str, Any], transform: "Callable[[Image.Image], torch.Tensor]") -> Preparation:
    """What makes of white squares the numbers of timm's own transform; that itself where nothing simpler does."""
    square = {"resize_mode": "shortest", "size": data["input_size"][1:], "interpolation": data["interpolation"]}
    own = Preprocessing.of({**square, "mean": data["mean"], "std": data["std"]})
    if own is not None and own.agrees_with(transform, map(white_square, probe_pictures())):
        return own
    return WholeTransform(transform)
