"""What the README tells people to type works on the sample, as it is typed there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
# They start servers, or set things up; the tests of the UI and of the Makefile's targets run them.
NOT_HERE = ("make", "dataset-assets ui", "dataset-assets init", "export")


def commands() -> list[str]:
    """Every command of the README: lines of a console, and commands in the tables."""
    in_consoles = [
        line[2:]
        for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    in_tables = re.findall(r"^\| `(dataset-assets [^`]*)`", README, re.MULTILINE)
    without_remarks = [re.sub(r"\s+#.*", "", command) for command in [*in_consoles, *in_tables]]
    return [command for command in without_remarks if not command.startswith(NOT_HERE)]


def test_the_readme_names_every_command_of_the_command_line() -> None:
    from dataset_assets.cli import app

    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {name for name in names if f"dataset-assets {name}" not in README} <= {"demo"}, "`make demo` runs it"


@pytest.mark.slow
def test_every_command_of_the_readme_works_on_the_sample(tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "DAGSTER_HOME": str(tmp_path / "home")}
    environment.pop("DATASET_ASSETS_CONFIG", None)
    (tmp_path / "home").mkdir()
    (tmp_path / "workspace.yaml").write_text((Path(__file__).parent.parent / "workspace.yaml").read_text("utf-8"))

    assert len(commands()) >= 10
    for command in ["dataset-assets demo", *commands()]:
        done = subprocess.run(
            shlex.split(command),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
