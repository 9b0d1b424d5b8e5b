from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.config import License, PixivListsSource
from dataset_assets.domain.schemas import REJECTED_RECORDS, require_schema
from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources import DamagedExport
from dataset_assets.sources.sketch_pairs import (
    COMPLETED_SKETCH_PAIRS,
    SKETCH_PAIRS,
    completeness,
    pairs_of,
    read_pairs,
)

PIXIV_DATASET = Path(__file__).parents[2] / ".." / "shared" / "data" / "pixiv_dataset"


def source_of(folder: Path, content: str | bytes | None) -> PixivListsSource:
    (folder / "ids.txt").write_text("1\n")
    if content is not None:
        (folder / "pairs.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    source = PixivListsSource(
        kind="pixiv_lists",
        ids=("ids.txt",),
        sketch_pairs=None if content is None else "pairs.csv",
        collected=2017,
        license=License(name="x", basis="y"),
    )
    source._folder = folder
    return source


def read(folder: Path, content: str | bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    pairs, rejected = read_pairs("pixiv", source_of(folder, content))
    require_schema(SKETCH_PAIRS, pairs.schema)
    require_schema(REJECTED_RECORDS, rejected.schema)
    assert set(rejected["reason"]) <= set(REJECT_REASONS)
    return pairs, rejected


def column(pairs: pl.DataFrame, name: str) -> dict[str, object]:
    return dict(pairs.select("colored_id", name).iter_rows())


def test_a_pair_names_the_images_of_its_source(tmp_path: Path) -> None:
    pairs, rejected = read(tmp_path, "14646322,14577906\n")

    assert rejected.height == 0
    assert pairs.drop("split_key").to_dicts() == [
        {
            "colored_id": "pixiv-14646322-0",
            "sketch_id": "pixiv-14577906-0",
            "colorings": 1,
            "role_conflict": False,
            "is_chronological": True,
        }
    ]


@pytest.mark.parametrize("content", ["3,1\r\n4,2", "\ufeff 3 , 1 \n\n\n4,2\n"])
def test_line_ends_blanks_and_a_byte_order_mark_do_not_matter(tmp_path: Path, content: str) -> None:
    pairs, rejected = read(tmp_path, content)

    assert pairs["colored_id"].to_list() == ["pixiv-3-0", "pixiv-4-0"]
    assert rejected.height == 0


@pytest.mark.parametrize(
    "line", ["colored,sketch", "1", "1,", ",1", "1,2,3", "1;2", "-1,2", "0,1", "1,1e5", "9" * 19 + ",1", "１,２"]
)
def test_a_line_that_is_no_pair_is_rejected_and_shown(tmp_path: Path, line: str) -> None:
    pairs, rejected = read(tmp_path, f"30,10\n{line}\n40,20\n")

    assert pairs.height == 2
    assert rejected.select("file", "line", "reason", "content").rows() == [("pairs.csv", 2, "bad_id", line)]


def test_bytes_that_are_no_text_are_rejected_in_a_form_that_tables_hold(tmp_path: Path) -> None:
    pairs, rejected = read(tmp_path, b"3,1\n\xff\x00,2\n4,2\n")

    assert pairs.height == 2
    assert rejected["content"].to_list() == ["\ufffd\ufffd,2"]


def test_a_repeated_pair_counts_once(tmp_path: Path) -> None:
    pairs, rejected = read(tmp_path, "3,1\n4,1\n3,1\n")

    assert column(pairs, "colorings") == {"pixiv-3-0": 2, "pixiv-4-0": 2}
    assert rejected.select("line", "reason").rows() == [(3, "duplicate_id")]


def test_an_image_in_both_roles_marks_all_its_pairs(tmp_path: Path) -> None:
    pairs, _ = read(tmp_path, "3,2\n2,1\n9,8\n")

    assert column(pairs, "role_conflict") == {"pixiv-3-0": True, "pixiv-2-0": True, "pixiv-9-0": False}


def test_a_colouring_older_than_its_sketch_is_not_chronological(tmp_path: Path) -> None:
    pairs, _ = read(tmp_path, "9,10\n100,20\n")

    assert column(pairs, "is_chronological") == {"pixiv-9-0": False, "pixiv-100-0": True}


numbers = st.integers(1, 12)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_pairs_that_share_an_image_are_never_split(drawn: list[tuple[int, int]]) -> None:
    lines = pl.DataFrame([(str(a), str(b)) for a, b in drawn], schema=["colored", "sketch"], orient="row").unique()
    pairs = pairs_of("pixiv", lines)

    groups = dict[str, set[str]]()
    for colored, sketch, key in pairs.select("colored_id", "sketch_id", "split_key").iter_rows():
        groups.setdefault(key, set()).update((colored, sketch))
    assert sum(len(images) for images in groups.values()) == len(set().union(*groups.values()))


def test_sketches_that_share_nothing_have_keys_of_their_own(tmp_path: Path) -> None:
    pairs, _ = read(tmp_path, "3,1\n4,1\n5,2\n")

    keys = column(pairs, "split_key")
    assert keys["pixiv-3-0"] == keys["pixiv-4-0"] != keys["pixiv-5-0"]


def test_a_split_key_depends_neither_on_the_order_of_lines_nor_on_other_pairs(tmp_path: Path) -> None:
    first, _ = read(tmp_path, "3,2\n2,1\n")
    second, _ = read(tmp_path, "2,1\n9,8\n3,2\n")

    assert column(first, "split_key").items() <= column(second, "split_key").items()


def test_a_source_without_pairs_has_none(tmp_path: Path) -> None:
    pairs, rejected = read_pairs("pixiv", source_of(tmp_path, None))

    assert pairs.equals(SKETCH_PAIRS.empty())
    assert rejected.equals(REJECTED_RECORDS.empty())


def test_a_file_far_too_large_is_refused_unread(tmp_path: Path) -> None:
    source = source_of(tmp_path, "3,1\n")
    with (tmp_path / "pairs.csv").open("r+b") as file:
        file.truncate(1 << 40)

    with pytest.raises(DamagedExport, match=r"pairs\.csv: 1,099,511,627,776 bytes"):
        read_pairs("pixiv", source)


def test_a_pair_is_complete_when_both_its_images_are_stored(tmp_path: Path) -> None:
    pairs, _ = read(tmp_path, "5,1\n6,2\n7,3\n8,4\n")
    stored = ["5", "1", "6", "3"]
    raw = pl.LazyFrame(
        {
            "image_id": [f"pixiv-{number}-0" for number in range(1, 8)],
            "state": ["stored" if str(number) in stored else "pending" for number in range(1, 8)],
        }
    )

    completed = completeness(pairs, raw)

    require_schema(COMPLETED_SKETCH_PAIRS, completed.schema)
    assert completed.select("state", "missing").rows() == [
        ("complete", None),
        ("incomplete", "sketch"),
        ("incomplete", "colored"),
        ("incomplete", "both"),
    ]


@pytest.mark.skipif(not PIXIV_DATASET.is_dir(), reason="the published lists are not here")
def test_the_published_pairs() -> None:
    source = PixivListsSource(
        kind="pixiv_lists",
        ids=(str(PIXIV_DATASET / "popular_pixiv_image_ids.txt"),),
        sketch_pairs=str(PIXIV_DATASET / "colored_sketch_pair.csv"),
        collected=2017,
        license=License(name="x", basis="y"),
    )
    pairs, rejected = read_pairs("pixiv", source)

    assert (pairs.height, rejected.height) == (6192, 0)
    assert pairs["colored_id"].n_unique() == 6192
    assert pairs["sketch_id"].n_unique() == 4547
    assert pairs.filter(~pl.col("is_chronological")).height == 13
    assert set(pairs["colored_id"]) & set(pairs["sketch_id"]) == {"pixiv-35384089-0", "pixiv-36615579-0"}
    assert pairs.filter("role_conflict").height == 4
    assert pairs["split_key"].n_unique() == 4545
    most = pairs.sort("colorings").row(-1, named=True)
    assert (most["sketch_id"], most["colorings"]) == ("pixiv-22378654-0", 57)
