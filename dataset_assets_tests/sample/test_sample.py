import hashlib
from pathlib import Path

import pytest

from dataset_assets.config import load_config
from dataset_assets.sample import MARKER, TEMPLATE, VERSION, draw_sample

MAX_BYTES = 15_000_000


def tree(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def drawn_over(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A sample drawn where a draw was cut short, beside a dataset.yaml and sources of other hands."""
    folder = tmp_path_factory.mktemp("used")
    (folder / ".sources.partial" / "danbooru").mkdir(parents=True)
    (folder / ".sources.partial" / "danbooru" / "half.png").write_bytes(b"half a file")
    (folder / "sources" / "mine").mkdir(parents=True)
    (folder / "sources" / "mine" / "picture.png").write_bytes(b"not the sample's")
    (folder / "dataset.yaml").write_text("root: ./elsewhere\n")
    said: list[str] = []
    draw_sample(folder, said.append)
    return folder, said


def test_two_draws_give_equal_bytes(sample: Path, drawn_over: tuple[Path, list[str]]) -> None:
    folder, _ = drawn_over
    assert tree(folder / "sources") == tree(sample / "sources")
    assert tree(folder / "models") == tree(sample / "models")


def test_draw_that_was_cut_short_leaves_nothing_behind(drawn_over: tuple[Path, list[str]]) -> None:
    folder, _ = drawn_over
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.yaml", "models", "sources", "sources.replaced-1"]


def test_sources_of_other_hands_are_kept_under_another_name(drawn_over: tuple[Path, list[str]]) -> None:
    folder, said = drawn_over
    assert (folder / "sources.replaced-1" / "mine" / "picture.png").read_bytes() == b"not the sample's"
    assert any("sources.replaced-1" in line for line in said)


def test_dataset_yaml_that_is_there_stays(drawn_over: tuple[Path, list[str]]) -> None:
    folder, _ = drawn_over
    assert (folder / "dataset.yaml").read_text() == "root: ./elsewhere\n"


def test_complete_sample_is_not_drawn_again(sample: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in sample.rglob("*")}
    said: list[str] = []
    draw_sample(sample, said.append)
    assert {file: file.stat().st_mtime_ns for file in sample.rglob("*")} == before
    assert any("already" in line for line in said)


def test_marker_names_the_version(sample: Path) -> None:
    assert (sample / "sources" / MARKER).read_text() == f"{VERSION}\n"


def test_sample_is_small(sample: Path) -> None:
    assert sum(file.stat().st_size for file in sample.rglob("*") if file.is_file()) < MAX_BYTES


def test_dataset_yaml_is_the_template_and_finds_its_sources(sample: Path) -> None:
    assert (sample / "dataset.yaml").read_bytes() == TEMPLATE.read_bytes()
    config = load_config(sample / "dataset.yaml")
    config.require_inputs()
    assert config.cells() == [("danbooru", 2019), ("danbooru", 2020), ("danbooru", 2021), ("pixiv_niji", 2022)]
    assert config.root_path == sample / "data"
    assert config.clip.random_weights
    assert config.clip.model == "local-dir:models/tiny-clip-random"
    assert len(config.subsets) == 2
