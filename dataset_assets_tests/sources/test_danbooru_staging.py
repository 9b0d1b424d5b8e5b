"""A line that DuckDB refuses does not make the whole piece slow, and every record keeps its line."""

import json
from pathlib import Path

import duckdb
import pytest

from dataset_assets.sources.danbooru_staging import FEW_LINES, LineIndex, _read_fast
from dataset_assets_tests.sources.mirrors import new_record, old_record

REFUSED = {
    "torn after a brace": lambda post_id: json.dumps(old_record(post_id)).partition(', {"id": "389109"')[0],
    "flag that is a word": lambda post_id: json.dumps(new_record(post_id, is_deleted="perhaps")),
    "two records": lambda post_id: json.dumps(new_record(post_id)) * 2,
}


def read_fast(folder: Path, lines: list[str]) -> tuple[list[int], list[tuple[int, int]]]:
    """The lines that are left to be read strictly, and (line, id) of the others."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        left = _read_fast(LineIndex("\n".join(lines).encode()), connection, folder / "piece.json")
        return left, connection.execute("SELECT line, id FROM staged ORDER BY line").fetchall()


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("bad", [[0], [1_199], [3, 700]])
def test_refused_line_leaves_few_others_to_be_read_strictly(tmp_path: Path, kind: str, bad: list[int]) -> None:
    lines = [json.dumps(new_record(number + 1)) for number in range(1_200)]
    for number in bad:
        lines[number] = REFUSED[kind](number + 1)
    left, read = read_fast(tmp_path, lines)
    assert set(bad) <= set(left)
    assert left == sorted(left)
    assert len(left) <= FEW_LINES * len(bad)
    assert read == [(number, number + 1) for number in range(1_200) if number not in set(left)]


def test_blank_and_odd_lines_between_leave_the_numbers_of_the_others(tmp_path: Path) -> None:
    lines = [
        "",
        json.dumps(new_record(1)),
        "plain text",
        "",
        json.dumps(old_record(2)),
        "[1]",
        json.dumps(new_record(3)),
    ]
    assert read_fast(tmp_path, lines) == ([2, 5], [(1, 1), (4, 2), (6, 3)])


def test_piece_of_which_every_line_is_refused_is_read_strictly(tmp_path: Path) -> None:
    lines = [json.dumps(new_record(number + 1, is_deleted="perhaps")) for number in range(3_000)]
    assert read_fast(tmp_path, lines) == (list(range(3_000)), [])


def test_piece_without_any_record_is_no_failure(tmp_path: Path) -> None:
    assert read_fast(tmp_path, ["", "plain text"]) == ([1], [])
