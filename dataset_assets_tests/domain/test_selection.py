import re
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES
from dataset_assets.domain.image_scores import IMAGE_SCORES
from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, Table
from dataset_assets.domain.selection import (
    COLUMNS,
    PUBLIC_COLUMNS,
    Rule,
    WhereError,
    candidates,
    drop_reason,
    funnel,
    subset_rules,
    where_expression,
)

LARGE = Rule("large", pl.col("side") >= 512)
GENERAL = Rule("general", pl.col("rating") == "general")


def test_first_broken_rule_is_the_reason() -> None:
    rows = pl.DataFrame({"side": [600, 100, 600, 100], "rating": ["general", "general", "explicit", "explicit"]})
    assert rows.select(drop_reason([LARGE, GENERAL]))["drop_reason"].to_list() == [None, "large", "general", "large"]
    assert rows.select(drop_reason([GENERAL, LARGE]))["drop_reason"].to_list() == [None, "large", "general", "general"]


def test_null_in_a_rule_is_broken() -> None:
    rows = pl.DataFrame({"side": [None, 600], "rating": [None, None]}, schema={"side": pl.Int64, "rating": pl.String})
    assert rows.select(drop_reason([LARGE, GENERAL]))["drop_reason"].to_list() == ["large", "general"]


def test_without_rules_every_row_is_kept() -> None:
    kept = pl.DataFrame({"side": [1, 2]}).select(drop_reason([]))
    assert kept["drop_reason"].to_list() == [None, None]
    assert kept.schema["drop_reason"] == pl.String


@pytest.mark.parametrize("height", [0, 1, 3])
def test_there_is_a_reason_for_each_row_whatever_the_rules(height: int) -> None:
    rows = pl.DataFrame(
        {"side": [None] * height, "known": [None] * height}, schema={"side": pl.Int64, "known": pl.Boolean}
    )
    for keeps in (
        pl.lit(True),
        pl.lit(False),
        pl.sql_expr("coalesce(known, false) = false"),
        pl.col("known").is_null(),
    ):
        for rules in ([Rule("only", keeps)], [Rule("first", pl.lit(True)), Rule("only", keeps)]):
            assert rows.select(drop_reason(rules)).height == height
            assert set(rows.with_columns(drop_reason(rules))["drop_reason"]) <= {None, "only"}


def test_funnel_counts_what_each_rule_drops_and_leaves() -> None:
    rows = pl.DataFrame({"drop_reason": ["large", None, "general", "large", None]})
    assert funnel(rows, ["large", "unasked", "general"]).rows() == [
        ("candidates", 0, 5),
        ("large", 2, 3),
        ("unasked", 0, 3),
        ("general", 1, 2),
    ]


def test_funnel_of_nothing_is_zeros() -> None:
    empty = pl.DataFrame(schema={"drop_reason": pl.String})
    assert funnel(empty, ["large"]).rows() == [("candidates", 0, 0), ("large", 0, 0)]


def test_funnel_refuses_a_reason_that_is_no_rule() -> None:
    with pytest.raises(ValueError, match="'lost' is no rule; the rules are large"):
        funnel(pl.DataFrame({"drop_reason": ["lost"]}), ["large"])


@given(st.lists(st.none() | st.sampled_from("abc")))
def test_funnel_ends_with_the_kept(reasons: list[str | None]) -> None:
    rows = pl.DataFrame({"drop_reason": reasons}, schema={"drop_reason": pl.String})
    counted = funnel(rows, ["a", "b", "c"])
    assert counted["left"][-1] == reasons.count(None)
    assert counted["dropped"].sum() == len(reasons) - reasons.count(None)


# Candidates.


def rows_of(table: Table, *rows: dict[str, object]) -> pl.LazyFrame:
    return table.frame(list(rows)).lazy()


def one_candidate(
    claimed: dict[str, object], raw: dict[str, object] | None, facts: dict[str, object] | None
) -> dict[str, object]:
    name: dict[str, object] = {"image_id": "d-1-0"}
    return (
        candidates(
            rows_of(IMAGE_METADATA, name | {"post_id": "1"} | claimed),
            rows_of(RAW_IMAGES, *([] if raw is None else [name | raw])),
            rows_of(IMAGE_FACTS, *([] if facts is None else [name | facts])),
        )
        .collect()
        .to_dicts()[0]
    )


def test_candidates_have_the_public_columns_and_every_image_in_order() -> None:
    images = rows_of(IMAGE_METADATA, *({"image_id": f"d-{n}-0", "post_id": str(n)} for n in (3, 1, 2)))
    raw = rows_of(RAW_IMAGES, {"image_id": "d-2-0", "state": "stored"}, {"image_id": "d-9-0", "state": "stored"})
    found = candidates(images.with_columns(extra=1), raw, IMAGE_FACTS.empty().lazy()).collect()
    assert found.schema == pl.Schema({"image_id": pl.String}) | PUBLIC_COLUMNS
    assert found["image_id"].to_list() == ["d-3-0", "d-1-0", "d-2-0"]
    assert found["state"].to_list() == [None, None, "stored"]
    assert found["is_decoded"].to_list() == [False, False, False]


def test_observed_values_have_the_plain_names_and_claims_say_so() -> None:
    found = one_candidate(
        {"width": 1, "height": 2, "file_size": 3, "md5": "claimed", "file_ext": "jpg"},
        {"state": "stored", "size": 30, "md5": "observed", "extension": "png", "format": "png", "md5_matches": False},
        {"width": 10, "height": 20, "format": "png"},
    )
    assert found.items() >= {"width": 10, "height": 20, "file_size": 30, "md5": "observed", "file_ext": "png"}.items()
    assert found.items() >= {"claimed_width": 1, "claimed_height": 2, "claimed_file_size": 3}.items()
    assert found.items() >= {"claimed_md5": "claimed", "claimed_file_ext": "jpg", "md5_matches": False}.items()


@pytest.mark.parametrize(("orientation", "size"), [(None, (10, 20)), (1, (10, 20)), (3, (10, 20)), (6, (20, 10))])
def test_size_is_upright(orientation: int | None, size: tuple[int, int]) -> None:
    found = one_candidate({}, None, {"width": 10, "height": 20, "orientation": orientation})
    assert (found["width"], found["height"]) == size


def test_claimed_size_does_not_stand_in_for_an_unknown_one() -> None:
    found = one_candidate({"width": 1000, "height": 1000}, {"state": "stored", "format": "png"}, None)
    assert (found["width"], found["claimed_width"], found["format"]) == (None, 1000, "png")


def test_undecodable_image_says_why() -> None:
    found = one_candidate({}, {"state": "stored", "format": "jpeg"}, {"error": "truncated", "format": "jpeg"})
    assert (found["is_decoded"], found["decode_error"]) == (False, "truncated")
    assert one_candidate({}, None, {"error": None})["is_decoded"] is True


def test_public_columns_are_described_and_name_the_column_that_they_come_from() -> None:
    made_of = (IMAGE_METADATA, RAW_IMAGES, IMAGE_FACTS, IMAGE_SCORES, NEAR_DUPLICATES)
    tables = {table.name: table.schema for table in made_of}
    assert len({column.name for column in COLUMNS}) == len(COLUMNS) == len(PUBLIC_COLUMNS)
    for column in COLUMNS:
        (origin,) = column.comes_from
        assert column.description
        assert origin.split(".")[1] in tables[origin.split(".")[0]]


# Conditions.


def kept(text: str, **values: object) -> bool | None:
    row = pl.DataFrame({name: [values.get(name)] for name in PUBLIC_COLUMNS}, schema=PUBLIC_COLUMNS)
    answer = row.with_columns(answer=where_expression(text))["answer"][0]
    assert answer is None or isinstance(answer, bool)
    return answer


@pytest.mark.parametrize(
    ("text", "values", "wanted"),
    [
        ("width >= 512 and height >= 512 and not is_blank", {"width": 512, "height": 512, "is_blank": False}, True),
        ("width >= 512 AND height >= 512", {"width": 512, "height": 511}, False),
        ("width >= 512", {}, None),
        ("width * height >= 2500000000", {"width": 50_000, "height": 50_000}, True),
        ("width / height between 0.5 and 2", {"width": 3, "height": 2}, True),
        ("width % 8 = 0", {"width": 12}, False),
        ("width % 0 = 0", {"width": 12}, None),
        ("(width = 1 or height = 1) and page <> 2", {"width": 1, "height": 2, "page": 1}, True),
        ("- score < -3", {"score": 4}, True),
        ("rating in ('general', 'sensitive')", {"rating": "sensitive"}, True),
        ("rating not in ('general')", {"rating": "sensitive"}, True),
        ("rating is null", {}, True),
        ("rating is not null", {}, False),
        ("rating is distinct from 'general'", {}, True),
        ("coalesce(is_ai_generated, false) = false", {}, True),
        ("is_blank is not distinct from true", {}, False),
        ("title like '%100!%%'", {"title": "100!?%"}, True),
        ("title ilike 'A%'", {"title": "abc"}, True),
        ("title ~ '^(a|b)c'", {"title": "bcd"}, True),
        ("title !~* 'A'", {"title": "b"}, True),
        ("lower(title) = 'it''s' and length(title) = 4", {"title": "It's"}, True),
        ("starts_with(source_url, 'https://') or ends_with(file_ext, 'g')", {"file_ext": "png"}, True),
        ("'12' = any(pools)", {"pools": ["7", "12"]}, True),
        ("array_contains(pools, '8') or array_length(pools) > 5", {"pools": ["7"]}, False),
        ("created_at >= date '2019-01-01'", {"created_at": datetime(2019, 1, 1, tzinfo=UTC)}, True),
        ("year(created_at) = 2019 and month(created_at) = 1", {"created_at": datetime(2019, 1, 1, tzinfo=UTC)}, True),
        ("case when is_animated then frames < 10 else true end", {"is_animated": False}, True),
        ("greatest(width, height) > 5 and least(width, height) < 3", {"width": 6, "height": 2}, True),
        ("abs(down_score) <= 1 and round(luma_mean) = 3", {"down_score": -1, "luma_mean": 2.6}, True),
        ("perceptual_hash = 18446744073709551615", {"perceptual_hash": 2**64 - 1}, True),
        ("\"format\" = 'png' and state = 'stored'", {"format": "png", "state": "stored"}, True),
        ("claimed_width = width", {"claimed_width": 5, "width": 5}, True),
        ("title = '; drop table x -- /* '", {"title": "; drop table x -- /* "}, True),
        ("title = '\\'", {"title": "\\"}, True),
        ("true", {}, True),
    ],
)
def test_condition_means_what_sql_means(text: str, values: dict[str, object], wanted: bool | None) -> None:
    assert kept(text, **values) is wanted


@pytest.mark.parametrize("name", PUBLIC_COLUMNS)
def test_every_public_column_can_be_asked_for(name: str) -> None:
    assert kept(f"{name} is null") is True


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the condition is empty"),
        ("  \n", "the condition is empty"),
        ("widht > 5", "there is no column 'widht'; did you mean 'width'?"),
        ("WIDTH > 5", "did you mean 'width'?"),
        ("image_id = 'x'", "there is no column 'image_id'"),
        ('rating = "general"', "text stands in single quotes"),
        ("width", "true or false for each image; this gives Int64"),
        ("null", "`is null`"),
        ("rating = null", "`is null`"),
        ("rating in ('general', null)", "`is null`"),
        ("lower(null) = title", "`is null`"),
        ("title = 'a", "this quote is never closed"),
        ("width > 5 and", "unable to parse|invalid expression"),
        ("width = '5'", "cannot compare string with numeric type"),
        ("created_at > '2019-01-01'", "date '2019-03-01'"),
        ("created_at > date '2019-13-01'", "invalid DATE"),
        ("created_at > date", "a day such as '2019-03-01' in single quotes follows date"),
        ("title like description", "a pattern in single quotes follows like"),
        ("title ~ 'a' + description", "pattern"),
        ("title ~ '('", "regex parse error"),
        ("width is null and width > (5", "unable to parse|invalid expression"),
        ("cast(post_id as int) > 5", "there is no function 'cast' here; there are abs, "),
        ("max(score) = score", "there is no function 'max'"),
        ("width > 5 as wide", "there is no column 'as'"),
        ("image_facts.width > 5", "without a table's"),
        ("is_blank is not true", "write coalesce(column, false)"),
        ("is_blank is false", "write coalesce(column, false)"),
        ("starts_with(width, 'a')", "expected"),
        ("abs(title) = 1", "abs"),
    ],
)
def test_refusal_says_why(text: str, problem: str) -> None:
    with pytest.raises(WhereError, match=re.escape(problem) if "|" not in problem else problem):
        where_expression(text)


def test_refusal_points_at_the_word() -> None:
    with pytest.raises(WhereError) as caught:
        where_expression("width > 5 and hieght > 5")
    _, shown, caret = str(caught.value).splitlines()
    assert caret.index("^") == shown.index("hieght")


def _forms(*forms: str, **parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of any of the forms, each `{name}` in them drawn anew."""
    drawn = {name: st.lists(part, min_size=3, max_size=3) for name, part in parts.items()}
    return st.builds(lambda form, **found: form.format(**found), st.sampled_from(forms), **drawn)


NUMBERS = st.recursive(
    st.sampled_from(["width", "height", "luma_mean", "frames", "perceptual_hash", "0", "-1", "7", "2.5", "1e300"]),
    lambda inner: _forms(
        *("{n[0]} + {n[1]}", "{n[0]} - {n[1]}", "{n[0]} * {n[1]}", "{n[0]} / {n[1]}", "{n[0]} % {n[1]}", "- {n[0]}"),
        *("({n[0]})", "abs({n[0]})", "mod({n[0]}, {n[1]})", "nullif({n[0]}, {n[1]})", "greatest({n[0]}, {n[1]})"),
        *("least({n[0]}, {n[1]})", "coalesce({n[0]}, {n[1]})", "sign({n[0]})", "sqrt({n[0]})", "round({n[0]}, 2)"),
        *(
            "ceil({n[0]})",
            "floor({n[0]})",
            "length(title)",
            "array_length(pools)",
            "year(created_at)",
            "day(updated_at)",
        ),
        "case when is_blank then {n[0]} else {n[1]} end",
        n=inner,
    ),
    max_leaves=4,
)
TEXTS = st.recursive(
    st.sampled_from(["title", "description", "rating", "'a'", "''", "'%(['", "'2019'"]),
    lambda inner: _forms(
        *("lower({t[0]})", "upper({t[0]})", "coalesce({t[0]}, {t[1]})", "nullif({t[0]}, {t[1]})", "({t[0]})"),
        *("greatest({t[0]}, {t[1]})", "case {t[0]} when {t[1]} then {t[2]} end"),
        t=inner,
    ),
    max_leaves=3,
)
CONDITIONS = st.recursive(
    _forms(
        *("{n[0]} < {n[1]}", "{n[0]} = {n[1]}", "{n[0]} between {n[1]} and {n[2]}", "{n[0]} in ({n[1]}, {n[2]})"),
        *(
            "{n[0]} is null",
            "{n[0]} is distinct from {n[1]}",
            "{t[0]} = {t[1]}",
            "{t[0]} <> {t[1]}",
            "{t[0]} <= {t[1]}",
        ),
        *(
            "{t[0]} in ('a', {t[1]})",
            "{t[0]} like 'a%_('",
            "{t[0]} ilike '%['",
            "{t[0]} ~ '^(a|.)*$'",
            "{t[0]} !~* 'A+'",
        ),
        *("starts_with({t[0]}, {t[1]})", "ends_with({t[0]}, {t[1]})", "array_contains(pools, {t[0]})", "is_blank"),
        *("{t[0]} = any(pools)", "created_at >= date '2019-01-01'", "year(created_at) = {n[0]}", "{t[0]} is not null"),
        n=NUMBERS,
        t=TEXTS,
    ),
    lambda inner: _forms(
        "{c[0]} and {c[1]}",
        "not {c[0]}",
        "({c[0]} or {c[1]})",
        "case when {c[0]} then {c[1]} end",
        "{c[0]} = {c[1]}",
        c=inner,
    ),
    max_leaves=3,
)
VALUES = {
    "width": st.none() | st.integers(-(2**40), 2**40),
    "height": st.none() | st.integers(-2, 2),
    "title": st.none() | st.text(max_size=5) | st.sampled_from(["(", "%", "\\", "*", "a\x00"]),
    "description": st.none() | st.text(max_size=5) | st.sampled_from(["(", "%", "\\", "*", "a"]),
    "frames": st.none() | st.sampled_from([0, 1, 2**62]),
    "luma_mean": st.none() | st.floats(width=32),
    "is_blank": st.none() | st.booleans(),
    "pools": st.none() | st.lists(st.none() | st.text(max_size=2), max_size=2),
    "created_at": st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    "perceptual_hash": st.none() | st.integers(0, 2**64 - 1),
}


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=3))
def test_condition_that_is_taken_fails_for_no_image_and_judges_each_by_itself(
    text: str, rows: list[dict[str, object]]
) -> None:
    try:
        reason = drop_reason([Rule("where", where_expression(text))])
    except WhereError:
        return
    frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in PUBLIC_COLUMNS}, schema=PUBLIC_COLUMNS)
    together = frame.select(reason)["drop_reason"].to_list()
    assert together == [frame[number].select(reason)["drop_reason"][0] for number in range(len(rows))]


# A subset.


def test_subset_asks_its_rules_in_order() -> None:
    always = ["source", "license", "takedown", "not_stored", "undecodable"]
    assert [rule.name for rule in subset_rules()] == always
    rules = subset_rules(asks_tags=True, where="width >= 512")
    assert [rule.name for rule in rules] == [*always, "tags", "where"]


def test_subset_gives_each_image_its_reason() -> None:
    names = ["d-1-0", "d-2-0", "d-3-0", "d-4-0", "d-5-0", "d-6-0"]
    rows = candidates(
        rows_of(IMAGE_METADATA, *({"image_id": name, "post_id": name[2]} for name in names)),
        rows_of(RAW_IMAGES, *({"image_id": n, "state": "stored" if n != "d-2-0" else "pending"} for n in names[1:])),
        rows_of(
            IMAGE_FACTS,
            {"image_id": "d-3-0", "error": "truncated"},
            *({"image_id": name, "width": 500 + 10 * number} for number, name in enumerate(names[3:])),
        ),
    ).with_columns(matches=pl.Series([True, True, True, False, True, True]))
    found = rows.select(drop_reason(subset_rules(asks_tags=True, where="width > 515"))).collect()
    assert found["drop_reason"].to_list() == ["not_stored", "not_stored", "undecodable", "tags", "where", None]


@pytest.mark.parametrize(
    ("wanted", "enough", "reason"), [(False, False, "source"), (True, False, "license"), (True, True, None)]
)
def test_source_and_licence_come_first(wanted: bool, enough: bool, reason: str | None) -> None:
    rules = subset_rules(is_source_wanted=wanted, is_license_enough=enough)
    states = {"state": ["stored", "stored"], "reason": [None, None], "is_decoded": [True, True]}
    stored = pl.DataFrame(states, schema_overrides={"reason": pl.String})
    assert stored.select(drop_reason(rules))["drop_reason"].to_list() == [reason, reason]


def test_subset_with_a_refused_condition_is_no_subset() -> None:
    with pytest.raises(WhereError):
        subset_rules(where="1=1; drop table x")


@pytest.mark.parametrize(
    ("state", "is_decoded", "dropped", "dropped_unless_kept"),
    [
        ("stored", True, None, None),
        ("stored", False, "undecodable", "undecodable"),
        ("pending", False, "not_stored", None),
        ("quarantined", False, "not_stored", "not_stored"),
        ("excluded", False, "not_stored", "not_stored"),
    ],
)
def test_an_image_of_which_no_file_has_come_stays_where_it_is_asked_for(
    state: str, is_decoded: bool, dropped: str | None, dropped_unless_kept: str | None
) -> None:
    row = pl.DataFrame({"state": [state], "is_decoded": [is_decoded], "reason": [None]})

    reasons = [row.select(drop_reason(subset_rules(keeps_without_file=keeps))).item() for keeps in (False, True)]

    assert reasons == [dropped, dropped_unless_kept]
