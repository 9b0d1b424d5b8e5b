"""The `webdataset` library as a reader, which may neither run what it reads nor reach out for it."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest


class SampleReader:
    """Reads tars as those who train from them do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from webdataset import autodecode, tariterators, utils

        monkeypatch.setattr(utils, "enforce_security", True)
        self.autodecode, self.tariterators = autodecode, tariterators

    def samples(self, *files: Path) -> list[dict[str, Any]]:
        """The samples as bytes, in their order. The library's own way of opening files leaves them open."""
        with ExitStack() as opened:
            streams = [{"url": str(file), "stream": opened.enter_context(file.open("rb"))} for file in files]
            return list(self.tariterators.group_by_keys(self.tariterators.tar_file_expander(streams)))

    def decoded(self, *files: Path) -> list[dict[str, Any]]:
        """The samples as pictures, text and JSON."""
        decode = self.autodecode.Decoder([self.autodecode.imagehandler("pilrgba")])
        return [decode(sample) for sample in self.samples(*files)]


@pytest.fixture
def sample_reader(monkeypatch: pytest.MonkeyPatch) -> SampleReader:
    return SampleReader(monkeypatch)
