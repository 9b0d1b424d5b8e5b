from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.sample.backdrops import Backdrop
from dataset_assets.sample.canvas import Canvas
from dataset_assets.sample.cast import CAST, FOREGROUNDS, PLACES, SKIES, chance_backdrop, chance_figure, chance_scene
from dataset_assets.sample.characters import Figure
from dataset_assets.sample.danbooru_posts import posts
from dataset_assets.sample.drawing import (
    Blank,
    Greyed,
    Landscape,
    Limited,
    LineArt,
    Portrait,
    Resized,
    Sheet,
    Snowfall,
    Still,
    Strip,
    without_colour,
)
from dataset_assets.sample.palettes import BACKGROUNDS, EYES, HAIR, TINTS, Colour
from dataset_assets.sample.patterns import PATTERNS
from dataset_assets.sample.scenery import Scene
from dataset_assets.sample.stills import STILLS

GIRL = Figure("blue", "yellow", worn=("hair_ribbon",))
PLAIN = Backdrop("plain", "pink")
SENTINEL: Colour = (255, 0, 255)  # in no palette
SEEDS = st.integers(0, 10**6).map(lambda seed: Random(f"test {seed}"))
SCENES = [(mood, ground) for mood, grounds in PLACES.items() for ground in grounds]


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, picture.shape[-1]), axis=0).tolist()}


@pytest.mark.parametrize(
    "order",
    [
        Portrait((GIRL,), PLAIN, (96, 120)),
        Portrait((GIRL, GIRL), PLAIN, (160, 120)),
        Portrait((GIRL,), Scene("day", "hills"), (96, 120), whole=True),
        LineArt(GIRL, "black", (96, 120)),
        Landscape(Scene("night", "sea"), (120, 80)),
        Snowfall(Scene("winter", "forest"), (120, 80)),
        Resized(Landscape(Scene("night", "sea"), (120, 80)), (60, 40)),
        Greyed(Landscape(Scene("night", "sea"), (120, 80))),
        Limited(Landscape(Scene("night", "sea"), (120, 80))),
        Still("cat", "orange", PLAIN, (100, 100)),
        Sheet("waves", "blue", (100, 80)),
        Blank((50, 40)),
        Strip(),
    ],
)
def test_picture_has_the_size_that_was_ordered_and_is_the_same_each_time(order: Portrait) -> None:
    picture = order.draw()
    assert picture.size == order.size
    assert picture.tobytes() == order.draw().tobytes()


@pytest.mark.parametrize("hair", HAIR)
def test_hair_has_the_colour_of_its_tag(hair: str) -> None:
    order = Portrait((Figure(hair, "brown"),), PLAIN, (200, 240))
    assert f"{hair}_hair" in order.tags()
    shown = np.all(np.asarray(order.draw()) == HAIR[hair], axis=-1)
    assert shown.mean() > 0.05


@pytest.mark.parametrize("eyes", EYES)
def test_eyes_have_the_colour_of_their_tag_unless_closed(eyes: str) -> None:
    for closed, is_shown in ((None, True), ("one_eye_closed", True), ("closed_eyes", False)):
        order = Portrait((Figure("grey", eyes, closed=closed, garment="shirt", cloth="black"),), PLAIN, (320, 400))
        assert (f"{eyes}_eyes" in order.tags()) == is_shown
        assert (EYES[eyes] in colours(np.asarray(order.draw()))) == is_shown


def test_expression_changes_the_face_alone() -> None:
    size = (240, 300)
    one, other = (np.asarray(Portrait((replace(GIRL, mouth=m),), PLAIN, size).draw()) for m in ("smile", "laugh"))
    changed = np.argwhere((one != other).any(axis=-1))
    assert 0 < len(changed) < 0.02 * size[0] * size[1]


def test_line_art_is_of_its_ink_on_transparency() -> None:
    for ink, level in (("black", 0), ("white", 255), ("grey", 128)):
        order = LineArt(GIRL, ink, (200, 240))
        pixels = np.asarray(order.draw())
        inked = pixels[..., 3] == 255
        assert 0.01 < inked.mean() < 0.3
        assert (pixels[inked][:, :3] == level).all()
        assert (pixels[..., 3] == 0).mean() > 0.6
        assert {"lineart", "transparent_background", "monochrome"} <= order.tags()
        assert not {"blue_hair", "yellow_eyes", "red_ribbon"} & order.tags()
        assert {"long_hair", "ribbon", "1girl"} <= order.tags()


def test_grey_picture_has_16_bits() -> None:
    picture = Greyed(Landscape(Scene("sunset", "sea", ("sun",)), (120, 80)))
    assert picture.draw().mode == "I;16"
    assert np.asarray(picture.draw()).max() > 255
    assert {"greyscale", "monochrome"} <= picture.tags()
    assert "orange_sky" not in picture.tags()


def test_limited_palette_has_few_colours() -> None:
    picture = Limited(Landscape(Scene("night", "sea", ("stars", "full_moon")), (240, 160))).draw()
    assert picture.mode == "P"
    assert len(picture.getcolors() or []) <= 16


def test_full_moon_is_brighter_than_the_sky_even_in_few_colours() -> None:
    moonless, moonlit = Scene("night", "city", (), 1), Scene("night", "city", ("full_moon",), 1)
    sky = np.asarray(Limited(Landscape(moonlit, (240, 160))).draw().convert("L"))[:60]
    assert sky.max() > np.asarray(Landscape(moonless, (240, 160)).draw().convert("L"))[:60].max() + 60


def test_snow_falls_from_frame_to_frame_and_comes_round() -> None:
    frames = Snowfall(Scene("winter", "forest"), (120, 80)).frames()
    assert len({frame.tobytes() for frame in frames}) == len(frames) == 6


@pytest.mark.parametrize(("mood", "ground"), SCENES)
def test_scene_covers_the_whole_sheet(mood: str, ground: str) -> None:
    for details in {(*sky, *front) for sky in SKIES[mood] for front in FOREGROUNDS[ground]}:
        canvas = Canvas((72, 48), SENTINEL)
        Scene(mood, ground, details, 3).paint(canvas)
        assert SENTINEL not in colours(np.asarray(canvas.finished()))


@pytest.mark.parametrize("kind", ["plain", "gradient", "circle", "sparkles", "petals", "underwater", *PATTERNS])
def test_backdrop_covers_the_whole_sheet(kind: str) -> None:
    canvas = Canvas((70, 90), SENTINEL)
    Backdrop(kind, "blue", 2).paint(canvas)
    assert SENTINEL not in colours(np.asarray(canvas.finished()))


@pytest.mark.parametrize("name", STILLS)
def test_still_stays_within_its_sheet(name: str) -> None:
    pixels = np.asarray(Still(name, "red", PLAIN, (200, 200)).draw())
    rows = [pixels[0], pixels[-1], *([] if name == "bird" else [pixels[:, 0], pixels[:, -1]])]  # its branch goes on
    assert all(len(colours(row[None])) == 1 for row in rows)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.booleans())
def test_chance_figures_are_painted_with_tags_that_danbooru_could_hold(chance: Random, is_boy: bool) -> None:
    figure = chance_figure(chance, is_boy)
    behind = chance_backdrop(chance, figure.hair)
    order = Portrait((figure,), behind, (80, 100))
    assert order.draw().mode == "RGB"
    assert all(tag == tag.lower() and not set(tag) & set(" ,{}\t\n") for tag in order.tags())
    assert {"1boy" if is_boy else "1girl", "solo", f"{figure.hair}_hair"} <= order.tags()
    assert len(order.tags() & {"short_hair", "medium_hair", "long_hair"}) == 1


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_chance_figures_wear_nothing_that_collides(chance: Random) -> None:
    figure = chance_figure(chance)
    on_top = set(figure.worn) - {"glasses", "hair_ribbon", "hair_flower"}
    assert len(on_top) <= 1
    assert not (on_top and (figure.ahoge or figure.tied == "double_bun"))
    assert figure.eyes != figure.hair
    assert BACKGROUNDS[figure.hair].count(figure.hair) == 0


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from(list(SKIES)))
def test_nothing_behind_someone_can_be_hidden_by_them(chance: Random, mood: str) -> None:
    tags = chance_scene(chance, mood, behind_someone=True).tags()
    assert not tags & {"sun", "moon", "bird", "boat", "lighthouse", "house"}


def test_without_colour_keeps_what_is_not_colour() -> None:
    assert without_colour({"blue_hair", "long_hair", "hair_between_eyes", "collared_shirt", "dark_skin"}) == {
        "long_hair",
        "hair_between_eyes",
        "collared_shirt",
    }


def test_names_of_colours_are_those_of_the_palettes() -> None:
    for _, looks in CAST.values():
        assert looks.cloth in TINTS
        assert looks.worn_tint in TINTS


def test_posts_have_names_of_their_own_and_children_come_after_their_parents() -> None:
    ordered = posts()
    place = {post.name: number for number, post in enumerate(ordered)}
    assert len(place) == len(ordered)
    assert all(place[post.parent] < place[post.name] for post in ordered if post.parent)
    assert all(post.artist for post in ordered)
    assert posts() == ordered
