"""`dataset-assets funnel` and `dataset-assets why`: what a subset's rules take, and why an image is in or out."""

import json
import sys
from collections.abc import Iterable
from csv import writer as csv_writer
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.cli_exits import WrongUse
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment

if TYPE_CHECKING:
    import polars as pl

    from dataset_assets.funnels import Change
    from dataset_assets.why import Answer, Verdict

SHOWN_MOVES = 20
FORMS = (".png", ".svg")

console = Console(highlight=False, soft_wrap=True)

AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, for other programs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def funnel(
    subset: Annotated[str, typer.Argument(help="The subset's name in dataset.yaml.")],
    diff: Annotated[
        str | None,
        typer.Option(help="What has changed since: before (its last change), another subset, or a release."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="A line for each year, source or rating.")] = None,
    ids: Annotated[bool, typer.Option("--ids", help="With --diff: each image that moved.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it too, into a .png or .svg.")] = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """Show how many images each rule of a subset dropped, and what has changed since."""
    from dataset_assets.funnels import NotBuilt

    config = config_from_environment()
    if subset not in config.subsets:
        raise WrongUse(f"{config.file} has no subset {subset!r}; it has: {', '.join(config.subsets) or 'none'}")
    _require_sense(diff, by, ids, plot, as_csv and as_json)
    try:
        if diff is not None:
            _show_change(config, subset, diff, ids, plot, as_csv, as_json)
        elif by is not None:
            _show_groups(config, subset, by, plot, as_csv, as_json)
        else:
            _show_funnel(config, subset, plot, as_csv, as_json)
    except NotBuilt as error:
        raise WrongUse(str(error)) from None


def _require_sense(diff: str | None, by: str | None, ids: bool, plot: Path | None, is_both: bool) -> None:
    from dataset_assets.funnels import GROUPS

    if by is not None and by not in GROUPS:
        raise WrongUse(f"--by {by!r}: expected {', '.join(GROUPS)}")
    if by is not None and diff is not None:
        raise WrongUse("--by and --diff do not go together")
    if ids and diff is None:
        raise WrongUse("--ids goes with --diff; `dataset-assets sql` lists what a rule dropped")
    if is_both:
        raise WrongUse("--csv and --json do not go together")
    if plot is not None and plot.suffix.lower() not in FORMS:
        raise WrongUse(f"--plot {plot}: expected a name that ends with {' or '.join(FORMS)}")


def print_funnel(config: DatasetConfig, name: str) -> None:
    """A subset's funnel as a table for people. Raises: NotBuilt."""
    from dataset_assets.funnels import funnel as funnel_of
    from dataset_assets.funnels import parts

    rules = funnel_of(config, name)
    console.print(f"\nsubset {name}")
    _print_grid(rules)
    if found := parts(config, name):
        console.print("kept in parts: " + ", ".join(f"{part} {images:,}" for part, images in found.items()))


def _show_funnel(config: DatasetConfig, name: str, plot: Path | None, as_csv: bool, as_json: bool) -> None:
    from dataset_assets.funnels import funnel as funnel_of
    from dataset_assets.funnels import parts

    if as_json:
        rows = funnel_of(config, name).to_dicts()
        _print_json({"subset": name, "rules": rows, "splits": parts(config, name)})
    elif as_csv:
        _print_csv([funnel_of(config, name)])
    else:
        print_funnel(config, name)
    if plot is not None:
        from dataset_assets.domain.funnel_plot import funnel_plot

        rules = funnel_of(config, name)
        _write(plot, funnel_plot(rules, _title(name, rules), _form(plot)))


def _show_groups(config: DatasetConfig, name: str, by: str, plot: Path | None, as_csv: bool, as_json: bool) -> None:
    from dataset_assets.funnels import GROUPS, by_group

    (group,) = (one for one in GROUPS if one == by)
    groups = by_group(config, name, group)
    if as_json:
        _print_json({"subset": name, "by": by, "groups": groups.to_dicts()})
    elif as_csv:
        _print_csv([groups])
    else:
        console.print(f"\nsubset {name}: candidates, what each rule dropped, kept")
        _print_grid(groups)
    if plot is not None:
        from dataset_assets.domain.funnel_plot import groups_plot

        _write(plot, groups_plot(groups, f"{name} by {by}", _form(plot)))


def _show_change(
    config: DatasetConfig, name: str, other: str, ids: bool, plot: Path | None, as_csv: bool, as_json: bool
) -> None:
    from dataset_assets.funnels import changed

    try:
        change = changed(config, name, other)
    except KeyError:
        known = ["before", *(one for one in config.subsets if one != name), *config.releases]
        raise WrongUse(f"--diff {other!r}: expected one of {', '.join(known)}; a release has to be written") from None
    if as_json:
        _print_json(_as_json(name, change, ids))
    elif as_csv:
        _print_csv((part.sort("image_id").collect() for part in change.ids) if ids else [change.moves])
    else:
        _print_change(name, change, ids)
    if plot is not None:
        from dataset_assets.domain.funnel_plot import funnel_plot
        from dataset_assets.funnels import funnel as funnel_of

        rules = funnel_of(config, name)
        _write(plot, funnel_plot(rules, _title(name, rules), _form(plot), change.before))


def _as_json(name: str, change: "Change", ids: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "subset": name,
        "compared_with": change.compared_with,
        "definition": [dict(zip(("key", "was", "now"), one, strict=True)) for one in change.definition],
        "rules": None if change.rules is None else change.rules.to_dicts(),
        "moves": change.moves.to_dicts(),
    }
    if ids:
        told["images"] = [row for part in change.ids for row in part.sort("image_id").collect().to_dicts()]
    return told


def _print_change(name: str, change: "Change", ids: bool) -> None:
    console.print(f"\nsubset {name}, compared with")
    for line in change.compared_with:
        console.print(f"  {escape(line)}")
    sides = [name.ljust(max(map(len, change.sides))) for name in change.sides]
    for key, was, now in change.definition:
        console.print(f"[bold]{key}[/bold]\n  {sides[0]}  {escape(was)}\n  {sides[1]}  {escape(now)}")
    console.print()
    if change.rules is not None:
        _print_grid(change.rules, signed="change")
        console.print()
    if change.moves.is_empty():
        console.print("no image moved")
    for was, now, images in change.moves.head(SHOWN_MOVES).iter_rows():
        console.print(f"{images:>9,}  {escape(_judged(was))} -> {escape(_judged(now))}")
    if change.moves.height > SHOWN_MOVES:
        console.print(f"  and {change.moves.height - SHOWN_MOVES} more ways; --csv prints all")
    if ids:
        console.print()
        for part in change.ids:
            for image_id, was, now in part.sort("image_id").collect().iter_rows():
                console.print(f"{image_id}  {escape(_judged(was))} -> {escape(_judged(now))}")


def _judged(judgement: str) -> str:
    is_rule = judgement not in ("kept", "not listed") and not judgement.startswith("not in ")
    return f"dropped by {judgement}" if is_rule else judgement


def why(
    image_id: Annotated[str, typer.Argument(help="Such as danbooru-1525146-0.")],
    as_json: AsJson = False,
) -> None:
    """Tell why an image is in each subset, or what keeps it out, with the values that decided."""
    from dataset_assets.domain.identity import BadImageId
    from dataset_assets.why import why as answer_of

    config = config_from_environment()
    try:
        answer = answer_of(config, image_id)
    except BadImageId as error:
        raise WrongUse(str(error)) from None
    except KeyError:
        raise WrongUse(f"no source lists {image_id}; `dataset-assets search` finds ids") from None
    if as_json:
        _print_json(asdict(answer))
    else:
        _print_answer(answer)


def _print_answer(answer: "Answer") -> None:
    console.print(f"[bold]{answer.image_id}[/bold]  {answer.cell}")
    told = [str(part) for part in (answer.state or "not looked at yet", answer.reason) if part is not None]
    console.print(f"  state       {', '.join(told)}" + (f": {escape(answer.detail)}" if answer.detail else ""))
    console.print(f"  duplicates  {escape(answer.duplicates or 'not known')}")
    for name, reason in answer.takedowns.items():
        console.print(f"  [red]taken down  {escape(f'{name}: {reason}')}[/red]")
    named = [name if part is None else f"{name} ({part})" for name, part in answer.releases.items()]
    console.print(f"  releases    {', '.join(named) or 'none has it'}")
    for verdict in answer.subsets:
        _print_verdict(verdict)


def _print_verdict(verdict: "Verdict") -> None:
    if verdict.is_kept is None:
        console.print(f"[bold]{verdict.subset}[/bold]  not judged yet")
    elif verdict.is_kept:
        console.print(f"[bold]{verdict.subset}[/bold]  kept" + (f", in {verdict.split}" if verdict.split else ""))
    else:
        console.print(f"[bold]{verdict.subset}[/bold]  dropped by {verdict.drop_reason}")
    if verdict.note:
        console.print(f"  [yellow]{escape(verdict.note)}[/yellow]")
    first = verdict.drop_reason if verdict.note is None else None
    for rule, reasons in verdict.broken.items():
        also = "" if rule == first else "also " if first else "now "
        for reason in reasons:
            console.print(f"  {also}{rule}: {escape(reason)}")


def _title(name: str, rules: "pl.DataFrame") -> str:
    return f"{name}: {rules['left'][-1]:,} of {counted(rules['left'][0], 'image')}"


def _form(file: Path) -> Any:
    return file.suffix.lower().removeprefix(".")


def _write(file: Path, picture: bytes) -> None:
    try:
        file.write_bytes(picture)
    except OSError as error:
        raise WrongUse(f"{file} cannot be written: {error}") from None
    sys.stderr.write(f"wrote {file}\n")


def _print_json(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")


def _print_csv(frames: "Iterable[pl.DataFrame]") -> None:
    lines = csv_writer(sys.stdout, lineterminator="\n")
    for number, frame in enumerate(frames):
        if number == 0:
            lines.writerow(frame.columns)
        lines.writerows(frame.iter_rows())


def _print_grid(rows: "pl.DataFrame", signed: str | None = None) -> None:
    """Rows as aligned columns, numbers to the right, in full width whatever the terminal's."""
    cells = [rows.columns]
    for row in rows.iter_rows(named=True):
        cells.append([_shown(value, name == signed) for name, value in row.items()])
    widths = [max(len(line[column]) for line in cells) for column in range(rows.width)]
    for number, line in enumerate(cells):
        first, *others = zip(line, widths, strict=True)
        text = "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])
        console.print(escape(text), style="bold" if number == 0 else None)


def _shown(value: object, is_signed: bool) -> str:
    if not isinstance(value, int):
        return str(value)
    return f"{value:+,}" if is_signed and value else f"{value:,}"
