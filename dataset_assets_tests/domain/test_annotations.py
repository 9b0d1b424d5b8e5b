import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.annotations import disagreement, split_tags

TAGS = st.lists(st.text("ab_ ^", min_size=1).map(str.strip).filter(bool), max_size=6)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("1girl, long_hair\n", ["1girl", "long_hair"]),
        ("\n", []),
        ("", []),
        (",a,, b ,", ["a", "b"]),
        ("a, b\nc", ["a", "b", "c"]),
        ("^_^, :d, 青い 空", ["^_^", ":d", "青い 空"]),
    ],
)
def test_tags_are_what_stands_between_commas(text: str, tags: list[str]) -> None:
    assert split_tags(text) == tags


@given(TAGS)
def test_joined_tags_are_split_again(tags: list[str]) -> None:
    assert split_tags(", ".join(tags) + "\n") == tags


@given(TAGS, st.data())
def test_cleaning_that_only_drops_tags_and_underscores_never_disagrees(tags: list[str], data: st.DataObject) -> None:
    kept = [tag.replace("_", " ") for tag in tags if data.draw(st.booleans())]

    assert disagreement(tags, kept, is_cleaned=True) is None


@given(TAGS, TAGS)
def test_uncleaned_tags_agree_only_when_they_are_equal(sidecar: list[str], meta: list[str]) -> None:
    assert (disagreement(sidecar, meta, is_cleaned=False) is None) == (sidecar == meta)
