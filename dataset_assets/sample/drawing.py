"""The artist: pictures to order. An order says all that its picture shows, so its tags are true of it."""

from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from dataset_assets.sample.backdrops import Backdrop, pastel
from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.characters import Figure
from dataset_assets.sample.curves import oval
from dataset_assets.sample.palettes import TINTS, WHITE, Colour, deeper
from dataset_assets.sample.patterns import PATTERNS, paint_pattern
from dataset_assets.sample.pen import Pen
from dataset_assets.sample.scenery import Scene
from dataset_assets.sample.stills import STILLS

Size = tuple[int, int]


class Order(Protocol):
    """What to draw."""

    @property
    def size(self) -> Size:
        """Width and height of the picture."""

    def draw(self) -> Image.Image:
        """The picture, RGB, or RGBA where the order asks for transparency."""

    def tags(self) -> set[str]:
        """Danbooru's general tags that are true of it."""


@dataclass(frozen=True)
class Portrait:
    """One figure, or two side by side, before a backdrop or a landscape; `whole` shows them small, head to foot."""

    figures: tuple[Figure, ...]
    behind: Backdrop | Scene
    size: Size
    whole: bool = False

    def draw(self) -> Image.Image:
        canvas = Canvas(self.size, WHITE)
        self.behind.paint(canvas)
        for pen, figure in zip(_stand(canvas, self.figures, self.whole), self.figures, strict=True):
            figure.paint(pen, self.whole)
        return canvas.finished()

    def tags(self) -> set[str]:
        return _people(self.figures, self.whole) | self.behind.tags()


@dataclass(frozen=True)
class LineArt:
    """A figure in lines of one colour on transparency, or, with `coloured`, a painted one cut out."""

    figure: Figure
    ink: str  # black, white or grey
    size: Size
    coloured: bool = False

    def draw(self) -> Image.Image:
        canvas = Canvas(self.size, None)
        [pen] = _stand(canvas, (self.figure,), whole=False)
        inked = Pen(canvas, pen.x, pen.y, pen.scale, ink=None if self.coloured else INKS[self.ink])
        self.figure.paint(inked)
        return canvas.finished()

    def tags(self) -> set[str]:
        people = _people((self.figure,), whole=False) | {"transparent_background"}
        return people if self.coloured else without_colour(people) | {"lineart", "monochrome", "greyscale"}


@dataclass(frozen=True)
class Landscape:
    """A scene alone."""

    scene: Scene
    size: Size

    def draw(self) -> Image.Image:
        canvas = Canvas(self.size, WHITE)
        self.scene.paint(canvas)
        return canvas.finished()

    def tags(self) -> set[str]:
        return {"no_humans", "scenery", *self.scene.tags()}


@dataclass(frozen=True)
class Snowfall:
    """A scene in which snow falls, in frames."""

    scene: Scene
    size: Size
    count: int = 6

    def draw(self) -> Image.Image:
        return self.frames()[0]

    def frames(self) -> list[Image.Image]:
        """One after another; the last leads to the first."""
        chance, (width, height) = Random(f"snowfall {self.scene.seed}"), self.size
        flakes = [(chance.random() * width, chance.random() * height, chance.choice((1, 2, 3))) for _ in range(90)]
        pictures = [Landscape(self.scene, self.size).draw()] * self.count
        return [_with_snow(picture, flakes, frame / self.count) for frame, picture in enumerate(pictures)]

    def tags(self) -> set[str]:
        return {"no_humans", "scenery", "snow", "snowing", *self.scene.tags()}


@dataclass(frozen=True)
class Resized:
    """Another order's picture at another size."""

    order: Order
    size: Size

    def draw(self) -> Image.Image:
        return self.order.draw().resize(self.size, Image.Resampling.LANCZOS)

    def tags(self) -> set[str]:
        return self.order.tags()


@dataclass(frozen=True)
class Greyed:
    """Another order's picture in 16 bits of grey."""

    order: Order

    @property
    def size(self) -> Size:
        return self.order.size

    def draw(self) -> Image.Image:
        levels = np.asarray(self.order.draw().convert("L"), np.uint16) * np.uint16(257)
        return Image.fromarray(levels)

    def tags(self) -> set[str]:
        return without_colour(self.order.tags()) | {"monochrome", "greyscale"}


@dataclass(frozen=True)
class Limited:
    """Another order's picture in sixteen colours."""

    order: Order

    @property
    def size(self) -> Size:
        return self.order.size

    def draw(self) -> Image.Image:
        return self.order.draw().quantize(16, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)

    def tags(self) -> set[str]:
        return self.order.tags() | {"limited_palette"}


@dataclass(frozen=True)
class Still:
    """An animal or a thing before a backdrop."""

    name: str
    tint: str
    behind: Backdrop
    size: Size

    def draw(self) -> Image.Image:
        canvas = Canvas(self.size, WHITE)
        self.behind.paint(canvas)
        painter, _, wide, tall = STILLS[self.name]
        scale = min(canvas.width * 0.74 / wide, canvas.height * 0.66 / tall)
        foot = canvas.height / 2 + scale * tall / 2
        if self.behind.kind != "underwater":
            shade = deeper(pastel(self.behind.tint), 0.35)
            canvas.veil(oval(canvas.width / 2, foot, scale * wide * 0.36, scale * 0.16), shade, 0.35)
        painter(Pen(canvas, canvas.width / 2, foot, scale), TINTS[self.tint])
        return canvas.finished()

    def tags(self) -> set[str]:
        return {"no_humans", *STILLS[self.name][1], *self.behind.tags()}


@dataclass(frozen=True)
class Sheet:
    """A pattern alone."""

    name: str
    tint: str
    size: Size
    seed: int = 0

    def draw(self) -> Image.Image:
        canvas = Canvas(self.size, WHITE)
        paint_pattern(canvas, self.name, TINTS[self.tint], self.seed)
        return canvas.finished()

    def tags(self) -> set[str]:
        return {"no_humans", f"{self.tint}_theme", *PATTERNS[self.name][1]}


@dataclass(frozen=True)
class Blank:
    """Nothing but white."""

    size: Size

    def draw(self) -> Image.Image:
        return Image.new("RGB", self.size, WHITE)

    def tags(self) -> set[str]:
        return {"no_humans", "simple_background", "white_background"}


@dataclass(frozen=True)
class Strip:
    """A gradient, one pixel wide."""

    size: Size = (1, 300)

    def draw(self) -> Image.Image:
        canvas = Canvas(self.size, WHITE)
        canvas.gradient([TINTS["blue"], TINTS["pink"], TINTS["yellow"]])
        return canvas.finished()

    def tags(self) -> set[str]:
        return {"no_humans", "abstract", "gradient"}


def _with_snow(picture: Image.Image, flakes: list[tuple[float, float, int]], share: float) -> Image.Image:
    """The picture with snow that has fallen a share of its way; small flakes fall twice while large ones fall once."""
    snowy = picture.copy()
    draw = ImageDraw.Draw(snowy)
    for x, y, size in flakes:
        draw.circle((x, (y + picture.height * share * (2 if size == 1 else 1)) % picture.height), size, fill=WHITE)
    return snowy


INKS: dict[str, Colour] = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128)}


def without_colour(tags: set[str]) -> set[str]:
    """Tags that stay true when the colours go."""
    return {tag for tag in tags if not COLOUR_WORDS.intersection(tag.split("_"))}


COLOUR_WORDS = frozenset(TINTS) | {"blonde", "heterochromia", "dark"}


def _people(figures: tuple[Figure, ...], whole: bool) -> set[str]:
    tags: set[str] = set().union(*(figure.tags(whole) for figure in figures))
    if len(figures) == 2:
        tags |= {"2girls", "multiple_girls"}
    else:
        tags |= {"1boy", "male_focus", "solo"} if figures[0].is_boy else {"1girl", "solo"}
    return tags | ({"full_body", "chibi", "standing"} if whole else {"upper_body"})


def _stand(canvas: Canvas, figures: tuple[Figure, ...], whole: bool) -> list[Pen]:
    """A pen at the middle of each head."""
    above = max(figure.headroom for figure in figures)
    below = 3.7 if whole else 2.3
    across = 4.6 if len(figures) == 1 else 6.4
    unit = min(canvas.height / (above + below), canvas.width / across)
    floor = canvas.height - below * unit if whole else max(above * unit, canvas.height - 2.9 * unit)
    places = (0.5,) if len(figures) == 1 else (0.28, 0.72)
    return [Pen(canvas, canvas.width * place, floor, unit) for place in places]
