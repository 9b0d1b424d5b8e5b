import re
from html import unescape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dataset_assets.domain.markdown import code, inline, table
from dataset_assets.domain.plain_text import shown

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# More marks than letters, as a page of letters proves nothing.
MARKED = st.text(st.sampled_from("\\`*_[]()<>#+-=.!|~$&;:@/1a \n\tあ\u202e\x1b"), max_size=30)


@settings(max_examples=400, deadline=None)
@given(MARKED)
@example("# heading")
@example("1. item")
@example("- item")
@example("===")
@example("    code")
@example("![x](y)")
@example("<https://example.org>")
@example("&lt;b&gt; &#42;")
@example("a_b_c __d__ _e_")
@example("\\*")
def test_text_stays_text_for_a_real_renderer(text: str) -> None:
    rendered = RENDERER.render(inline(text))
    expected = " ".join(shown(text).split())

    assert re.sub(r"</?p>|\n$", "", rendered).count("<") == 0
    assert unescape(re.sub(r"</?p>", "", rendered)).strip() == expected


@settings(max_examples=200, deadline=None)
@given(MARKED, MARKED)
def test_a_cell_stays_in_its_cell(one: str, other: str) -> None:
    rendered = RENDERER.render(table(("a", "b"), [(one, other), ("x", "y")]))
    cells = [unescape(cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", rendered, re.DOTALL)]

    assert cells == [" ".join(shown(one).split()), " ".join(shown(other).split()), "x", "y"]


@settings(max_examples=200, deadline=None)
@given(MARKED)
def test_code_stays_in_its_block(text: str) -> None:
    rendered = RENDERER.render(code(text, "python") + "\nafter\n")

    assert rendered.startswith('<pre><code class="language-python">')
    assert rendered.endswith("</code></pre>\n<p>after</p>\n")


@pytest.mark.parametrize("text", ["https://evil.org", "www.evil.org", "HTTP://evil.org", "mailto:a@b.org", "@somebody"])
def test_nothing_is_made_a_link_or_a_mention_by_itself(text: str) -> None:
    assert text.lower() not in inline(text).lower()
    assert unescape(inline(text)) == text


def test_words_with_underscores_stay_readable() -> None:
    assert inline("long_hair") == "long_hair"
    assert inline("_x_") == "\\_x\\_"


def test_quantities_stand_to_the_right() -> None:
    assert table(("", "n", "share"), [("a", 1000, "5.0 %"), ("b", None, "<0.1 %")]).splitlines()[1:3] == [
        "| --- | ---: | ---: |",
        "| a | 1,000 | 5.0 % |",
    ]
