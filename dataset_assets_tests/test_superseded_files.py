"""What is superseded goes, and nothing else, whatever a root holds."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets import takedown
from dataset_assets.config import DatasetConfig
from dataset_assets.release_settings import Release
from dataset_assets.storage.root import Folder
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.superseded_files import Asked, collect
from dataset_assets.superseded_parts import locked
from dataset_assets.superseded_report import Report
from dataset_assets_tests.mirror import Mirror
from dataset_assets_tests.test_superseded_references import MARK, commit, path, raw, release

DAY = timedelta(days=1)
CELL, DECLARED = Cell("danbooru", 2019), Cell("danbooru", 2005)
OLD_INDEX = "indexes/tag_index/danbooru/2005.0123456789ab.index"


@pytest.fixture(scope="module")
def settings_of_a_mirror(tmp_path_factory: pytest.TempPathFactory) -> DatasetConfig:
    return Mirror.make(tmp_path_factory.mktemp("mirror"), posts_by_year=1).config


@pytest.fixture
def config(settings_of_a_mirror: DatasetConfig, tmp_path: Path) -> DatasetConfig:
    """Settings with an empty root of the test's own."""
    return settings_of_a_mirror.model_copy(update={"root": str(tmp_path / "root")})


def look(config: DatasetConfig, *, delete: bool = True, days_later: float = 2) -> Report:
    return collect(config, Asked(DAY, time.time() + days_later * 86400, delete), lambda line: None)


def put(config: DatasetConfig, *names: str, data: bytes = b"12") -> None:
    for name in names:
        Folder(root_of(config)).write(name, data)


def root_of(config: DatasetConfig) -> Path:
    assert isinstance(config.root_path, Path)
    return config.root_path


def files_in(config: DatasetConfig) -> set[str]:
    return {file.name for file in Folder(root_of(config)).listed("")}


def removed_by(config: DatasetConfig, work: Callable[[], Report]) -> set[str]:
    before = files_in(config)
    work()
    return {name for name in before - files_in(config) if not name.startswith("_locks/")}


def found(report: Report) -> dict[str, tuple[int, int]]:
    return {kind: (one.files, one.bytes) for kind, one in report.found.items() if one.files}


def test_an_image_that_no_table_names_goes_and_the_others_stay(config: DatasetConfig) -> None:
    put(config, path(1), path(2), path(3))
    commit(root_of(config), raw(1, 3))

    dry = look(config, delete=False)
    assert found(dry) == {"raw images": (1, 2)}
    assert not dry.removed
    assert removed_by(config, lambda: look(config, delete=False)) == set()

    assert removed_by(config, lambda: look(config)) == {path(2)}
    assert found(look(config)) == {}, "a second look finds nothing"


def test_nothing_young_goes(config: DatasetConfig) -> None:
    put(config, path(1))
    os.utime(root_of(config) / path(1), (5, 5))  # as a hard link to an old file has it

    report = look(config, days_later=0.9)

    assert found(report) == {}
    assert report.young.files == 1
    assert (root_of(config) / path(1)).exists()


def test_images_that_an_unfinished_rebuild_has_stored_stay_until_nobody_can_go_on_with_it(
    config: DatasetConfig,
) -> None:
    put(config, path(1), path(2))
    add_shard(config, DECLARED, raw(1))
    gone = add_shard(config, CELL, raw(2))  # of a year that dataset.yaml has no more

    assert found(look(config, delete=False)) == {"abandoned shards": (1, size(config, gone)), "raw images": (1, 2)}
    assert removed_by(config, lambda: look(config)) == {gone, path(2)}


def add_shard(config: DatasetConfig, cell: Cell, rows: pl.DataFrame, mark: str = MARK, name: str = "") -> str:
    name = name or f"{int(rows['image_id'][0].split('-')[1]):016x}"
    tables = Tables(root_of(config))
    with tables.scratch_parquet() as file:
        rows.write_parquet(file)
        tables.shards("raw_images", cell).add(mark, name, file)
    return f"_work/raw_images/{cell.folder}/{mark}/{name}.parquet"


def size(config: DatasetConfig, name: str) -> int:
    return (root_of(config) / name).stat().st_size


def test_shards_whose_rows_are_all_in_the_table_go(config: DatasetConfig) -> None:
    put(config, path(1), path(2))
    commit(root_of(config), raw(1), DECLARED)
    finished = add_shard(config, DECLARED, raw(1))
    half = add_shard(config, DECLARED, raw(1, 2), name="f" * 16)
    other = add_shard(config, DECLARED, raw(1, mark="f" * 16), mark="f" * 16)

    assert found(look(config, delete=False)) == {"finished shards": (1, size(config, finished))}
    assert removed_by(config, lambda: look(config)) == {finished}
    assert {half, other, path(2)} <= files_in(config)


def test_every_kind_that_runs_leave_behind_goes(config: DatasetConfig) -> None:
    commit(root_of(config), raw(1), DECLARED)
    left = {
        "index files": OLD_INDEX,
        "row histories": f"_history/raw_images/{DECLARED.folder}/{MARK}.parquet",
        "half-written files": f"{path(1)}#12-345",
        "probes": f"_probe/{'0' * 32}",
        "scratch files": f"_tmp/{'0' * 32}-ab/stage.parquet",
        "training images": path(1).replace("/raw/", "/training/"),
        "optimized images": path(1).replace("/raw/", "/optimized/"),
        "quarantined images": path(1).replace("/raw/", "/quarantine/"),
    }
    put(config, path(1), *left.values())

    assert found(look(config, delete=False)) == dict.fromkeys(left, (1, 2))
    assert removed_by(config, lambda: look(config)) == set(left.values())
    assert not (root_of(config) / "_tmp" / f"{'0' * 32}-ab").exists()


def test_what_is_not_known_is_named_and_stays(config: DatasetConfig, tmp_path: Path) -> None:
    unknown = {"images/raw/danbooru/0001/my notes.txt", "mine/plan.txt", "_tmp/mine", "releases/mine/photo.png"}
    put(config, *unknown, "images/raw/danbooru/0001/\x1b[2Jx", "fetched/pixiv/1.png", "catalog.duckdb")
    (root_of(config) / "elsewhere").symlink_to(tmp_path)

    report = look(config)

    assert removed_by(config, lambda: look(config)) == set()
    shown = {"releases/mine/" if name.startswith("releases") else name for name in unknown}
    assert set(report.unknown_names) == {*shown, r"images/raw/danbooru/0001/\x1b[2Jx", "elsewhere"}
    assert report.unknown.files == len(report.unknown_names)


def test_originals_outside_and_in_fetched_are_never_touched(config: DatasetConfig, tmp_path: Path) -> None:
    original, linked = tmp_path / "mirror" / "1.png", root_of(config) / path(1)
    original.parent.mkdir()
    original.write_bytes(b"original")
    linked.parent.mkdir(parents=True)
    os.link(original, linked)
    put(config, f"fetched/{path(2)}")

    report = look(config)

    assert found(report) == {"raw images": (1, 0)}, "a second name frees nothing"
    assert not linked.exists()
    assert original.read_bytes() == b"original"
    assert f"fetched/{path(2)}" in files_in(config)


def test_an_original_that_lies_among_the_roots_images_stays(config: DatasetConfig) -> None:
    put(config, path(1), path(2))
    rows = raw(3).with_columns(
        path=pl.lit(str(root_of(config) / path(1))), location=pl.lit(str(root_of(config) / path(2)))
    )
    commit(root_of(config), rows)

    assert removed_by(config, lambda: look(config)) == set()


# --- releases


def test_a_stopped_try_goes_once_dataset_yaml_has_its_release_no_more(config: DatasetConfig) -> None:
    put(config, path(1))
    release(root_of(config), 1, is_finished=False)
    put(config, "releases/one/_finished/members.parquet.json", "releases/one/kohya/1.png")
    expected = {name for name in files_in(config) if name.startswith("releases/one/")}

    meant = Release.model_validate({"subset": "everything", "formats": ["kohya"]})
    declared = config.model_copy(update={"releases": {"one": meant}})
    assert not {name for name in removed_by(config, lambda: look(declared)) if name.startswith("releases/")}

    put(config, path(1))
    assert "release tries" in found(look(config, delete=False))
    assert removed_by(config, lambda: look(config)) == {*expected, path(1)}


def test_a_finished_release_keeps_its_files_and_members_and_loses_its_notes(config: DatasetConfig) -> None:
    put(config, path(1), path(2), "releases/one/_finished/a.json", "releases/one/kohya/1.png", "releases/feed.xml")
    folder = root_of(config) / "releases" / "one"
    raw(1).write_parquet(folder / "members.parquet")
    sha256 = Folder(root_of(config)).sha256("releases/one/members.parquet")
    (folder / "manifest.json").write_text(json.dumps({"members": {"sha256": sha256}}), "utf-8")

    assert removed_by(config, lambda: look(config)) == {path(2), "releases/one/_finished/a.json"}


def test_a_release_whose_manifest_was_lost_is_no_stopped_try(config: DatasetConfig) -> None:
    put(config, "releases/one/released.json", "releases/one/_finished/a.json", "releases/one/kohya/1.png")
    put(config, "releases/two/members.parquet")

    report = look(config)

    assert report.unknown_names == ["releases/one/", "releases/two/"]
    assert found(report) == {}


# --- runs and takedowns


@contextmanager
def held_by_another_process(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


@pytest.mark.parametrize("table", ["raw_images", "training_images", "optimized_images", "_rebuild"])
def test_where_a_run_is_at_work_its_source_is_left_alone(config: DatasetConfig, table: str) -> None:
    other = path(1).replace("danbooru", "pixiv_niji")
    put(config, path(1), other)

    with held_by_another_process(root_of(config) / "_locks" / table / DECLARED.folder / "lock"):
        report = look(config)
        assert found(report) == {"raw images": (1, 2)}
        assert path(1) in files_in(config)
        assert other not in files_in(config)
        assert len(report.skipped) == 1
        assert "1 file of raw images" in report.skipped[0]

    assert removed_by(config, lambda: look(config)) == {path(1)}


def test_what_comes_to_be_named_between_the_look_and_the_removal_stays(config: DatasetConfig) -> None:
    put(config, path(1), path(2))

    def committed_meanwhile(
        config: DatasetConfig, tables: Iterable[str], cells: Iterable[Cell]
    ) -> AbstractContextManager[None]:
        commit(root_of(config), raw(1))
        return locked(config, tables, cells)

    later = Asked(DAY, time.time() + 2 * 86400, delete=True)

    assert removed_by(config, lambda: collect(config, later, lambda line: None, committed_meanwhile)) == {path(2)}


def test_files_of_an_open_takedown_are_left_to_it(config: DatasetConfig) -> None:
    put(config, path(1), path(2))
    asked = takedown.Asked("image", "danbooru-1-0", "the artist asked", "ada")
    takedown.add(config, takedown.resolved(config, asked))

    report = look(config)

    assert found(report) == {"raw images": (1, 2)}
    assert report.left_to_takedowns.files == 1
    assert path(1) in files_in(config)


# --- whatever a root holds


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.sets(st.integers(0, 15)),
    in_tables=st.sets(st.integers(0, 15), min_size=1),
    in_shards=st.sets(st.integers(0, 15), min_size=1),
    in_release=st.sets(st.integers(0, 15), min_size=1),
)
def test_exactly_what_nothing_names_goes(
    settings_of_a_mirror: DatasetConfig,
    tmp_path_factory: pytest.TempPathFactory,
    stored: set[int],
    in_tables: set[int],
    in_shards: set[int],
    in_release: set[int],
) -> None:
    root = tmp_path_factory.mktemp("any") / "root"
    config = settings_of_a_mirror.model_copy(update={"root": str(root)})
    commit(root, raw(*in_tables))
    add_shard(config, DECLARED, raw(*in_shards))
    release(root, *in_release)
    put(config, *map(path, stored))

    removed = removed_by(config, lambda: look(config))

    assert removed == {path(number) for number in stored - in_tables - in_shards - in_release}
