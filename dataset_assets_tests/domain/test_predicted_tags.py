import polars as pl
import pytest

from dataset_assets.domain.predicted_tags import (
    PREDICTED_TAGS,
    TrainedOn,
    confident,
    is_in_sample,
    pretty,
    scores,
    trained_on,
)

ROWS = PREDICTED_TAGS.frame(
    [
        {
            "image_id": "d-1-0",
            "tags": [
                {"tag": "1girl", "category": "general", "score": 0.35},
                {"tag": "smile", "category": "general", "score": 0.3499},
                {"tag": "hatsune_miku", "category": "character", "score": 0.8},
                {"tag": "sensitive", "category": "rating", "score": 0.99},
            ],
        },
        {"image_id": "d-2-0", "tags": []},
        {"image_id": "d-3-0", "error": "undecodable"},
    ]
)


def tags(thresholds: dict[str, float]) -> list[str]:
    return confident(scores(ROWS.lazy()), thresholds).collect().get_column("tag").to_list()


def test_thresholds_are_applied_by_category_when_scores_are_read() -> None:
    assert tags({"general": 0.35, "character": 0.85}) == ["1girl"]
    assert tags({"general": 0.1, "character": 0.75}) == ["1girl", "smile", "hatsune_miku"]
    assert tags({"rating": 0.5}) == ["sensitive"]


def test_an_image_without_tags_has_no_scores() -> None:
    assert scores(ROWS.lazy()).collect().get_column("image_id").unique().to_list() == ["d-1-0"]


@pytest.mark.parametrize(
    ("tag", "shown"),
    [("long_hair", "long hair"), ("^_^", "^_^"), ("||_||", "||_||"), ("(o)_(o)", "(o)_(o)"), ("a_b_", "a b ")],
)
def test_emoticons_keep_their_underscore(tag: str, shown: str) -> None:
    assert pretty(tag) == shown


def test_posts_that_a_tagger_has_learnt_from_are_told_by_their_bucket_and_their_id() -> None:
    ids = pl.DataFrame({"image_id": ["d-899-0", "d-900-0", "d-1000899-0", "d-2000001-0"]})

    def found(trained: TrainedOn, is_danbooru: bool = True) -> list[bool | None]:
        expression = is_in_sample(pl.col("image_id"), trained, is_danbooru=is_danbooru)
        return ids.with_columns(found=expression).get_column("found").to_list()

    assert found(TrainedOn(last_id=1_500_000)) == [True, False, True, False]
    assert found(TrainedOn()) == [True, False, True, True]
    assert found(TrainedOn(), is_danbooru=False) == [None] * 4


def test_the_published_taggers_newest_post_is_known_at_any_revision() -> None:
    assert trained_on("SmilingWolf/wd-v1-4-vit-tagger-v2@v2.0").last_id == 5_944_504
    assert trained_on("./my-tagger") == TrainedOn()
