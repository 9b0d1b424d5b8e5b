import numpy as np

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.curves import box, oval
from dataset_assets.sample.palettes import WHITE
from dataset_assets.sample.pen import Pen

RED, BLUE = (255, 0, 0), (0, 0, 255)


def pixels(canvas: Canvas) -> np.ndarray:
    return np.asarray(canvas.finished())


def test_sheet_without_paper_is_transparent() -> None:
    assert (pixels(Canvas((8, 6), None)) == 0).all()
    assert pixels(Canvas((8, 6), WHITE)).shape == (6, 8, 3)


def test_gradient_flows_between_its_colours() -> None:
    canvas = Canvas((4, 40), WHITE)
    canvas.gradient([RED, BLUE])
    column = pixels(canvas)[:, 0].astype(int)
    assert column[0, 0] > 250
    assert column[-1, 2] > 250
    assert (np.diff(column[:, 0]) <= 0).all()


def test_line_is_as_wide_as_asked_and_has_no_gap() -> None:
    canvas = Canvas((60, 40), WHITE)
    canvas.line([(10, 20), (50, 20)], RED, 6)
    column = (pixels(canvas)[:, 30] == RED).all(axis=-1)
    assert 5 <= column.sum() <= 7
    assert (pixels(canvas)[20, 11:49] == RED).all()


def test_veil_stays_within_its_outline() -> None:
    canvas = Canvas((40, 40), WHITE)
    canvas.veil(box(0, 0, 40, 40), RED, 0.5, within=box(10, 10, 20, 20))
    changed = np.argwhere((pixels(canvas) != 255).any(axis=-1))
    assert changed.min(axis=0).tolist() == [10, 10]
    assert changed.max(axis=0).max() <= 20


def test_veil_beside_the_sheet_changes_nothing() -> None:
    canvas = Canvas((20, 20), WHITE)
    canvas.veil(box(100, 100, 120, 120), RED, 1.0)
    assert (pixels(canvas) == 255).all()


def test_haze_fades_to_nothing_at_its_edge() -> None:
    canvas = Canvas((80, 80), WHITE)
    canvas.haze(40, 40, 30, 30, RED, 1.0)
    shown = 255 - pixels(canvas)[40, :, 1].astype(int)
    assert shown[40] > 240
    assert shown[:11].max() <= 2
    assert (np.diff(shown[10:40]) >= -1).all()


def test_mirror_shows_what_is_above_upside_down() -> None:
    canvas = Canvas((10, 40), WHITE)
    canvas.fill(box(0, 15, 10, 20), RED)
    canvas.mirror(20, 40, BLUE, 0.0)
    shown = pixels(canvas)
    assert (shown[:20] == shown[20:][::-1]).all()


def test_line_art_hides_what_lies_behind() -> None:
    canvas = Canvas((60, 60), None)
    pen = Pen(canvas, 30, 30, 20, ink=(0, 0, 0), weight=0.1)
    pen.stroke([(-1.4, 0), (0, 0), (1.4, 0)], RED, 0.1)
    pen.shape(oval(0, 0, 1, 1), RED)
    shown = pixels(canvas)
    assert shown[30, 30, 3] == 0
    assert shown[30, 4, 3] == 255
    assert shown[30, 10, 3] == 255


def test_mirrored_pen_draws_the_other_side() -> None:
    one, other = Canvas((60, 40), WHITE), Canvas((60, 40), WHITE)
    Pen(one, 30, 20, 10).shape([(0, -1), (2, 0), (0, 1)], RED)
    Pen(other, 30, 20, 10).moved(0, 0, mirrored=True).shape([(0, -1), (2, 0), (0, 1)], RED)
    assert np.abs(pixels(one).astype(int) - pixels(other)[:, ::-1]).mean() < 3
