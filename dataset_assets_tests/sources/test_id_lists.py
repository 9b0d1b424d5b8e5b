"""Lists of ids as people really publish them."""

from pathlib import Path

import pytest

from dataset_assets.domain.schemas import require_schema
from dataset_assets.sources.id_lists import ID_LIST, read_ids


def listed(folder: Path, content: bytes, *, are_numbers: bool = True) -> list[tuple[object, ...]]:
    (folder / "list.txt").write_bytes(content)
    rows = read_ids([folder / "list.txt"], are_numbers=are_numbers)
    require_schema(ID_LIST, rows.schema)
    return rows.select("post_id", "record_line", "error").rows()


@pytest.mark.parametrize(
    "content",
    [
        b"862\n920",
        b"862\n920\n",
        b"862\r\n920\r\n",
        b"\xef\xbb\xbf862\n920\n",
        b"  862\t\n920 # a photo\n\n# nothing more\n",
    ],
)
def test_ids_are_read_whatever_ends_surrounds_or_comments_their_lines(tmp_path: Path, content: bytes) -> None:
    assert listed(tmp_path, content) == [("862", 1, None), ("920", 2, None)]


def test_a_line_that_is_no_id_and_one_that_repeats_another_stay_as_rows(tmp_path: Path) -> None:
    found = listed(tmp_path, b"862\n-5\n0\n007\n8 9\nsolo\n862\n\xff\n12345678901234567890\n")

    assert found == [
        ("862", 1, None),
        *((None, line, "bad_id") for line in (2, 3, 4, 5, 6)),
        ("862", 7, "duplicate_id"),
        (None, 8, "bad_id"),
        (None, 9, "bad_id"),
    ]


def test_ids_of_a_source_without_numbers_are_words(tmp_path: Path) -> None:
    content = b"52d32a32-831b-56c0-81f5-75bed80f6f58\n../etc/passwd\n"

    assert [error for *_, error in listed(tmp_path, content, are_numbers=False)] == [None, "bad_id"]


def test_several_files_are_one_list(tmp_path: Path) -> None:
    for name, content in (("a.txt", "1\n2\n"), ("b.txt", "2\n3\n")):
        (tmp_path / name).write_text(content, "utf-8")
    rows = read_ids([tmp_path / "a.txt", tmp_path / "b.txt"], are_numbers=True)

    assert rows.select("post_id", "record_file", "error").rows() == [
        ("1", "a.txt", None),
        ("2", "a.txt", None),
        ("2", "b.txt", "duplicate_id"),
        ("3", "b.txt", None),
    ]


def test_an_empty_file_lists_nothing(tmp_path: Path) -> None:
    assert listed(tmp_path, b"") == []


@pytest.mark.parametrize(
    ("name", "lines", "repeated"),
    [
        ("duplicates", 20_187, 1),
        ("is_deleted", 234_782, 0),
        ("no_humans", 56_737, 0),
        ("not-image", 14_420, 0),
        ("photo", 10_161, 0),
        ("text_only_page", 1_865, 0),
    ],
)
def test_the_real_lists_hold_as_many_lines_as_their_publisher_says_and_one_id_twice(
    real_data: Path, name: str, lines: int, repeated: int
) -> None:
    rows = read_ids([real_data / "danbooru_idlists" / f"{name}.txt"], are_numbers=True)

    assert rows.height == lines
    assert rows.get_column("error").drop_nulls().to_list() == ["duplicate_id"] * repeated
