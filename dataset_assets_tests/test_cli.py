"""The command line, as a person uses it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from dataset_assets.cli import app
from dataset_assets.config import ConfigError
from dataset_assets.environment import DAGSTER_YAML
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror


class Shell:
    """Runs commands on a mirror."""

    def __init__(self, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.folder / "dataset.yaml"))
        monkeypatch.setenv("DAGSTER_HOME", str(mirror.folder / "home"))
        monkeypatch.setenv("COLUMNS", "200")
        self.mirror = mirror

    def run(self, *arguments: str) -> str:
        """What a command prints. Fails the test when it fails."""
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *arguments: str) -> str:
        """What a command says when it is used wrongly."""
        with pytest.raises(ConfigError) as refusal:
            CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        return str(refusal.value)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = Mirror.make(tmp_path_factory.mktemp("cli"))
    (mirror.folder / "home").mkdir()
    (mirror.folder / "home" / "dagster.yaml").write_text(DAGSTER_YAML, "utf-8")
    mirror.posts[6002]["tags"].append({"id": "3", "name": "solo_focus", "category": "0"})
    mirror.image_file(5002).unlink()
    mirror.write_metadata()
    with dg.DagsterInstance.from_config(str(mirror.folder / "home")) as instance:
        mirror.rebuild(instance)
    return mirror


@pytest.fixture
def shell(built: Mirror, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(built, monkeypatch)


def test_trace_tells_the_story_through_every_table_with_run_time_and_recipe(shell: Shell) -> None:
    story = shell.run("trace", "danbooru-6002-0")

    order = ["source_snapshot", "image_metadata", "tag_metadata", "raw_images", "image_facts", "training_images"]
    assert [story.index(f"{table}  ") for table in order] == sorted(story.index(f"{table}  ") for table in order)
    assert re.search(r"image_facts  danbooru\|2006, made \S+ by run [0-9a-f]{8}, recipe [0-9a-f]{16}", story)
    assert "dropped by the rule 'tags': 1girl -solo_focus" in story
    assert "solo_focus" in story
    assert re.search(r"subset/everything.*\n\s+verdict\s+kept", story)


def test_trace_of_an_unknown_image_says_where_ids_are_found(shell: Shell) -> None:
    assert "dataset-assets search" in shell.refused("trace", "danbooru-1-0")
    assert "danbooru-1525146-0" in shell.refused("trace", "nonsense")


def test_status_shows_states_by_cell_and_nothing_stale_after_a_rebuild(shell: Shell) -> None:
    shown = shell.run("status")

    assert re.search(r"danbooru\|2005\s+3\s+2\s+0\s+0\s+1\s+2\s+2\s+2", shown), shown
    assert "0 tables are missing or stale." in shown


def test_search_speaks_danboorus_syntax(shell: Shell) -> None:
    assert shell.run("search", "1girl solo_focus").splitlines() == ["1 image", "danbooru-6002-0"]
    assert shell.run("search", "date:2006 -solo_focus", "--limit", "1").splitlines()[:2] == [
        "2 images",
        "danbooru-6000-0",
    ]


def test_a_search_that_cannot_be_read_points_at_the_character(shell: Shell) -> None:
    said = shell.refused("search", "1girl (solo")

    assert "1girl (solo\n" in said
    assert said.splitlines()[-1].index("^") == said.splitlines()[-2].index("(")


def test_a_query_may_begin_with_a_tag_that_is_not_wanted(shell: Shell) -> None:
    assert shell.run("search", "-solo_focus", "--limit", "0").splitlines() == ["11 images"]
    assert shell.run("search", "-(1girl -solo_focus)", "--limit", "0").splitlines() == ["1 image"]


def test_a_search_is_narrowed_by_source_and_years(shell: Shell) -> None:
    assert shell.run("search", "1girl", "--count", "--source", "danbooru", "--years", "2006..2007") == "6 images\n"
    assert "has no source 'danboru'" in shell.refused("search", "1girl", "--source", "danboru")
    assert "--years" in shell.refused("search", "1girl", "--years", "last")


def test_a_search_tells_which_tags_its_images_have(shell: Shell) -> None:
    shown = shell.run("search", "solo_focus", "--limit", "0", "--facets", "2")

    assert shown.splitlines() == ["1 image", "", "general", "            1  1girl", "            1  solo_focus"]


def test_a_search_speaks_json_and_csv(shell: Shell) -> None:
    answer = json.loads(shell.run("search", "solo_focus", "--json", "--facets", "1"))

    assert (answer["query"], answer["count"], answer["notes"]) == ("solo_focus", 1, [])
    assert answer["images"][0]["image_id"] == "danbooru-6002-0"
    assert answer["images"][0]["year"] == 2006
    assert answer["facets"] == [{"category": "general", "tag": "1girl", "images": 1}]
    lines = shell.run("search", "date:2006", "--csv", "--limit", "2").splitlines()
    assert lines[0].startswith("image_id,source,year,")
    assert [line.split(",")[0] for line in lines[1:]] == ["danbooru-6000-0", "danbooru-6001-0"]
    tags = shell.run("search", "solo_focus", "--csv", "--facets", "1").splitlines()
    assert tags == ["category,tag,images", "general,1girl,1"]


def test_a_search_draws_a_grid(shell: Shell, tmp_path: Path) -> None:
    assert "wrote" in shell.run("search", "1girl", "--limit", "0", "--grid", str(tmp_path / "grid.png"))
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert "no picture" in shell.run("search", "unknown", "--grid", str(tmp_path / "none.png"))
    assert "cannot be written" in shell.refused("search", "1girl", "--grid", str(tmp_path / "no" / "grid.png"))


def test_a_search_brings_in_neither_dagster_nor_numpy(built: Mirror) -> None:
    code = (
        "import sys; from dataset_assets.cli import app; app(['search', '1girl', '--count'], standalone_mode=False);"
        "print([name for name in ('dagster', 'numpy', 'duckdb', 'PIL', 'obstore') if name in sys.modules])"
    )
    environment = {**os.environ, "DATASET_ASSETS_CONFIG": str(built.folder / "dataset.yaml")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["12 images", "[]"], done.stderr


def test_sql_answers_over_the_tables(shell: Shell) -> None:
    answer = shell.run("sql", "--csv", "select state, count(*) as images from raw_images group by all order by all")

    assert answer.splitlines() == ["state,images", "pending,1", "stored,11"]
    assert "Catalog Error" in shell.refused("sql", "select * from nothing")
    assert "Conversion Error" in shell.refused("sql", "select cast('x' as integer)")


def test_before_anything_is_built_sql_and_funnel_say_what_to_do_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Shell(Mirror.make(tmp_path, posts_by_year=1), monkeypatch)
    unbuilt = CliRunner().invoke(app, ["funnel", "girls"])

    assert "has no table yet; build them with `dataset-assets rebuild`" in bare.refused("sql", "select * from why")
    assert "subset girls is not built yet" in str(unbuilt.exception)
    assert unbuilt.output == ""


def test_funnel_shows_what_each_rule_dropped(shell: Shell) -> None:
    rows = [line.split() for line in shell.run("funnel", "girls").splitlines() if line.strip()]

    assert rows[2:] == [
        ["candidates", "0", "12"],
        ["source", "0", "12"],
        ["license", "0", "12"],
        ["takedown", "0", "12"],
        ["not_stored", "1", "11"],
        ["undecodable", "0", "11"],
        ["tags", "1", "10"],
        ["where", "0", "10"],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rebuild", "--source", "danboru"), "has no source 'danboru'"),
        (("rebuild", "--years", "soon"), "--years 'soon' is no year"),
        (("rebuild", "--years", "1999"), "no source declares 1999; the declared years are 2005..2022"),
        (("rebuild", "--assets", "raw_image"), "there is no asset 'raw_image'"),
        (("rebuild", "--without", "clip"), "there is no asset 'clip'"),
        (("funnel", "boys"), "has no subset 'boys'"),
        (("init", "no/such/folder/dataset.yaml"), "is no folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert said in shell.refused(*arguments)


def test_rebuild_of_one_year_touches_that_year_alone_and_shows_what_a_check_warns_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(settings.replace("kind: danbooru\n", "kind: danbooru\n    expected: 99\n"), "utf-8")
    shell = Shell(mirror, monkeypatch)
    said = shell.run(
        "rebuild", "--source", "danbooru", "--years", "2006", "--assets", "source_snapshot,image_metadata,raw_images"
    )

    assert "check has_as_many_records_as_its_publisher_says of source_snapshot failed: " in said
    assert mirror.tables.cells("raw_images") == [Cell("danbooru", 2006)]
    assert mirror.tables.cells("image_facts") == []
    shown = shell.run("status", "--source", "danbooru", "--years", "2006")
    assert re.search(r"danbooru\|2006: \d+ tables are not built yet", shown)


def test_what_is_left_out_takes_along_what_is_built_from_it(built: Mirror) -> None:
    from dataset_assets.cli import _chosen_assets

    chosen = set(_chosen_assets(None, "clip_embeddings", built.config) or [])

    assert {"raw_images", "training_images", "near_duplicates", "catalog"} <= chosen
    assert not {"clip_embeddings", "vector_index", "optimized_images"} & chosen
    assert _chosen_assets("raw_images,vector_index", "clip_embeddings", built.config) == ["raw_images"]


@pytest.mark.slow
def test_status_says_why_a_cell_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    shell = Shell(mirror, monkeypatch)
    shell.run("rebuild")
    mirror.set_tags(6000, ["solo_focus"])
    shell.run("rebuild", "--assets", "source_snapshot,rejected_records")
    stale = [line.strip() for line in shell.run("status").splitlines() if ": has" in line]

    of_year = ("captions", "image_metadata", "published_embeddings", "tag_metadata")
    of_source = ("pair_candidates danbooru", "sketch_pairs danbooru", "catalog all")
    assert sorted(stale) == sorted(
        [
            *(f"{name} danbooru|2006: has a new dependency data version (snapshot_year)" for name in of_year),
            *(f"{name}: has a new dependency data version (source_snapshot)" for name in of_source),
        ]
    )


def test_init_writes_a_file_that_check_accepts_but_for_its_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(tmp_path / "dataset.yaml"))
    CliRunner().invoke(app, ["init", str(tmp_path / "dataset.yaml")], catch_exceptions=False)
    with pytest.raises(ConfigError, match=r"sources\.danbooru\.metadata: no file matches"):
        CliRunner().invoke(app, ["check"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="left as it is"):
        CliRunner().invoke(app, ["init", str(tmp_path / "dataset.yaml")], catch_exceptions=False)


def run_program(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dataset_assets.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_wrong_settings_end_with_exit_code_2_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(tmp_path / "none.yaml"))
    result = run_program(tmp_path, "check")

    assert result.returncode == 2
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_partition_held_by_another_run_ends_with_exit_code_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.folder / "dataset.yaml"))
    with mirror.tables.lock("raw_images", Cell("danbooru", 2006)):
        result = run_program(tmp_path, "rebuild", "--source", "danbooru", "--years", "2006")

    assert result.returncode == 5, result.stderr
    assert "another run is writing this partition" in result.stderr


def test_without_settings_and_sample_a_newcomer_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATASET_ASSETS_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="`dataset-assets demo` draws it"):
        CliRunner().invoke(app, ["rebuild"], catch_exceptions=False)


@pytest.mark.slow
def test_snapshots_lists_compares_and_restores_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror.make(tmp_path)
    shell, assets = Shell(mirror, monkeypatch), ("--assets", "source_snapshot,image_metadata,tag_metadata")
    shell.run("rebuild", "--source", "danbooru", *assets)
    mirror.posts[5000]["score"] = "11"
    del mirror.posts[6001]
    mirror.write_metadata()
    shell.run("rebuild", "--source", "danbooru", *assets)

    listed = shell.run("snapshots")
    first, second = re.findall(r"^  (2007-03-01-[0-9a-f]{8}) ", listed, re.MULTILINE)
    assert f"{len(mirror.posts) + 1} records  last id 7,002" in listed
    assert "begun: 2005..2007" in listed
    assert "changed: 2005..2006" in listed
    assert shell.run("snapshots", "diff", "danbooru", first, second).splitlines() == [
        "2005  3 -> 3 records: 0 added, 0 gone, 1 changed (score 1)",
        "2006  3 -> 2 records: 0 added, 1 gone, 0 changed",
    ]
    into = mirror.folder / "then"
    said = shell.run(
        "snapshots", "restore", "danbooru", first, str(into), "--until-id", "6001", "--until", "2006-12-31"
    )
    assert "image_metadata of 2005: 3 rows\ntag_metadata of 2005: 6 rows\n" in said
    assert "image_metadata of 2006: 2 rows" in said
    assert "is there already" in shell.refused("snapshots", "restore", "danbooru", first, str(into))
    assert "no export '1999'" in shell.refused("snapshots", "diff", "danbooru", "1999", second)
    assert "no source 'danboru'" in shell.refused("snapshots", "diff", "danboru", first, second)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_rebuild_that_is_asked_to_stop_stops_and_the_next_one_goes_on(
    sent: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    shell = Shell(mirror, monkeypatch)
    assets = ("--assets", "source_snapshot,image_metadata,tag_metadata")
    # A program that is started in the background is deaf to Ctrl-C; this one is to hear it.
    hears = f"import signal, runpy, sys; sys.argv = ['dataset-assets', 'rebuild', *{assets}]; "
    hears += "signal.signal(signal.SIGINT, signal.default_int_handler); "
    hears += "runpy.run_module('dataset_assets.cli', run_name='__main__')"
    command = [sys.executable, "-u", "-c", hears]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if "danbooru" in line:  # the first of five things to be done
                program.send_signal(sent)
                break
        said, errors = program.communicate(timeout=60)
    assert program.returncode == 130, (said, errors)
    assert "stopped; what was finished stays" in errors
    assert "pixiv_niji|2022: " not in said
    assert "pixiv_niji|2022: 2 tables looked at" in shell.run("rebuild", *assets)


@pytest.mark.slow
def test_status_names_what_is_gone_and_records_of_years_that_are_not_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    mirror.add_post(9000, 2009, ["1girl"])
    mirror.write_metadata()
    shell, assets = Shell(mirror, monkeypatch), ("image_metadata", "tag_metadata", "tag_index")
    built = shell.run("rebuild", "--source", "danbooru", "--assets", ",".join(("source_snapshot", *assets)))
    assert "danbooru: 1 record of 2009, which is none of its years" in built
    mirror.tables.file("image_metadata", Cell("danbooru", 2005)).unlink()
    index = mirror.root / mirror.table("tag_index", Cell("danbooru", 2006)).item(0, "path")
    index.write_bytes(index.read_bytes()[:100])

    status = CliRunner().invoke(app, ["status"], catch_exceptions=False).output
    assert "danbooru: 1 record of 2009, which is none of its years" in status
    assert "image_metadata danbooru|2005: its table is gone or was changed; `dataset-assets rebuild` makes it" in status
    assert "tag_index danbooru|2006: its index file is gone or was cut short" in status
    shell.run("rebuild", "--source", "danbooru", "--assets", ",".join(assets))
    status = CliRunner().invoke(app, ["status"], catch_exceptions=False).output
    assert "is gone" not in status
    assert "is not declared, but" not in status

    settings = mirror.config_file.read_text("utf-8")
    assert "years: 2005..2007" in settings
    mirror.config_file.write_text(settings.replace("years: 2005..2007", "years: 2006..2007"), "utf-8")
    status = CliRunner().invoke(app, ["status"], catch_exceptions=False).output
    assert "danbooru|2005 is not declared, but its tables are there" in status


def test_search_says_what_it_does_not_show_and_hands_programs_everything(shell: Shell) -> None:
    found = int(shell.run("search", "1girl", "--count").split()[0])
    shown = shell.run("search", "1girl", "--limit", "2")
    assert f"{found - 2} more; --limit shows them" in shown
    assert len(shell.run("search", "1girl", "--csv").splitlines()) == found + 1
    assert len(json.loads(shell.run("search", "1girl", "--json"))["images"]) == found
