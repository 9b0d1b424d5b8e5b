"""Outlines: written as in SVG, made smooth, joined. All are arrays of shape (n, 2), y downwards."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Outline = NDArray[np.float64]
Points = Sequence[Point] | Outline

STEPS = 8  # straight pieces between two points of a smooth curve

# Catmull-Rom: weights of the points before, at the start, at the end and after, for each step.
_T = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
_WEIGHTS = 0.5 * np.hstack(
    [-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, -(_T**2) + _T**3]
)


@cache
def points(text: str) -> Outline:
    """Points from text, as in SVG: `0,0 1.5,-2 3,0`."""
    outline = np.array([[float(number) for number in pair.split(",")] for pair in text.split()])
    outline.flags.writeable = False
    return outline


def smooth(knots: Points, closed: bool = True) -> Outline:
    """A curve through all points."""
    knots = np.asarray(knots, float)
    padded = np.concatenate([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    spans = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)  # (n, 4, 2)
    curve = np.matmul(_WEIGHTS, spans).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def joined(*strokes: Points) -> Outline:
    """An outline of smooth strokes with a corner wherever two meet."""
    return np.concatenate([smooth(stroke, closed=False) for stroke in strokes])


def symmetric(half: Outline) -> Outline:
    """A closed outline from its left half, top to bottom."""
    return np.concatenate([half, half[::-1] * (-1, 1)])


def oval(x: float, y: float, across: float, down: float, count: int = 40) -> Outline:
    """An ellipse with these half-axes."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    """An upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def turned(outline: Points, angle: float) -> Outline:
    """The outline turned about (0, 0), in radians."""
    sine, cosine = np.sin(angle), np.cos(angle)
    across, down = np.asarray(outline, float).T
    return np.stack([across * cosine - down * sine, across * sine + down * cosine], axis=1)


def round_trip(outline: Points) -> Outline:
    """An outline that ends where it began."""
    knots = np.asarray(outline, float)
    return np.concatenate([knots, knots[:1]])
