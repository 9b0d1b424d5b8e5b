import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dataset_assets.domain.attribution import credit
from dataset_assets.exports.clip_retrieval import NoVectors
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target
from dataset_assets_tests.exports.hostile_members import digest, export, hostile_members, rows_by_id

DIM = 16


def vectors_of(ids: Sequence[str], model: str = "ViT-L-14", seed: int = 0) -> pl.LazyFrame:
    """A vector of length 1 for each id, in an order that is not that of the ids."""
    drawn = np.random.default_rng(seed).standard_normal((len(ids), DIM))
    unit = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)
    frame = pl.DataFrame({"image_id": ids, "embedding": pl.Series(unit, dtype=pl.Array(pl.Float16, DIM))})
    return frame.with_columns(pl.lit(model).alias("model")).sort(pl.col("image_id").hash(), descending=True).lazy()


def embedded(without: int = 3) -> Members:
    """Members of which every eighth has no vector, among vectors of images that are no members."""
    members = hostile_members()
    ids = [image_id for number, image_id in enumerate(rows_by_id(members)) if number % 8]
    assert len(ids) == 24 - without
    return replace(members, embeddings=vectors_of([*ids, "danbooru-0000000-1", "other-1-0"]))


def vector_by_id(members: Members) -> dict[str, np.ndarray]:
    assert members.embeddings is not None
    rows = members.embeddings.collect()
    return dict(zip(rows["image_id"], rows["embedding"].to_numpy(), strict=True))


def numpy_header(file: Path) -> tuple[int, int, str, int]:
    """Rows, dimension, dtype and offset, as embedding_reader 1.8 finds them for autofaiss: numpy_reader.py."""
    first_line = file.read_bytes()[:300].split(b"\n")[0]
    shape = re.search(r"'shape': \(([0-9]+), ([0-9]+)\)", str(first_line))
    dtype = re.search(r"'descr': '([<f0-9]+)'", str(first_line))
    assert shape is not None
    assert dtype is not None
    return int(shape[1]), int(shape[2]), dtype[1], len(first_line) + 1


def read(folder: Path) -> tuple[np.ndarray, pl.DataFrame]:
    """All vectors and all metadata, in the order in which clip-retrieval's back end numbers them."""
    files = sorted((folder / "clip_retrieval/img_emb").glob("*.npy"))
    tables = sorted((folder / "clip_retrieval/metadata").glob("*.parquet"))
    matrices = [np.load(file, allow_pickle=False) for file in files]
    for file, matrix in zip(files, matrices, strict=True):
        rows, dimension, dtype, offset = numpy_header(file)
        raw = np.frombuffer(file.read_bytes()[offset:], dtype).reshape(rows, dimension)
        assert np.array_equal(raw, matrix)
    return np.concatenate(matrices), pl.concat([pl.read_parquet(file) for file in tables])


def test_each_row_has_the_vector_and_the_words_of_its_image(tmp_path: Path) -> None:
    members = embedded()
    export(members, "clip_retrieval", tmp_path / "out", shard_bytes=DIM * 2 * 5)
    vectors, table = read(tmp_path / "out")
    of_image, known = vector_by_id(members), rows_by_id(members)

    assert vectors.dtype == np.float16
    assert vectors.shape == (21, DIM)
    assert table["image_path"].to_list() == [image_id for image_id in known if image_id in of_image]
    for vector, row in zip(vectors, table.rows(named=True), strict=True):
        stated = known[row["image_path"]]
        assert np.array_equal(vector, of_image[row["image_path"]])
        assert row["caption"] == (stated["captions"][0]["caption"] if stated["captions"] else "")
        assert row["url"] == stated["file_url"]
        assert row["tags"] == ", ".join(tag["tag"] for tag in stated["tags"])
        owed = credit(stated)
        for name in ("artist", "source_url", "license", "license_basis"):
            assert row[name] == owed[name]


def test_what_was_left_out_is_counted(tmp_path: Path) -> None:
    written = export(embedded(), "clip_retrieval", tmp_path / "out")

    said: dict[str, Any] = json.loads((tmp_path / "out/clip_retrieval/embeddings.json").read_bytes())
    assert said == {
        "model": "ViT-L-14",
        "dimension": DIM,
        "dtype": "float16",
        "vectors": 21,
        "images_without_vector": 3,
    }
    assert sum(file.rows for file in written) == 21


def test_shards_of_vectors_and_of_metadata_are_numbered_alike_and_sort_as_they_count(tmp_path: Path) -> None:
    written = export(embedded(), "clip_retrieval", tmp_path / "out", shard_bytes=DIM * 2 * 2)

    vectors = [Path(file.name).stem for file in written if file.name.endswith(".npy")]
    tables = [Path(file.name).stem for file in written if file.name.endswith(".parquet")]
    assert vectors == [f"img_emb_{number:02d}" for number in range(12)]
    assert tables == [f"metadata_{number:02d}" for number in range(12)]


def test_one_shard_has_the_names_that_clip_retrieval_gives(tmp_path: Path) -> None:
    export(embedded(), "clip_retrieval", tmp_path / "out")

    assert (tmp_path / "out/clip_retrieval/img_emb/img_emb_0.npy").is_file()
    assert (tmp_path / "out/clip_retrieval/metadata/metadata_0.parquet").is_file()


def test_two_exports_are_equal_to_the_byte_however_the_vectors_are_stored(tmp_path: Path) -> None:
    members = embedded()
    assert members.embeddings is not None
    export(members, "clip_retrieval", tmp_path / "a")
    export(replace(members, embeddings=members.embeddings.sort("image_id")), "clip_retrieval", tmp_path / "b")

    a, b = (sorted(file for file in (tmp_path / name).rglob("*") if file.is_file()) for name in ("a", "b"))
    assert [(file.name, digest(file)) for file in a] == [(file.name, digest(file)) for file in b]


def test_vectors_of_another_model_over_an_export_replace_it(tmp_path: Path) -> None:
    members = embedded()
    export(members, "clip_retrieval", tmp_path / "out")
    other = replace(members, embeddings=vectors_of(list(rows_by_id(members)), "ViT-B-32", seed=1))
    export(other, "clip_retrieval", tmp_path / "out")

    vectors, table = read(tmp_path / "out")
    assert table.height == 24
    assert np.array_equal(vectors[5], vector_by_id(other)[table["image_id"][5]])


@pytest.mark.parametrize("second", ["ViT-B-32", "ViT-L-14"])
def test_two_vectors_of_one_image_are_refused(tmp_path: Path, second: str) -> None:
    members = hostile_members()
    ids = list(rows_by_id(members))
    both = pl.concat([vectors_of(ids), vectors_of(ids[:2], second)])

    with pytest.raises(NoVectors, match="a vector of one model for an image"):
        export(replace(members, embeddings=both), "clip_retrieval", tmp_path / "out")


def test_a_release_without_vectors_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoVectors, match="build clip_embeddings first"):
        export(hostile_members(), "clip_retrieval", tmp_path / "out")


def test_vectors_of_other_images_alone_make_no_shard(tmp_path: Path) -> None:
    members = replace(hostile_members(), embeddings=vectors_of(["other-1-0"]))

    (written,) = export(members, "clip_retrieval", tmp_path / "out")

    assert written.name == "clip_retrieval/embeddings.json"
    assert json.loads((tmp_path / "out" / written.name).read_bytes())["images_without_vector"] == 24


def test_pixels_are_never_read(tmp_path: Path) -> None:
    def read_path(path: str) -> bytes:
        raise AssertionError(path)

    export(replace(embedded(), read_path=read_path), "clip_retrieval", tmp_path / "out")


def stopped_export(members: Members, folder: Path, files: int) -> list[str]:
    """Export until so many files are there. Returns: their names."""
    settings = Settings("girls", DIM * 2 * 5)
    writing = FORMATS["clip_retrieval"].write(members, Target(folder / "out", folder / "scratch"), settings)
    finished = [next(writing).name for _ in range(files)]
    writing.close()  # type: ignore[attr-defined]  # a generator: here the export is stopped
    assert not list((folder / "scratch").iterdir())
    return finished


def test_what_was_finished_is_not_written_again(tmp_path: Path) -> None:
    members = embedded()
    before = {name: (tmp_path / "out" / name).stat().st_ino for name in stopped_export(members, tmp_path, 3)}

    export(members, "clip_retrieval", tmp_path / "out", DIM * 2 * 5)
    export(members, "clip_retrieval", tmp_path / "undisturbed", DIM * 2 * 5)

    assert {name: (tmp_path / "out" / name).stat().st_ino for name in before} == before
    assert np.array_equal(read(tmp_path / "out")[0], read(tmp_path / "undisturbed")[0])


def test_vectors_that_are_others_after_a_stop_are_written(tmp_path: Path) -> None:
    members = embedded()
    stopped_export(members, tmp_path, 4)
    others = vectors_of(list(vector_by_id(members)), seed=1)

    export(replace(members, embeddings=others), "clip_retrieval", tmp_path / "out", DIM * 2 * 5)

    vectors, table = read(tmp_path / "out")
    of_image = vector_by_id(replace(members, embeddings=others))
    assert all(np.array_equal(vector, of_image[key]) for vector, key in zip(vectors, table["image_path"], strict=True))


def test_words_that_are_others_after_a_stop_are_written(tmp_path: Path) -> None:
    members = embedded()
    stopped_export(members, tmp_path, 4)
    retitled = replace(members, parts=[part.with_columns(title=pl.lit("new")) for part in members.parts])

    export(retitled, "clip_retrieval", tmp_path / "out", DIM * 2 * 5)

    assert set(read(tmp_path / "out")[1]["title"]) == {"new"}
