"""What all blocks of dataset.yaml have in common."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Settings(BaseModel):
    """A block of dataset.yaml: unknown keys are refused, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # The folder that relative paths start from; set by `load_config` on the blocks that hold paths.
    _folder: Path = PrivateAttr(default=Path())
