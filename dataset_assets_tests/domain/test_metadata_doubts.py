"""Records that contradict themselves."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from dataset_assets.domain.metadata_doubts import DOUBTS, METADATA_DOUBTS, metadata_doubts
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA, require_schema

START = datetime(2020, 1, 1, tzinfo=UTC)


def record(post: int, **said: object) -> dict[str, object]:
    """An image that nothing is wrong with, uploaded on the day of its id; `said` changes what its record says."""
    at = START + timedelta(days=post)
    lawful = {
        "image_id": f"danbooru-{post}-0",
        "post_id": str(post),
        "page": 0,
        "created_at": at,
        "updated_at": at,
        "file_ext": "jpg",
        "md5": f"{post:032x}",
        "width": 800,
        "height": 600,
        "file_size": 1000,
        "rating": "general",
        "rating_source": "s",
        "rating_scale": "danbooru_sqe",
    }
    return lawful | said


def doubts(*records: dict[str, object], tags: dict[int, list[str]] | None = None) -> list[tuple[str, str]]:
    """Post and doubt of each row."""
    tagged = [
        {"image_id": f"danbooru-{post}-0", "tag": tag, "category": "meta", "origin": "source"}
        for post, names in (tags or {}).items()
        for tag in names
    ]
    images, tag_rows = IMAGE_METADATA.frame(list(records)).lazy(), TAG_METADATA.frame(tagged).lazy()
    found = metadata_doubts(images, tag_rows).collect()
    require_schema(METADATA_DOUBTS, found.schema)
    assert set(found.get_column("doubt")) <= set(DOUBTS)
    assert found.get_column("detail").null_count() == 0
    return sorted((image.split("-")[1], doubt) for image, doubt, _ in found.rows())


def test_records_that_nothing_is_wrong_with_are_not_doubted() -> None:
    assert doubts(record(1), record(2), record(3)) == []


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        ({"file_ext": "exe"}, "unknown_extension"),
        ({"rating": None, "rating_source": "x"}, "unknown_rating"),
        ({"rating": None, "rating_source": None}, "unknown_rating"),
        ({"updated_at": START}, "updated_before_created"),
        ({"width": 0}, "no_size"),
        ({"file_size": 0}, "no_size"),
        ({"md5": f"{1:032x}"}, "repeated_md5"),
    ],
)
def test_a_record_that_cannot_be_right_is_doubted(said: dict[str, object], doubt: str) -> None:
    others = [("1", "repeated_md5")] if doubt == "repeated_md5" else []

    assert doubts(record(1), record(2, **said)) == [*others, ("2", doubt)]


@pytest.mark.parametrize(
    "said", [{"file_ext": "jpeg"}, {"file_ext": None}, {"file_ext": "swf"}, {"width": None}, {"md5": None}]
)
def test_what_is_lawful_or_not_said_is_not_doubted(said: dict[str, object]) -> None:
    assert doubts(record(1, **said), record(2, **said | {"md5": None})) == []


def test_a_source_that_rates_nothing_is_not_doubted_for_it() -> None:
    assert doubts(record(1, rating=None, rating_source=None, rating_scale=None)) == []


@pytest.mark.parametrize(
    ("size", "tags", "expected"),
    [
        ((800, 600), ["highres"], ["highres_too_small"]),
        ((1600, 10), ["highres"], []),
        ((10, 1200), ["highres"], []),
        ((1600, 1200), [], []),
        ((1601, 10), [], ["highres_not_tagged"]),
        ((10, 1201), [], ["highres_not_tagged"]),
        ((1700, 1300), ["highres", "absurdres"], ["absurdres_too_small"]),
        ((4000, 100), ["highres", "absurdres"], []),
        ((4000, 100), ["absurdres"], []),
    ],
)
def test_tags_for_size_and_claimed_size_have_to_agree(
    size: tuple[int, int], tags: list[str], expected: list[str]
) -> None:
    large = record(9, width=2000, height=2000)
    found = doubts(record(1, width=size[0], height=size[1]), large, tags={1: tags, 9: ["highres"]})

    assert found == [("1", doubt) for doubt in expected]


def test_a_source_that_does_not_use_the_tag_misses_it_nowhere() -> None:
    assert doubts(record(1, width=5000)) == []


def test_a_post_uploaded_years_before_its_neighbours_is_out_of_order_and_these_are_not() -> None:
    early, late = START - timedelta(days=900), START + timedelta(days=900)

    assert doubts(record(1), record(2, created_at=early), record(3)) == [("2", "id_out_of_order")]
    late_one = record(2, created_at=late, updated_at=late)
    assert doubts(record(1), late_one, record(3)) == [("2", "id_out_of_order")]


def test_ids_that_are_no_numbers_have_no_order() -> None:
    assert doubts(*(record(post, post_id=f"x{post}", created_at=START - timedelta(post)) for post in (1, 2, 3))) == []


def test_implied_tags_are_not_doubted_once_more() -> None:
    images = IMAGE_METADATA.frame([record(1)]).lazy()
    tags = TAG_METADATA.frame(
        [
            {"image_id": "danbooru-1-0", "tag": "absurdres", "origin": "source"},
            {"image_id": "danbooru-1-0", "tag": "highres", "origin": "implication"},
        ]
    )

    assert metadata_doubts(images, tags.lazy()).select(pl.col("doubt")).collect().to_series().to_list() == [
        "absurdres_too_small"
    ]
