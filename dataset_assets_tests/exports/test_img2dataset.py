import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dataset_assets.domain.attribution import credit
from dataset_assets.exports import img2dataset
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.target import Target
from dataset_assets_tests.exports.hostile_members import (
    counted,
    digest,
    export,
    hostile,
    hostile_members,
    member,
    members_of,
    pixels_of,
    rows_by_id,
)
from dataset_assets_tests.exports.samples_read import SampleReader, sample_reader

__all__ = ["sample_reader"]

SHARD = 30_000
# img2dataset 1.47: downloader.py, what is appended to the columns that were given; the hash last.
FOUND_BY_IT = {
    "key": pl.String,
    "status": pl.String,
    "error_message": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "original_width": pl.Int32,
    "original_height": pl.Int32,
    "exif": pl.String,
    "sha256": pl.String,
}


def one_split(count: int = 12) -> Members:
    files: dict[str, bytes] = {}
    kinds = ("png", "jpg", "webp")
    return members_of([member(n, files, **hostile(n), extension=kinds[n % 3]) for n in range(count)], files)


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "img2dataset").glob("*.tar"))


def table_of(shard: Path) -> pl.DataFrame:
    return pl.read_parquet(shard.with_suffix(".parquet"))


def test_tar_and_table_of_a_shard_have_the_same_images_row_for_row(tmp_path: Path, sample_reader: SampleReader) -> None:
    members = one_split()
    export(members, "img2dataset", tmp_path / "out", SHARD)
    expected = rows_by_id(members)

    for shard in shards(tmp_path / "out"):
        samples, rows = sample_reader.decoded(shard), table_of(shard).rows(named=True)
        for sample, row in zip(samples, rows, strict=True):
            known = expected.pop(row["image_id"])
            assert sample["__key__"] == row["key"]
            assert sample["json"] == row
            assert sample["txt"] == row["caption"] == (known["captions"][0]["caption"] if known["captions"] else "")
            assert row["tags"] == known["tags"]
            assert np.array_equal(np.asarray(sample[known["extension"]]), pixels_of(members.read(known)))
    assert not expected


def test_the_table_has_the_columns_of_img2dataset_in_its_order(tmp_path: Path) -> None:
    members = one_split()
    export(members, "img2dataset", tmp_path / "out")
    (shard,) = shards(tmp_path / "out")
    table, known = table_of(shard), rows_by_id(members)

    assert table.columns[:2] == ["url", "caption"]
    assert dict(list(table.schema.items())[-len(FOUND_BY_IT) :]) == FOUND_BY_IT
    for row in table.rows(named=True):
        stated = known[row["image_id"]]
        assert (row["url"], row["sha256"]) == (stated["file_url"], stated["original_sha256"])
        assert (row["width"], row["original_width"]) == (stated["width"], stated["original_width"])
        assert (row["file_sha256"], row["original_md5"]) == (stated["sha256"], stated["original_md5"])
        owed = credit(stated)
        assert {name: row[name] for name in owed if name in ("artist", "source_url", "license", "license_basis")} == {
            name: owed[name] for name in ("artist", "source_url", "license", "license_basis")
        }
        assert (row["status"], row["error_message"]) == ("success", None)


def test_pandas_reads_the_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    members = one_split()
    export(members, "img2dataset", tmp_path / "out")

    found = pandas.read_parquet(shards(tmp_path / "out")[0].with_suffix(".parquet"))

    assert list(found["image_id"]) == list(rows_by_id(members))
    assert [len(tags) for tags in found["tags"]] == [len(row["tags"]) for row in members.rows()]


def compute_key(number: int, shard: int) -> str:
    """img2dataset 1.47, downloader.py, with its defaults: 10,000 images a shard, 5 digits."""
    return f"{10**4 * shard + number:09d}"


def test_keys_number_the_images_as_img2dataset_does(tmp_path: Path) -> None:
    export(one_split(), "img2dataset", tmp_path / "out", SHARD)

    found = [list(table_of(shard)["key"]) for shard in shards(tmp_path / "out")]

    assert len(found) > 2
    assert found == [[compute_key(n, shard) for n in range(len(keys))] for shard, keys in enumerate(found)]


def test_a_shard_has_no_more_images_than_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(img2dataset, "ROWS_PER_SHARD", 5)
    export(one_split(), "img2dataset", tmp_path / "out")

    assert [table_of(shard).height for shard in shards(tmp_path / "out")] == [5, 5, 2]


def test_statistics_tell_that_all_shards_are_done(tmp_path: Path) -> None:
    export(one_split(), "img2dataset", tmp_path / "out", SHARD)
    folder = tmp_path / "out/img2dataset"

    # What its incremental mode takes for done, main.py: every .json of the folder, by its number.
    done = {int(file.name.split("_")[0]) for file in folder.glob("*.json")}
    assert done == {int(shard.stem) for shard in shards(tmp_path / "out")}
    for shard in shards(tmp_path / "out"):
        stats: dict[str, Any] = json.loads((folder / f"{shard.stem}_stats.json").read_bytes())
        assert stats["count"] == stats["successes"] == stats["status_dict"]["success"] == table_of(shard).height
        assert stats["failed_to_download"] == stats["failed_to_resize"] == 0


def test_members_are_counted_once_and_each_split_has_a_folder(tmp_path: Path) -> None:
    written = export(hostile_members(), "img2dataset", tmp_path / "out", SHARD)

    assert sum(file.rows for file in written) == 24
    assert {file.name.split("/")[1] for file in written} == {"train", "test"}
    assert (tmp_path / "out/img2dataset/test/00000.parquet").is_file()


def test_two_exports_are_equal_to_the_byte(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(one_split(), "img2dataset", tmp_path / name, SHARD)

    a, b = (sorted((tmp_path / name / "img2dataset").iterdir()) for name in ("a", "b"))
    assert [(file.name, digest(file)) for file in a] == [(file.name, digest(file)) for file in b]


def test_a_stopped_export_goes_on_and_leaves_no_half_shard(tmp_path: Path) -> None:
    members, left, reads = one_split(), iter(range(7)), list[str]()

    def read(path: str) -> bytes:
        if next(left, None) is None:
            raise OSError("the disk is gone")
        return members.read_path(path)

    target = Target(tmp_path / "out", tmp_path / "scratch")
    with pytest.raises(MemberLost):
        list(FORMATS["img2dataset"].write(replace(members, read_path=read), target, Settings("girls", SHARD)))
    assert 0 < len(shards(tmp_path / "out")) < 4
    assert not list((tmp_path / "scratch").iterdir())
    export(counted(members, reads), "img2dataset", tmp_path / "out", SHARD)
    export(members, "img2dataset", tmp_path / "undisturbed", SHARD)

    assert len(reads) < 12
    assert [digest(file) for file in shards(tmp_path / "out")] == [digest(f) for f in shards(tmp_path / "undisturbed")]
