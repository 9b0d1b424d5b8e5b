"""Lists of ids, opened by the readers of such lists and by a spreadsheet's."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.config import License, PixivListsSource
from dataset_assets.domain.identity import BadImageId
from dataset_assets.exports.credits import safe_cell
from dataset_assets.exports.ids import COLUMNS
from dataset_assets.sources import pixiv_lists
from dataset_assets.sources.id_lists import read_ids
from dataset_assets_tests.exports.made_members import HOSTILE, PREPARED, contents, export, member, members_of
from dataset_assets_tests.sources.test_pd12m import uuid


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "ids/ids.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_list_is_read_again_as_lists_beside_a_mirror_are(tmp_path: Path) -> None:
    posts = [str(number) for number in (9, 10, 862, 61_897_803)]
    export("ids", members_of([*(member(post) for post in posts), member(uuid(1), "pd12m")]), tmp_path)
    numbers = read_ids([tmp_path / "ids/danbooru.txt"], are_numbers=True)
    words = read_ids([tmp_path / "ids/pd12m.txt"], are_numbers=False)

    assert set(numbers["post_id"]) == set(posts)
    assert words["post_id"].to_list() == [uuid(1)]
    assert numbers["error"].null_count() == len(posts)


def test_a_list_of_works_is_read_as_pixiv_dataset_s_own(tmp_path: Path) -> None:
    rows = [member(str(work), "pixiv", page=page, year=2017) for work in (77, 770, 258) for page in (0, 2)]
    export("ids", members_of([*rows, member("5", "pixiv", page=3)]), tmp_path)
    terms = License(name="x", basis="y")
    lists = PixivListsSource(kind="pixiv_lists", ids=(str(tmp_path / "ids/pixiv.txt"),), collected=2017, license=terms)
    report = pixiv_lists.read_snapshot("pixiv", lists, tmp_path / "snapshot.parquet", lambda line: None)

    assert report.rejected.is_empty()
    assert set(pl.read_parquet(tmp_path / "snapshot.parquet")["post_id"]) == {"77", "770", "258", "5"}
    assert sorted(map(int, (tmp_path / "ids/pixiv.txt").read_text("ascii").split())) == [5, 77, 258, 770]


def test_a_post_has_one_line_also_where_its_pages_stand_apart(tmp_path: Path) -> None:
    rows = [member("a", "s", page=1), member("a-0", "s"), member("a-0", "s", page=1), member("a", "s", page=0)]
    rows += [member("a", "t", page=4), member("a", "s", page=2, year=2020)]
    export("ids", members_of(rows), tmp_path)

    assert (tmp_path / "ids/s.txt").read_text("ascii").split() == ["a", "a-0"]
    assert (tmp_path / "ids/t.txt").read_text("ascii").split() == ["a"]
    assert len(table(tmp_path)) == len(rows)


def test_the_table_has_what_an_image_is_told_by_and_credited_to_and_no_pixels(tmp_path: Path) -> None:
    row = member("9", artist=["a", "b"], original_sha256="f" * 64, file_url="https://cdn.example/9.png", **PREPARED)
    written = export("ids", members_of([row]), tmp_path)

    assert {name: file.rows for name, file in written.items()} == {"ids/danbooru.txt": 0, "ids/ids.csv": 1}
    (found,) = table(tmp_path)
    assert tuple(found) == COLUMNS
    assert found["sha256"] == "f" * 64, "of the original: what others fetch is that"
    assert found["created_at"] == "2019-03-01T10:00:00.500000Z"
    same = ("image_id", "source", "post_id", "pixel_hash", "title", "license", "license_basis", "rating", "file_url")
    assert {key: found[key] for key in same} == {key: row[key] for key in same}
    assert (found["artist"], found["source_url"], found["page"]) == ("a, b", "https://booru.example/posts/9", "0")
    assert row["data"] not in b"".join(contents(tmp_path).values())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula_or_ends_its_line(tmp_path: Path, text: str) -> None:
    row = member("9", title=text, artist=[text], page_url=text, license=text, file_url=text)
    export("ids", members_of([row, member("10")]), tmp_path)
    content = (tmp_path / "ids/ids.csv").read_bytes()
    said = table(tmp_path)[1]

    assert (said["title"], said["source_url"], said["license"]) == (safe_cell(text),) * 3
    assert [found["post_id"] for found in table(tmp_path)] == ["10", "9"]
    assert len(content.splitlines()) == 3
    for cells in csv.reader(io.StringIO(content.decode())):
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in cells)
    assert b"\0" not in content
    assert pl.read_csv(content).height == 2


def test_what_is_no_id_is_no_line(tmp_path: Path) -> None:
    with pytest.raises(BadImageId, match="not an image id"):
        export("ids", members_of([member("9\n10")]), tmp_path)
    assert contents(tmp_path) == {}


def test_without_members_there_is_a_table_of_no_rows(tmp_path: Path) -> None:
    export("ids", members_of([]), tmp_path)

    assert table(tmp_path) == []
    assert contents(tmp_path) == {"ids/ids.csv": (",".join(COLUMNS) + "\n").encode()}
