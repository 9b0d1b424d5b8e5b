"""Near-duplicates against folders of real pictures of which it is known what shows the same: precision and recall.

`pytest -rP` shows the figures, which the README tells. Only looks are judged here: vectors of a model with random
weights, such as tests make, say nothing of pictures, so the semantic path has no figure until a trained one is used.
"""

import re
import sys
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from dataset_assets_tests.domain.test_duplicates import SHARED, facts_of, judged

FOLDERS = ("images_renpy", "images_imagededup")
DISTANCES = (0, 3, 7)  # 3 is what near_duplicates.max_distance is by default


def expression(file: Path) -> str:
    """`sylvie blue` of `sylvie blue smile.png`; a background shows itself."""
    return file.stem.rsplit(" ", 1)[0] if file.stem.startswith("sylvie") else file.stem


def copy(file: Path) -> str:
    """What a picture is a copy of: a smaller, grey or otherwise packed one; a mirrored or turned one shows itself."""
    return re.sub(r"_(resize|gray)$", "", file.stem)


def variant(file: Path) -> str:
    """What a picture was made from, in any way."""
    return file.stem.split("_")[0]


@cache
def pictures() -> tuple[list[Path], list[dict[str, object]]]:
    """All files of the folders, and what is known of those that decode; they are judged together, as sources are."""
    files = [file for folder in FOLDERS for file in sorted((SHARED / folder).rglob("*")) if file.is_file()]
    return files, facts_of(files)


def measured(folder: str, shows: Callable[[Path], str], distance: int) -> tuple[float, float, int]:
    """Precision and recall over pairs of which one or both are of a folder, and how many of them show the same."""
    files, facts = pictures()
    groups = dict(judged(facts, distance=distance).select("image_id", "group_id").iter_rows())
    shown = {image_id: files[int(image_id.split("-")[1])] for image_id in groups}
    pairs = [pair for pair in combinations(sorted(groups), 2) if any(folder in shown[one].parts for one in pair)]
    same = {(a, b) for a, b in pairs if shows(shown[a]) == shows(shown[b])}
    found = {(a, b) for a, b in pairs if groups[a] == groups[b]}
    return len(found & same) / len(found), len(found & same) / len(same), len(same)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared real data")
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("folder", "shows", "pairs", "least"),
    [
        ("images_renpy", expression, 12, 1.0),
        ("images_imagededup", copy, 9, 0.77),  # what is missed was squashed into another shape
        ("images_imagededup", variant, 16, 0.43),  # and what is mirrored or turned
    ],
)
def test_precision_and_recall_of_real_folders(
    folder: str, shows: Callable[[Path], str], pairs: int, least: float, distance: int
) -> None:
    precision, recall, same = measured(folder, shows, distance)
    sys.stdout.write(
        f"{folder}, {shows.__name__}, {distance} bits: {same} pairs, precision {precision:.2f}, recall {recall:.2f}\n"
    )

    assert same == pairs
    assert precision == 1.0
    assert recall >= least
