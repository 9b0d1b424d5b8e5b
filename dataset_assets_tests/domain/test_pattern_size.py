"""How many positions a pattern has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.pattern_size import like_positions, regex_positions


@pytest.mark.parametrize(
    ("pattern", "positions"),
    [
        ("", 0),
        ("^(a|bc)+$", 3),
        ("a{3}", 3),
        ("a{2,5}", 5),
        ("a{4,}", 4),
        ("ab{ 1 , 3 }", 4),
        ("(ab){10}", 20),
        ("((a{2}){3}b){4}", 28),
        ("(a{1,50}){1,40}b", 2001),
        (r"\w{10}\{", 11),
        (r"\p{Greek}{2}\x{41}", 3),
        ("[a-z]{7}", 7),
        ("[[:alpha:]]]", 2),
        (r"[\]a]b", 2),
        ("{3}", 0),
        ("a{x}", 4),
        ("(?:a){2}", 4),
        ("((", 0),
        ("a)", 2),
        ("[abc", 1),
        ("\\", 1),
        ("a{0}b", 2),
    ],
)
def test_counted_repetitions_are_written_out(pattern: str, positions: int) -> None:
    assert regex_positions(pattern) == positions


def test_a_pattern_of_like_has_its_length() -> None:
    assert like_positions("%a_") == 3


@given(st.text(alphabet="ab(){}[]\\|*+?0123,^$pP", max_size=60))
def test_every_text_has_a_number_of_positions(pattern: str) -> None:
    assert regex_positions(pattern) >= 0


@given(st.text(alphabet="ab|+", min_size=1, max_size=10), st.integers(1, 50))
def test_a_repeated_group_has_so_many_times_as_many(inner: str, times: int) -> None:
    assert regex_positions(f"({inner}){{{times}}}") == max(1, times) * regex_positions(inner)
