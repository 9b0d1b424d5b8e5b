"""An index of one cell, made from its rows of `image_metadata` and `tag_metadata`.

A position is the number of an image's row, in order of `image_id`. What is indexed, by the first byte of the key:

| key | blob | count | mark |
|---|---|---|---|
| `a` metatag:value | bitmap of the images of which it is true | images | |
| `c` tag NUL category | bitmap; only of tags that stand in several categories | images | category |
| `i` offsets, `i` text | the image ids, end to end, and where each begins (32 bits) | | |
| `n` metatag | the distinct values, ascending, 64 bits | images with a value | slices |
| `n` metatag NUL number | bitmap of the images in whose value's rank this bit is set | | |
| `t` tag | bitmap of the images with the tag | images | category, or SEVERAL |
| `u` category | bitmap of the images with any tag of the category; with none named, of any | images | |
| `x` offsets, `x` tags | for each image the numbers of its `t` and `c` entries, end to end (32 bits) | | |
| `z` category | numbers of its `t` and `c` entries, most frequent first (32 bits) | entries | category |

A range over a number is answered from the slices, one operation for each bit of the ranks (O'Neil and Quass 1997).
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import polars as pl

from dataset_assets.domain import tag_query_metatags as metatags
from dataset_assets.domain.tag_index_file import Entry, pack
from dataset_assets.domain.tag_query import tag_counts

if TYPE_CHECKING:
    from pyroaring import BitMap

# Only these can be asked for; what else a source calls a category is OTHER.
CATEGORIES = tuple(sorted(set(metatags.CATEGORIES.values())))
OTHER, SEVERAL = len(CATEGORIES), len(CATEGORIES) + 1


class Unindexable(ValueError):
    """Rows that have no positions."""


def index_bytes(images: pl.LazyFrame, tags: pl.LazyFrame) -> Iterator[bytes]:
    """The index in pieces, equal for equal rows.

    Raises: Unindexable when an image stands there twice or has no id.
    """
    ids = images.select("image_id").collect().to_series().sort()
    if ids.null_count() or ids.is_duplicated().any():
        raise Unindexable("an image has no id, or stands in image_metadata twice")
    pairs = _pairs(ids, tags)
    entries = sorted([*_ids(ids), *_closed_answers(images), *_numbers(images, tags), *_tags(pairs)])
    # The keys of what follows stand behind all others, so that it may name the others by their numbers.
    yield from pack([*entries, *_tags_by_image(pairs, entries, ids.len()), *_frequent(entries)], ids.len())


def bitmap_of(positions: "Iterable[int]" = ()) -> "BitMap":
    """A bitmap of positions; from an array of 32 bits it is made ten times faster than from a list."""
    from pyroaring import BitMap

    return BitMap(positions)


def _bitmap_entry(key: bytes, positions: "array[int]", mark: int = 0) -> Entry:
    found = bitmap_of(positions)
    found.run_optimize()
    return Entry(key, found.serialize(), len(found), mark)


def _array(numbers: pl.Series) -> "array[int]":
    return array("I", numbers.cast(pl.UInt32).to_numpy().tobytes())


def _ids(ids: pl.Series) -> Iterator[Entry]:
    begins = ids.str.len_bytes().cast(pl.UInt64).cum_sum()
    if ids.len() and begins[-1] >= 1 << 32:
        raise Unindexable(f"the ids of {ids.len():,} images are longer than 4 GiB")
    yield Entry(b"ioffsets", array("I", [0]).tobytes() + begins.cast(pl.UInt32).to_numpy().tobytes())
    yield Entry(b"itext", "".join(ids).encode())


def _closed_answers(images: pl.LazyFrame) -> Iterator[Entry]:
    extensions = images.select(pl.col("file_ext").unique()).collect().to_series().drop_nulls()
    types = {*extensions.filter(extensions.str.contains(r"\A[a-z0-9]{1,10}\z"))}
    types |= {"jpg", "jpeg"} if types & {"jpg", "jpeg"} else set()
    asked = [*metatags.CLOSED, *(("filetype", extension) for extension in sorted(types))]
    answers = images.sort("image_id").select(metatags.condition(*meta).alias(f"a{':'.join(meta)}") for meta in asked)
    for answer in answers.collect().get_columns():
        yield _bitmap_entry(answer.name.encode(), _array(answer.arg_true()))


def _numbers(images: pl.LazyFrame, tags: pl.LazyFrame) -> Iterator[Entry]:
    columns = [column.alias(name) for name, (column, _) in metatags.NUMBERS.items()]
    counted = images.join(tag_counts(metatags.TAG_COUNTS, tags), on="image_id", how="left").sort("image_id")
    for column in counted.select(columns).collect().get_columns():
        yield from _number(column)


def _number(column: pl.Series) -> Iterator[Entry]:
    import numpy as np

    positions = column.is_not_null().arg_true().cast(pl.UInt32).to_numpy()
    distinct, ranks = np.unique(column.drop_nulls().to_numpy(), return_inverse=True)
    bits = max(len(distinct) - 1, 0).bit_length()
    name = b"n" + column.name.encode()
    yield Entry(name, distinct.astype("<i8").tobytes(), len(positions), bits)
    yield _bitmap_entry(name + b"\0any", array("I", positions.tobytes()))
    for bit in range(bits):
        chosen = positions[(ranks >> bit) & 1 == 1]
        yield _bitmap_entry(name + b"\0%02d" % bit, array("I", chosen.tobytes()))


def _pairs(ids: pl.Series, tags: pl.LazyFrame) -> pl.DataFrame:
    """Listed images with their tags: tag, position, mark, and the tag's number in order of names."""
    positions = pl.LazyFrame({"image_id": ids}).with_row_index("position")
    joined = tags.join(positions, on="image_id", how="inner", maintain_order="left")
    known = joined.select("tag", "position", mark=_mark()).drop_nulls("tag").collect()
    # Where the names stand in order already, as in the table, numbers are sorted instead of names: a third of the work.
    by_name = known if known.get_column("tag").is_sorted() else known.sort("tag")
    return by_name.with_columns(number=pl.col("tag").rle_id()).sort("number", "position", "mark")


def _tags(pairs: pl.DataFrame) -> Iterator[Entry]:
    by_tag = pairs.group_by("number", maintain_order=True).agg(
        pl.col("tag").first(), rows=pl.len(), mark=pl.col("mark").first(), marks=pl.col("mark").n_unique()
    )
    places, at = _array(pairs["position"]), 0
    for _, tag, rows, mark, marks in by_tag.iter_rows():
        yield _bitmap_entry(b"t" + tag.encode(), places[at : at + rows], SEVERAL if marks > 1 else mark)
        at += rows
    several = by_tag.filter(pl.col("marks") > 1).select("tag")
    yield from _in_several(pairs.join(several, on="tag", how="semi"))
    yield _any_of(b"u", pairs)
    for number, category in enumerate(CATEGORIES):
        yield _any_of(b"u" + category.encode(), pairs.filter(pl.col("mark") == number))


def _mark() -> pl.Expr:
    numbers = {category: number for number, category in enumerate(CATEGORIES)}
    return pl.col("category").replace_strict(numbers, default=OTHER, return_dtype=pl.UInt8)


def _in_several(pairs: pl.DataFrame) -> Iterator[Entry]:
    known = pairs.filter(pl.col("mark") < OTHER)
    for (tag, mark), part in known.group_by("tag", "mark", maintain_order=True):
        category = CATEGORIES[int(str(mark))]
        yield _bitmap_entry(
            b"c%s\0%s" % (str(tag).encode(), category.encode()), _array(part["position"]), int(str(mark))
        )


def _any_of(key: bytes, pairs: pl.DataFrame) -> Entry:
    return _bitmap_entry(key, _array(pairs["position"].unique().sort()))


def _tags_by_image(pairs: pl.DataFrame, entries: list[Entry], images: int) -> Iterator[Entry]:
    import numpy as np

    named = {entry.key: number for number, entry in enumerate(entries) if entry.key[:1] == b"c"}
    tags = [(number, entry.mark) for number, entry in enumerate(entries) if entry.key[:1] == b"t"]
    first = tags[0][0] if tags else 0
    several = [number - first for number, mark in tags if mark == SEVERAL]
    known = pairs.filter(pl.col("mark") < OTHER).with_columns(entry=pl.col("number").cast(pl.UInt32) + first)
    is_several = pl.col("number").is_in(several)
    renamed = known.filter(is_several).with_columns(
        entry=pl.Series(
            [
                named[b"c%s\0%s" % (tag.encode(), CATEGORIES[mark].encode())]
                for tag, mark in known.filter(is_several).select("tag", "mark").iter_rows()
            ],
            dtype=pl.UInt32,
        )
    )
    ordered = pl.concat([known.filter(~is_several), renamed]).select("position", "entry").sort("position", "entry")
    counts = np.bincount(ordered["position"].to_numpy(), minlength=images)
    yield Entry(b"xoffsets", np.concatenate([[0], np.cumsum(counts)]).astype("<u4").tobytes(), images)
    yield Entry(b"xtags", ordered["entry"].to_numpy().astype("<u4").tobytes(), ordered.height)


def _frequent(entries: list[Entry]) -> Iterator[Entry]:
    """For each category the numbers of its tags' entries."""
    tags = [(number, entry) for number, entry in enumerate(entries) if entry.key[:1] in (b"t", b"c")]
    for mark, category in enumerate(CATEGORIES):
        own = sorted((-entry.size, entry.key[1:], number) for number, entry in tags if entry.mark == mark)
        found = array("I", (number for _, _, number in own))
        yield Entry(b"z" + category.encode(), found.tobytes(), len(found), mark)
