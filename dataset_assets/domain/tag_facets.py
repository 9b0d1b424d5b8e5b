"""Which tags the images of a search have most often, exactly, from the indexes of their cells."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count as counting
from typing import TYPE_CHECKING

from dataset_assets.domain.tag_index import TagIndex
from dataset_assets.domain.tag_index_build import CATEGORIES

if TYPE_CHECKING:
    from pyroaring import BitMap

# Up to so many images are looked at one by one; of more, the bitmaps of frequent tags are cut with the result.
FEW_IMAGES = 20_000
# Where this many tags have not settled which are the most frequent, looking at the images is faster.
MOST_TAGS = 2_000
CHECKED_EVERY = 8

Part = tuple[TagIndex, "BitMap"]
Counts = dict[str, Counter[str]]


def facets(parts: Sequence[Part], limit: int) -> Counts:
    """For each category its most frequent tags among the images, with how many of them have each.

    `parts`: positions in the index of each cell. Ties are broken by name. Raises: IndexDamaged.
    """
    found: Counts = {}
    if sum(len(positions) for _, positions in parts) > FEW_IMAGES:
        for category in CATEGORIES:
            settled = _by_frequency(parts, category, limit)
            if settled is None:
                break
            found[category] = settled
    if len(found) < len(CATEGORIES):
        found = {**_by_image(parts, limit), **found}
    return found


def most_common(counts: Counter[str], limit: int) -> Counter[str]:
    """The most frequent, ties by name."""
    return Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]))


def all_tags(parts: Iterable[Part]) -> Counts:
    """For each category how many of the images have each tag."""
    found: Counts = {category: Counter() for category in CATEGORIES}
    for index, positions in parts:
        for number, images in index.tag_entries(positions).items():
            mark = index.file.mark(number)
            found[CATEGORIES[mark]][index.tag_name(number)] += images
    return found


def _by_image(parts: Sequence[Part], limit: int) -> Counts:
    return {category: most_common(counts, limit) for category, counts in all_tags(parts).items()}


def _by_frequency(parts: Sequence[Part], category: str, limit: int) -> Counter[str] | None:
    """The most frequent tags, looked for in order of how frequent they are in whole cells; null = that takes too long.

    A tag that was not met yet is in each cell at most as frequent as the next one there (Fagin's threshold algorithm).
    """
    lists = [index.frequent(category) for index, _ in parts]
    counted: Counter[str] = Counter()
    for depth in counting():
        left = [
            (index, positions, numbers[depth])
            for (index, positions), numbers in zip(parts, lists, strict=True)
            if positions and depth < len(numbers)
        ]
        at_most = sum(min(index.file.count(number), len(positions)) for index, positions, number in left)
        if not left or (depth % CHECKED_EVERY == 0 and _is_settled(counted, limit, at_most)):
            return most_common(+counted, limit)
        if len(counted) > MOST_TAGS:
            return None
        for index, _, number in left:
            tag = index.tag_name(number)
            if tag not in counted:
                counted[tag] = _uses(parts, tag, category)
    return None


def _is_settled(counted: Counter[str], limit: int, at_most: int) -> bool:
    """Whether no tag that may follow is as frequent as the last that is wanted."""
    if len(counted) < limit:
        return False
    return limit == 0 or sorted(counted.values(), reverse=True)[limit - 1] > at_most


def _uses(parts: Sequence[Part], tag: str, category: str) -> int:
    found = 0
    for index, positions in parts:
        number = index.entry(tag, category)
        if number is not None and positions:
            found += positions.intersection_cardinality(index.bitmap(number))
    return found
