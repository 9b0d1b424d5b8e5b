"""Figures: what one looks like, the tags that are true of it, and how it is painted."""

from dataclasses import dataclass

from dataset_assets.sample.accessories import ACCESSORIES
from dataset_assets.sample.clothes import GARMENTS, SMALL_BODY_TAGS, paint_bust, paint_small_body
from dataset_assets.sample.faces import MOUTHS, paint_face, paint_head
from dataset_assets.sample.hair import paint_ahoge, paint_behind, paint_front
from dataset_assets.sample.palettes import EYES, HAIR, SKIN, TINTS
from dataset_assets.sample.pen import Pen


@dataclass(frozen=True)
class Figure:
    """A person; every word is a key of its table, and most become tags."""

    hair: str
    eyes: str
    length: str = "long_hair"
    fringe: str = "blunt_bangs"
    tied: str | None = None
    second_eye: str | None = None
    mouth: str = "smile"
    closed: str | None = None  # closed_eyes or one_eye_closed
    blush: bool = False
    ahoge: bool = False
    garment: str = "serafuku"
    cloth: str = "blue"
    worn: tuple[str, ...] = ()
    worn_tint: str = "red"
    skin: str = "fair"
    is_boy: bool = False

    def tags(self, whole: bool = False) -> set[str]:
        """The general tags of the person, without the picture around; whole figures wear a dress."""
        tags = {f"{self.hair}_hair", self.length, self.fringe, *MOUTHS[self.mouth], *self._eye_tags()}
        tags |= {tag for tag in (self.tied, "ahoge" if self.ahoge else None, "blush" if self.blush else None) if tag}
        if self.fringe != "hair_between_eyes":
            tags.add("bangs")
        if self.skin == "dark":
            tags.add("dark_skin")
        garment = SMALL_BODY_TAGS if whole else GARMENTS[self.garment][1]
        tags |= {tag.format(self.cloth) for tag in garment}
        for name in self.worn:
            tags |= {tag.format(self.worn_tint) for tag in ACCESSORIES[name].tags}
        return tags

    @property
    def headroom(self) -> float:
        """What the figure needs above the middle of its head."""
        own = 2.05 if self.ahoge or self.tied == "double_bun" else 1.75
        return max([own, *(ACCESSORIES[name].headroom for name in self.worn)])

    def _eye_tags(self) -> set[str]:
        if self.closed == "closed_eyes":
            return {"closed_eyes"}
        tags = {f"{self.eyes}_eyes", "looking_at_viewer"}
        if self.closed:
            tags.add(self.closed)
        elif self.second_eye:
            tags |= {f"{self.second_eye}_eyes", "heterochromia"}
        return tags

    def paint(self, pen: Pen, whole: bool = False) -> None:
        """Head and shoulders, or the whole figure; the pen stands at the head's middle."""
        hair, skin, cloth = HAIR[self.hair], SKIN[self.skin], TINTS[self.cloth]
        paint_behind(pen, hair, self.length, self.tied, self.is_boy)
        if whole:
            paint_small_body(pen, skin, cloth)
        else:
            paint_bust(pen, self.garment, skin, cloth)
        paint_head(pen, skin, ears=self.is_boy)
        closed = (self.closed is not None, self.closed == "closed_eyes")
        eyes = (EYES[self.eyes], EYES[self.second_eye or self.eyes])
        paint_face(pen, eyes, closed, self.mouth, self.blush, hair, narrow=self.is_boy)
        paint_front(pen, hair, self.fringe, cropped=self.is_boy)
        if self.ahoge:
            paint_ahoge(pen, hair)
        for name in self.worn:
            ACCESSORIES[name].paint(pen, TINTS[self.worn_tint], hair)
