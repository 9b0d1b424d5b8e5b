"""Taggers run by timm: the newer ones come with its weights as well, and need no other library on a GPU."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset_assets.models.clip_loading import choose_device
from dataset_assets.models.finite import require_finite_weights
from dataset_assets.models.tagger_files import TaggerFiles, TaggerSettings
from dataset_assets.models.tagger_input import white_square
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
        self._device = choose_device(settings.device, "tagger")
        self._model, self._transform = _load(files)
        require_finite_weights(self._model, files.name, "tagger")
        self._model.eval().requires_grad_(False).to(self._device)
        self.runs_on = f"timm on {self._device}"
        self.batch_size = settings.batch_size
        self.width = int(self._model.num_classes)

    def prepare(self, image: "Image.Image") -> "torch.Tensor":
        pixels: torch.Tensor = self._transform(white_square(image))[BLUE_FIRST]
        return pixels

    def scores(self, inputs: "Sequence[torch.Tensor]") -> npt.NDArray[np.float32]:
        """Scores of at most `batch_size` inputs: one shape always, so that a row does not depend on its companions."""
        import torch

        batch = torch.stack(list(inputs))
        padded = torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, 0, 0, self.batch_size - len(inputs)))
        try:
            with torch.inference_mode():
                found = torch.sigmoid(self._model(padded.to(self._device)).float())
        except torch.OutOfMemoryError:
            raise ModelError(f"tagger.batch_size: {self.batch_size} images are too many for this GPU") from None
        array: npt.NDArray[np.float32] = found[: len(inputs)].cpu().numpy()
        return array


def _load(files: TaggerFiles) -> tuple[Any, Any]:
    """The model and its transform; every tensor comes from the file, and the network is not asked."""
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
    return model, transform
