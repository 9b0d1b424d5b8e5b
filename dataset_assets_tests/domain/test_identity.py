import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.identity import BadImageId, bucket, image_id, parse_image_id

SOURCES = st.from_regex(r"[a-z0-9][a-z0-9_]{0,31}", fullmatch=True)
POST_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", fullmatch=True)


@given(SOURCES, POST_IDS, st.integers(0, 99_999))
def test_a_name_taken_apart_gives_back_its_parts(source: str, post_id: str, page: int) -> None:
    assert parse_image_id(image_id(source, post_id, page)) == (source, post_id, page)


def test_the_uuids_of_pd12m_keep_their_dashes() -> None:
    name = image_id("pd12m", "52d32a32-831b-56c0-81f5-75bed80f6f58")

    assert parse_image_id(name).post_id == "52d32a32-831b-56c0-81f5-75bed80f6f58"


@pytest.mark.parametrize(
    ("source", "post_id", "page"),
    [
        ("dan-booru", "1", 0),
        ("Danbooru", "1", 0),
        ("", "1", 0),
        ("danbooru", "../1", 0),
        ("danbooru", "1.png", 0),
        ("danbooru", "1\n", 0),
        ("danbooru", "", 0),
        ("danbooru", "1", -1),
        ("danbooru", "1", 100_000),
        ("danbooru", "١", 0),
        ("s" * 33, "1", 0),
    ],
)
def test_a_part_that_is_not_safe_in_a_path_is_refused(source: str, post_id: str, page: int) -> None:
    with pytest.raises(BadImageId):
        image_id(source, post_id, page)


@pytest.mark.parametrize(
    "text", ["", "danbooru", "danbooru-1", "danbooru-1-01", "danbooru--0", "a/b-1-0", "danbooru-1-x"]
)
def test_text_that_is_no_image_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadImageId, match="danbooru-1525146-0"):
        parse_image_id(text)


@given(st.text())
def test_any_text_is_an_image_id_or_refused(text: str) -> None:
    with contextlib.suppress(BadImageId):
        assert image_id(*parse_image_id(text)) == text


def test_the_bucket_is_danboorus() -> None:
    assert bucket("1525146") == "0146"
    assert bucket("1422558") == "0558"
    assert bucket("7") == "0007"


@given(POST_IDS)
def test_every_post_has_one_of_a_thousand_buckets(post_id: str) -> None:
    assert 0 <= int(bucket(post_id)) <= 999
    assert len(bucket(post_id)) == 4
