"""Members as formats read them."""

import pytest

from dataset_assets.exports.members import MemberLost
from dataset_assets_tests.exports.made_members import member, members_of


@pytest.mark.parametrize(
    ("given", "leaves"),
    [
        ("https://name:password@host.example/a", "https://host.example/a"),
        ("https://name@host.example", "https://host.example"),
        ("https://a@b:c@host.example/@d", "https://host.example/@d"),
        ("//name:password@host.example/a", "//host.example/a"),
        ("from ftp://name:password@host.example/a, says he", "from ftp://host.example/a, says he"),
        ("https://twitter.example/@name", "https://twitter.example/@name"),
        ("https://host.example?to=a@b", "https://host.example?to=a@b"),
        ("name@host.example", "name@host.example"),
        ("openclipart:special/a.png", "openclipart:special/a.png"),
        ("", ""),
        (None, None),
    ],
)
def test_an_address_leaves_without_who_may_use_it(given: str | None, leaves: str | None) -> None:
    members = members_of([member("1", page_url=given, source_url=given, file_url=given)])
    columns = ["page_url", "source_url", "file_url"]

    assert members.scan().select(columns).collect().rows() == [(leaves,) * 3]
    assert next(members.batches(columns)).rows() == [(leaves,) * 3]
    assert [next(members.rows())[name] for name in columns] == [leaves] * 3


def test_a_file_that_is_not_the_one_its_row_names_is_lost() -> None:
    row = member("1")
    members = members_of([row | {"data": b"another"}])

    with pytest.raises(MemberLost, match="no longer the file"):
        members.read(row)
    assert members_of([row]).read(row) == row["data"]
