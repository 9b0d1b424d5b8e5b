"""PD12M's layout, opened by the adapter that reads PD12M, and as its tutorials read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl
import pytest

from dataset_assets.config import License, Pd12mSource
from dataset_assets.exports import pd12m as layout
from dataset_assets.exports import pd12m_vectors
from dataset_assets.exports.members import Row
from dataset_assets.exports.pd12m_vectors import NotVectors
from dataset_assets.sources import pd12m
from dataset_assets.sources.pd12m_embeddings import Layout, align, read_embeddings, rows_of_shards
from dataset_assets_tests.exports.made_members import (
    HOSTILE,
    PREPARED,
    contents,
    export,
    member,
    members_of,
    picture,
    vectors_of,
)
from dataset_assets_tests.sources.test_pd12m import REAL_ROWS, uuid

CARD = ["id", "url", "caption", "width", "height", "mime_type", "hash", "license", "source"]


def hosted(number: int, **changes: Any) -> Row:
    """An image of PD12M of which there is a training image."""
    of_source: dict[str, Any] = {"year": 2024, "created_at": None, "page_url": None, "source_url": None, "tags": []}
    url = f"https://pd12m.example/images/{uuid(number)}.jpeg"
    original: dict[str, Any] = {
        "original_extension": "jpg",
        "original_width": 8384,
        "original_height": 5612,
        "file_url": url,
    }
    return member(uuid(number), "pd12m", file=picture(7, form="JPEG"), **PREPARED, **of_source, **original, **changes)


def source_of(folder: Path) -> Pd12mSource:
    shards, terms = str(folder / "pd12m/metadata/*.parquet"), License(name="x", basis="y")
    return Pd12mSource(kind="pd12m", metadata=(shards,), collected=2024, license=terms)


def read(folder: Path) -> tuple[Pd12mSource, pl.DataFrame, pl.DataFrame]:
    """An export as this project reads PD12M: the source, its snapshot and the rejected rows."""
    source, snapshot = source_of(folder), folder / "snapshot.parquet"
    report = pd12m.read_snapshot("pd12m", source, snapshot, lambda line: None)
    return source, pl.read_parquet(snapshot), report.rejected


def shards(folder: Path) -> list[pl.DataFrame]:
    return [pl.read_parquet(file) for file in sorted((folder / "pd12m/metadata").glob("*.parquet"))]


def small(monkeypatch: pytest.MonkeyPatch, rows: int = 2, at_once: int = 3) -> Layout:
    """Shards of few rows, ten of them for a file of vectors."""
    monkeypatch.setattr(layout, "ROWS_PER_SHARD", rows)
    monkeypatch.setattr(pd12m_vectors, "ROWS_AT_ONCE", at_once)
    return Layout(rows_per_file=rows * layout.SHARDS_PER_FILE, rows_per_small_shard=rows)


def test_an_export_is_read_again_as_the_source_it_came_from(tmp_path: Path) -> None:
    rows = [hosted(number) for number in range(5)]
    written = export("pd12m", members_of(rows), tmp_path)
    _, snapshot, rejected = read(tmp_path)

    assert rejected.is_empty()
    assert list(written) == ["pd12m/metadata/pd12m.000.parquet"]
    listed = pd12m.image_metadata(snapshot.lazy()).collect()
    for row, found in zip(sorted(rows, key=lambda row: row["image_id"]), listed.iter_rows(named=True), strict=True):
        assert found["image_id"] == row["image_id"]
        assert (found["file_url"], found["md5"]) == (row["file_url"], row["original_md5"])
        assert (found["width"], found["height"], found["file_ext"]) == (8384, 5612, "jpeg")
    captions = pd12m.captions(snapshot.lazy()).collect()
    assert captions.select("image_id", "caption").rows() == [(row, "a girl at night") for row in listed["image_id"]]


def test_columns_are_those_of_the_card_and_then_our_own(tmp_path: Path) -> None:
    export("pd12m", members_of([hosted(1, artist=["a", "b"], title="夜")]), tmp_path)
    (shard,) = shards(tmp_path)

    assert shard.columns[: len(CARD)] == CARD
    row = shard.row(0, named=True)
    assert [row[key] for key in ("source", "artist", "title", "license", "license_basis", "mime_type")] == [
        *("pd12m", "a, b", "夜", "CC0-1.0", "stated by the artist", "image/jpeg")
    ]
    assert row["source_url"] == row["url"], "where it can be looked at"
    assert shard.schema["width"] == pl.Int64
    assert "embedding_row" not in shard.columns


def test_shards_are_full_and_numbered_from_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, rows=3)
    rows = [hosted(number) for number in range(4)] + [member(str(number)) for number in range(1, 5)]
    written = export("pd12m", members_of(rows), tmp_path)

    assert {name: file.rows for name, file in written.items()} == {
        f"pd12m/metadata/pd12m.00{number}.parquet": rows for number, rows in enumerate([3, 3, 2])
    }
    assert pl.concat(shards(tmp_path))["image_id"].to_list() == sorted(row["image_id"] for row in rows)


def test_vectors_of_all_images_are_read_by_position_as_pd12m_publishes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = small(monkeypatch)
    rows = [hosted(number) for number in range(23)]
    vectors = vectors_of(rows, 768)
    written = export("pd12m", members_of(rows, embeddings=vectors), tmp_path)
    source, snapshot, _ = read(tmp_path)

    files = sorted((tmp_path / "pd12m/embeddings").glob("*.npy"))
    assert [file.name for file in files] == ["pd12m.00.npy", "pd12m.01.npy"]
    assert all(written[f"pd12m/embeddings/{file.name}"].rows == 0 for file in files)
    assert [np.load(file, mmap_mode="r").shape for file in files] == [(20, 768), (3, 768)]
    alignment = align(files, rows_of_shards(source.files(source.metadata)), sizes)
    assert not alignment.problems
    found = pl.concat(read_embeddings(alignment, snapshot.lazy())).sort("image_id")
    assert found["error"].null_count() == 23
    expected = vectors.collect()["embedding"].to_numpy().astype(np.float32)
    assert np.abs(found["embedding"].to_numpy().astype(np.float32) - expected).max() < 1e-3


def test_images_without_a_vector_stay_and_rows_name_the_place_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    rows = [hosted(number) for number in range(8)] + [member(str(n), year=2010 + n % 3) for n in range(1, 18)]
    some = [row for number, row in enumerate(rows) if number % 3]
    vectors = vectors_of([*some, member("no member")])
    export("pd12m", members_of(rows, embeddings=vectors), tmp_path)

    known = dict(vectors.collect().select("image_id", "embedding").iter_rows())
    seen = 0
    for number, shard in enumerate(shards(tmp_path)):
        matrix = np.load(tmp_path / f"pd12m/embeddings/pd12m.{number // 10:02}.npy", mmap_mode="r")
        assert matrix.dtype == np.float32
        assert np.isfinite(matrix).all()
        for image_id, place, model in shard.select("image_id", "embedding_row", "embedding_model").iter_rows():
            assert (place is None) == (image_id not in known) == (model is None)
            if place is not None:
                assert np.array_equal(matrix[place], np.array(known[image_id], np.float32))
                seen += 1
    assert seen == len(some)


def test_a_file_of_vectors_has_the_bytes_that_numpy_would_write(tmp_path: Path) -> None:
    rows = [hosted(number) for number in range(12)]
    vectors = vectors_of(rows)
    export("pd12m", members_of(rows, embeddings=vectors), tmp_path)
    np.save(tmp_path / "expected.npy", vectors.collect()["embedding"].to_numpy().astype(np.float32))

    assert (tmp_path / "pd12m/embeddings/pd12m.00.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_two_vectors_of_one_image_and_vectors_of_no_length_are_refused(tmp_path: Path) -> None:
    rows = [hosted(1)]
    twice = pl.concat([vectors_of(rows), vectors_of(rows, model="another")])
    with pytest.raises(NotVectors, match="several vectors"):
        export("pd12m", members_of(rows, embeddings=twice), tmp_path / "twice")
    lists = vectors_of(rows).with_columns(pl.col("embedding").arr.to_list())
    with pytest.raises(NotVectors, match="List"):
        export("pd12m", members_of(rows, embeddings=lists), tmp_path / "lists")
    assert not list(tmp_path.rglob("*.npy"))


def test_every_row_has_a_uuid_of_its_own(tmp_path: Path) -> None:
    posts = ["77", "007", "abc", uuid(3).upper()]
    rows = [member(post, page=page) for post in posts for page in (0, 1)] + [member("77", "pixiv")]
    export("pd12m", members_of(rows), tmp_path)
    (shard,) = shards(tmp_path)
    _, snapshot, rejected = read(tmp_path)

    assert rejected.is_empty()
    assert len(snapshot) == len(rows) == shard["id"].n_unique()
    assert all(str(UUID(found)) == found for found in shard["id"])
    assert shard.filter(pl.col("id") == uuid(3))["image_id"].to_list() == [f"danbooru-{uuid(3).upper()}-0"]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_are_kept_as_they_are(tmp_path: Path, text: str) -> None:
    captions = [{"origin": text, "caption": text}]
    row = hosted(1, captions=captions, title=text, license=text)
    export("pd12m", members_of([row | {"file_url": text}]), tmp_path)
    _, snapshot, rejected = read(tmp_path)

    assert rejected.is_empty()
    assert shards(tmp_path)[0].select("url", "caption", "title", "license", "caption_origin").rows() == [(text,) * 5]
    assert snapshot["caption"].to_list() == [text]


def test_without_members_there_is_one_empty_shard(tmp_path: Path) -> None:
    export("pd12m", members_of([], embeddings=vectors_of([hosted(1)])), tmp_path)
    (shard,) = shards(tmp_path)

    assert shard.height == 0
    assert shard.columns[: len(CARD)] == CARD
    assert np.load(tmp_path / "pd12m/embeddings/pd12m.00.npy").shape == (0, 8)


def test_equal_members_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    rows = [hosted(number) for number in range(7)]
    for name in ("one", "two"):
        export("pd12m", members_of(rows, embeddings=vectors_of(rows)), tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def real_rows() -> Sequence[Row]:
    published = pl.read_parquet(REAL_ROWS)
    return [
        hosted(0, captions=[{"origin": "source", "caption": row["caption"]}])
        | {"image_id": f"pd12m-{row['id']}-0", "post_id": row["id"], "file_url": row["url"]}
        | {"original_width": row["width"], "original_height": row["height"], "path": row["id"]}
        | {"original_extension": {"image/jpeg": "jpg"}.get(row["mime_type"], "png")}
        for row in published.unique("id", keep="first", maintain_order=True).iter_rows(named=True)
    ]


@pytest.mark.skipif(not REAL_ROWS.is_file(), reason="no real inputs beside this checkout")
def test_real_rows_come_back_as_they_were_published(tmp_path: Path) -> None:
    rows = real_rows()
    export("pd12m", members_of(rows), tmp_path)
    columns = ["id", "url", "caption", "width", "height", "mime_type"]
    (shard,) = shards(tmp_path)
    published = pl.read_parquet(REAL_ROWS).unique("id").with_columns(pl.col("id").str.to_lowercase())

    assert shard.select(columns).sort("id").equals(published.select(columns).sort("id"))
