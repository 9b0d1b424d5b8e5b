"""Colours that go together, each under the name that its tag has."""

from dataclasses import dataclass

Colour = tuple[int, int, int]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: 0 is the one, 1 the other."""
    return (
        round(one[0] + (other[0] - one[0]) * share),
        round(one[1] + (other[1] - one[1]) * share),
        round(one[2] + (other[2] - one[2]) * share),
    )


def deeper(colour: Colour, share: float = 0.45) -> Colour:
    """A tone for lines and shadows: darker, and towards violet, as shadows on drawings are."""
    return mix(colour, (52, 26, 74), share)


def paler(colour: Colour, share: float = 0.4) -> Colour:
    """A tone for light: towards warm white."""
    return mix(colour, (255, 252, 244), share)


WHITE: Colour = (255, 255, 255)
INK: Colour = (58, 40, 66)

SKIN: dict[str, Colour] = {"fair": (255, 231, 216), "light": (252, 216, 190), "dark": (190, 128, 94)}

HAIR: dict[str, Colour] = {
    "black": (66, 60, 82),
    "brown": (146, 99, 76),
    "blonde": (246, 212, 122),
    "blue": (98, 146, 220),
    "pink": (246, 166, 190),
    "red": (206, 84, 84),
    "green": (114, 186, 142),
    "purple": (156, 122, 206),
    "grey": (178, 180, 198),
    "white": (238, 235, 244),
    "orange": (238, 152, 88),
    "aqua": (112, 204, 210),
}

EYES: dict[str, Colour] = {
    "blue": (60, 124, 214),
    "red": (206, 62, 78),
    "green": (56, 160, 104),
    "brown": (146, 92, 62),
    "purple": (128, 88, 196),
    "yellow": (228, 170, 46),
    "aqua": (44, 176, 188),
    "pink": (228, 104, 158),
}

# Cloth, ribbons, hats and plain backgrounds.
TINTS: dict[str, Colour] = {
    "white": (252, 250, 248),
    "black": (72, 66, 88),
    "grey": (196, 198, 210),
    "red": (222, 92, 92),
    "orange": (246, 164, 98),
    "yellow": (250, 216, 120),
    "green": (136, 196, 152),
    "aqua": (150, 218, 218),
    "blue": (108, 150, 216),
    "purple": (172, 144, 214),
    "pink": (248, 178, 196),
    "brown": (166, 122, 96),
}

# What stands well behind a head of that hair, and what it may wear: picked by eye, cool against warm.
BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "black": ("pink", "yellow", "aqua"),
    "brown": ("green", "yellow", "aqua"),
    "blonde": ("blue", "aqua", "pink"),
    "blue": ("yellow", "pink", "white"),
    "pink": ("aqua", "purple", "yellow"),
    "red": ("yellow", "aqua", "grey"),
    "green": ("yellow", "orange", "white"),
    "purple": ("yellow", "pink", "aqua"),
    "grey": ("blue", "purple", "pink"),
    "white": ("blue", "purple", "red"),
    "orange": ("aqua", "blue", "green"),
    "aqua": ("pink", "yellow", "orange"),
}
CLOTHES: dict[str, tuple[str, ...]] = {
    "black": ("red", "white", "purple"),
    "brown": ("green", "orange", "white"),
    "blonde": ("blue", "black", "white"),
    "blue": ("white", "yellow", "black"),
    "pink": ("white", "aqua", "purple"),
    "red": ("black", "white", "green"),
    "green": ("white", "brown", "yellow"),
    "purple": ("black", "white", "pink"),
    "grey": ("purple", "blue", "black"),
    "white": ("blue", "black", "red"),
    "orange": ("blue", "green", "white"),
    "aqua": ("white", "pink", "blue"),
}


@dataclass(frozen=True)
class Mood:
    """The colours of a landscape at one time of day."""

    sky: tuple[Colour, ...]  # top to horizon
    land: tuple[Colour, ...]  # far to near
    sea: tuple[Colour, ...]  # horizon to shore
    light: Colour  # sun, moon, windows
    cloud: Colour
    accent: Colour  # flowers, roofs, sails
    pine: Colour


MOODS: dict[str, Mood] = {
    "day": Mood(
        ((74, 158, 224), (138, 202, 240), (222, 242, 248)),
        ((176, 212, 206), (132, 194, 158), (88, 160, 116), (52, 122, 92)),
        ((156, 216, 232), (78, 170, 206), (42, 128, 178)),
        (255, 246, 214),
        (255, 255, 255),
        (240, 128, 120),
        (46, 112, 92),
    ),
    "sunset": Mood(
        ((66, 52, 112), (186, 88, 128), (246, 150, 108), (255, 214, 150)),
        ((176, 104, 134), (126, 72, 122), (86, 52, 102), (48, 34, 76)),
        ((250, 184, 132), (196, 110, 128), (92, 62, 116)),
        (255, 238, 190),
        (255, 190, 158),
        (255, 206, 120),
        (58, 36, 84),
    ),
    "dawn": Mood(
        ((108, 128, 190), (180, 160, 206), (246, 190, 190), (255, 228, 200)),
        ((190, 178, 208), (146, 142, 188), (104, 112, 160), (70, 80, 126)),
        ((250, 212, 200), (168, 164, 204), (104, 122, 176)),
        (255, 244, 222),
        (255, 236, 232),
        (250, 160, 166),
        (74, 84, 132),
    ),
    "night": Mood(
        ((14, 18, 52), (30, 40, 92), (66, 76, 140), (120, 112, 164)),
        ((68, 74, 128), (46, 54, 104), (30, 36, 80), (18, 22, 56)),
        ((92, 96, 156), (46, 56, 112), (22, 28, 70)),
        (255, 244, 204),
        (120, 124, 176),
        (255, 206, 130),
        (16, 22, 58),
    ),
    "winter": Mood(
        ((126, 160, 206), (180, 204, 230), (232, 240, 246)),
        ((202, 216, 232), (218, 228, 240), (232, 238, 246), (250, 251, 253)),
        ((214, 230, 240), (160, 194, 220), (110, 152, 194)),
        (255, 252, 240),
        (250, 252, 255),
        (200, 92, 96),
        (112, 150, 186),
    ),
    "autumn": Mood(
        ((126, 176, 208), (202, 220, 214), (250, 236, 206)),
        ((212, 178, 140), (222, 146, 92), (196, 104, 66), (136, 66, 54)),
        ((226, 214, 196), (150, 174, 184), (88, 120, 146)),
        (255, 244, 210),
        (255, 252, 244),
        (232, 110, 62),
        (120, 92, 70),
    ),
    "spring": Mood(
        ((134, 186, 234), (196, 216, 244), (252, 226, 234)),
        ((206, 204, 228), (186, 214, 186), (142, 194, 140), (98, 160, 112)),
        ((228, 226, 242), (154, 196, 228), (100, 152, 204)),
        (255, 250, 236),
        (255, 255, 255),
        (250, 176, 200),
        (96, 154, 116),
    ),
}
