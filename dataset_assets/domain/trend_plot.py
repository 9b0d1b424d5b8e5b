"""A small line plot of how often tags were used, year by year."""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito, "Color Universal Design", 2008: told apart in every kind of colour blindness. Yellow is left out, as it
# does not show on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MAX_LINES = len(PALETTE)

WIDTH, HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 190, 34, 30
_DRAWN_AT = 2  # times the size, and then reduced: Pillow draws lines without smoothing
_TEXT_SIZE, _LABEL_PITCH = 12, 15
_PAPER, _INK, _GRID, _LEADER = "#ffffff", "#333333", "#e2e2e2", "#b0b0b0"
_MAX_TICKS, _MAX_YEARS_SHOWN = 6, 11


@dataclass(frozen=True)
class _Line:
    tag: str
    colour: str
    points: list[tuple[int, float]]  # year, value


class _Canvas:
    """The picture, measured in pixels of the finished plot."""

    def __init__(self) -> None:
        self._image = Image.new("RGB", (WIDTH * _DRAWN_AT, HEIGHT * _DRAWN_AT), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(_TEXT_SIZE * _DRAWN_AT)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        scaled = [(x * _DRAWN_AT, y * _DRAWN_AT) for x, y in points]
        self._draw.line(scaled, colour, round(width * _DRAWN_AT), joint="curve")

    def dot(self, x: float, y: float, colour: str) -> None:
        self._draw.circle((x * _DRAWN_AT, y * _DRAWN_AT), 3 * _DRAWN_AT, colour)

    def text(self, x: float, y: float, text: str, colour: str, anchor: str) -> None:
        self._draw.text((x * _DRAWN_AT, y * _DRAWN_AT), text, colour, self._font, anchor)

    def shortened(self, text: str, width: float) -> str:
        """The text, or as much of it as there is room for."""
        if self._font.getlength(text) <= width * _DRAWN_AT:
            return text
        while text and self._font.getlength(text + "...") > width * _DRAWN_AT:
            text = text[:-1]
        return text + "..."

    def png(self) -> bytes:
        with io.BytesIO() as buffer:
            self._image.reduce(_DRAWN_AT).save(buffer, "PNG", optimize=True)
            return buffer.getvalue()


def trend_plot(trend: pl.DataFrame) -> bytes:
    """Draw a line for each tag: its share of each year's images, or, where none is given, its number of images.

    trend: tag, year, images, share, as `tag_vocabulary.trend` makes it. Of more than MAX_LINES tags those with the most
    images are drawn, and the heading says so. Returns: a PNG of WIDTH x HEIGHT pixels, below 60 kB.
    """
    is_share = trend["share"].is_not_null().any()
    lines = _lines(trend, "share" if is_share else "images")
    canvas = _Canvas()
    canvas.text(_LEFT, 10, _heading(is_share, len(lines), trend["tag"].n_unique()), _INK, "la")
    years = [year for line in lines for year, _ in line.points]
    if not years:
        canvas.text(WIDTH / 2, HEIGHT / 2, "no images", _INK, "mm")
        return canvas.png()
    ticks = _ticks(max(value for line in lines for _, value in line.points), 0 if is_share else 1)
    x, y = _scale(min(years), max(years), _LEFT, WIDTH - _RIGHT), _scale(0, ticks[-1], HEIGHT - _BOTTOM, _TOP)
    _draw_axes(canvas, (min(years), max(years)), ticks, x, y, is_share)
    for line in lines:
        _draw_line(canvas, line, x, y)
    _label_ends(canvas, lines, x, y)
    return canvas.png()


def _lines(trend: pl.DataFrame, value: str) -> list[_Line]:
    largest = trend.group_by("tag").agg(pl.col("images").sum()).sort("images", "tag", descending=[True, False])
    points = trend.drop_nulls(value).sort("year")
    return [
        _Line(tag, colour, list(points.filter(pl.col("tag") == tag).select("year", value).iter_rows()))
        for tag, colour in zip(largest["tag"].head(MAX_LINES), PALETTE, strict=False)
    ]


def _heading(is_share: bool, drawn: int, tags: int) -> str:
    what = "share of the year's images" if is_share else "images by year"
    return f"{what}: the {drawn} largest of {tags} tags" if drawn < tags else what


def _ticks(largest: float, smallest_step: float) -> list[float]:
    """Round numbers from 0 to at least the largest value, evenly spaced."""
    if largest <= 0:
        return [0.0, 1.0]
    rough = max(largest / (_MAX_TICKS - 1), smallest_step)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * (1 - 1e-9))
    return [index * step for index in range(math.ceil(largest / step - 1e-9) + 1)]


def _scale(first: float, last: float, start: float, end: float) -> Callable[[float], float]:
    """Where a value lies on the picture; in the middle where there is but one."""
    if first == last:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - first) / (last - first) * (end - start)


def _draw_axes(
    canvas: _Canvas,
    years: tuple[int, int],
    ticks: Sequence[float],
    x: Callable[[float], float],
    y: Callable[[float], float],
    is_share: bool,
) -> None:
    for tick in ticks:
        canvas.line([(_LEFT, y(tick)), (WIDTH - _RIGHT, y(tick))], _GRID if tick else _INK, 1)
        canvas.text(_LEFT - 6, y(tick), _number(tick, is_share), _INK, "rm")
    first, last = years
    step = math.ceil((last - first + 1) / _MAX_YEARS_SHOWN)
    for year in range(last, first - 1, -step):
        canvas.line([(x(year), y(0)), (x(year), y(0) + 4)], _INK, 1)
        canvas.text(x(year), y(0) + 8, str(year), _INK, "ma")


def _number(value: float, is_share: bool) -> str:
    if is_share:
        return f"{value * 100:.6g}%"
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.6g}{name}"
    return f"{value:.6g}"


def _draw_line(canvas: _Canvas, line: _Line, x: Callable[[float], float], y: Callable[[float], float]) -> None:
    """The line, broken where years are missing; a year that stands alone is a dot."""
    runs: list[list[tuple[int, float]]] = []
    for year, value in line.points:
        if runs and runs[-1][-1][0] == year - 1:
            runs[-1].append((year, value))
        else:
            runs.append([(year, value)])
    for run in runs:
        places = [(x(year), y(value)) for year, value in run]
        if len(places) > 1:
            canvas.line(places, line.colour, 2.2)
        else:
            canvas.dot(*places[0], line.colour)


def _label_ends(
    canvas: _Canvas, lines: Sequence[_Line], x: Callable[[float], float], y: Callable[[float], float]
) -> None:
    """Each line's tag to the right of the plot, at the height of its end or, where tags would overlap, close to it."""
    ends = sorted(
        (y(line.points[-1][1]), line.tag, x(line.points[-1][0]), line.colour) for line in lines if line.points
    )
    left = WIDTH - _RIGHT + 20
    for (end_y, tag, end_x, colour), label_y in zip(ends, _apart([end[0] for end in ends]), strict=True):
        canvas.line([(end_x + 4, end_y), (left - 4, label_y)], _LEADER, 1)
        canvas.line([(left, label_y), (left + 12, label_y)], colour, 4)
        canvas.text(left + 18, label_y, canvas.shortened(tag, WIDTH - left - 24), _INK, "lm")


def _apart(heights: Sequence[float]) -> list[float]:
    """Rising heights moved, downwards and then up from the bottom, until each is _LABEL_PITCH from the next."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + _LABEL_PITCH) if moved else height)
    lowest = float(HEIGHT - _BOTTOM)
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], lowest)
        lowest = moved[index] - _LABEL_PITCH
    return moved
