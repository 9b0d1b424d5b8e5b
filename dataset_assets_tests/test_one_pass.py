"""`image_facts` and `training_images`: made in one pass over the images, and each alone."""

import os
from pathlib import Path

import pytest

from dataset_assets_tests.mirror import Mirror

BEFORE = ["source_snapshot", "image_metadata", "raw_images"]
BOTH = ["image_facts", "training_images"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    made = Mirror.make(tmp_path_factory.mktemp("one_pass"))
    made.rebuild(assets=[*BEFORE, *BOTH])
    return made


def versions(mirror: Mirror, *names: str) -> dict[tuple[str, str], str]:
    return {(name, str(cell)): commit.sha256 for name in names for cell, commit in mirror.commits(name).items()}


def test_both_are_made_by_one_run(mirror: Mirror) -> None:
    runs = {name: {cell: commit.run_id for cell, commit in mirror.commits(name).items()} for name in BOTH}

    assert runs["image_facts"] == runs["training_images"]
    assert len(runs["image_facts"]) == 4


@pytest.mark.slow
def test_each_alone_is_what_it_is_in_the_common_pass(mirror: Mirror) -> None:
    alone = mirror.with_root("alone")
    alone.rebuild(assets=[*BEFORE, "training_images"])
    assert alone.commits("image_facts") == {}
    alone.rebuild(assets=["image_facts"])

    assert versions(alone, *BOTH) == versions(mirror, *BOTH)
    assert {file.name for file in _training_files(alone)} == {file.name for file in _training_files(mirror)}


def test_with_size_and_time_unchanged_no_image_is_read(mirror: Mirror) -> None:
    """Bytes that changed behind an unchanged size and time are not noticed: nobody looked at them."""
    before = versions(mirror, "raw_images", *BOTH)
    originals = [mirror.image_file(post) for post in mirror.posts]
    contents = [file.read_bytes() for file in originals]
    for file, content in zip(originals, contents, strict=True):
        _rewrite(file, bytes(len(content)))
    outcomes = mirror.rebuild(assets=[*BEFORE, *BOTH])
    for file, content in zip(originals, contents, strict=True):
        _rewrite(file, content)

    assert sum(outcome.computed for outcome in outcomes) == 0
    assert versions(mirror, "raw_images", *BOTH) == before


@pytest.mark.slow
def test_a_change_of_the_training_settings_judges_no_image_again(mirror: Mirror) -> None:
    before = versions(mirror, "image_facts")
    with mirror.config_file.open("a", encoding="utf-8") as settings:
        settings.write('training_images: {fit: pad, max_side: 20, padding: "#102030"}\n')
    outcomes = mirror.rebuild(assets=[*BEFORE, *BOTH])

    made = [name for outcome in outcomes for name in outcome.assets]
    assert (made.count("training_images"), made.count("image_facts")) == (4, 0)
    assert sum(outcome.computed for outcome in outcomes) == 12
    assert versions(mirror, "image_facts") == before
    prepared = mirror.table("training_images")
    assert set(prepared.select("width", "height").unique().rows()) == {(20, 20)}
    assert prepared.select("scale_x", "offset_x", "offset_y").unique().rows() == [(20 / 48, 0, 1)]


def _rewrite(file: Path, content: bytes) -> None:
    found = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def _training_files(mirror: Mirror) -> list[Path]:
    return sorted(file for file in (mirror.root / "images" / "training").rglob("*.jpg"))
