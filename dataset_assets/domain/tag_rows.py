"""The rows of `tag_metadata` of a whole year in little memory: tags and images as numbers, eight bytes a row.

Numbers sort far faster than names, and names are written only at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dataset_assets.domain.schemas import TAG_METADATA
from dataset_assets.domain.tag_relations import IMPLICATION, ORIGINS, Closure, consequences

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

# A row is one number that sorts as the row does: tag, then image, then claim (its origin and category).
TAG_BITS, IMAGE_BITS, CLAIM_BITS = 24, 26, 14
_ABOVE_IMAGE, _ABOVE_CLAIM = np.uint64(IMAGE_BITS + CLAIM_BITS), np.uint64(CLAIM_BITS)
ROWS_AT_A_TIME = 1_000_000


class TooMany(ValueError):
    """More distinct tags, images or categories than a partition can have."""


@dataclass(frozen=True)
class _Part:
    """Rows of some images; a row's tag and category are places in the part's own lists."""

    tags: pl.Series
    categories: pl.Series
    tag: npt.NDArray[np.uint32]
    image: npt.NDArray[np.uint32]
    category: npt.NDArray[np.uint16]


class TagRows:
    """Tags of the images of one partition: parts are added, then `frames` gives the table in its order."""

    def __init__(self, image_ids: pl.Series) -> None:
        """image_ids: those of all images, ascending."""
        self._image_ids = image_ids
        self._parts: list[_Part] = []
        self._relations: pl.DataFrame | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Rows of TAG_METADATA as tagged by the source, in any order; one may repeat."""
        tag, image, category = (rows.get_column(name) for name in ("tag", "image_id", "category"))
        tags, images, categories = (values.unique().sort(nulls_last=True) for values in (tag, image, category))
        _require(len(categories), (1 << CLAIM_BITS) // len(ORIGINS), "categories")
        image_of = self._image_places(images)
        self._parts.append(
            _Part(
                tags,
                categories,
                _places(tag, tags).astype(np.uint32),
                image_of[_places(image, images)],
                _places(category, categories).astype(np.uint16),
            )
        )

    def _image_places(self, images: pl.Series) -> npt.NDArray[np.uint32]:
        """Where each of some images stands among all. Raises: ValueError when one is not listed."""
        places = self._image_ids.search_sorted(images).clip(upper_bound=max(len(self._image_ids) - 1, 0))
        if len(images) and (strange := images.filter(self._image_ids.gather(places) != images)).len():
            raise ValueError(f"{strange[0]} is tagged, and no image that is listed")
        return places.to_numpy().astype(np.uint32)

    def relate(self, closure: Closure, categories: pl.LazyFrame) -> None:
        """Rename aliased tags and add implied ones, as `tag_relations.apply` does; categories: tag, category."""
        self._relations = consequences(closure, categories).collect()

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows of TAG_METADATA in the table's order, none twice.

        Raises: TooMany.
        """
        tags, categories = self._all("tags", "target"), self._all("categories", "new_category")
        _require(len(tags), 1 << TAG_BITS, "tags")
        _require(len(self._image_ids), 1 << IMAGE_BITS, "images")
        _require(len(categories), (1 << CLAIM_BITS) // len(ORIGINS), "categories")
        changes = None if self._relations is None else _Changes.of(self._relations, tags, categories)
        keys = [np.empty(0, np.uint64)]
        for part in self._parts:
            keys += _keys(part, tags, categories, changes)
        yield from self._named(_distinct(np.concatenate(keys), of_pairs=changes is not None), tags, categories)

    def _all(self, of_parts: str, of_relations: str) -> pl.Series:
        """The names that stand in any part or that relations bring, in order, null last."""
        names: list[pl.Series] = [pl.Series(dtype=pl.String), *(getattr(part, of_parts) for part in self._parts)]
        if self._relations is not None:
            names += [self._relations.get_column(of_relations), pl.Series(["general"])]
        every: pl.Series = pl.concat([name.rename("name") for name in names])
        return every.unique().sort(nulls_last=True)

    def _named(self, keys: Keys, tags: pl.Series, categories: pl.Series) -> Iterator[pl.DataFrame]:
        origins = pl.Series(ORIGINS)
        for start in range(0, len(keys), ROWS_AT_A_TIME):
            some = keys[start : start + ROWS_AT_A_TIME]
            image = (some >> _ABOVE_CLAIM) & np.uint64((1 << IMAGE_BITS) - 1)
            origin, category = np.divmod(some & np.uint64((1 << CLAIM_BITS) - 1), np.uint64(len(categories)))
            columns = {
                "tag": tags.gather(some >> _ABOVE_IMAGE),
                "image_id": self._image_ids.gather(image),
                "category": categories.gather(category),
                "origin": origins.gather(origin),
            }
            yield pl.DataFrame(columns, schema=TAG_METADATA.schema)


@dataclass(frozen=True)
class _Changes:
    """What becomes of each tag: `starts[tag]` and `counts[tag]` say where its consequences stand in the other arrays.

    category: -1 = that of the tag that is changed.
    """

    counts: Numbers
    starts: Numbers
    target: Numbers
    origin: Numbers
    category: Numbers

    @classmethod
    def of(cls, relations: pl.DataFrame, tags: pl.Series, categories: pl.Series) -> "_Changes":
        present = relations.filter(pl.col("tag").is_in(tags.implode())).sort("tag", "target", "because")
        because = present.get_column("because")
        tag = _places(present.get_column("tag"), tags)
        counts = np.bincount(tag, minlength=len(tags))
        new = (
            pl.when(because == IMPLICATION).then(pl.col("new_category").fill_null("general")).otherwise("new_category")
        )
        category = present.select(category=new).get_column("category")
        found = np.where(category.is_null().to_numpy(), -1, _places(category.fill_null("general"), categories))
        origin = because.fill_null(ORIGINS[0]).replace_strict(ORIGINS, range(len(ORIGINS)), return_dtype=pl.Int64)
        target = _places(present.get_column("target"), tags)
        return cls(counts, np.cumsum(counts) - counts, target, origin.to_numpy(), found)


def _keys(part: _Part, tags: pl.Series, categories: pl.Series, changes: _Changes | None) -> Iterator[Keys]:
    """The part's rows as numbers, some at a time."""
    tag_of, category_of = _places(part.tags, tags), _places(part.categories, categories)
    for start in range(0, len(part.tag), ROWS_AT_A_TIME):
        some = slice(start, start + ROWS_AT_A_TIME)
        tag, image = tag_of[part.tag[some]], part.image[some].astype(np.int64)
        category = category_of[part.category[some]]
        if changes is None:
            yield _key(tag, image, category)
            continue
        is_changed = changes.counts[tag] > 0
        stays = ~is_changed
        yield _key(tag[stays], image[stays], category[stays])
        yield _changed(tag[is_changed], image[is_changed], category[is_changed], changes, len(categories))


def _changed(tag: Numbers, image: Numbers, category: Numbers, changes: _Changes, categories: int) -> Keys:
    """Every consequence of rows whose tags are in relations."""
    counts = changes.counts[tag]
    row = np.repeat(np.arange(len(tag)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + changes.starts[tag][row]
    new = changes.category[place]
    claim = changes.origin[place] * categories + np.where(new < 0, category[row], new)
    return _key(changes.target[place], image[row], claim)


def _key(tag: Numbers, image: Numbers, claim: Numbers) -> Keys:
    # As signed numbers the highest tags are negative; as unsigned ones they sort where they belong.
    return ((tag << IMAGE_BITS + CLAIM_BITS) | (image << CLAIM_BITS) | claim).view(np.uint64)


def _distinct(keys: Keys, *, of_pairs: bool) -> Keys:
    """Sorted, none twice; of_pairs: of each tag and image only the first claim."""
    keys.sort()
    told = keys >> _ABOVE_CLAIM if of_pairs else keys
    is_first = np.ones(len(keys), bool)
    is_first[1:] = told[1:] != told[:-1]
    return keys[is_first]


def _places(values: pl.Series, names: pl.Series) -> Numbers:
    """Where each value stands among distinct names, in which one may be null."""
    known = names.drop_nulls()
    places = values.cast(pl.Enum(known)).to_physical().cast(pl.Int64)
    return places.fill_null(len(known)).to_numpy()


def _require(count: int, most: int, what: str) -> None:
    if count > most:
        raise TooMany(f"{count:,} distinct {what}; a source's year can have {most:,}, those of relations included")
