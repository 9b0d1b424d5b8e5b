"""A tag query answered from the index of one cell, exactly as `tag_query.matching` answers it from the rows."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, cast

import polars as pl

from dataset_assets.domain import tag_query_metatags as metatags
from dataset_assets.domain.tag_index_build import CATEGORIES, SEVERAL, bitmap_of
from dataset_assets.domain.tag_index_file import IndexDamaged, IndexFile
from dataset_assets.domain.tag_query_nodes import And, Meta, Node, Not, Or, Query, Tag, Wildcard
from dataset_assets.domain.tag_query_ranges import Span, spans

if TYPE_CHECKING:
    from pyroaring import BitMap

Images = Callable[[], pl.LazyFrame]
# From so many on, ids are cut from one text instead of being read one by one.
MANY_IDS = 500
_LISTS = ("rating", "filetype")  # metatags whose value may be several, of which one suffices


def find(query: Query, index: "TagIndex", images: Images) -> "BitMap":
    """The positions of the images that the query finds.

    `images`: gives the cell's `image_metadata`, in order of image_id; read where the index does not know the answer,
    only the columns and rows that are needed.
    Raises: IndexDamaged.
    """
    return _find(query.root, index.all, index, images)


class TagIndex:
    """The bitmaps of one cell's index."""

    def __init__(self, file: IndexFile) -> None:
        self.file = file
        self.rows = file.rows

    @property
    def all(self) -> "BitMap":
        from pyroaring import BitMap

        return BitMap(range(self.rows))

    def tag(self, name: str, category: str | None = None) -> "BitMap":
        number = self.entry(name, category)
        return bitmap_of() if number is None else self.bitmap(number)

    def entry(self, name: str, category: str | None = None) -> int | None:
        """The entry of a tag, or of those of its uses that are of one category; null = no image has it."""
        number = self.file.find(b"t" + name.encode())
        if number is None or category is None:
            return number
        mark = self.file.mark(number)
        if mark == SEVERAL:
            return self.file.find(b"c%s\0%s" % (name.encode(), category.encode()))
        return number if category in CATEGORIES and mark == CATEGORIES.index(category) else None

    def bitmap(self, number: int) -> "BitMap":
        """The bitmap of an entry. Raises: IndexDamaged when it is none, or goes beyond the rows."""
        from pyroaring import BitMap

        blob = self.file.blob(number)
        try:
            found = BitMap.deserialize(cast("bytes", blob))
        except (ValueError, IndexError) as error:
            raise IndexDamaged(f"entry {number} is no bitmap: {error}") from None
        if len(found) != self.file.count(number) or (found and found.max() >= self.rows):
            raise IndexDamaged(f"entry {number} is a bitmap of other images")
        return found

    def wildcard(self, pattern: str, category: str | None = None) -> "BitMap":
        from pyroaring import BitMap

        if not pattern.strip("*"):
            return self._named(b"u" + (category or "").encode())
        fits = re.compile(b".*".join(re.escape(part.encode()) for part in re.split(r"\*+", pattern)), re.DOTALL)
        found = [self.tag(name, category) for name in self._names(pattern, fits)]
        return BitMap.union(*found) if found else BitMap()

    def _names(self, pattern: str, fits: re.Pattern[bytes]) -> Iterator[str]:
        """The tags that fit a pattern: those that begin as it does, or hold its longest part."""
        parts = [part.encode() for part in re.split(r"\*+", pattern)]
        among = self.file.section(b"t" + parts[0])
        longest = max(parts[1:], key=len)
        numbers = self.file.keys_with(longest, among) if longest and not parts[0] else iter(among)
        for number in numbers:
            key = self.file.key(number)
            if fits.fullmatch(key, 1):
                yield key[1:].decode()

    def answer(self, meta: Meta) -> "BitMap | None":
        """The images of which a metatag that takes no number is true; null = the index does not know."""
        if meta.name not in _LISTS:
            number = self.file.find(f"a{meta.name}:{meta.value}".encode())
            return None if number is None else self.bitmap(number)
        words = [word for word in re.split(r"[,\s]+", meta.value) if word]
        keys = [self.file.find(f"a{meta.name}:{word}".encode()) for word in words]
        if not words or (None in keys and meta.name == "rating"):
            return None
        found = bitmap_of()
        for number in keys:
            if number is not None:
                found |= self.bitmap(number)
        return found

    def is_settled(self, meta: Meta) -> bool:
        """Whether a range holds all of the cell's values or none, as a date does in a cell of one year."""
        number = self.file.find(f"n{meta.name}".encode())
        if number is None or meta.value in ("any", "none"):
            return number is None
        values = self.file.numbers(number, "q")
        return not values or all(_settles(span, values[0], values[len(values) - 1]) for span in _spans(meta))

    def number(self, meta: Meta, within: "BitMap") -> "BitMap":
        """Those of some images whose number a metatag asks for."""
        present = within & self._named(f"n{meta.name}\0any".encode())
        if meta.value in ("any", "none"):
            return present if meta.value == "any" else within - present
        found = bitmap_of()
        for span in _spans(meta):
            found |= self._in_span(meta.name, span, present)
        return found

    def _in_span(self, name: str, span: Span, present: "BitMap") -> "BitMap":
        number = self._entry(f"n{name}".encode())
        values = self.file.numbers(number, "q")
        low, high = _ranks(values, span)
        if low >= high:
            return bitmap_of()
        # The entries of the slices follow, in order of their keys; behind them stands `any`.
        slices = range(number + 1, number + 1 + self.file.mark(number))
        found = self._ranked_from(low, slices, present)
        return found if high == len(values) else found - self._ranked_from(high, slices, found)

    def _ranked_from(self, rank: int, slices: Sequence[int], within: "BitMap") -> "BitMap":
        """Those whose value has this rank or a higher one: from the lowest bit, ties are broken by the bits above."""
        found = within
        for bit in range((rank & -rank).bit_length() - 1 if rank else len(slices), len(slices)):
            is_set = self.bitmap(slices[bit])
            found = found & is_set if rank >> bit & 1 else found | (within & is_set)
        return found

    def image_ids(self, positions: "BitMap", limit: int | None = None) -> list[str]:
        """The ids at some positions, in order; at most so many."""
        import numpy as np

        number, text = self._entry(b"ioffsets"), self._entry(b"itext")
        starts: Sequence[int] = self.file.numbers(number, "I")
        if len(starts) != self.rows + 1:
            raise IndexDamaged(f"{len(starts) - 1} ids for {self.rows} images")
        chosen = positions if limit is None else positions[:limit]
        if len(chosen) < MANY_IDS:
            return [bytes(self.file.blob(text, starts[place], starts[place + 1])).decode() for place in chosen]
        begins = np.frombuffer(self.file.blob(number), "<u4")
        places = np.asarray(chosen, "i8") if limit is not None else np.asarray(positions.to_array(), "i8")
        spans = zip(begins[places].tolist(), begins[places + 1].tolist(), strict=True)
        if (letters := self._letters) is not None:
            return [letters[start:end] for start, end in spans]
        ids = self.file.blob(text)
        return [str(ids[start:end], "utf-8") for start, end in spans]

    @cached_property
    def _letters(self) -> str | None:
        """The ids end to end, where a letter is a byte: slices of it need no decoding."""
        ids = bytes(self.file.blob(self._entry(b"itext")))
        return ids.decode("ascii") if ids.isascii() else None

    def frequent(self, category: str) -> Sequence[int]:
        """The entries of a category's tags, most frequent first."""
        return self.file.numbers(self._entry(b"z" + category.encode()), "I")

    def tag_entries(self, positions: "BitMap") -> dict[int, int]:
        """For the tags of some images, by their entries: how many of the images have each."""
        import numpy as np

        starts, tags = (self.file.blob(self._entry(key)) for key in (b"xoffsets", b"xtags"))
        offsets, numbers = np.frombuffer(starts, "<u4"), np.frombuffer(tags, "<u4")
        if len(offsets) != self.rows + 1 or offsets[-1] != len(numbers) or (np.diff(offsets.astype("i8")) < 0).any():
            raise IndexDamaged(f"the tags of {self.rows} images are not told apart")
        chosen = np.asarray(positions.to_array(), "i8")
        lengths = (offsets[chosen + 1] - offsets[chosen]).astype("i8")
        places = np.repeat(offsets[chosen] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        if numbers.size and numbers.max() >= len(self.file):
            raise IndexDamaged(f"an image has the tag of entry {numbers.max()} among {len(self.file)}")
        counts = np.bincount(numbers[places])
        entries = np.flatnonzero(counts)
        return dict(zip(entries.tolist(), counts[entries].tolist(), strict=True))

    def tag_name(self, number: int) -> str:
        """The tag of an entry of `frequent` or `tag_entries`."""
        key = self.file.key(number)
        return (key[1:] if key[:1] == b"t" else key[1:].rpartition(b"\0")[0]).decode()

    def _named(self, key: bytes) -> "BitMap":
        return self.bitmap(self._entry(key))

    def _entry(self, key: bytes) -> int:
        number = self.file.find(key)
        if number is None:
            raise IndexDamaged(f"there is no entry {key!r}")
        return number


@lru_cache(maxsize=1024)
def _spans(meta: Meta) -> tuple[Span, ...]:
    return spans(meta.value, metatags.NUMBERS[meta.name][1])


def _settles(span: Span, lowest: int, highest: int) -> bool:
    """Whether a span holds all that lies between two values, or none of it."""
    low, high = (lowest if span.low is None else span.low), (highest if span.high is None else span.high)
    return (low <= lowest and high >= highest) or low > min(high, highest) or high < lowest


def _ranks(values: Sequence[int], span: Span) -> tuple[int, int]:
    """The ranks that a span covers, the last one excluded."""
    size = len(values)
    if not size:
        return 0, 0
    low = 0 if span.low is None or span.low <= values[0] else bisect_left(values, span.low)
    is_open = span.high is None or span.high >= values[size - 1]
    return low, size if is_open or span.high is None else bisect_right(values, span.high)


def _find(node: Node, within: "BitMap", index: TagIndex, images: Images) -> "BitMap":
    """Those of some images that a term finds; never more is looked at than is still in question."""
    match node:
        case And(terms):
            found = within
            for term in sorted(terms, key=lambda term: _cost(term, index)):
                if not found:
                    break
                found = _find(term, found, index, images)
            return found
        case Or(terms):
            return _either(terms, within, index, images)
        case Not(term):
            return within - _find(term, within, index, images)
        case Tag(name, category):
            return within & index.tag(name, category)
        case Wildcard(pattern, category):
            return within & index.wildcard(pattern, category)
    return _of_metatag(node, within, index, images)


def _either(terms: Sequence[Node], within: "BitMap", index: TagIndex, images: Images) -> "BitMap":
    found = bitmap_of()
    for term in terms:
        found |= _find(term, within, index, images)
    return found


def _cost(node: Node, index: TagIndex) -> tuple[int, int]:
    """What is rarest and cheapest first; what has to be read from the table last."""
    if isinstance(node, Tag):
        number = index.entry(node.name, node.category)
        return 0, 0 if number is None else index.file.count(number)
    if isinstance(node, Not):
        return max(_cost(node.term, index)[0], 2), 0
    if isinstance(node, And | Or):
        return max(3, *(_cost(term, index)[0] for term in node.terms)) if node.terms else 3, 0
    if isinstance(node, Meta):
        if node.name in metatags.NUMBERS:
            return -1 if index.is_settled(node) else 2, 0
        return 1 if _is_closed(node) else 9, 0
    return 4, 0


def _is_closed(meta: Meta) -> bool:
    return meta.name in _LISTS or (meta.name, meta.value) in metatags.CLOSED


def _of_metatag(meta: Meta, within: "BitMap", index: TagIndex, images: Images) -> "BitMap":
    if not within:
        return within
    if meta.name in metatags.NUMBERS:
        return index.number(meta, within)
    known = index.answer(meta)
    return _scanned(meta, within, images) if known is None else within & known


def _scanned(meta: Meta, within: "BitMap", images: Images) -> "BitMap":
    """What the index does not know, from the columns that the metatag asks, of the rows around those in question."""
    first = within.min()
    rows = images().slice(first, within.max() - first + 1)
    answers = rows.select(metatags.condition(meta.name, meta.value).alias("answer")).collect().to_series()
    found = answers.arg_true().cast(pl.UInt32) + first
    return within & bitmap_of(array("I", found.to_numpy().tobytes()))
