"""A pen that draws figures in their own coordinates, in colour or as line art."""

from dataclasses import dataclass, replace

import numpy as np

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.curves import Outline, Points, oval, round_trip, smooth
from dataset_assets.sample.palettes import Colour, deeper


@dataclass(frozen=True)
class Pen:
    """Draws in coordinates of its own: (0, 0) at `x`, `y` of the canvas, one unit `scale` pixels long.

    With `ink` it draws line art: outlines in that one colour, every shape empty and hiding what lies behind.
    """

    canvas: Canvas
    x: float
    y: float
    scale: float
    mirrored: bool = False
    ink: Colour | None = None
    weight: float = 0.034

    def moved(self, x: float, y: float, scale: float = 1.0, mirrored: bool = False) -> "Pen":
        """A pen whose (0, 0) is at this pen's (x, y)."""
        [(at_x, at_y)] = self.place([(x, y)]).tolist()
        return replace(self, x=at_x, y=at_y, scale=self.scale * scale, mirrored=self.mirrored != mirrored)

    def place(self, points: Points) -> Outline:
        """Points on the canvas."""
        side = -self.scale if self.mirrored else self.scale
        placed: Outline = np.asarray(points) * (side, self.scale) + (self.x, self.y)
        return placed

    def shape(self, points: Points, colour: Colour, edge: Colour | None = None) -> None:
        """A smooth closed shape with an outline, by default a deeper tone of its colour."""
        self.outline(smooth(points), colour, edge)

    def outline(self, points: Points, colour: Colour, edge: Colour | None = None) -> None:
        """A closed shape through points that are joined by straight lines, with an outline."""
        placed = self.place(points)
        self.canvas.fill(placed, None if self.ink else colour)
        self.canvas.line(round_trip(placed), self.ink or edge or deeper(colour), self.weight * self.scale)

    def patch(self, points: Points, colour: Colour) -> None:
        """A smooth closed shape without an outline; line art has only its line."""
        placed = self.place(smooth(points))
        if self.ink:
            self.canvas.line(round_trip(placed), self.ink, self.weight * self.scale * 0.6)
        else:
            self.canvas.fill(placed, colour)

    def dot(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """An ellipse without an outline; line art has only its line."""
        if self.ink:
            self.patch(oval(x, y, across, down, 12), colour)
        else:
            [(at_x, at_y)] = self.place([(x, y)]).tolist()
            self.canvas.disc(at_x, at_y, across * self.scale, down * self.scale, colour)

    def stroke(self, points: Points, colour: Colour, weight: float) -> None:
        """A smooth open line."""
        self.canvas.line(self.place(smooth(points, closed=False)), self.ink or colour, weight * self.scale)

    def tint(self, points: Points, colour: Colour, strength: float, within: Points | None = None) -> None:
        """See-through colour on a smooth shape, cut at the smooth shape `within`; line art has none."""
        if not self.ink:
            inside = None if within is None else self.place(smooth(within))
            self.canvas.veil(self.place(smooth(points)), colour, strength, inside)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Light that fades outwards; line art has none."""
        if not self.ink:
            [(at_x, at_y)] = self.place([(x, y)]).tolist()
            self.canvas.haze(at_x, at_y, radius * self.scale, radius * self.scale, colour, strength)
