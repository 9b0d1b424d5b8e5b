"""Ctrl-C during a rebuild: heard whenever it comes, and told in a line."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest

from dataset_assets import command
from dataset_assets.instance import dagster_of
from dataset_assets.interrupts import hearing_stops
from dataset_assets.rebuild import Outcome, Rebuild
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror


@pytest.fixture
def deaf() -> Iterator[None]:
    """A handler that forgets Ctrl-C, as Dagster's does while a run begins."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("deaf")
def test_a_stop_that_another_handler_took_is_heard() -> None:
    with hearing_stops() as is_stop_heard:
        assert not is_stop_heard()
        os.kill(os.getpid(), signal.SIGINT)
        assert is_stop_heard()
        assert is_stop_heard(), "also when asked again"
    with hearing_stops() as is_stop_heard:
        assert not is_stop_heard(), "what came before is not heard"


@dg.resource
def interrupted(context: dg.InitResourceContext) -> None:
    """Is asked to stop while it is set up: before any step of the run."""
    os.kill(os.getpid(), signal.SIGINT)


def interrupted_by(definitions: dg.Definitions, mirror: Mirror) -> Outcome:
    work = Rebuild(definitions, mirror.config, mirror.instance, lambda line: None)
    outcome = Outcome(Cell())
    with pytest.raises(KeyboardInterrupt):
        work._run("work", [dg.AssetKey("thing")], outcome)
    return outcome


def test_a_run_that_is_stopped_before_its_first_step_stops_the_rebuild(tmp_path: Path) -> None:
    @dg.asset(required_resource_keys={"interrupted"})
    def thing() -> None:
        """Never made."""

    job = dg.define_asset_job("work", ["thing"])
    definitions = dg.Definitions([thing], jobs=[job], resources={"interrupted": interrupted})
    assert interrupted_by(definitions, Mirror.make(tmp_path)).assets == []


def test_a_stop_that_a_step_swallowed_stops_the_rebuild(tmp_path: Path) -> None:
    @dg.asset
    def thing() -> None:
        """Made by a library that has a handler of its own meanwhile."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda number, frame: None)
        os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, before)

    definitions = dg.Definitions([thing], jobs=[dg.define_asset_job("work", ["thing"])])
    assert interrupted_by(definitions, Mirror.make(tmp_path)).assets == ["thing"]


def test_runs_of_the_command_line_start_no_programs_to_keep_what_they_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    config = Mirror.make(tmp_path).config
    with dagster_of(config) as (_, instance):
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"


def test_where_dagster_yaml_says_what_becomes_of_it_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    module = "dagster._core.storage.local_compute_log_manager"
    own = {"module": module, "class": "LocalComputeLogManager", "config": {"base_dir": str(tmp_path / "logs")}}
    (home / "dagster.yaml").write_text(json.dumps({"compute_logs": own}), "utf-8")
    config = Mirror.make(tmp_path).config
    with dagster_of(config) as (_, instance):
        assert type(instance.compute_log_manager).__name__ == "LocalComputeLogManager"


def test_ctrl_c_while_the_program_is_imported_ends_it_with_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "dataset_assets.cli", Stopped("dataset_assets.cli"))
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 130
