import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.placement import Fit, Placement, Size, place

FITS: tuple[Fit, ...] = ("inside", "outside", "pad", "crop", "keep")
SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def corner(placed: Placement, point: tuple[float, float]) -> tuple[float, float]:
    """A point of the original, as the training image shows it."""
    (across, down), (right, below) = placed.scale, placed.offset
    return point[0] * across + right, point[1] * down + below


@pytest.mark.parametrize(
    ("fit", "size", "canvas"),
    [
        ("inside", (512, 256), (512, 256)),
        ("outside", (1024, 512), (1024, 512)),
        ("pad", (512, 256), (512, 512)),
        ("crop", (1024, 512), (512, 512)),
        ("keep", (2000, 1000), (2000, 1000)),
    ],
)
def test_each_fit_scales_and_frames_in_its_own_way(fit: Fit, size: Size, canvas: Size) -> None:
    placed = place((2000, 1000), (512, 512), fit)
    assert (placed.size, placed.canvas) == (size, canvas)


@pytest.mark.parametrize(
    ("fit", "canvas"),
    [
        ("inside", (200, 100)),
        ("outside", (200, 100)),
        ("pad", (512, 512)),
        ("crop", (100, 100)),
        ("keep", (200, 100)),
    ],
)
def test_a_small_image_is_not_enlarged(fit: Fit, canvas: Size) -> None:
    placed = place((200, 100), (512, 512), fit)
    assert (placed.size, placed.canvas) == ((200, 100), canvas)


@pytest.mark.parametrize(
    ("fit", "size"), [("inside", (512, 256)), ("outside", (1024, 512)), ("crop", (1024, 512)), ("keep", (200, 100))]
)
def test_a_small_image_is_enlarged_when_asked(fit: Fit, size: Size) -> None:
    assert place((200, 100), (512, 512), fit, enlarge=True).size == size


def test_a_box_that_is_no_square_is_met_on_the_side_that_counts() -> None:
    assert place((1000, 1000), (640, 960), "inside").size == (640, 640)
    assert place((1000, 1000), (640, 960), "outside").size == (960, 960)
    assert place((1000, 1000), (640, 960), "crop").offset == (-160, 0)
    assert place((1000, 1000), (640, 960), "pad").offset == (0, 160)


def test_a_thin_image_is_enlarged_no_further_than_a_decoder_would_take() -> None:
    placed = place((1, 3000), (512, 512), "crop", enlarge=True)
    assert max(placed.size) <= 16_384
    assert placed.canvas[0] == placed.canvas[1]


@given(SIZES, SIZES, st.sampled_from(FITS), st.booleans())
def test_what_is_kept_lies_within_the_image_and_within_the_canvas(
    original: Size, box: Size, fit: Fit, enlarge: bool
) -> None:
    placed = place(original, box, fit, enlarge)
    for axis in (0, 1):
        assert 0 <= placed.crop[axis] <= placed.size[axis] - placed.kept[axis]
        assert 0 <= placed.paste[axis] <= placed.canvas[axis] - placed.kept[axis]
        assert placed.kept[axis] >= 1
        assert enlarge or placed.size[axis] <= original[axis]


@given(SIZES, SIZES, st.booleans())
def test_each_fit_holds_what_it_promises(original: Size, box: Size, enlarge: bool) -> None:
    placed = {fit: place(original, box, fit, enlarge) for fit in FITS}
    assert all(side <= most for side, most in zip(placed["inside"].canvas, box, strict=True))
    assert placed["pad"].canvas == box
    assert all(side <= most for side, most in zip(placed["crop"].canvas, box, strict=True))
    fewest = [min(side, least) for side, least in zip(original, box, strict=True)]
    assert all(side >= least for side, least in zip(placed["outside"].canvas, fewest, strict=True))
    assert placed["keep"].canvas == original


@given(SIZES, SIZES, st.sampled_from(FITS), st.booleans())
def test_the_originals_corners_are_where_scale_and_offset_say(
    original: Size, box: Size, fit: Fit, enlarge: bool
) -> None:
    placed = place(original, box, fit, enlarge)
    left, top = corner(placed, (0, 0))
    right, bottom = corner(placed, original)
    assert (left, top) == placed.offset
    assert (round(right - left), round(bottom - top)) == placed.size
