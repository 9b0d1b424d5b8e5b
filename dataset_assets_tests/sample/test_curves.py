import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.sample.curves import STEPS, box, joined, oval, points, round_trip, smooth, symmetric, turned

NUMBERS = st.floats(-100, 100)
OUTLINES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=12)


def test_points_are_read_as_in_svg() -> None:
    assert points("0,0 1.5,-2 .5,3").tolist() == [[0, 0], [1.5, -2], [0.5, 3]]


def test_points_cannot_be_changed_by_their_user() -> None:
    with pytest.raises(ValueError, match="read-only"):
        points("0,0 1,1")[0] = 5


@given(OUTLINES, st.booleans())
def test_curve_goes_through_its_points(outline: list[tuple[float, float]], closed: bool) -> None:
    curve = smooth(outline, closed)
    assert np.allclose(curve[::STEPS][: len(outline)], outline)
    assert len(curve) == len(outline) * STEPS if closed else (len(outline) - 1) * STEPS + 1


@given(OUTLINES, st.floats(-7, 7))
def test_turning_keeps_lengths(outline: list[tuple[float, float]], angle: float) -> None:
    assert np.allclose(np.linalg.norm(turned(outline, angle), axis=1), np.linalg.norm(outline, axis=1))


def test_turning_by_a_right_angle_goes_clockwise() -> None:
    assert np.allclose(turned([(1, 0)], np.pi / 2), [(0, 1)])  # y is downwards


def test_joined_strokes_meet_in_a_corner() -> None:
    assert [3, 0] in joined(points("0,0 3,0"), points("3,0 3,3")).tolist()


def test_symmetric_outline_mirrors_its_left_half() -> None:
    assert symmetric(points("-1,0 -2,3")).tolist() == [[-1, 0], [-2, 3], [2, 3], [1, 0]]


def test_box_oval_and_round_trip() -> None:
    assert box(0, 1, 2, 3).tolist() == [[0, 1], [2, 1], [2, 3], [0, 3]]
    assert np.allclose(np.linalg.norm((oval(5, 6, 2, 3) - (5, 6)) / (2, 3), axis=1), 1)
    assert round_trip(points("0,0 1,0 1,1")).tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
