"""`dataset-assets gc`: files that nothing refers to any more, named and removed."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.cli_exits import DAMAGED, FAILED, LOCKED, WrongUse
from dataset_assets.domain.superseded import REASONS, parse_age
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment

if TYPE_CHECKING:
    from dataset_assets.superseded_report import Report


console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them; without it, they are only counted.")] = False,
    older_than: Annotated[
        str, typer.Option(help="Leave what is younger: 1d, 12h, 90m. Less than a day only where nothing runs.")
    ] = "1d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find files below the root that nothing refers to any more, and why; `--delete` removes them."""
    from dataset_assets.domain.takedowns import BadTakedown
    from dataset_assets.superseded_files import Asked, collect
    from dataset_assets.superseded_references import CannotTell

    config = config_from_environment()
    try:
        asked = Asked(parse_age(older_than), time.time(), delete)
    except ValueError as error:
        raise WrongUse(f"--older-than {error}") from None
    try:
        report = collect(config, asked, (lambda line: None) if as_json else _progress)
    except BadTakedown as error:
        raise WrongUse(str(error)) from None
    except CannotTell as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(DAMAGED) from None
    except OSError as error:
        errors.print(f"[red]{escape(str(error))}; what was removed until then is gone, nothing else[/red]")
        raise typer.Exit(FAILED) from None
    if as_json:
        console.print(json.dumps(report.as_record(), indent=1, ensure_ascii=False), markup=False)
    else:
        _tell(report, older_than)
    if report.skipped:
        raise typer.Exit(LOCKED)


def _tell(report: "Report", older_than: str) -> None:
    for kind, found in report.found.items():
        if found.files:
            numbers = f"{counted(found.files, 'file'):>16}  {counted(found.bytes, 'byte'):>24}"
            console.print(f"[bold]{kind:<18}[/bold] {numbers}  {REASONS[kind]}")
    total = report.total
    said = f"{counted(total.files, 'file')}, {counted(total.bytes, 'byte')}"
    if not total.files:
        console.print(f"nothing is superseded among {counted(report.looked_at, 'file')}")
    elif report.removed:
        console.print(f"removed: {said}")
    else:
        console.print(f"{said} would be removed; `dataset-assets gc --delete` does it")
    _tell_what_stays(report, older_than)


def _tell_what_stays(report: "Report", older_than: str) -> None:
    if report.young.files:
        young = f"{counted(report.young.files, 'file')}, {counted(report.young.bytes, 'byte')}"
        console.print(f"superseded, but younger than {escape(older_than)} (of scratch files, a day): {young}")
    if report.left_to_takedowns.files:
        left = counted(report.left_to_takedowns.files, "file")
        console.print(f"left to takedowns, which list what they remove: {left}; `dataset-assets takedown apply`")
    if report.unknown.files:
        unknown = f"{counted(report.unknown.files, 'file')}, {counted(report.unknown.bytes, 'byte')}"
        console.print(f"[yellow]not known, and left as they are: {unknown}[/yellow]")
        for name in report.unknown_names:
            console.print(f"[yellow]  {escape(name)}[/yellow]")
        if report.unknown.files > len(report.unknown_names):
            console.print("[yellow]  ...[/yellow]")
    for line in report.skipped:
        errors.print(f"[red]left alone, since a run is at work: {escape(line)}[/red]")


def _progress(line: str) -> None:
    console.print(f"[dim]  {escape(line)}[/dim]")
