"""One file from outside, prepared as training images are: in a worker, since its bytes may be hostile."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_assets.compute.engine import Row
from dataset_assets.compute.image_work import MAX_FILE_BYTES
from dataset_assets.compute.local import LocalEngine
from dataset_assets.domain import images, training


class UnusablePicture(Exception):
    """A file that cannot be looked at; the message says why."""


@dataclass(frozen=True)
class PrepareFile:
    """Reads and prepares files. Rows: path. Results: bytes, or error and error_detail."""

    recipe: training.TrainingRecipe
    limits: images.Limits = images.LIMITS

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [self._prepare(row["path"]) for row in rows]

    def _prepare(self, path: str) -> dict[str, Any]:
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                return {"error": "too_large", "error_detail": f"more than {MAX_FILE_BYTES:,} bytes"}
            return {"error": None, "bytes": training.prepare(data, self.recipe, self.limits).bytes}
        except images.UnreadableImage as error:
            return {"error": error.reason, "error_detail": error.detail}
        except OSError as error:
            return {"error": "unreadable_file", "error_detail": str(error)}


def prepared(file: Path, recipe: training.TrainingRecipe) -> bytes:
    """The training image of a file, made in a worker with the limits of all others. Raises: UnusablePicture."""
    if not file.is_file():
        raise UnusablePicture(f"{file}: no such file")
    for batch in LocalEngine(1).run(PrepareFile(recipe), [[{"path": str(file)}]]):
        for _, loss in batch.lost:
            raise UnusablePicture(f"{file}: its decoding took the worker down ({loss})")
        for row in batch.results:
            if row["error"] is None:
                return bytes(row["bytes"])
            raise UnusablePicture(f"{file}: {row['error']}: {row['error_detail']}")
    raise UnusablePicture(f"{file}: the worker said nothing of it")
