"""An index answers as a scan of the rows does, and a damaged one answers nothing."""

import struct
import zlib
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain import tag_query_metatags as metatags
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA
from dataset_assets.domain.tag_index import TagIndex, find
from dataset_assets.domain.tag_index_build import Unindexable, index_bytes
from dataset_assets.domain.tag_index_file import HEADER_BYTES, Entry, IndexDamaged, IndexFile, pack
from dataset_assets.domain.tag_query import And, Meta, Not, Or, Query, Tag, Wildcard, matching, parse
from dataset_assets.domain.tag_query_nodes import Node

NAMES = ["a", "ab", "b", "saber_(fate)", "初音ミク", "x\ny", "a.b", "o_o", "né", "n"]
CATEGORIES = ["general", "artist", "copyright", "character", "meta", None, "9"]
SMALL = st.none() | st.integers(-3, 12)
IMAGES = st.fixed_dictionaries(
    {
        "post_id": st.sampled_from(["1", "2", "30", "x", "400"]),
        "created_at": st.none() | st.datetimes(datetime(2018, 12, 1), datetime(2020, 2, 1)),
        "rating": st.sampled_from([None, "general", "sensitive", "questionable", "explicit"]),
        "score": SMALL,
        "up_score": SMALL,
        "down_score": st.none() | st.integers(-9, 0),
        "fav_count": SMALL,
        "view_count": st.none() | st.integers(0, 2**40),
        "width": st.none() | st.integers(0, 40),
        "height": st.none() | st.integers(0, 40),
        "file_size": st.none() | st.integers(0, 5000),
        "pixiv_id": st.sampled_from([None, "7", "none"]),
        "file_ext": st.sampled_from([None, "jpg", "jpeg", "png", "p ng", ""]),
        "md5": st.sampled_from([None, "0" * 32]),
        "source_url": st.sampled_from([None, "", "https://a.b/C"]),
        "uploader_name": st.sampled_from([None, "Ann Lee"]),
        "parent_id": st.sampled_from([None, "1", "2"]),
        "pools": st.sampled_from([None, [], ["4"], ["4", "5"]]),
        **{
            name: st.none() | st.booleans()
            for name in ("has_children", "is_ai_generated", "is_deleted", "is_banned", "is_pending", "is_flagged")
        },
    }
)
PAIRS = st.tuples(st.sampled_from([*NAMES, None]), st.integers(0, 14), st.sampled_from(CATEGORIES))
ASKED = st.sampled_from([None, "general", "artist", "character"])
RANGES = st.sampled_from(["any", "none"]) | st.builds(
    lambda form, low, high: form.format(low, high),
    st.sampled_from(["{0}", ">{0}", "<{0}", ">={0}", "<={0}", "{0}..{1}", "{0}...{1}", "{0},{1}", "..{0}", "{0}.."]),
    st.integers(0, 15),
    st.integers(0, 40),
)
WHOLE = [name for name in metatags.NUMBERS if name not in ("date", "year")]
OTHER_METATAGS = [
    *metatags.CLOSED,
    *(("rating", value) for value in ("g,s", "q e", "safe,e")),
    *(("filetype", value) for value in ("jpg", "png,jpeg", "webm", "png gif")),
    *(("date", value) for value in ("2019", "2019-03..2019-05", ">2019-06-01", "<2019", "any", "none")),
    *(("year", value) for value in ("2019", ">2018", "2018..2019", "none")),
    *(("source", value) for value in ("https://A*", "*b/c", "none*")),
    *(("user", value) for value in ("ann_lee", "ann lee", "x")),
    *(("md5", value) for value in ("0" * 32, "1" * 32)),
    *(("parent", value) for value in ("1", "5")),
    *(("pool", value) for value in ("4", "5", "6")),
]
LEAVES: st.SearchStrategy[Node] = (
    st.builds(Tag, st.sampled_from([*NAMES, "unknown"]), ASKED)
    | st.builds(Wildcard, st.sampled_from(["*", "a*", "*b", "*a*", "n*", "*_*", "s*(*e)", "*ミ*", "x*y", "**"]), ASKED)
    | st.builds(Meta, st.sampled_from(WHOLE), RANGES)
    | st.sampled_from([Meta(*meta) for meta in OTHER_METATAGS])
)
NODES = st.recursive(
    LEAVES,
    lambda terms: (
        st.builds(Not, terms)
        | st.builds(And, st.lists(terms, max_size=4).map(tuple))
        | st.builds(Or, st.lists(terms, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def rows_of(images: list[dict[str, Any]], pairs: list[tuple[str | None, int, str | None]]) -> tuple[Any, Any]:
    listed = [
        {"image_id": f"d-{n:02}-0"} | row | {"created_at": row["created_at"] and row["created_at"].replace(tzinfo=UTC)}
        for n, row in enumerate(images)
    ]
    tagged = [{"tag": tag, "image_id": f"d-{n:02}-0", "category": category} for tag, n, category in set(pairs)]
    tags = TAG_METADATA.frame(tagged).sort(TAG_METADATA.sorted_by, nulls_last=True)
    return IMAGE_METADATA.frame(listed).lazy(), tags.lazy()


def built(images: pl.LazyFrame, tags: pl.LazyFrame) -> bytes:
    return b"".join(index_bytes(images, tags))


def scanned(query: Query, images: pl.LazyFrame, tags: pl.LazyFrame) -> list[str]:
    return matching(query, images, tags).collect().get_column("image_id").to_list()


@settings(max_examples=120, deadline=None)
@given(
    st.lists(IMAGES, max_size=12),
    st.lists(PAIRS, max_size=40),
    st.lists(NODES.map(Query), min_size=1, max_size=6),
)
def test_the_index_finds_what_a_scan_finds(
    images: list[dict[str, Any]], pairs: list[tuple[str | None, int, str | None]], queries: list[Query]
) -> None:
    listed, tagged = rows_of(images, pairs)
    index = TagIndex(IndexFile(built(listed, tagged)))

    for query in queries:
        assert index.image_ids(find(query, index, lambda: listed)) == scanned(query, listed, tagged), str(query)


@pytest.fixture(scope="module")
def cell() -> tuple[pl.LazyFrame, pl.LazyFrame]:
    images = [
        {"created_at": datetime(2019, 1, 1 + n % 28), "score": n % 23, "rating": ("general", "explicit")[n % 2]}
        for n in range(3000)
    ]
    listed = IMAGE_METADATA.frame(
        [{"image_id": f"d-{n:04}-0", "post_id": str(n), **row} for n, row in enumerate(images)]
    ).with_columns(pl.col("created_at").dt.replace_time_zone("UTC"))
    tagged = [
        {"tag": f"tag_{tag}", "image_id": f"d-{n:04}-0", "category": "general"}
        for tag in range(1, 300)
        for n in range(0, 3000, tag)
    ]
    return listed.lazy(), TAG_METADATA.frame(tagged).lazy()


@pytest.fixture(scope="module")
def data(cell: tuple[pl.LazyFrame, pl.LazyFrame]) -> bytes:
    return built(*cell)


@pytest.mark.parametrize("text", ["tag_2 tag_3 -tag_5 score:>10 rating:g", "score:5..9", "tag_29*", "*_299", "id:2999"])
def test_a_larger_cell_is_answered_alike(cell: tuple[pl.LazyFrame, pl.LazyFrame], data: bytes, text: str) -> None:
    index = TagIndex(IndexFile(data))

    found = index.image_ids(find(parse(text), index, lambda: cell[0]))

    assert found == scanned(parse(text), *cell)
    assert found


def test_no_row_is_read_for_what_the_index_knows(data: bytes) -> None:
    index = TagIndex(IndexFile(data))
    no_rows = pl.LazyFrame({"nothing": []})

    assert len(
        find(parse("tag_7 -*99 score:>10 date:2019-01 rating:g,e is:sfw has:source or tag_1"), index, lambda: no_rows)
    )


def test_only_rows_around_those_in_question_are_read(cell: tuple[pl.LazyFrame, pl.LazyFrame], data: bytes) -> None:
    index = TagIndex(IndexFile(data))
    seen: list[int] = []

    def noted(ids: pl.Series) -> pl.Series:
        seen.append(len(ids))
        return ids

    images = cell[0].with_columns(
        source_url=pl.col("post_id").map_batches(noted, return_dtype=pl.String, is_elementwise=True)
    )

    assert index.image_ids(find(parse("source:10* id:1000..1009"), index, lambda: images)) == [
        f"d-{n:04}-0" for n in range(1000, 1010)
    ]
    assert sum(seen) == 10


def test_equal_rows_make_equal_bytes_in_whatever_order_they_stand(
    cell: tuple[pl.LazyFrame, pl.LazyFrame], data: bytes
) -> None:
    shuffled = [rows.collect().sample(fraction=1.0, shuffle=True, seed=1).lazy() for rows in cell]

    assert built(*shuffled) == data


def test_an_image_that_stands_twice_has_no_position(cell: tuple[pl.LazyFrame, pl.LazyFrame]) -> None:
    with pytest.raises(Unindexable, match="twice"):
        built(pl.concat([cell[0], cell[0].head(1)]), cell[1])


def test_every_flipped_byte_is_noticed_or_changes_no_answer(
    cell: tuple[pl.LazyFrame, pl.LazyFrame], data: bytes
) -> None:
    queries = [parse("tag_2 tag_3 -tag_5 score:>10 rating:g"), parse("tag_1*"), parse("date:2019-01-05")]
    wanted = [scanned(query, *cell) for query in queries]
    noticed = 0
    for place in [*range(HEADER_BYTES), *range(HEADER_BYTES, len(data), 1 + len(data) // 300)]:
        damaged = bytearray(data)
        damaged[place] ^= 0x41
        try:
            index = TagIndex(IndexFile(bytes(damaged)))
            assert [index.image_ids(find(query, index, lambda: cell[0])) for query in queries] == wanted, place
        except IndexDamaged:
            noticed += 1
    assert noticed > 100


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, 5000, -4096, -1])
def test_a_truncated_index_is_refused(data: bytes, length: int) -> None:
    with pytest.raises(IndexDamaged, match="bytes"):
        IndexFile(data[:length])


def test_an_index_of_another_version_is_refused(data: bytes) -> None:
    with pytest.raises(IndexDamaged, match="version 7, expected 1"):
        IndexFile(data[:8] + struct.pack("<I", 7) + data[12:])


def test_what_is_no_index_is_refused() -> None:
    with pytest.raises(IndexDamaged, match="TAGINDEX"):
        IndexFile(b"PAR1" * 100)


def forged(data: bytes, **changes: int) -> bytes:
    """The bytes with some numbers of the directory changed and every checksum made to fit again."""
    header = list(struct.unpack_from("<8sIIIIQQQI", data))
    body = bytearray(data[HEADER_BYTES : HEADER_BYTES + header[5] + header[6]])
    size, start = header[3], header[5]
    arrays = {"at": (0, "<Q"), "length": (8, "<I"), "count": (12, "<I"), "key_at": (16, "<I")}
    for name, value in changes.items():
        offset, kind = arrays[name]
        for number in range(size):
            struct.pack_into(kind, body, start + offset * size + struct.calcsize(kind) * number, value)
    sums = b"".join(struct.pack("<I", zlib.crc32(body[at : at + 4096])) for at in range(0, len(body), 4096))
    header[4] = zlib.crc32(sums)
    packed = struct.pack("<8sIIIIQQQI", *header[:-1], 0)[:-4]
    return (packed + struct.pack("<I", zlib.crc32(packed))).ljust(HEADER_BYTES, b"\0") + body + sums


@pytest.mark.parametrize(
    "changes",
    [{"at": 2**63}, {"at": 10}, {"length": 2**31}, {"length": 0}, {"length": 3}, {"count": 5}, {"key_at": 2**31}],
)
def test_places_that_lead_elsewhere_are_refused(
    cell: tuple[pl.LazyFrame, pl.LazyFrame], data: bytes, changes: dict[str, int]
) -> None:
    index = TagIndex(IndexFile(forged(data, **changes)))

    with pytest.raises(IndexDamaged):
        index.image_ids(find(parse("tag_2 score:>10"), index, lambda: cell[0]))


def test_keys_are_found_by_number_by_beginning_and_by_part() -> None:
    keys = [b"a", b"ab", b"abc", b"b", b"ba\xff", b"\xff", b"\xffa"]
    file = IndexFile(b"".join(pack((Entry(key, key * 3, len(key), 7) for key in reversed(keys)), 5)))

    ordered = sorted(keys)
    assert [file.key(number) for number in range(len(file))] == ordered
    assert [file.find(key) for key in ordered] == list(range(len(keys)))
    assert file.find(b"abcd") is None
    assert [file.key(n) for n in file.section(b"ab")] == [b"ab", b"abc"]
    assert [file.key(n) for n in file.section(b"\xff")] == [b"\xff", b"\xffa"]
    assert [file.key(n) for n in file.keys_with(b"b", file.section(b"a"))] == [b"ab", b"abc"]
    assert [file.key(n) for n in file.keys_with(b"a", range(len(file)))] == [k for k in ordered if b"a" in k]
    assert bytes(file.blob(1)) == b"ab" * 3
    assert (file.count(1), file.mark(1)) == (2, 7)


def test_equal_blobs_are_kept_once_and_two_equal_keys_are_refused() -> None:
    long = b"x" * 10_000
    assert len(b"".join(pack([Entry(b"a", long), Entry(b"b", long)], 1))) < 11_000
    with pytest.raises(ValueError, match="two entries"):
        list(pack([Entry(b"a", b"1"), Entry(b"a", b"2")], 1))


def test_tags_of_a_category_are_ordered_by_frequency(data: bytes) -> None:
    index = TagIndex(IndexFile(data))

    assert [index.tag_name(number) for number in index.frequent("general")[:3]] == ["tag_1", "tag_2", "tag_3"]
    assert len(index.frequent("artist")) == 0
