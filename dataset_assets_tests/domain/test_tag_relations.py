from datetime import UTC, datetime
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataset_assets.domain.schemas import TAG_METADATA, require_schema
from dataset_assets.domain.tag_relations import (
    ALIAS,
    IMPLICATION,
    TAG_RELATIONS,
    Closure,
    TagCycle,
    apply,
    as_of,
    close,
    main_categories,
)

Edge = tuple[str, str]


def day(number: int) -> datetime:
    return datetime(2020, 1, number, tzinfo=UTC)


def relations(aliases: list[Edge] = [], implications: list[Edge] = []) -> pl.DataFrame:  # noqa: B006 - not changed
    """Relations of which each is a day younger than the one before."""
    pairs = [(ALIAS, *pair) for pair in aliases] + [(IMPLICATION, *pair) for pair in implications]
    rows = [(*pair, day(1 + index % 28), index + 1) for index, pair in enumerate(pairs)]
    return pl.DataFrame(rows, schema=TAG_RELATIONS.schema, orient="row")


def tagged(*rows: tuple[str, str] | tuple[str, str, str] | tuple[str, str, str, str]) -> pl.LazyFrame:
    """Tag and image; category and origin where it matters."""
    whole = [(*row, *("general", "source")[len(row) - 2 :]) for row in rows]
    return pl.LazyFrame(whole, schema=TAG_METADATA.schema, orient="row")


def applied(tags: pl.LazyFrame, closure: Closure, categories: pl.LazyFrame | None = None) -> pl.DataFrame:
    return apply(tags, closure, categories).collect().sort(TAG_METADATA.sorted_by)


def test_alias_chain_ends_at_its_last_name() -> None:
    assert close(relations([("a", "b"), ("b", "c"), ("c", "d")])).aliases.rows() == [("a", "d"), ("b", "d"), ("c", "d")]


def test_chain_of_thousands_is_followed() -> None:
    chain = [(f"{index:05}", f"{index + 1:05}") for index in range(5_000)]

    assert close(relations(chain)).aliases["consequent"].unique().to_list() == ["05000"]
    assert close(relations(implications=chain[:300])).implications.height == 300 * 301 // 2


def test_implication_is_followed_as_far_as_it_goes() -> None:
    found = close(relations(implications=[("a", "b"), ("b", "c"), ("x", "c")])).implications
    assert found.rows() == [("a", "b"), ("a", "c"), ("b", "c"), ("x", "c")]


def test_both_ends_of_an_implication_take_their_proper_names() -> None:
    found = close(relations([("old", "new"), ("weapons", "weapon")], [("old", "gun"), ("gun", "weapons")])).implications
    assert found.rows() == [("gun", "weapon"), ("new", "gun"), ("new", "weapon")]


def test_relation_of_a_tag_to_itself_is_ignored_and_told() -> None:
    closure = close(relations([("a", "a"), ("x", "y")], [("b", "b"), ("x", "y")]))

    assert closure.aliases.rows() == [("x", "y")]
    assert closure.implications.is_empty()
    assert closure.ignored.select("kind", "antecedent", "reason").rows() == [
        (ALIAS, "a", "to_itself"),
        (IMPLICATION, "b", "to_itself"),
        (IMPLICATION, "x", "to_itself"),  # x is y
    ]


def test_newest_of_several_aliases_counts_and_the_others_are_told() -> None:
    closure = close(relations([("a", "newer"), ("b", "z"), ("a", "newest"), ("a", "newest")]))

    assert closure.aliases.rows() == [("a", "newest"), ("b", "z")]
    assert closure.ignored.select("antecedent", "consequent", "reason").rows() == [("a", "newer", "newer_alias")]


@pytest.mark.parametrize("created_at", [None, day(1)])
def test_of_aliases_of_one_age_the_first_by_name_counts(created_at: datetime | None) -> None:
    rows = relations([("a", "y"), ("a", "x")]).with_columns(
        created_at=pl.lit(created_at, dtype=pl.Datetime("us", "UTC"))
    )
    assert close(rows).aliases.rows() == [("a", "x")]
    assert close(rows.reverse()).aliases.rows() == [("a", "x")]


def test_alias_without_a_date_yields_to_one_with_a_date() -> None:
    rows = relations([("a", "dated"), ("a", "b")]).with_columns(
        created_at=pl.when(pl.col("consequent") == "dated").then("created_at")
    )
    assert close(rows).aliases.rows() == [("a", "dated")]


def test_alias_cycle_is_refused_and_shown() -> None:
    with pytest.raises(TagCycle, match="aliases form a cycle: a -> b -> a;"):
        close(relations([("b", "a"), ("a", "b"), ("z", "a")]))


def test_implication_cycle_is_refused_and_shown() -> None:
    with pytest.raises(TagCycle, match="implications form a cycle: a -> b -> c -> a;"):
        close(relations(implications=[("c", "a"), ("b", "c"), ("a", "b"), ("a", "x")]))


def test_cycle_that_aliases_make_is_refused() -> None:
    with pytest.raises(TagCycle, match="implications form a cycle: a -> b -> a;"):
        close(relations([("other_b", "b")], [("a", "b"), ("other_b", "a")]))


def test_as_of_keeps_what_was_there_before() -> None:
    rows = relations([("a", "b"), ("c", "d"), ("e", "f")])
    undated = rows.with_columns(created_at=pl.lit(None, pl.Datetime("us", "UTC")))

    assert as_of(rows, day(2))["antecedent"].to_list() == ["a"]
    assert as_of(undated, day(9)).is_empty()


def test_no_relations_change_nothing() -> None:
    tags = tagged(("a", "1"), ("b", "1", "artist"))
    closure = close(TAG_RELATIONS.empty())

    assert_frame_equal(applied(tags, closure), tags.collect())
    assert closure.ignored.is_empty()


def test_aliased_tag_is_renamed_and_says_so() -> None:
    result = applied(tagged(("1girls", "1")), close(relations([("1girls", "1girl")])))
    assert result.rows() == [("1girl", "1", "general", "alias")]


def test_alias_brings_what_its_proper_name_implies() -> None:
    closure = close(relations([("huge", "absurdres")], [("absurdres", "highres")]))
    assert applied(tagged(("huge", "1", "meta")), closure).rows() == [
        ("absurdres", "1", "meta", "alias"),
        ("highres", "1", "general", "implication"),
    ]


def test_pair_of_several_origins_stands_once_with_the_strongest() -> None:
    closure = close(relations([("alias", "tag")], [("x", "tag"), ("x", "other"), ("alias2", "other")]))
    tags = tagged(("alias", "1"), ("x", "1"), ("tag", "2"), ("alias", "2"), ("x", "2"), ("x", "3"), ("alias2", "3"))

    pairs = applied(tags, closure).select("tag", "image_id", "origin").rows()

    assert [pair for pair in pairs if pair[0] == "tag"] == [
        ("tag", "1", "alias"),
        ("tag", "2", "source"),
        ("tag", "3", "implication"),
    ]
    assert [pair for pair in pairs if pair[0] == "other"] == [("other", image, "implication") for image in "123"]


def test_row_that_stands_twice_stands_once() -> None:
    tags = tagged(("a", "1", "meta"), ("a", "1", "general"), ("a", "1", "meta"))
    assert applied(tags, close(TAG_RELATIONS.empty())).rows() == [("a", "1", "general", "source")]


def test_added_tag_has_the_category_of_the_vocabulary() -> None:
    vocabulary = pl.LazyFrame({"tag": ["miku", "vocaloid", "x"], "category": ["character", "copyright", "meta"]})
    closure = close(relations([("hatsune", "miku")], [("miku", "vocaloid"), ("miku", "unheard_of"), ("x", "vocaloid")]))

    result = applied(tagged(("hatsune", "1"), ("x", "2", "artist")), closure, vocabulary)

    assert result.select("tag", "image_id", "category").rows() == [
        ("miku", "1", "character"),
        ("unheard_of", "1", "general"),
        ("vocaloid", "1", "copyright"),
        ("vocaloid", "2", "copyright"),
        ("x", "2", "artist"),  # the source's word stands
    ]


def test_without_a_vocabulary_the_rows_themselves_tell_the_category() -> None:
    closure = close(relations(implications=[("absurdres", "highres")]))
    tags = tagged(("highres", "1", "meta"), ("highres", "2", "meta"), ("highres", "3"), ("absurdres", "9"))
    assert applied(tags, closure).filter(pl.col("image_id") == "9")["category"].to_list() == ["general", "meta"]


def test_unknown_category_stays_unknown() -> None:
    tags = tagged(("a", "1")).with_columns(category=pl.lit(None, pl.String))
    assert applied(tags, close(relations([("a", "b")]))).rows() == [("b", "1", None, "alias")]


def test_origin_that_is_not_declared_is_refused() -> None:
    with pytest.raises(pl.exceptions.PolarsError, match="guess"):
        applied(tagged(("a", "1", "general", "guess")), close(relations([("a", "b")])))


def test_main_category_is_the_most_frequent_then_the_first_by_name() -> None:
    tags = tagged(
        ("a", "1", "meta"), ("a", "2", "meta"), ("a", "3", "artist"), ("b", "1", "meta"), ("b", "2", "artist")
    )
    assert main_categories(tags).collect().sort("tag").rows() == [("a", "meta"), ("b", "artist")]


NAMES = [f"tag{number}" for number in range(8)]
OLD_NAMES = [f"old{number}" for number in range(5)]


@st.composite
def acyclic_relations(draw: st.DrawFn) -> pl.DataFrame:
    """Implications from lower to higher tags, by any of their names; chains of aliases; aliases that are outdated."""
    outdated = draw(st.lists(st.tuples(st.sampled_from(OLD_NAMES), st.sampled_from(NAMES)), max_size=3))
    aliases: list[Edge] = []
    rank = {name: number for number, name in enumerate(NAMES)}
    for old_name in draw(st.lists(st.sampled_from(OLD_NAMES), unique=True)):
        aliases.append((old_name, draw(st.sampled_from(list(rank)))))
        rank[old_name] = rank[aliases[-1][1]]
    outdated = [pair for pair in outdated if pair[0] in rank]
    pairs = draw(st.lists(st.tuples(st.sampled_from(list(rank)), st.sampled_from(list(rank))), max_size=15))
    ranked = [(a, b) if rank[a] <= rank[b] else (b, a) for a, b in pairs]
    return relations([*outdated, *aliases], ranked)


ACYCLIC = acyclic_relations()
TAGS = st.lists(
    st.tuples(
        st.sampled_from(NAMES + OLD_NAMES),
        st.sampled_from("123"),
        st.sampled_from(["general", "meta"]),
        st.sampled_from(["source", "alias", "implication"]),
    ),
    max_size=12,
).map(lambda rows: tagged(*rows))
BRIEF = settings(max_examples=40, deadline=None)


@given(ACYCLIC)
@BRIEF
def test_closure_is_closed(rows: pl.DataFrame) -> None:
    closure = close(rows)
    implied = set(closure.implications.rows())
    aliased = set(closure.aliases["antecedent"])

    assert not aliased & {
        *closure.aliases["consequent"],
        *closure.implications["tag"],
        *closure.implications["implied"],
    }
    assert all((a, d) in implied for a, b in implied for c, d in implied if b == c)
    assert all(tag != name for tag, name in implied)


@given(ACYCLIC)
@BRIEF
def test_every_relation_is_in_the_closure_or_told_as_ignored(rows: pl.DataFrame) -> None:
    closure = close(rows)
    names = dict(closure.aliases.iter_rows())
    implied = set(closure.implications.rows())
    ignored = set(closure.ignored["id"])

    for kind, antecedent, consequent, _, number in rows.iter_rows():
        ends = names.get(antecedent, antecedent), names.get(consequent, consequent)
        holds = ends[0] == ends[1] if kind == ALIAS else ends in implied
        assert holds or number in ignored


@given(ACYCLIC, st.integers(0, 1000))
@BRIEF
def test_order_of_relations_does_not_matter(rows: pl.DataFrame, seed: int) -> None:
    shuffled = rows.sample(fraction=1, shuffle=True, seed=seed)
    for name in ("aliases", "implications", "ignored"):
        assert_frame_equal(getattr(close(rows), name), getattr(close(shuffled), name))


@given(ACYCLIC, st.permutations(range(6)), st.integers(2, 6), st.sampled_from([ALIAS, IMPLICATION]))
@BRIEF
def test_planted_cycle_is_refused_and_the_one_shown_is_true(
    rows: pl.DataFrame, order: list[int], length: int, kind: str
) -> None:
    tags = [f"planted{number}" for number in order[:length]]
    planted = list(zip(tags, [*tags[1:], tags[0]], strict=True))
    planted_rows = relations(planted) if kind == ALIAS else relations([], planted)

    with pytest.raises(TagCycle) as refused:
        close(pl.concat([rows, planted_rows]))

    cycle = refused.value.cycle
    assert cycle[0] == cycle[-1] == min(cycle)
    assert set(pairwise(cycle)) == set(planted)
    assert " -> ".join(cycle) in str(refused.value)
    assert refused.value.kind == kind


@given(ACYCLIC, TAGS)
@BRIEF
def test_applying_again_changes_nothing(rows: pl.DataFrame, tags: pl.LazyFrame) -> None:
    closure = close(rows)
    once = applied(tags, closure)

    require_schema(TAG_METADATA, once.schema)
    assert_frame_equal(applied(once.lazy(), closure), once)


@given(ACYCLIC, TAGS)
@BRIEF
def test_every_image_has_exactly_the_tags_that_follow_from_its_own(rows: pl.DataFrame, tags: pl.LazyFrame) -> None:
    closure = close(rows)
    names = dict(closure.aliases.iter_rows())
    expected = set()
    for tag, image in tags.select("tag", "image_id").collect().iter_rows():
        own = names.get(tag, tag)
        expected |= {(own, image)} | {
            (implied, image) for other, implied in closure.implications.rows() if other == own
        }

    result = applied(tags, closure)

    assert set(result.select("tag", "image_id").rows()) == expected
    assert result.height == len(expected), "a pair stands twice"


@given(ACYCLIC, TAGS)
@BRIEF
def test_source_tags_with_proper_names_stay_as_they_are(rows: pl.DataFrame, tags: pl.LazyFrame) -> None:
    closure = close(rows)
    own = tags.collect().filter(
        pl.col("origin") == "source", ~pl.col("tag").is_in(closure.aliases["antecedent"].implode())
    )
    result = applied(tags, closure)
    of_source = result.filter(pl.col("origin") == "source")
    assert set(of_source.select("tag", "image_id").rows()) == set(own.select("tag", "image_id").rows())
