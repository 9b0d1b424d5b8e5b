"""Who and what is drawn: named characters, chance figures, and the landscapes and backdrops that suit them."""

from dataclasses import replace
from random import Random

from dataset_assets.sample.backdrops import Backdrop
from dataset_assets.sample.characters import Figure
from dataset_assets.sample.clothes import GARMENTS
from dataset_assets.sample.faces import MOUTHS
from dataset_assets.sample.hair import FRINGES, LENGTHS, TIED
from dataset_assets.sample.palettes import BACKGROUNDS, CLOTHES, EYES, HAIR
from dataset_assets.sample.scenery import Scene

# Invented: character's tag, series, looks.
CAST: dict[str, tuple[str, Figure]] = {
    "amane_nagisa": (
        "starlit_harbor",
        Figure("blue", "aqua", fringe="hair_between_eyes", garment="serafuku", cloth="blue", ahoge=True),
    ),
    "shiomi_yuki": (
        "starlit_harbor",
        Figure("white", "blue", "medium_hair", garment="sweater", cloth="blue", worn=("beret",), worn_tint="red"),
    ),
    "hayase_minato": (
        "starlit_harbor",
        Figure(
            "brown", "green", "short_hair", "swept_bangs", garment="hoodie", cloth="green", skin="light", is_boy=True
        ),
    ),
    "tomoshibi_akane": (
        "paper_lantern_academy",
        Figure("red", "yellow", tied="twintails", fringe="parted_bangs", garment="kimono", cloth="black"),
    ),
    "kagari_yoru": (
        "paper_lantern_academy",
        Figure("black", "purple", garment="kimono", cloth="purple", worn=("hair_flower",), worn_tint="red"),
    ),
    "mofu_(cloud_bakery)": (
        "cloud_bakery",
        Figure("pink", "red", "medium_hair", "blunt_bangs", garment="dress", cloth="white", worn=("rabbit_ears",)),
    ),
    "komugi_(cloud_bakery)": (
        "cloud_bakery",
        Figure(
            "blonde", "brown", "medium_hair", "swept_bangs", "double_bun", garment="dress", cloth="blue", skin="light"
        ),
    ),
    "mint_(cloud_bakery)": (
        "cloud_bakery",
        Figure(
            "green", "brown", tied="ponytail", fringe="parted_bangs", garment="shirt", cloth="brown", worn=("glasses",)
        ),
    ),
}

HATS = ("straw_hat", "witch_hat", "beret", "cat_ears", "rabbit_ears", "halo", "headphones")
ORNAMENTS = ("hair_ribbon", "hair_flower", "glasses")
MALE_GARMENTS = ("hoodie", "shirt", "sweater")
PATTERNED = ("dots", "stripes", "checks", "stars", "hearts", "leaves")

# What the sky of each mood may hold besides its colours, and where each ground may lie.
SKIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "day": (("clouds",), ("clouds", "birds")),
    "sunset": (("sun",), ("sun", "clouds"), ("sun", "birds")),
    "dawn": (("clouds",), ("sun", "birds"), ("sun", "clouds")),
    "night": (("stars", "full_moon"), ("stars", "crescent_moon"), ("stars",)),
    "winter": (("clouds", "snowfall"), ("snowfall",)),
    "autumn": (("clouds",), ("birds",), ("clouds", "birds")),
    "spring": (("clouds", "petals"), ("petals",), ("clouds",)),
}
PLACES: dict[str, tuple[str, ...]] = {
    "day": ("hills", "sea", "lake", "field", "mountains", "city"),
    "sunset": ("sea", "city", "lake", "hills"),
    "dawn": ("hills", "lake", "mountains", "sea"),
    "night": ("city", "sea", "forest", "mountains", "hills", "lake"),
    "winter": ("forest", "lake", "mountains", "hills"),
    "autumn": ("hills", "lake", "forest", "mountains"),
    "spring": ("field", "mountains", "hills", "lake"),
}
FOREGROUNDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "hills": (("house",), ("tree",), ("house", "tree"), ()),
    "mountains": (("pines",), ()),
    "sea": (("boat",), ("lighthouse",), ("boat", "lighthouse"), ()),
    "lake": (("pines",), ()),
    "city": ((),),
    "forest": ((),),
    "field": (("tree",), ("house",), ()),
}


def chance_figure(chance: Random, is_boy: bool = False) -> Figure:
    """Someone new, in colours that go together."""
    hair = chance.choice(list(HAIR))
    tied = None if is_boy or chance.random() > 0.4 else chance.choice(list(TIED))
    loose = [name for name in LENGTHS if tied != "double_bun" or name != "long_hair"]
    length = "short_hair" if is_boy else "long_hair" if tied in ("twintails", "ponytail") else chance.choice(loose)
    worn = _worn(chance, tied, is_boy)
    eyes = chance.choice([name for name in EYES if name != hair])
    figure = Figure(
        hair,
        eyes,
        length,
        chance.choice(list(FRINGES)),
        tied,
        ahoge=not is_boy and not set(worn) & set(HATS) and chance.random() < 0.25,
        garment=chance.choice(MALE_GARMENTS if is_boy else list(GARMENTS)),
        cloth=chance.choice(CLOTHES[hair]),
        worn=worn,
        worn_tint=chance.choice([tint for tint in CLOTHES[hair] if tint != hair]),
        skin=chance.choice(("fair",) * 6 + ("light",) * 3 + ("dark",)),
        is_boy=is_boy,
    )
    return with_expression(figure, chance)


def _worn(chance: Random, tied: str | None, is_boy: bool) -> tuple[str, ...]:
    """Nothing, something on the head, an ornament, or both where they do not collide."""
    hats = () if tied == "double_bun" else ("headphones", "beret") if is_boy else HATS
    ornaments = ("glasses",) if is_boy else ORNAMENTS
    roll = chance.random()
    hat = chance.choice(hats) if hats and roll < 0.5 else None
    ornament = chance.choice(ornaments) if roll > 0.4 and roll < 0.8 else None
    if hat and ornament != "glasses":
        ornament = None
    return tuple(name for name in (hat, ornament) if name)


def with_expression(figure: Figure, chance: Random) -> Figure:
    """The same person in another mood."""
    roll = chance.random()
    closed = "closed_eyes" if roll < 0.12 else "one_eye_closed" if roll < 0.22 else None
    others = [name for name in EYES if name != figure.eyes]
    second = chance.choice(others) if closed is None and figure.second_eye is None and chance.random() < 0.04 else None
    mouth = chance.choice([*MOUTHS, "smile", "laugh", "smile"])
    return replace(figure, mouth=mouth, closed=closed, second_eye=second, blush=chance.random() < 0.45)


def chance_backdrop(chance: Random, hair: str) -> Backdrop:
    """A backdrop against which that hair stands out."""
    kinds = ("plain", "plain", "gradient", "circle", "circle", "sparkles", "petals", *PATTERNED)
    return Backdrop(chance.choice(kinds), chance.choice(BACKGROUNDS[hair]), chance.randrange(10**6))


def chance_scene(chance: Random, mood: str, behind_someone: bool = False) -> Scene:
    """A landscape; behind someone, it has only what they cannot hide."""
    ground = chance.choice(PLACES[mood])
    details = chance.choice(SKIES[mood])
    if behind_someone:
        details = tuple(name for name in details if name in ("clouds", "stars", "snowfall", "petals"))
    else:
        details += chance.choice(FOREGROUNDS[ground])
        if mood == "night" and ground in ("forest", "field", "lake"):
            details += ("fireflies",)
    return Scene(mood, ground, details, chance.randrange(10**6))
