"""Taggers run by onnxruntime."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_assets.models import onnx_files
from dataset_assets.models.tagger_files import TaggerFiles, TaggerSettings
from dataset_assets.models.tagger_input import bgr_pixels
from dataset_assets.models.weight_files import ModelError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MAX_SIDE = 4096
QUIET = 4  # onnxruntime's word for fatal messages only: what it cannot do is raised as well


class OnnxTagger:
    """A tagger's ONNX graph; `prepare` and `scores` as `Tagger` uses them.

    Raises on construction: ModelError.
    """

    def __init__(self, files: TaggerFiles, settings: TaggerSettings) -> None:
        import onnxruntime

        onnx_files.require_self_contained(files.onnx)
        wanted = _provider(settings, onnxruntime.get_available_providers(), onnxruntime.__version__)
        self._session = _session(files, wanted)
        self.runs_on = str(self._session.get_providers()[0])
        self.device = "cpu" if self.runs_on == CPU else "gpu"
        if self.runs_on != wanted:
            raise ModelError(
                f"tagger.device: onnxruntime was to run {files.name} by {wanted} and fell back to {self.runs_on}; "
                "mend its GPU libraries, or set tagger.device: cpu"
            )
        self._input, self._output, self._side, fixed = _signature(files, self._session)
        self.batch_size = fixed or settings.batch_size
        self.prepare, self.reads_apart = partial(bgr_pixels, side=self._side), True
        last = self._output.shape[-1]
        self.width = last if isinstance(last, int) else int(self._run(np.zeros(self._shape, np.float32)).shape[-1])

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return (self.batch_size, self._side, self._side, 3)

    def scores(self, inputs: Sequence[np.ndarray]) -> npt.NDArray[np.float32]:
        """Scores of at most `batch_size` inputs: one shape always, so that a row does not depend on its companions."""
        batch = np.zeros(self._shape, np.float32)
        batch[: len(inputs)] = np.stack(inputs)
        return self._run(batch)[: len(inputs)]

    def _run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            found: npt.NDArray[np.float32] = self._session.run([self._output.name], {self._input.name: batch})[0]
        except Exception as error:  # noqa: BLE001 - onnxruntime's own exceptions share no base but this
            raise ModelError(f"tagger.model: onnxruntime cannot run it: {str(error)[:500]}") from None
        return np.asarray(found, np.float32).reshape(self.batch_size, -1)


def _provider(settings: TaggerSettings, available: Sequence[str], version: str) -> str:
    """What is to execute the model. Raises: ModelError when it is not there; nothing else is taken in its place."""
    wanted = settings.provider or (CPU if settings.device == "cpu" or CUDA not in available else CUDA)
    if settings.device == "cuda" and settings.provider is None:
        wanted = CUDA
    if wanted not in available:
        raise ModelError(
            f"tagger.{'provider' if settings.provider else 'device'}: onnxruntime {version} has no {wanted} here, only "
            f"{', '.join(available)}; install the extra tagger-gpu in place of tagger, or set tagger.device: cpu"
        )
    return wanted


def _session(files: TaggerFiles, provider: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    if provider != CPU:
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(
            str(files.onnx), options, providers=[provider] if provider == CPU else [provider, CPU]
        )
    except Exception as error:  # noqa: BLE001 - a damaged or hostile file makes it raise anything
        raise ModelError(
            f"{files.onnx}: cannot be loaded; expected a tagger's graph of standard operators alone, whole and "
            f"undamaged; {type(error).__name__}: {str(error)[:500]}"
        ) from None
    session.disable_fallback()
    return session


def _signature(files: TaggerFiles, session: Any) -> tuple[Any, Any, int, int | None]:
    """The graph's one input and first output, the side of its images, and its batch size where that is fixed."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    is_square = len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2] and type(shape[1]) is int
    if not is_square or not 1 <= shape[1] <= MAX_SIDE or inputs[0].type != "tensor(float)" or not outputs:
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)[:300]
        raise ModelError(f"{files.onnx}: expected one input, float [batch, side, side, 3], found {found or 'none'}")
    fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
    return inputs[0], outputs[0], shape[1], fixed
