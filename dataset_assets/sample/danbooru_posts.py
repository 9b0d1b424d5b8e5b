"""The posts of the sample's Danbooru mirror: what each shows, who is said to have drawn it, and what is odd."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from dataset_assets.sample import cast, niji_works
from dataset_assets.sample.backdrops import Backdrop
from dataset_assets.sample.characters import Figure
from dataset_assets.sample.drawing import (
    Blank,
    Greyed,
    Landscape,
    Limited,
    LineArt,
    Order,
    Portrait,
    Resized,
    Sheet,
    Size,
    Snowfall,
    Still,
    Strip,
)
from dataset_assets.sample.palettes import MOODS, TINTS
from dataset_assets.sample.patterns import PATTERNS
from dataset_assets.sample.scenery import Scene
from dataset_assets.sample.stills import STILLS

TALL: tuple[Size, ...] = ((512, 640), (480, 640), (512, 704), (480, 600), (512, 768), (448, 560))
SQUARE: tuple[Size, ...] = ((512, 512), (600, 600), (448, 448))
WIDE: tuple[Size, ...] = ((640, 480), (720, 480), (704, 512), (640, 400), (720, 405), (576, 432))
SMALL: tuple[Size, ...] = ((320, 400), (360, 360), (400, 300))

FIGURE_ARTISTS = ("kumogata", "marusankaku", "haru_no_iro", "aomame_(shapes)", "yurayura_circle")
SCENE_ARTISTS = ("sora_pallet", "hoshi_to_umi", "kumogata")
THING_ARTISTS = ("teatime_poly", "marusankaku", "tsukimi_dango_(shapes)")

SERIES, COLLECTION = 10152, 4162  # pools: a story in order, a choice of night skies


@dataclass(frozen=True)
class Post:
    """A post to be. `fault` is what befell its file: truncated, empty, missing or optimised."""

    name: str
    order: Order | None  # none is a video
    encoding: str
    artist: str
    characters: tuple[str, ...] = ()
    series: str = "original"
    meta: tuple[str, ...] = ()
    parent: str | None = None
    pool: int | None = None
    fault: str | None = None
    niji_id: int | None = None


def posts() -> list[Post]:
    """All posts, oldest first; a child comes after its parent."""
    chance = Random("danbooru posts")
    families = (_people, _pairs, _landscapes, _things, _line_art, _oddities, _linked)
    base = [post for family in families for post in family(chance)]
    chance.shuffle(base)
    for child in _children({post.name: post for post in base}):
        at = next(place for place, post in enumerate(base) if post.name == child.parent)
        base.insert(at + 1 + chance.randrange(12), child)
    return _in_series(base)


def _people(chance: Random) -> Iterator[Post]:
    for number in range(24):
        yield _of_cast(chance, f"cast-{number}", list(cast.CAST)[number % len(cast.CAST)], whole=number % 6 == 5)
    for number in range(48):
        figure = cast.chance_figure(chance, is_boy=number % 6 == 4)
        whole = number % 6 == 1
        yield _portrait(chance, Post(f"someone-{number}", None, "", chance.choice(FIGURE_ARTISTS)), (figure,), whole)


def _of_cast(chance: Random, name: str, character: str, whole: bool) -> Post:
    series, looks = cast.CAST[character]
    artist = chance.choice(FIGURE_ARTISTS)
    post = Post(name, None, "", artist, (character,), series)
    return _portrait(chance, post, (cast.with_expression(looks, chance),), whole and not looks.is_boy)


def _portrait(chance: Random, post: Post, figures: tuple[Figure, ...], whole: bool) -> Post:
    """The post with its picture; boys are never drawn whole, since small figures wear dresses."""
    whole = whole and not figures[0].is_boy
    in_scene = chance.random() < 0.3
    behind = (
        cast.chance_scene(chance, chance.choice(list(MOODS)), True)
        if in_scene
        else cast.chance_backdrop(chance, figures[0].hair)
    )
    sizes = TALL * 2 + SQUARE * 2 + SMALL + (WIDE if in_scene else ())
    size = chance.choice(WIDE if len(figures) == 2 else sizes)
    encoding = chance.choice(("jpeg", "jpeg", "jpeg", "png", "png", "progressive_jpeg"))
    return replace(post, order=Portrait(figures, behind, size, whole), encoding=encoding)


def _pairs(chance: Random) -> Iterator[Post]:
    girls = [name for name, (_, looks) in cast.CAST.items() if not looks.is_boy]
    for number in range(10):
        artist = chance.choice(FIGURE_ARTISTS)
        if number % 2:
            figures = (cast.chance_figure(chance), cast.chance_figure(chance))
            post = Post(f"pair-{number}", None, "", artist)
        else:
            series = chance.choice(("starlit_harbor", "paper_lantern_academy", "cloud_bakery"))
            one, other = chance.sample([name for name in girls if cast.CAST[name][0] == series], 2)
            figures = (
                cast.with_expression(cast.CAST[one][1], chance),
                cast.with_expression(cast.CAST[other][1], chance),
            )
            post = Post(f"pair-{number}", None, "", artist, (one, other), series)
        yield _portrait(chance, post, figures, whole=False)


def _landscapes(chance: Random) -> Iterator[Post]:
    for number in range(32):
        scene = cast.chance_scene(chance, list(MOODS)[number % len(MOODS)])
        size = chance.choice(WIDE * 2 + TALL[:3] + SQUARE[:2] + SMALL[2:]) if number else (1600, 900)
        picture: Order = Landscape(scene, size)
        encoding = "jpeg" if not number else chance.choice(("jpeg", "jpeg", "png", "png", "webp"))
        if number % 8 == 3:
            picture, encoding = Limited(picture), "png"
        pool = COLLECTION if scene.mood == "night" else None
        yield Post(f"scene-{number}", picture, encoding, chance.choice(SCENE_ARTISTS), pool=pool)


def _things(chance: Random) -> Iterator[Post]:
    tints = [tint for tint in TINTS if tint not in ("white", "black", "grey", "brown")]
    furs = {"cat": ("orange", "grey", "black", "white"), "rabbit": ("white", "brown", "grey")}
    for number in range(13):
        name = list(STILLS)[number % len(STILLS)]
        tint = chance.choice(furs.get(name, tints))
        kind = (
            "underwater"
            if name in ("whale", "fish")
            else chance.choice(("plain", "circle", "dots", "sparkles", "checks"))
        )
        behind = Backdrop(kind, chance.choice([other for other in tints if other != tint]), number)
        encoding = "gif" if number == 4 else chance.choice(("jpeg", "png"))
        yield Post(
            f"thing-{number}",
            Still(name, tint, behind, chance.choice(SQUARE + WIDE[:2])),
            encoding,
            chance.choice(THING_ARTISTS),
        )
    for number, name in enumerate(PATTERNS):
        size = chance.choice(SQUARE + SMALL)
        yield Post(
            f"pattern-{number}", Sheet(name, chance.choice(tints), size, number), "png", chance.choice(THING_ARTISTS)
        )


def _line_art(chance: Random) -> Iterator[Post]:
    for number in range(9):
        figure = cast.chance_figure(chance)
        ink = ("black", "white", "black", "grey")[number % 4]
        yield Post(f"lines-{number}", LineArt(figure, ink, chance.choice(TALL[:3])), "png", "nagi_lines")


def _oddities(chance: Random) -> Iterator[Post]:
    """One of each thing that the Danbooru page warns of."""
    for name, encoding, fault in (
        ("truncated", "jpeg", "truncated"),
        ("misnamed", "misnamed_jpeg", None),
        ("turned", "turned_jpeg", None),
        ("missing", "jpeg", "missing"),
        ("empty", "png", "empty"),
        ("optimised", "png", "optimised"),
    ):
        post = Post(name, None, "", chance.choice(FIGURE_ARTISTS))
        post = _portrait(chance, post, (cast.chance_figure(chance),), whole=False)
        yield replace(post, encoding=encoding, fault=fault)
    night, winter = (
        Scene("night", "lake", ("stars", "full_moon", "pines"), 7),
        Scene("winter", "forest", ("clouds",), 3),
    )
    yield Post("cmyk", Landscape(Scene("sunset", "sea", ("sun", "boat"), 5), (720, 480)), "cmyk_jpeg", "hoshi_to_umi")
    yield Post("grey", Greyed(Landscape(night, (640, 480))), "png", "sora_pallet")
    yield Post("animated", Snowfall(winter, (400, 300)), "gif", "hoshi_to_umi", meta=("animated", "animated_gif"))
    yield Post(
        "sticker", LineArt(cast.CAST["mofu_(cloud_bakery)"][1], "black", (480, 600), True), "indexed_png", "kumogata"
    )
    yield Post("strip", Strip(), "png", "tsukimi_dango_(shapes)")
    yield Post("blank", Blank((600, 600)), "png", "tsukimi_dango_(shapes)")
    yield Post("video", None, "", "hoshi_to_umi", meta=("animated", "video", "tagme"))


def _linked(chance: Random) -> Iterator[Post]:
    """Works of the Pixiv scrape, saved anew. No post of 2021 could name a work of 2022; here, some have to."""
    for work in niji_works.linked_works():
        [order] = work.pages
        yield Post(f"niji-{work.id}", order, "progressive_jpeg", work.artist.account, niji_id=work.id)


def _children(base: dict[str, Post]) -> Iterator[Post]:
    """The same pictures again: another expression, smaller, saved worse."""
    for name, mouth in (
        ("cast-0", "laugh"),
        ("cast-1", "surprise"),
        ("someone-2", "frown"),
        ("someone-8", "cat"),
        ("cast-4", "laugh"),
    ):
        parent = base[name]
        assert isinstance(parent.order, Portrait)
        figure = replace(parent.order.figures[0], mouth=mouth, blush=True)
        yield replace(parent, name=f"{name}-{mouth}", order=replace(parent.order, figures=(figure,)), parent=name)
    for name in ("cast-3", "someone-6", "scene-1"):
        parent = base[name]
        assert parent.order is not None
        small = (parent.order.size[0] * 5 // 8, parent.order.size[1] * 5 // 8)
        yield replace(parent, name=f"{name}-small", order=Resized(parent.order, small), encoding="png", parent=name)
    for name in ("cast-9", "scene-6"):
        yield replace(
            base[name], name=f"{name}-rough", encoding="rough_jpeg", meta=("jpeg_artifacts", "duplicate"), parent=name
        )


def _in_series(ordered: list[Post]) -> list[Post]:
    """Four posts of one character become the pages of a story."""
    pages = [post.name for post in ordered if post.characters == ("amane_nagisa",)][:4]
    return [replace(post, pool=SERIES) if post.name in pages else post for post in ordered]
