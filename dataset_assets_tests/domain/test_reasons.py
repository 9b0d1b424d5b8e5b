"""Why a rule does not keep an image: the part that failed, with the image's values."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import tag_query
from dataset_assets.domain.reasons import tag_reasons, where_reasons
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA
from dataset_assets.domain.selection import PUBLIC_COLUMNS, where_expression
from dataset_assets.domain.selection_where import conjuncts


def image(**values: object) -> pl.DataFrame:
    return pl.DataFrame({name: [values.get(name)] for name in PUBLIC_COLUMNS}, schema=PUBLIC_COLUMNS)


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        ("width >= 448", ["width >= 448"]),
        ("width >= 448 and not is_blank AND page=0", ["width >= 448", "not is_blank", "page=0"]),
        ("width between 1 and 5 and page = 0", ["width between 1 and 5", "page = 0"]),
        ("(width > 1 and height > 2)", ["width > 1", "height > 2"]),
        ("((width > 1) and (height > 2))", ["(width > 1)", "(height > 2)"]),
        ("(width > 1) and (height > 2 or page = 0)", ["(width > 1)", "(height > 2 or page = 0)"]),
        ("width > 1 and height > 2 or page = 0", ["width > 1 and height > 2 or page = 0"]),
        ("title = ' and ' and page = 0", ["title = ' and '", "page = 0"]),
        (
            "case when is_animated and page = 0 then frames < 10 else true end and width > 1",
            ["case when is_animated and page = 0 then frames < 10 else true end", "width > 1"],
        ),
        ("not (width between 1 and 2 and page = 0)", ["not (width between 1 and 2 and page = 0)"]),
    ],
)
def test_a_condition_falls_into_the_parts_that_must_all_be_true(where: str, parts: list[str]) -> None:
    where_expression(where)

    assert conjuncts(where) == parts
    for part in parts:
        where_expression(part)


PARTS = st.sampled_from(
    [
        "width > 2",
        "(height = 1 or page = 0)",
        "width between 1 and 3",
        "not is_blank",
        "title = ' and '",
        "title is null",
    ]
)


@given(st.lists(PARTS, min_size=1, max_size=4), st.booleans())
def test_all_parts_are_true_exactly_where_the_whole_is(parts: list[str], is_wrapped: bool) -> None:
    where = " and ".join(parts)
    where = f"({where})" if is_wrapped else where
    row = image(width=3, height=1, is_blank=False, title=" and ")
    whole = row.select(where_expression(where).fill_null(False)).item()

    assert (where_reasons(where, row) == []) is whole


@pytest.mark.parametrize(
    ("where", "values", "reasons"),
    [
        ("width >= 448 and page = 0", {"width": 300, "page": 0}, ["width >= 448: width is 300"]),
        ("width >= 448 and page = 0", {"width": 300, "page": 1}, ["width >= 448: width is 300", "page = 0: page is 1"]),
        (
            "width <= 1.3 * height",
            {"width": 300, "height": 100},
            ["width <= 1.3 * height: width is 300, height is 100"],
        ),
        ("not is_blank", {"is_blank": True}, ["not is_blank: is_blank is true"]),
        ("luma_mean > 5", {}, ["luma_mean > 5: luma_mean is not known"]),
        ("rating = 'general'", {"rating": "explicit"}, ["rating = 'general': rating is 'explicit'"]),
        (
            "created_at >= date '2019-03-01'",
            {"created_at": datetime(2018, 5, 6, 7, tzinfo=UTC)},
            ["created_at >= date '2019-03-01': created_at is 2018-05-06"],
        ),
        ("white_share < 0.5", {"white_share": 0.75}, ["white_share < 0.5: white_share is 0.75"]),
        ("'1' = any(pools)", {"pools": ["7", "8"]}, ["'1' = any(pools): pools is [7, 8]"]),
        ("false", {}, ["false: it asks for nothing of the image"]),
    ],
)
def test_a_part_that_is_not_true_stands_with_its_values(
    where: str, values: dict[str, object], reasons: list[str]
) -> None:
    assert where_reasons(where, image(**values)) == reasons


def _tagged(*tags: str, **stated: object) -> tuple[pl.DataFrame, pl.DataFrame]:
    name: dict[str, object] = {"image_id": "d-1-0"}
    rows = [{**name, "tag": tag, "category": "general", "origin": "source"} for tag in tags]
    return IMAGE_METADATA.frame([name | stated]), TAG_METADATA.frame(rows)


@pytest.mark.parametrize(
    ("query", "tags", "stated", "reasons"),
    [
        ("1girl hat", ["1girl"], {}, ["hat: it has no such tag"]),
        ("1girl -hat", ["1girl", "hat"], {}, ["-hat: it has hat"]),
        ("-*_hat", ["red_hat", "top_hat", "hat"], {}, ["-*_hat: it has red_hat, top_hat"]),
        ("(1girl or 1boy) cat", ["dog"], {}, ["1girl or 1boy: it has none of them", "cat: it has no such tag"]),
        ("rating:g", [], {"rating": "explicit"}, ["rating:g: rating is 'explicit'"]),
        ("-rating:e score:>5", [], {"rating": "explicit", "score": 3},
         ["-rating:e: rating is 'explicit'", "score:>5: score is 3"]),
        ("tagcount:>2", ["a", "b"], {}, ["tagcount:>2: tagcount is 2"]),
        ("rating:g or cat", ["dog"], {},
         ["rating:g or cat: rating is not known, it has none of these tags"]),
        ("1girl", ["1girl"], {}, []),
    ],
)  # fmt: skip
def test_a_term_that_does_not_find_the_image_stands_with_what_it_has(
    query: str, tags: list[str], stated: dict[str, object], reasons: list[str]
) -> None:
    assert tag_reasons(tag_query.parse(query), *_tagged(*tags, **stated)) == reasons
