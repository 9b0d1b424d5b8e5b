"""The `datasets` library as a reader, without a network and with its cache in a test's own folder."""

from pathlib import Path
from typing import Any

import pytest


class Reader:
    """Loads what was exported, as its users do."""

    def __init__(self, cache: Path) -> None:
        import datasets

        datasets.disable_progress_bars()
        self.datasets, self.cache = datasets, cache

    def load(self, *arguments: Any, **named: Any) -> Any:
        return self.datasets.load_dataset(*arguments, cache_dir=str(self.cache), **named)

    def rows(self, *arguments: Any, **named: Any) -> dict[str, list[dict[str, Any]]]:
        """The rows of each split, images as they are stored."""
        found = self.load(*arguments, **named)
        image = self.datasets.Image(decode=False)
        return {split: list(rows.cast_column("image", image)) for split, rows in found.items()}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):  # both are read when the libraries are imported
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
    return Reader(tmp_path / "datasets_cache")
