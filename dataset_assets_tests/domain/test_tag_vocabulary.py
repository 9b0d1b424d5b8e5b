import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain.schemas import require_schema
from dataset_assets.domain.tag_vocabulary import TAG_VOCABULARY, count_by_year, most_frequent, trend

TAGS = pl.LazyFrame(
    [
        ("solo", "1", "general", 2019),
        ("solo", "2", "general", 2021),
        ("solo", "3", "general", 2021),
        ("miku", "1", "character", 2019),
        ("miku", "4", "general", 2018),
        ("miku", "5", "character", 2018),
        ("lost", "6", None, None),
    ],
    schema={"tag": pl.String, "image_id": pl.String, "category": pl.String, "year": pl.Int64},
    orient="row",
)
VOCABULARY = count_by_year(TAGS).collect().sort("tag")


def test_images_are_counted_by_year() -> None:
    require_schema(TAG_VOCABULARY, VOCABULARY.schema)
    assert VOCABULARY.rows() == [
        ("lost", None, 1, [], None, None),
        ("miku", "character", 3, [{"year": 2018, "images": 2}, {"year": 2019, "images": 1}], 2018, 2019),
        ("solo", "general", 3, [{"year": 2019, "images": 1}, {"year": 2021, "images": 2}], 2019, 2021),
    ]


def test_no_tags_make_an_empty_vocabulary() -> None:
    empty = count_by_year(TAGS.head(0)).collect()

    require_schema(TAG_VOCABULARY, empty.schema)
    assert empty.is_empty()
    assert trend(empty, ["solo"]).is_empty()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(2005, 2008)), max_size=30, unique=True)
)
@settings(max_examples=40, deadline=None)
def test_years_add_up_to_all_images(rows: list[tuple[str, int, int]]) -> None:
    tags = pl.LazyFrame(rows, schema={"tag": pl.String, "image_id": pl.Int64, "year": pl.Int32}, orient="row")
    counted = count_by_year(tags.with_columns(category=pl.lit("general"))).collect()

    assert counted["images"].sum() == len(rows)
    for _, _, images, years, first, last in counted.iter_rows():
        assert sum(year["images"] for year in years) == images
        assert [year["year"] for year in years] == sorted({year["year"] for year in years})
        assert (first, last) == (years[0]["year"], years[-1]["year"])


def test_most_frequent_tags_of_a_category_come_first_and_equals_by_name() -> None:
    assert most_frequent(VOCABULARY, None, 2)["tag"].to_list() == ["miku", "solo"]
    assert most_frequent(VOCABULARY, "general", 5)["tag"].to_list() == ["solo"]
    assert most_frequent(VOCABULARY, "artist", 5).is_empty()


def test_trend_has_each_year_of_the_vocabulary_for_each_tag() -> None:
    rows = trend(VOCABULARY, ["solo", "never_seen", "solo"])
    assert rows.select("tag", "year", "images").rows() == [
        ("solo", 2018, 0),
        ("solo", 2019, 1),
        ("solo", 2020, 0),
        ("solo", 2021, 2),
        *(("never_seen", year, 0) for year in range(2018, 2022)),
    ]
    assert rows["share"].is_null().all()


def test_share_is_of_the_images_of_the_year_and_null_where_they_are_not_known() -> None:
    all_images = pl.DataFrame({"year": [2021, 2019, 2018], "images": [8, 2, 0]})
    assert trend(VOCABULARY, ["solo"], all_images)["share"].to_list() == [None, 0.5, None, 0.25]
