"""Numbers of things, as they are said."""

import pytest

from dataset_assets.domain.wording import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (12_400_000, "12,400,000 images")]
)
def test_one_thing_is_said_in_the_singular(number: int, said: str) -> None:
    assert counted(number, "image") == said


def test_a_plural_of_its_own_is_given() -> None:
    assert [counted(number, "query", "queries") for number in (1, 2)] == ["1 query", "2 queries"]


def test_a_difference_has_its_sign() -> None:
    assert [counted(number, "image", signed=True) for number in (1, -1, -2)] == ["+1 image", "-1 image", "-2 images"]
