"""The metadata benchmark draws what it says it draws, and nobody takes part in it who loses records."""

import json
from pathlib import Path

import polars as pl
import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.danbooru_export import Export, Schema, write_export
from benchmarks.metadata import Data, Run, Sizes, measure, report, require_nothing_lost
from benchmarks.pd12m_shards import write_shards
from benchmarks.processes import Cost
from benchmarks.vocabulary import invented_vocabulary, read_vocabulary

RECORDS = 2_500
VOCABULARY = invented_vocabulary()


def draw(folder: Path, schema: Schema = "new", seed: int = 0) -> dict[str, int]:
    return write_export(Export(schema, RECORDS, VOCABULARY, seed), folder)


@pytest.mark.parametrize("schema", ["old", "new"])
def test_our_tables_hold_every_record_and_tag_that_was_drawn(tmp_path: Path, schema: Schema) -> None:
    drawn = draw(tmp_path / "export", schema)
    (tmp_path / "work").mkdir()
    found = CONTENDERS["tables"](tmp_path / "export", tmp_path / "work")
    require_nothing_lost(Run("tables", "tables", tmp_path / "export", RECORDS), found)
    rejected = sum(rows for name, rows in found.items() if name.startswith("rejected:"))
    assert found["images"] == found["stored"] == RECORDS - rejected
    assert {name for name in drawn if name.startswith("rejected:")} >= {"rejected:duplicate_id", "rejected:not_json"}
    snapshot = pl.read_parquet(tmp_path / "work" / "snapshot.parquet")
    assert (snapshot["tag_string_artist"] == "").sum() == drawn["empty_artist"] > 0
    assert drawn["repeated_tag"] > 0
    assert snapshot["year"].n_unique() == 17


@pytest.mark.parametrize("schema", ["old", "new"])
def test_the_baseline_stores_as_many_records(tmp_path: Path, schema: Schema) -> None:
    draw(tmp_path / "export", schema)
    found = CONTENDERS["sqlite"](tmp_path / "export", tmp_path)
    require_nothing_lost(Run("sqlite", "sqlite", tmp_path / "export", RECORDS), found)
    assert found["tags"] > 30 * found["stored"]


def test_same_seed_draws_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw(tmp_path / name, seed=seed)
    first, again, other = ((tmp_path / name / "posts000000000000.json").read_bytes() for name in "abc")
    assert first == again != other
    assert not first.endswith(b"\n")
    assert first.count(b"\n") == RECORDS - 1


def test_records_are_of_the_size_and_number_of_tags_that_real_ones_have(tmp_path: Path) -> None:
    for schema, size in (("old", (2_200, 3_200)), ("new", (1_700, 2_600))):
        drawn = draw(tmp_path / schema, schema)  # type: ignore[arg-type]  # a name out of two
        content = (tmp_path / schema / "posts000000000000.json").read_bytes()
        assert size[0] < len(content) / RECORDS < size[1]
        assert 30 < drawn["tags"] / drawn["stored"] < 40


def test_vocabulary_of_a_file_is_drawn_as_often_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text('1girl,0,900,"1girls"\n"say_""hi""",4,100,\nunknown,9,500,\n', "utf-8")
    vocabulary = read_vocabulary(tmp_path / "tags.csv")
    assert vocabulary.names.to_list() == ["1girl", 'say_\\"hi\\"']
    assert vocabulary.cumulated.tolist() == [0.9, 1.0]
    write_export(Export("old", 200, vocabulary), tmp_path / "export")
    lines = (tmp_path / "export" / "posts000000000000.json").read_text("utf-8").splitlines()
    tags = json.loads(lines[0])["tags"]
    assert {tag["name"] for tag in tags} <= {"1girl", 'say_"hi"'}


def test_shards_of_pd12m_are_read_to_the_last_row(tmp_path: Path) -> None:
    drawn = write_shards(11_000, tmp_path / "shards")
    assert (drawn["rejected:duplicate_id"], drawn["rejected:no_id"]) == (2, 1)
    (tmp_path / "work").mkdir()
    found = CONTENDERS["pd12m"](tmp_path / "shards", tmp_path / "work")
    require_nothing_lost(Run("pd12m", "pd12m", tmp_path / "shards", 11_000), found)


def test_contender_that_loses_a_record_is_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    counts = json.loads((tmp_path / "counts.json").read_text("utf-8"))
    found = {name: rows for name, rows in counts.items() if name == "stored" or name.startswith("rejected:")}
    run = Run("snapshot", "snapshot", tmp_path, RECORDS)
    require_nothing_lost(run, found)
    with pytest.raises(RuntimeError, match=f"expected .*{found['stored']}"):
        require_nothing_lost(run, found | {"stored": found["stored"] - 1})
    with pytest.raises(RuntimeError, match=r"expected .*duplicate_id"):
        require_nothing_lost(run, {name: rows for name, rows in found.items() if name != "rejected:duplicate_id"})


@pytest.mark.slow
def test_one_round_runs_contenders_as_processes_and_reports_them(tmp_path: Path) -> None:
    sizes = Sizes(records=300, archived=200, pd12m=300)
    skipped = frozenset({"sqlite", "tables"})  # of which the other tests make sure
    costs: dict[Run, list[Cost]] = {}
    for one, cost in measure(Data(tmp_path, sizes, None), 1, skipped):
        costs[one] = [cost]
        assert min(cost.cpu, cost.wall, cost.memory) > 0
    written = report(costs)
    assert {one.contender for one in costs} == set(CONTENDERS) - skipped
    assert written.count("| 300 |") == 4
    assert "of the rate of `xz -dc`" in written
    assert not list(tmp_path.glob("tmp*"))
