import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.domain.bar_plot import HEIGHT, WIDTH, bar_plot, markup, picture
from dataset_assets.domain.drawing import Bar, Words


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40), st.integers(1, 12))
def test_every_shape_is_on_the_paper(numbers: list[int], groups: int) -> None:
    shapes = bar_plot("title", list(map(str, numbers)), {f"group {name}": numbers for name in range(groups)})

    for bar in (shape for shape in shapes if isinstance(shape, Bar)):
        assert bar.y >= -0.001
        assert bar.y + bar.height <= HEIGHT + 0.001
        assert bar.x >= 0
    assert len({bar.colour for bar in shapes if isinstance(bar, Bar)}) <= 9


def test_bars_of_one_class_stand_upon_one_another() -> None:
    shapes = bar_plot("title", ["2019"], {"a": [30], "b": [10]})
    lower, upper = [shape for shape in shapes if isinstance(shape, Bar) and shape.height > 2][:2]

    assert lower.height == pytest.approx(3 * upper.height)
    assert upper.y + upper.height == pytest.approx(lower.y)


def test_labels_that_would_overlap_are_left_out() -> None:
    shapes = bar_plot("title", [str(1900 + year) for year in range(120)], {"images": [1] * 120})

    assert len([shape for shape in shapes if isinstance(shape, Words)]) < 40


def test_a_plot_is_a_small_picture_and_the_same_each_time() -> None:
    shapes = bar_plot("images by year", ["2019", "2020"], {"danbooru": [5, 7]})

    assert Image.open(io.BytesIO(picture(shapes))).size == (WIDTH, HEIGHT)
    assert picture(shapes) == picture(shapes)
    assert len(picture(shapes)) < 60_000


def test_hostile_names_stay_words_in_the_markup() -> None:
    drawn = markup(bar_plot("</svg><script>", ["<b>"], {"<i>": [1], "&": [2]}))

    assert "<script>" not in drawn
    assert "<i>" not in drawn


def test_a_plot_of_nothing_is_drawn() -> None:
    assert picture(bar_plot("title", [], {}))
    assert picture(bar_plot("title", ["a"], {"x": [0]}))
