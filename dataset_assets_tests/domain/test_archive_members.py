import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import archive_members
from dataset_assets.domain.archive_members import (
    TooManyMembers,
    member_location,
    name_problem,
    sort_out,
    split_location,
)


def member(name: str, offset: int = 0, size: int = 10, **facts: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.header_offset, info.compress_size, info.file_size = offset, size, size
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


def problems(*members: zipfile.ZipInfo) -> dict[str, str]:
    return dict(sort_out(members).unsafe)


@given(st.text(st.characters(exclude_characters="!"), max_size=20), st.text(max_size=30))
def test_a_location_is_taken_apart_as_it_was_put_together(folder: str, name: str) -> None:
    archive = f"{folder}.ZIP"

    assert split_location(member_location(archive, name)) == (archive, name)


@pytest.mark.parametrize("location", ["/a/b.png", "/wow!/b.png", "b!.png", "a.zip", "a.zip/!b.png"])
def test_a_plain_path_names_no_member(location: str) -> None:
    assert split_location(location) == (location, None)


def test_only_the_first_archive_of_a_location_counts() -> None:
    assert split_location("a.zip!b.zip!c.png") == ("a.zip", "b.zip!c.png")


@pytest.mark.parametrize("archive", ["a.tar.gz", "a.zip!b.zip", "a.tar!b.zip", "a"])
def test_an_archive_that_a_location_could_not_name_is_refused(archive: str) -> None:
    with pytest.raises(ValueError, match="rename"):
        member_location(archive, "b.png")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "C:/a.png",
        "a\\b.png",
        "../a.png",
        "a/../b.png",
        "a/./b.png",
        "a//b.png",
        "",
        "a\nb.png",
        "a\0.png",
        "x" * 256,
        "雪" * 86 + ".png",
    ],
)
def test_x3_an_unsafe_name_is_refused(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["a.png", "雪/ねこ (1)!.png", "..a/b..png", "a.zip!b.png", f"{'x' * 255}/{'y' * 255}"])
def test_a_plain_relative_name_is_accepted(name: str) -> None:
    assert name_problem(name) is None


def test_folders_are_neither_safe_nor_unsafe() -> None:
    assert sort_out([member("a/")]) == archive_members.Members({}, ())


def test_x3_every_copy_of_a_name_is_refused() -> None:
    found = sort_out([member("a.png", 0), member("b.png", 100), member("a.png", 200)])

    assert list(found.safe) == ["b.png"]
    assert found.unsafe == (("a.png", "2 members have this name"),)


def test_x3_a_name_cut_off_at_its_nul_is_refused() -> None:
    assert "control character" in problems(member("a.png\0.exe"))["a.png"]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"flag_bits": 0x1}, "encrypted"),
        ({"flag_bits": 0x40}, "encrypted"),
        ({"create_system": 3, "external_attr": 0o120777 << 16}, "link"),
        ({"create_system": 3, "external_attr": 0o010644 << 16}, "link or device"),
        ({"compress_type": zipfile.ZIP_LZMA}, "method 14"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "method 12"),
        ({"file_size": archive_members.RATIO_FLOOR + 1}, "100:1"),
    ],
)
def test_x2_what_is_no_readable_regular_file_is_refused(facts: dict[str, int], problem: str) -> None:
    assert problem in problems(member("a.png", **facts))["a.png"]


@pytest.mark.parametrize(
    "facts",
    [
        {"create_system": 3, "external_attr": 0o100644 << 16},
        {"create_system": 3, "external_attr": 0},
        {"create_system": 0, "external_attr": 0o120777 << 16},
        {"file_size": archive_members.RATIO_FLOOR},
        {"flag_bits": 0x800, "compress_type": zipfile.ZIP_DEFLATED},
    ],
)
def test_a_regular_file_is_accepted(facts: dict[str, int]) -> None:
    assert list(sort_out([member("a.png", **facts)]).safe) == ["a.png"]


def test_x2_members_that_share_bytes_are_refused() -> None:
    members = [member("a.png", 0, 100), member("b.png", 90, 100), member("c.png", 300, 10), member("d.png", 340, 10)]

    assert problems(*members) == dict.fromkeys(("a.png", "b.png"), "shares its bytes with another member")


def test_x2_an_archive_of_too_many_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "MAX_MEMBERS", 2)

    with pytest.raises(TooManyMembers, match="3 members, expected at most 2"):
        sort_out([member(f"{n}.png", 100 * n) for n in range(3)])
