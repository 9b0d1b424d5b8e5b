import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataset_assets.domain import tag_rows
from dataset_assets.domain.schemas import TAG_METADATA
from dataset_assets.domain.tag_relations import ALIAS, IMPLICATION, TAG_RELATIONS, TagCycle, apply, close
from dataset_assets.domain.tag_rows import TagRows, TooMany

NAMES = ["a", "b", "c", "日本", "z", "10"]
IMAGES = pl.Series("image_id", sorted(f"danbooru-{post}-0" for post in range(12)))

tag = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(IMAGES.to_list()),
    st.sampled_from(["general", "artist", "meta", "12", None]),
)
parts = st.lists(st.lists(tag, max_size=15), max_size=4)
# From a name to one further on, so that there is never a circle.
edge = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda ends: ends[0] < ends[1])
relation = st.tuples(st.sampled_from([ALIAS, IMPLICATION]), edge)
known = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["general", "character"]))


def frame(rows: list[tuple[str, str, str | None]]) -> pl.DataFrame:
    schema = {"tag": pl.String, "image_id": pl.String, "category": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(origin=pl.lit("source", pl.String))


def table(rows: TagRows) -> pl.DataFrame:
    return pl.concat([TAG_METADATA.empty(), *rows.frames()])


@given(parts)
def test_rows_come_in_the_tables_order_and_each_once(parts: list[list[tuple[str, str, str | None]]]) -> None:
    rows = TagRows(IMAGES)
    for part in parts:
        rows.add(frame(part))
    whole = frame([one for part in parts for one in part])
    assert_frame_equal(table(rows), whole.unique().sort(TAG_METADATA.sorted_by, nulls_last=True))


@settings(max_examples=200)
@given(parts, st.lists(relation, min_size=1, max_size=8), known)
def test_relations_change_what_apply_changes(
    parts: list[list[tuple[str, str, str | None]]],
    related: list[tuple[str, tuple[int, int]]],
    known: dict[str, str],
) -> None:
    edges = [(kind, NAMES[low], NAMES[high], None, number) for number, (kind, (low, high)) in enumerate(related)]
    try:
        closure = close(pl.DataFrame(edges, schema=TAG_RELATIONS.schema, orient="row"))
    except TagCycle:  # an alias can bend implications into one
        reject()
    categories = pl.LazyFrame(
        {"tag": list(known), "category": list(known.values())}, schema=dict.fromkeys(("tag", "category"), pl.String)
    )
    rows = TagRows(IMAGES)
    for part in parts:
        rows.add(frame(part))
    rows.relate(closure, categories)
    whole = frame([one for part in parts for one in part]).lazy()
    expected = apply(whole, closure, categories).collect().sort(TAG_METADATA.sorted_by, nulls_last=True)
    assert_frame_equal(table(rows), expected)


def test_rows_are_the_same_however_many_are_worked_on_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = frame([(f"tag_{number % 40}", IMAGES[number % 12], None) for number in range(400)])
    found = []
    for at_a_time in (1_000, 7):
        monkeypatch.setattr(tag_rows, "ROWS_AT_A_TIME", at_a_time)
        tags = TagRows(IMAGES)
        tags.add(rows)
        found.append(table(tags))
    assert_frame_equal(found[0], found[1])


def test_an_image_that_is_not_listed_is_refused() -> None:
    for stranger in ("danbooru-99-0", "a", "z"):
        with pytest.raises(ValueError, match=f"{stranger} is tagged, and no image that is listed"):
            TagRows(IMAGES).add(frame([("a", IMAGES[0], None), ("a", stranger, None)]))


def test_more_categories_than_fit_are_refused_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_rows, "CLAIM_BITS", 3)
    with pytest.raises(TooMany, match="5 distinct categories"):
        TagRows(IMAGES).add(frame([("a", IMAGES[0], str(number)) for number in range(5)]))
