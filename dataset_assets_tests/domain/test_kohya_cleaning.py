from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.annotations import split_tags
from dataset_assets.domain.kohya_cleaning import (
    FACES,
    REPLACEMENTS,
    caption_line,
    clean_caption,
    clean_tags,
    tag_words,
)

WORDS = ["a", "an", "woman", "girl", "lady", "female", "person", "anime", "cartoon", "young", "image", "drawing"]
WORDS += ["character", "picture", "figure", "with", "sword", "."]


def cleaned_as_in_2022(caption: str) -> str:
    """kohya's rule: each text is replaced wherever it stands, until it stands nowhere."""
    for old, new in REPLACEMENTS:
        while old in caption:
            caption = caption.replace(old, new)
    return caption


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_captions_of_whole_words_are_cleaned_as_kohya_cleans_them(caption: str) -> None:
    caption = f"{caption} ."  # kohya finds "young " by its blank

    assert clean_caption(caption) == cleaned_as_in_2022(caption)


def test_the_rules_of_captions_are_used_in_their_order() -> None:
    assert clean_caption("a young anime woman and two cartoon women") == "a girl and two girls"
    assert clean_caption("an anime anime cartoon image of people") == "an image of girls"
    assert clean_caption("a person in a cartoon drawing") == "a girl in a drawing"


def test_words_that_only_contain_one_of_kohyas_are_left_alone() -> None:
    caption = "a ladybird and a gentlewoman in a personal younger room of townspeople"

    assert clean_caption(caption) == caption
    assert cleaned_as_in_2022(caption) == "a girlbird and a gentlegirl in a girlal younger room of townsgirls"


def test_tags_get_blanks_for_underscores_but_faces_keep_them() -> None:
    assert clean_tags(["long_hair", "^_^", "+_+", "_"]) == ["long hair", "^_^", "+_+", " "]
    assert all(clean_tags([face]) == [face] for face in FACES)


def test_ratings_are_dropped_and_not_the_tags_that_follow() -> None:
    assert clean_tags(["1girl", "rating:safe", "solo", "rating_request"]) == ["1girl", "solo", "rating request"]


def test_tags_that_are_equal_when_cleaned_are_there_once() -> None:
    assert clean_tags(["a_b", "a b", "a_b"]) == ["a b"]


@given(st.lists(st.text(max_size=12), max_size=8))
def test_as_many_tags_are_read_as_were_written(tags: list[str]) -> None:
    words = tag_words(tags)

    assert split_tags(", ".join(words)) == words
    assert len(set(words)) == len(words) <= len(tags)
    assert all(len(word.splitlines()) == 1 for word in words)


def test_ordinary_tags_are_written_as_they_are() -> None:
    tags = ["1girl", "^_^", "fate/stay_night", "雪　景色", 'o"o', "=_=", "d.va_(overwatch)"]

    assert tag_words(tags) == tags


def test_a_comma_within_a_tag_divides_nothing() -> None:
    assert tag_words(["rome,italy", ",", "a\nb", "\0"]) == ["rome，italy", "，", "a b"]


@given(st.text(max_size=40))
def test_a_caption_is_one_line_that_readers_do_not_trim(caption: str) -> None:
    line = caption_line(caption)

    assert len(f"{line}\n".splitlines()) == 1
    assert line == line.strip() == f"{line}\n".encode().decode("utf-8-sig").strip()
    assert caption_line(line) == line


def test_a_caption_keeps_its_words_and_blanks() -> None:
    assert caption_line("  two  girls\r\nat　night\0 ") == "two  girls at　night"
    assert caption_line(None) == caption_line(" \n") == ""


def test_a_long_caption_of_one_word_is_cleaned_at_once() -> None:
    assert clean_caption("girl " * 20_000) == "girl "
    assert len(clean_caption("w" * 100_000)) == 100_000
