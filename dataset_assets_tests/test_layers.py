"""A module imports only from layers below its own."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dataset_assets"
# Higher layers first. Layers of one number do not know one another, but for the pairs below.
LEVELS = {
    "command": 10,
    "cli": 9,
    "cli_snapshots": 8,
    "cli_release": 8.5,
    "cli_release_report": 8,
    "release_history": 7,
    "instance": 7.5,
    "interrupts": 2,
    "full_disk": 3,
    "unbuilt": 5,
    "rebuild": 8,
    "staleness": 7,
    "definitions": 7,
    "cli_search": 8,
    "likeness": 7.5,
    "search": 7,
    "trace": 7,
    "why": 7,
    "why_rules": 6.5,
    "funnels": 6.8,
    "cli_subsets": 8,
    "review": 7,
    "review_sheets": 7.2,
    "review_answers": 7.2,
    "cli_review": 8,
    "cli_review_terminal": 7.8,
    "cli_takedown": 8.5,
    "takedown": 7.4,
    "takedown_removal": 7.2,
    "takedown_undeclared": 7.15,
    "takedown_holdings": 7.1,
    "cli_exits": 2.5,
    "cli_gc": 8,
    "superseded_files": 7.6,
    "superseded_parts": 7.3,
    "superseded_references": 7.3,
    "superseded_report": 7.3,
    "as_of": 7,
    "overview": 7,
    "checks": 6,
    "catalog": 6,
    "assets": 5,
    "resources": 4,
    "environment": 3,
    "sample": 3,
    "sources": 3,
    "models": 3,
    "exports": 3,
    "storage": 3,
    "compute": 3,
    "config": 2,
    "release_settings": 1.7,
    "subset_settings": 1.7,
    "settings": 1.5,
    "domain": 1,
    "places": 1,
}
MAY_USE = {("compute", "storage"), ("exports", "storage")}
DAGSTER_FROM = LEVELS["resources"]
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imports(file):
        if name.startswith("dataset_assets."):
            used = layer(name)
            lawful = used == own or LEVELS[used] < LEVELS[own] or (own, used) in MAY_USE
            assert lawful, f"{file.name} of layer {own} imports {name}"
        if name.split(".")[0] == "dagster":
            assert LEVELS[own] >= DAGSTER_FROM, f"{file.name}: no Dagster below resources"


@pytest.mark.parametrize(
    "file", [f for f in MODULES if f.relative_to(PACKAGE).parts[0] == "domain"], ids=lambda f: f.name
)
def test_the_domain_is_pure(file: Path) -> None:
    used = {name.split(".")[0] for name in imports(file)}

    assert not used & {"os", "pathlib", "time", "random", "socket", "urllib", "shutil", "tempfile", "duckdb", "torch"}
    assert not re.search(r"(?<![\w.])open\(", file.read_text("utf-8")), "no disk in the domain"


def test_definitions_load_no_library_beside_dagster_polars_and_pebble() -> None:
    # Loaded anew by every process of a run: torch, numba, duckdb or boto3 here would cost each of them seconds.
    beside = "import dagster, polars, sys; own = set(sys.modules)"
    defined = "from dataset_assets.definitions import defs; defs()"
    libraries = "{name.split('.')[0] for name in set(sys.modules) - own} - sys.stdlib_module_names"
    code = f"{beside}; {defined}; print(*sorted({libraries}))"

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout

    assert set(loaded.split()) <= {"dataset_assets", "dagster", "pebble"}
