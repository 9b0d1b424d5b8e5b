"""What a stopped fetch had kept is not asked for again, unless a power cut may have lost it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_assets.compute.engine import Batch, Row, RowFunction
from dataset_assets.compute.fetch_journal import JournaledEngine
from dataset_assets.domain.schemas import RAW_IMAGES


@dataclass
class Asking:
    """An engine that notes which rows it was asked for."""

    asked: list[str] = field(default_factory=list)

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        for index, rows in enumerate(batches):
            self.asked += [row["image_id"] for row in rows]
            yield Batch(index, list(function(rows)))


def stored(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"image_id": row["image_id"], "state": "stored", "path": row["image_id"], "size": 3} for row in rows]


def run(folder: Path, boot_id: str, size: int | None = 3) -> tuple[list[str], list[str]]:
    """Which rows were asked for, and which came back."""
    engine = Asking()
    journaled = JournaledEngine(engine, RAW_IMAGES, folder, lambda path: size, boot_id)
    rows = [{"image_id": f"a-{number}-0", "input_key": str(number)} for number in range(3)]
    found = [row["image_id"] for batch in journaled.run(stored, [rows]) for row in batch.results]
    return engine.asked, sorted(found)


def test_what_was_written_down_is_handed_on_and_not_asked_for(tmp_path: Path) -> None:
    assert run(tmp_path, "this boot") == (["a-0-0", "a-1-0", "a-2-0"], ["a-0-0", "a-1-0", "a-2-0"])
    assert run(tmp_path, "this boot") == ([], ["a-0-0", "a-1-0", "a-2-0"])


def test_what_was_written_before_the_machine_started_is_asked_for_again(tmp_path: Path) -> None:
    run(tmp_path, "the boot before")

    assert run(tmp_path, "this boot")[0] == ["a-0-0", "a-1-0", "a-2-0"]


def test_a_file_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    run(tmp_path, "this boot")

    assert run(tmp_path, "this boot", size=None)[0] == ["a-0-0", "a-1-0", "a-2-0"]


def test_a_line_that_was_cut_off_costs_its_row_alone(tmp_path: Path) -> None:
    run(tmp_path, "this boot")
    [file] = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])

    assert run(tmp_path, "this boot") == (["a-2-0"], ["a-0-0", "a-1-0", "a-2-0"])
