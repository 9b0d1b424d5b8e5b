"""The page of results: whole in itself, and every text in it escaped."""

import re

from dataset_assets.domain.result_page import Result, result_page

HOSTILE = '<script>alert("1")</script>'


def test_texts_of_others_are_shown_and_never_run() -> None:
    page = result_page(HOSTILE, [Result(HOSTILE, 0.5, {"rating": HOSTILE}, "javascript:alert(1)", None)], [HOSTILE])

    assert "<script" not in page
    assert "javascript:" not in page
    assert page.count("&lt;script&gt;") == 5  # twice as the title


def test_pictures_stand_in_the_page_and_nothing_is_fetched() -> None:
    page = result_page("cats", [Result("danbooru-1-0", 0.25, {}, "https://example.org/1?a=1&b=2", b"\xff\xd8")])

    assert 'src="data:image/jpeg;base64,/9g="' in page
    assert 'href="https://example.org/1?a=1&amp;b=2"' in page
    assert "0.2500" in page
    assert not re.search(r'src="http|<link|<iframe', page)
