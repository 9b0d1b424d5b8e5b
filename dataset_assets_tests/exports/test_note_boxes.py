import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.exports.note_boxes import boxes_of
from dataset_assets_tests.exports.hostile_members import member, members_of

NOTES = {"image_id": pl.String, "x": pl.Int32, "y": pl.Int32, "width": pl.Int32, "height": pl.Int32, "body": pl.String}
WIDTH, HEIGHT = 40, 24


def carried(box: tuple[int | None, ...], **placed: float) -> tuple[float, float, float, float]:
    files: dict[str, bytes] = {}
    notes = pl.LazyFrame([("danbooru-0000001-0", *box, "")], NOTES, orient="row")
    (frame,) = boxes_of(members_of([member(1, files, **placed)], files, notes=notes), 1)
    ((x, y, width, height),) = frame.select("x", "y", "width", "height").iter_rows()
    return x, y, width, height


sides = st.integers(-(2**31), 2**31 - 1)
scales = st.floats(0.001, 50)
offsets = st.integers(-5000, 5000)


@given(st.tuples(sides, sides, sides, sides), scales, scales, offsets, offsets)
def test_no_box_is_over_an_edge(
    box: tuple[int, ...], scale_x: float, scale_y: float, offset_x: int, offset_y: int
) -> None:
    x, y, width, height = carried(box, scale_x=scale_x, scale_y=scale_y, offset_x=offset_x, offset_y=offset_y)
    assert x >= 0
    assert y >= 0
    assert width >= 0
    assert height >= 0
    assert round(x + width, 2) <= WIDTH
    assert round(y + height, 2) <= HEIGHT


@given(st.integers(0, 30), st.integers(0, 20), st.integers(1, 9), st.integers(1, 3))
def test_a_box_inside_the_image_is_carried_as_its_corners_are(x: int, y: int, width: int, height: int) -> None:
    placed = {"scale_x": 0.75, "scale_y": 0.5, "offset_x": 2, "offset_y": 1}
    found = carried((x, y, width, height), **placed)
    assert found == pytest.approx((x * 0.75 + 2, y * 0.5 + 1, width * 0.75, height * 0.5))


def test_of_an_original_boxes_stay_where_they_are() -> None:
    assert carried((3, 4, 5, 6)) == (3, 4, 5, 6)


def test_a_box_without_a_size_shows_nothing() -> None:
    assert carried((3, 4, None, None))[2:] == (0, 0)


def test_boxes_are_numbered_as_their_images_and_in_order_whatever_the_order_of_notes() -> None:
    files: dict[str, bytes] = {}
    rows = [(f"danbooru-{n:07d}-0", 1, y, 2, 2, f"{n} {y}") for n in (3, 1, 9) for y in (5, 0)]
    members = [member(n, files, year=2018 + n % 2) for n in (1, 2, 3)]
    notes = pl.LazyFrame(rows, NOTES, orient="row")
    frames = boxes_of(members_of(members, files, notes=notes), 10)
    assert [row for frame in frames for row in frame.select("number", "body").iter_rows()] == [
        (11, "1 0"),
        (11, "1 5"),
        (12, "3 0"),
        (12, "3 5"),
    ]
