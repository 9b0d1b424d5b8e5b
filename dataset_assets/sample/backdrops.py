"""What is behind a figure or a thing."""

from dataclasses import dataclass
from random import Random

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.curves import oval
from dataset_assets.sample.palettes import TINTS, WHITE, Colour, mix, paler
from dataset_assets.sample.patterns import PATTERNS, paint_pattern
from dataset_assets.sample.scene_details import scatter_petals, sparkle

WITHOUT_TINT = {"gradient": ("gradient", "gradient_background"), "underwater": ("underwater", "water", "bubble")}
STREWN = {"sparkles": ("sparkle",), "petals": ("petals", "falling_petals")}


@dataclass(frozen=True)
class Backdrop:
    """What is behind a figure or a thing: plain, gradient, circle, sparkles, petals, underwater, or a pattern."""

    kind: str
    tint: str
    seed: int = 0

    def tags(self) -> set[str]:
        if self.kind in PATTERNS:
            return {f"{self.tint}_background", *PATTERNS[self.kind][1]}
        if self.kind in WITHOUT_TINT:
            return set(WITHOUT_TINT[self.kind])
        return {"simple_background", f"{self.tint}_background", *STREWN.get(self.kind, ())}

    def paint(self, canvas: Canvas) -> None:
        tone, chance = pastel(self.tint), Random(f"backdrop {self.seed}")
        if self.kind in PATTERNS:
            paint_pattern(canvas, self.kind, tone, self.seed)
        elif self.kind == "underwater":
            _paint_underwater(canvas, chance)
        elif self.kind == "gradient":
            canvas.gradient([mix(tone, TINTS["purple"], 0.45), tone, mix(tone, TINTS["yellow"], 0.45)])
        else:
            canvas.wash(tone)
        if self.kind == "petals":
            scatter_petals(canvas, mix(TINTS["pink"], tone, 0.2), chance)
        if self.kind == "circle":
            reach = min(canvas.width, canvas.height) * 0.42
            canvas.disc(canvas.width / 2, canvas.height * 0.46, reach, reach, paler(tone, 0.55))
        for _ in range(26 if self.kind == "sparkles" else 0):
            x, y = chance.random() * canvas.width, chance.random() * canvas.height
            sparkle(canvas, x, y, chance.uniform(6, 18), paler(tone, 0.8))


def _paint_underwater(canvas: Canvas, chance: Random) -> None:
    canvas.gradient([(150, 222, 236), (72, 164, 212), (38, 96, 164)])
    for beam in range(4):
        x, wide = canvas.width * (0.1 + 0.24 * beam), canvas.width * chance.uniform(0.04, 0.1)
        lean = canvas.width * 0.22
        outline = [(x, 0), (x + wide, 0), (x + wide * 2.2 - lean, canvas.height), (x - lean, canvas.height)]
        canvas.veil(outline, WHITE, 0.12)
    for _ in range(18):
        x, y, size = chance.random() * canvas.width, chance.random() * canvas.height, chance.uniform(3, 13)
        canvas.veil(oval(x, y, size, size), (214, 242, 250), 0.55)
        canvas.disc(x - size * 0.3, y - size * 0.35, size * 0.22, size * 0.22, WHITE)


def pastel(tint: str) -> Colour:
    """A tint as pale as backgrounds are."""
    return WHITE if tint == "white" else mix(TINTS[tint], (255, 250, 240), 0.42)
