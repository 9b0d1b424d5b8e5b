from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import superseded
from dataset_assets.domain.identity import POST_ID, SOURCE_NAME, ImageName
from dataset_assets.domain.superseded import ImageFile, PartitionFile
from dataset_assets.storage.blobs import IMAGE_KINDS, image_path

IMAGE = "images/raw/danbooru/0146/1525146_p0.0a1b2c3d4e5f.png"


@given(
    kind=st.sampled_from(IMAGE_KINDS),
    source=st.from_regex(SOURCE_NAME, fullmatch=True),
    post_id=st.from_regex(POST_ID, fullmatch=True),
    page=st.integers(0, 99_999),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    extension=st.sampled_from(["png", "jpg", "webp", "gif", "avif"]),
)
def test_every_name_that_an_image_can_get_tells_whose_it_is(
    kind: str, source: str, post_id: str, page: int, sha256: str, extension: str
) -> None:
    name = image_path(kind, ImageName(source, post_id, page), sha256, extension)

    assert superseded.image_file(name) == ImageFile(kind, source, post_id, page)
    assert superseded.group_of(name) == f"images/{kind}/{source}/"
    assert not superseded.is_kept(name)
    assert not superseded.is_half_written(name)
    assert superseded.is_half_written(f"{name}#12-345")


@pytest.mark.parametrize(
    "name",
    [
        "images/raw/danbooru/0146/notes.txt",
        "images/raw/danbooru/1525146_p0.0a1b2c3d4e5f.png",
        "images/drawn/danbooru/0146/1525146_p0.0a1b2c3d4e5f.png",
        "images/raw/danbooru/0146/1525146_p0.0a1b2c3d4e5f.png\n",
        "images/raw/../raw/0146/1525146_p0.0a1b2c3d4e5f.png",
        f"{IMAGE}.bak",
        "my-notes/plan.txt",
        "tables/raw_images/source=danbooru/year=2019/data.csv",
        "indexes/mine.index",
        "_work/raw_images/source=danbooru/year=2019/mine.parquet",
        "_history/raw_images/source=danbooru/year=2019/old.parquet",
    ],
)
def test_what_a_root_does_not_make_is_known_as_nothing(name: str) -> None:
    ways = (superseded.image_file, superseded.shard_file, superseded.history_file, superseded.is_index_file)
    more = (superseded.is_half_written, superseded.is_probe, superseded.is_scratch, superseded.is_kept)

    assert not [way for way in (*ways, *more) if way(name)]


@pytest.mark.parametrize(
    "name",
    [
        "tables/subset/sfw/source=danbooru/year=2019/data.parquet",
        "_checksums/near_duplicates/data.json",
        "_before/subset/sfw/source=danbooru/year=2019/data.json",
        "_locks/_rebuild/source=danbooru/year=2019/lock",
        "_tmp/journal/raw_images/source=pd12m/year=2024/00000001.jsonl",
        "_definitions/subset/sfw/2faff0505f595fb5.json",
        "_compared/1/2faff0505f595fb5-2faff0505f595fb6.json",
        "sheets/near_duplicates.jpg",
        "sheets/review/0a1b2c3d.jpg",
        "sheets/review/0a1b2c3d.json",
        "_locks/review/0a1b2c3d",
        "snapshots/source=danbooru/2022-01-09-989f526d.parquet",
        "snapshots/source=danbooru/present",
        "decisions/tags/source=danbooru/year=2019/20260101T000000-0a1b2c3d.jsonl",
        "takedowns/20260101T000000000000-0a1b2c3d.jsonl",
        "takedowns/proofs/t1.json",
        "catalog.duckdb",
        "releases/feed.xml",
    ],
)
def test_what_a_root_keeps_for_good_is_known_as_such(name: str) -> None:
    assert superseded.is_kept(name)


def test_files_of_partitions_tell_their_partition() -> None:
    shard = superseded.shard_file("_work/subset/a/source=danbooru/year=2019/0123456789abcdef/fedcba9876543210.parquet")
    assert shard == PartitionFile("subset/a", "source=danbooru/year=2019", "0123456789abcdef")
    across = superseded.shard_file("_work/near_duplicates/0123456789abcdef/fedcba9876543210.parquet")
    assert across == PartitionFile("near_duplicates", "", "0123456789abcdef")
    history = superseded.history_file("_history/raw_images/source=d/year=2019/0123456789abcdef.parquet")
    assert history == PartitionFile("raw_images", "source=d/year=2019", "0123456789abcdef")
    assert superseded.history_file("_history/raw_images/source=d/year=2019/data.parquet") is not None


def test_files_are_judged_with_those_of_their_folder() -> None:
    assert superseded.group_of("catalog.duckdb") == ""
    assert superseded.group_of("releases/feed.xml") == "releases/"
    assert superseded.group_of("releases/one/kohya/a.png") == "releases/one/"
    assert superseded.group_of("images/stray.png") == "images/"
    assert superseded.release_file("releases/one/kohya/a.png") == ("one", "kohya/a.png")


@pytest.mark.parametrize(
    ("name", "is_scratch"),
    [
        ("_tmp/0123456789abcdef0123456789abcdef.parquet", True),
        ("_tmp/staged-0123456789abcdef0123456789abcdef.parquet", True),
        ("_tmp/0123456789abcdef0123456789abcdef-x1y2/stage.parquet", True),
        ("_tmp/duckdb_temp_storage_DEFAULT-0.tmp", True),
        ("_tmp/mine.parquet", False),
        ("_tmp/journal/raw_images/1.txt", False),
    ],
)
def test_scratch_is_what_runs_make(name: str, is_scratch: bool) -> None:
    assert superseded.is_scratch(name) is is_scratch


def test_ages_are_read_as_people_write_them() -> None:
    assert superseded.parse_age("1d") == timedelta(days=1)
    assert superseded.parse_age(" 90 M ") == timedelta(minutes=90)
    for text in ("", "1", "d", "-1d", "1.5d", "1y", "1d1h", "9999999w"):
        with pytest.raises(ValueError, match="no age"):
            superseded.parse_age(text)
