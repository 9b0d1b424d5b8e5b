from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from dataset_assets.sources import DamagedExport
from dataset_assets.sources.pd12m import SNAPSHOT
from dataset_assets.sources.pd12m_embeddings import (
    DIM,
    EMBEDDINGS,
    Layout,
    align,
    read_embeddings,
    rows_of_shards,
)

# As published, but with 20 vectors in a file and 2 rows in a shard of three digits.
SMALL = Layout(rows_per_file=20, rows_per_small_shard=2)


def vectors(count: int, seed: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def saved(folder: Path, name: str, content: npt.NDArray[np.generic]) -> Path:
    np.save(folder / name, content)
    return folder / name


def shard(name: str, rows: Sequence[int]) -> pl.DataFrame:
    number = int(name.split(".")[1])
    return pl.DataFrame(
        {
            "image_id": [f"{name}:{row}" for row in rows],
            "record_file": name,
            "shard_number": number,
            "row_in_shard": rows,
        },
        schema_overrides=SNAPSHOT.schema,
    )


def read(
    files: Sequence[Path], rows: pl.DataFrame, layout: Layout = SMALL, shards: Mapping[str, int] | None = None
) -> pl.DataFrame:
    """The vectors of rows of shards that are as long as they should be, or as `shards` says."""
    length = {len("pd12m.00.parquet"): layout.rows_per_file}
    named = {name: length.get(len(name), layout.rows_per_small_shard) for name in rows["record_file"]}
    alignment = align(files, named if shards is None else shards, layout)
    batches = list(read_embeddings(alignment, rows.lazy()))
    for batch in batches:
        assert batch.schema == EMBEDDINGS
    return pl.concat([pl.DataFrame(schema=EMBEDDINGS), *batches])


def refused(files: Sequence[Path], shards: Mapping[str, int], layout: Layout = SMALL) -> dict[int, str]:
    return dict(align(files, shards, layout).problems)


def cosines(found: pl.DataFrame, expected: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    units = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ij->i", found["embedding"].to_numpy().astype(np.float32), units), np.float64)


def test_a_row_of_a_shard_of_two_digits_has_the_vector_at_its_own_place(tmp_path: Path) -> None:
    first, second = vectors(20, seed=1), vectors(20, seed=2)
    files = [saved(tmp_path, "pd12m.00.npy", first), saved(tmp_path, "pd12m.01.npy", second)]
    rows = pl.concat([shard("pd12m.01.parquet", [19, 3]), shard("pd12m.00.parquet", [7])])

    found = read(files, rows)

    assert found["image_id"].to_list() == ["pd12m.00.parquet:7", "pd12m.01.parquet:3", "pd12m.01.parquet:19"]
    assert cosines(found, np.stack([first[7], second[3], second[19]])) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "file", "place"), [("000", 0, 0), ("003", 0, 6), ("009", 0, 18), ("010", 1, 0), ("017", 1, 14)]
)
def test_ten_shards_of_three_digits_lie_end_to_end_in_one_file(
    tmp_path: Path, name: str, file: int, place: int
) -> None:
    published = [vectors(20, seed=1), vectors(20, seed=2)]
    files = [saved(tmp_path, f"pd12m.{number:02d}.npy", content) for number, content in enumerate(published)]

    found = read(files, shard(f"pd12m.{name}.parquet", [0, 1]))

    assert cosines(found, published[file][place : place + 2]) == pytest.approx(1, abs=1e-3)


def test_vectors_get_length_1_and_their_own_length_is_kept(tmp_path: Path) -> None:
    published = vectors(20) * np.linspace(0.01, 100, 20, dtype=np.float32)[:, None]
    found = read([saved(tmp_path, "pd12m.00.npy", published)], shard("pd12m.00.parquet", range(20)))

    lengths = np.linalg.norm(found["embedding"].to_numpy().astype(np.float32), axis=1)
    assert lengths == pytest.approx(1, abs=2e-3)
    assert found["norm"].to_numpy() == pytest.approx(np.linalg.norm(published, axis=1), rel=1e-5)
    assert found["error"].null_count() == 20


@pytest.mark.parametrize(
    ("wrong", "norm", "error"),
    [
        (0.0, 0.0, "bad_norm"),
        (np.nan, None, "not_finite"),
        (np.inf, None, "not_finite"),
        (-np.inf, None, "not_finite"),
        (3e38, None, "bad_norm"),
        (1e-30, 0.0, "bad_norm"),
        (1e30, 2.77e31, "bad_norm"),
    ],
)
def test_a_vector_that_cannot_be_scaled_is_a_row_with_an_error(
    tmp_path: Path, wrong: float, norm: float | None, error: str
) -> None:
    published = vectors(20)
    published[1] = wrong
    found = read([saved(tmp_path, "pd12m.00.npy", published)], shard("pd12m.00.parquet", [0, 1, 2]))

    assert found["error"].to_list() == [None, error, None]
    assert found["embedding"].is_null().to_list() == [False, True, False]
    assert found["norm"][1] == (None if norm is None else pytest.approx(norm, rel=0.01, abs=1e-20))


def test_one_number_that_is_not_finite_spoils_its_own_vector_alone(tmp_path: Path) -> None:
    published = vectors(20)
    published[4, 700] = np.nan
    found = read([saved(tmp_path, "pd12m.00.npy", published)], shard("pd12m.00.parquet", range(20)))

    assert found.filter(pl.col("error").is_not_null())["image_id"].to_list() == ["pd12m.00.parquet:4"]
    assert found["embedding"].null_count() == 1


@pytest.mark.parametrize("name", ["pd12m.07.parquet", "pd12m.070.parquet", "pd12m.0.parquet", "pd12m.0000.parquet"])
def test_rows_of_a_shard_without_a_file_say_so(tmp_path: Path, name: str) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", vectors(20))]

    found = read(files, pl.concat([shard(name, [0]), shard("pd12m.00.parquet", [0])]))

    assert found.select("image_id", "error").rows() == [
        ("pd12m.00.parquet:0", None),
        (f"{name}:0", "no_embedding_file"),
    ]
    assert found["embedding"].is_null().to_list() == [False, True]


def test_no_rows_give_no_vectors(tmp_path: Path) -> None:
    assert read([saved(tmp_path, "pd12m.00.npy", vectors(2))], shard("pd12m.00.parquet", [])).is_empty()


@pytest.mark.parametrize("held", [19, 21])
def test_a_file_of_another_number_of_vectors_than_its_shard_has_rows_gives_none(tmp_path: Path, held: int) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", vectors(held))]

    assert f"{held} vectors, but the shard of that number has 20 rows" in refused(files, {"pd12m.00.parquet": 20})[0]
    found = read(files, shard("pd12m.00.parquet", [5, 0]))
    assert found["error"].to_list() == ["bad_embedding_file"] * 2
    assert found["file"].to_list() == ["pd12m.00.npy"] * 2
    assert found["embedding"].null_count() == 2


def test_a_file_that_does_not_fit_spoils_no_other(tmp_path: Path) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", vectors(3)), saved(tmp_path, "pd12m.01.npy", vectors(20))]
    found = read(files, pl.concat([shard("pd12m.00.parquet", [0]), shard("pd12m.01.parquet", [0])]))

    assert found["error"].to_list() == ["bad_embedding_file", None]


def small_shards(count: int, **rows: int) -> dict[str, int]:
    """So many full shards of three digits; `_003=1` gives one another number of rows."""
    full = {f"pd12m.{number:03}.parquet": SMALL.rows_per_small_shard for number in range(count)}
    return full | {f"pd12m.{name.removeprefix('_')}.parquet": value for name, value in rows.items()}


def test_only_the_last_file_may_be_short_and_then_holds_its_shards_exactly(tmp_path: Path) -> None:
    full, short = vectors(20), vectors(7)
    files = [saved(tmp_path, "pd12m.00.npy", full), saved(tmp_path, "pd12m.01.npy", short)]

    assert refused(files, small_shards(13, _013=1)) == {}
    assert list(refused(files, small_shards(14))) == [1], "14 shards have 8 rows in the second file, which holds 7"
    assert list(refused([saved(tmp_path, "pd12m.00.npy", short), files[1]], small_shards(13, _013=1))) == [0]


def test_a_short_shard_before_the_last_makes_the_vectors_of_its_file_unknown(tmp_path: Path) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", vectors(20))]

    assert "shard 004 has 1 rows, expected 2" in refused(files, small_shards(10, _004=1))[0]
    assert "shard 009 has 3 rows" in refused(files, small_shards(10, _009=3))[0]


def test_a_part_of_the_shards_is_read_where_the_file_is_whole(tmp_path: Path) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", vectors(20))]

    assert refused(files, small_shards(3)) == {}


@pytest.mark.parametrize(
    "content",
    [
        np.zeros((20, DIM), np.float16),
        np.zeros((20, DIM), np.float64),
        np.zeros((20, DIM), ">f4"),
        np.zeros((20, 512), np.float32),
        np.zeros(20 * DIM, np.float32),
        np.zeros((20, DIM, 1), np.float32),
    ],
)
def test_a_file_of_other_numbers_is_refused(tmp_path: Path, content: npt.NDArray[np.generic]) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", content)]

    assert "expected float32" in refused(files, {"pd12m.00.parquet": 20})[0]


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "pd12m.00.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    assert "not a whole" in refused([tmp_path / "pd12m.00.npy"], {"pd12m.00.parquet": 1})[0]


@pytest.mark.parametrize("keep", [0, 5, 100, 20_000])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    file = saved(tmp_path, "pd12m.00.npy", vectors(20))
    file.write_bytes(file.read_bytes()[:keep])

    assert "not a whole" in refused([file], {"pd12m.00.parquet": 20})[0]


@pytest.mark.parametrize("names", [["vectors.npy"], ["pd12m.00.npy", "pd12m.000.npy"]])
def test_files_whose_names_do_not_number_them_are_refused(tmp_path: Path, names: list[str]) -> None:
    files = [saved(tmp_path, name, vectors(20)) for name in names]

    with pytest.raises(DamagedExport, match=r"name|number"):
        read(files, shard("pd12m.00.parquet", [0]))


def test_a_snapshot_has_the_columns_that_are_asked_for() -> None:
    assert read([], SNAPSHOT.empty()).is_empty()


def test_the_rows_of_shards_are_those_of_their_footers(tmp_path: Path) -> None:
    for number, rows in enumerate((3, 0)):
        ids = pl.DataFrame({"id": ["x"] * rows}, schema={"id": pl.String})
        ids.write_parquet(tmp_path / f"pd12m.{number:02}.parquet")

    assert rows_of_shards(sorted(tmp_path.iterdir())) == {"pd12m.00.parquet": 3, "pd12m.01.parquet": 0}


def test_rows_say_which_file_and_place_their_vector_is_from(tmp_path: Path) -> None:
    files = [saved(tmp_path, "pd12m.00.npy", vectors(20))]

    found = read(files, shard("pd12m.003.parquet", [1, 0]))
    assert found.select("image_id", "file", "position").rows() == [
        ("pd12m.003.parquet:0", "pd12m.00.npy", 6),
        ("pd12m.003.parquet:1", "pd12m.00.npy", 7),
    ]
