from collections import Counter

import polars as pl
import pytest

from dataset_assets.domain import tag_facets
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA
from dataset_assets.domain.tag_facets import Part, facets
from dataset_assets.domain.tag_index import TagIndex
from dataset_assets.domain.tag_index_build import bitmap_of, index_bytes
from dataset_assets.domain.tag_index_file import IndexFile

IMAGES = 400


def cell(first: int) -> tuple[TagIndex, pl.DataFrame]:
    listed = [{"image_id": f"d-{n:04}-0", "post_id": str(n)} for n in range(first, first + IMAGES)]
    tagged = [
        {"image_id": f"d-{n:04}-0", "tag": f"t{tag}", "category": category}
        for n in range(first, first + IMAGES)
        for tag in range(1, 60)
        for category in ("general", "character")
        if n % tag == (first // IMAGES) % tag and (category == "general" or (tag % 7 == 0 and n % 2))
    ]
    tags = TAG_METADATA.frame(tagged)
    data = b"".join(index_bytes(IMAGE_METADATA.frame(listed).lazy(), tags.lazy()))
    return TagIndex(IndexFile(data)), tags


CELLS = [cell(0), cell(IMAGES)]


def expected(chosen: list[range], category: str, limit: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for number, ((_, tags), positions) in enumerate(zip(CELLS, chosen, strict=True)):
        ids = [f"d-{number * IMAGES + place:04}-0" for place in positions]
        found.update(tags.filter(pl.col("image_id").is_in(ids) & (pl.col("category") == category))["tag"].to_list())
    return tag_facets.most_common(found, limit)


@pytest.mark.parametrize("chosen", [[range(400), range(400)], [range(0, 400, 3), range(0)], [range(7, 9), range(1)]])
@pytest.mark.parametrize("limit", [0, 1, 5, 1000])
@pytest.mark.parametrize("few", [0, 1_000_000])
def test_the_most_frequent_tags_are_exact_either_way(
    chosen: list[range], limit: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_facets, "FEW_IMAGES", few)
    parts: list[Part] = [(index, bitmap_of(places)) for (index, _), places in zip(CELLS, chosen, strict=True)]

    found = facets(parts, limit)

    for category in ("general", "character", "artist"):
        assert found[category] == expected(chosen, category, limit), category


def test_too_many_tags_are_counted_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [range(400), range(400)]
    monkeypatch.setattr(tag_facets, "FEW_IMAGES", 0)
    monkeypatch.setattr(tag_facets, "MOST_TAGS", 1)
    parts: list[Part] = [(index, bitmap_of(places)) for (index, _), places in zip(CELLS, chosen, strict=True)]

    assert facets(parts, 50)["general"] == expected(chosen, "general", 50)
