import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.sources.json_members import BrokenObject, members

LONGEST = 100_000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 2]))
def test_an_object_is_its_members_in_order(written: dict[str, Any], indent: int | None) -> None:
    assert list(members(json.dumps(written, indent=indent), LONGEST)) == list(written.items())


@given(st.dictionaries(st.text(), VALUES, min_size=1), st.data())
def test_a_text_that_is_cut_off_gives_the_members_before_the_cut_and_fails(
    written: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(written)
    cut = data.draw(st.integers(0, len(text) - 1))
    found: list[str] = []

    with pytest.raises(BrokenObject):
        found.extend(key for key, _ in members(text[:cut], LONGEST))
    assert found == list(written)[: len(found)]


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", '{"a":1} x', '{"a":NaN}'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(BrokenObject, match="character"):
        list(members(text, LONGEST))


def test_a_repeated_key_comes_as_often_as_it_stands() -> None:
    assert list(members('{"a": 1, "a": 2}', LONGEST)) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("length", [16_380, 16_384, 16_390, 40_000])
def test_a_value_longer_than_the_first_look_is_read_whole(length: int) -> None:
    written = {"text": "x" * length, "number": int("9" * 300), "next": [1]}

    assert list(members(json.dumps(written), LONGEST)) == list(written.items())
    padded = '{"n": ' + " " * (16_384 - 3) + "123456}"
    assert list(members(padded, LONGEST)) == [("n", 123456)]


def test_a_value_of_more_than_the_limit_is_refused_with_its_place() -> None:
    with pytest.raises(BrokenObject, match=r"character 6: a value of more than 20,000 characters"):
        list(members(json.dumps({"a": "x" * 30_000, "b": 1}), 20_000))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BrokenObject, match=r"nested too deeply"):
        list(members('{"a": ' + "[" * 90_000, LONGEST))
