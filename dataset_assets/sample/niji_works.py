"""The works of the sample's Pixiv scrape: what each page shows and what Pixiv says about it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

from dataset_assets.sample import cast
from dataset_assets.sample.drawing import Landscape, LineArt, Order, Portrait, Size
from dataset_assets.sample.palettes import MOODS
from dataset_assets.sample.scenery import Scene

FIRST_DAY, LAST_DAY = datetime(2022, 11, 6, tzinfo=UTC), datetime(2022, 12, 27, tzinfo=UTC)
FIRST_ID, LAST_ID = 102_541_000, 103_921_000
SIZES: tuple[Size, ...] = ((512, 768), (512, 640), (576, 576), (512, 512))
WIDE: tuple[Size, ...] = ((768, 512), (640, 480))
LINKED = 3  # works that posts of the Danbooru mirror name as their source


@dataclass(frozen=True)
class Artist:
    """A Pixiv user."""

    id: int
    name: str
    account: str


ARTISTS = (
    Artist(81_204_417, "そらいろ工房", "sorairo_kobo"),
    Artist(40_118_932, "まるさんかく", "marusankaku"),
    Artist(9_377_015, "つきみ", "tsukimi_ai"),
    Artist(67_530_208, "yurayura", "yurayura22"),
    Artist(23_916_754, "星と海", "hoshi_to_umi"),
    Artist(88_451_903, "にじの猫🌈", "niji_neko"),
)

TITLES = (
    "おはよう",
    "午後の光",
    "またあした",
    "星をみる人",
    "ひとやすみ",
    "海辺にて",
    "夢のつづき",
    "小さな冒険",
    "冬じたく",
    "nijijourney 練習",
)


@dataclass(frozen=True)
class Work:
    """A work of one page or more. `fault` is what befell its files: no_sidecar, no_image or damaged_sidecar."""

    id: int
    created_at: datetime
    artist: Artist
    title: str
    pages: tuple[Order, ...]
    extension: str
    x_restrict: int
    ai_type: int
    fault: str | None = None


def works() -> list[Work]:
    """All works, oldest first; the first ones are the linked ones."""
    chance = Random("niji works")
    orders = list(_orders(chance))
    span = LAST_DAY - FIRST_DAY
    made = []
    for place, pages in enumerate(orders):
        share = (place + chance.uniform(0.1, 0.9)) / len(orders)
        moment = (FIRST_DAY + span * share).replace(microsecond=0)
        made.append(
            Work(
                id=FIRST_ID + int(share * (LAST_ID - FIRST_ID)),
                created_at=moment,
                artist=chance.choice(ARTISTS),
                title=chance.choice(TITLES),
                pages=pages,
                extension="jpg" if chance.random() < 0.3 and not isinstance(pages[0], LineArt) else "png",
                x_restrict={4: 1, 11: 1, 17: 2, 24: 1, 31: 1}.get(place, 0),
                ai_type=chance.choices((0, 1, 2), (20, 50, 30))[0],
            )
        )
    return _with_faults(made)


def _with_faults(made: list[Work]) -> list[Work]:
    faults = {12: "no_sidecar", 20: "damaged_sidecar", 28: "no_image"}
    return [replace(work, fault=faults.get(place)) for place, work in enumerate(made)]


def _orders(chance: Random) -> Iterator[tuple[Order, ...]]:
    """The pages of each work."""
    for number in range(27):
        figure, mood = cast.chance_figure(chance, is_boy=number % 9 == 5), chance.choice(list(MOODS))
        if number % 3 == 1:
            yield (Portrait((figure,), cast.chance_scene(chance, mood, behind_someone=True), chance.choice(SIZES)),)
        else:
            behind, whole = cast.chance_backdrop(chance, figure.hair), number % 5 == 3 and not figure.is_boy
            yield (Portrait((figure,), behind, chance.choice(SIZES), whole),)
        if number == 9:
            yield _three_pages(chance)
        if number % 3 == 2:
            yield (Landscape(cast.chance_scene(chance, mood), chance.choice(WIDE * 2 + SIZES[:2])),)
    yield (LineArt(cast.chance_figure(chance), "black", SIZES[1]),)
    yield (Landscape(Scene("night", "sea", ("stars", "full_moon", "boat"), 9), WIDE[0]),)


def _three_pages(chance: Random) -> tuple[Order, ...]:
    """One girl in three moods; the pages are not all of one size."""
    figure, behind = cast.chance_figure(chance), Scene("spring", "field", ("clouds", "petals"), 4)
    moods = [replace(figure, mouth=mouth, closed=None) for mouth in ("plain", "surprise", "laugh")]
    sizes: tuple[Size, ...] = ((512, 768), (512, 768), (640, 640))
    return tuple(Portrait((mood,), behind, size) for mood, size in zip(moods, sizes, strict=True))


def linked_works() -> list[Work]:
    """The works that Danbooru posts show too."""
    return works()[:LINKED]
