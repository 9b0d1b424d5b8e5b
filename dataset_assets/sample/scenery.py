"""Landscapes: a mood of colours, a ground, and what stands in sky and foreground."""

from dataclasses import dataclass
from random import Random

from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.grounds import GROUNDS, HORIZON
from dataset_assets.sample.palettes import MOODS
from dataset_assets.sample.scene_details import DETAILS

MOOD_TAGS: dict[str, tuple[str, ...]] = {
    "day": ("day", "blue_sky"),
    "sunset": ("sunset", "orange_sky"),
    "dawn": ("dawn",),
    "night": ("night", "night_sky"),
    "winter": ("day", "snow", "winter"),
    "autumn": ("day", "autumn"),
    "spring": ("day", "blue_sky", "spring_(season)"),
}


@dataclass(frozen=True)
class Scene:
    """A landscape; grounds and details are keys of their tables. `seed` places what is scattered."""

    mood: str
    ground: str
    details: tuple[str, ...] = ()
    seed: int = 0

    def tags(self) -> set[str]:
        """The general tags that hold for it."""
        tags = {"sky", "outdoors", *MOOD_TAGS[self.mood], *GROUNDS[self.ground][1]}
        for detail in self.details:
            tags |= set(DETAILS[detail][1])
        return tags

    def paint(self, canvas: Canvas) -> None:
        """Sky, what is in it, the ground, what stands on it."""
        chance, mood = Random(f"scene {self.seed}"), MOODS[self.mood]
        canvas.gradient(mood.sky, 0, canvas.height * (HORIZON + 0.1))
        for detail in (name for name in DETAILS if name in self.details and DETAILS[name][2]):
            DETAILS[detail][0](canvas, mood, chance)
        GROUNDS[self.ground][0](canvas, mood, chance)
        for detail in (name for name in DETAILS if name in self.details and not DETAILS[name][2]):
            DETAILS[detail][0](canvas, mood, chance)
