"""`dataset-assets snapshots`: the exports of a source over time."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.config import ConfigError, DatasetConfig
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment

app = typer.Typer(invoke_without_command=True, help="List the exports that were read of each source, and compare them.")
console = Console(highlight=False, soft_wrap=True)

MOST_COLUMNS = 4

Source = Annotated[str, typer.Argument(help="The source's name in dataset.yaml.")]


@app.callback()
def list_exports(context: typer.Context) -> None:
    """List the exports that were read of each source, the oldest first."""
    if context.invoked_subcommand:
        return
    from dataset_assets.sources.vanished import changed_years
    from dataset_assets.storage.snapshots import Snapshots

    config = config_from_environment()
    for source in config.sources:
        console.print(f"[bold]{source}[/bold]")
        before: dict[int, tuple[int, str]] = {}
        for one in Snapshots(config.root_path).of(source):
            changed = changed_years(before, one.years)
            said = f"{counted(one.records, 'record'):>19}" + (f"  last id {one.last_id:,}" if one.last_id else "")
            known = f"  known at {one.known_at[:10]}" if one.known_at else ""
            years = f"  {'changed' if before else 'begun'}: {_spans(changed) or 'no year'}"
            console.print(f"  {one.name:<22}{said}{known}  read {one.read_at[:16].replace('T', ' ')}{years}")
            before = dict(one.years)


def _spans(years: list[int]) -> str:
    """Years as a person writes them: `2005..2007, 2010`."""
    spans: list[list[int]] = []
    for year in years:
        if spans and spans[-1][-1] == year - 1:
            spans[-1][1:] = [year]
        else:
            spans.append([year])
    return ", ".join("..".join(map(str, span)) for span in spans)


@app.command()
def diff(
    source: Source,
    older: Annotated[str, typer.Argument(help="An export's name, or its beginning.")],
    newer: Annotated[str, typer.Argument(help="Another's.")],
) -> None:
    """Show by year what changed between two exports: records added, gone and changed, and in which columns."""
    from dataset_assets.as_of import UnknownExport, difference

    config = _config(source)
    try:
        years = difference(config, source, older, newer)
    except (UnknownExport, OSError) as error:
        raise ConfigError(str(error)) from None
    if years.is_empty():
        console.print("no record differs")
    for row in years.to_dicts():
        counts = ", ".join(f"{row[what]:,} {what}" for what in ("added", "gone", "changed"))
        columns = ", ".join(f"{one['column']} {one['records']:,}" for one in row["changed_columns"][:MOST_COLUMNS])
        records = f"{row['before']:,} -> {counted(row['after'], 'record')}"
        console.print(f"{row['year']}  {records}: {counts}" + (f" ({escape(columns)})" if columns else ""))


@app.command()
def restore(
    source: Source,
    name: Annotated[str, typer.Argument(help="The export's name, or its beginning.")],
    into: Annotated[Path, typer.Argument(help="The folder for image_metadata/ and tag_metadata/, by year.")],
    until_id: Annotated[int | None, typer.Option(help="Only posts up to this id.")] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only posts up to this day, UTC.")
    ] = None,
) -> None:
    """Write the tables as an export had them: `restore danbooru 2017 danbooru2017 --until-id 2973532`."""
    from dataset_assets.as_of import Cut, UnknownExport
    from dataset_assets.as_of import restore as write

    config = _config(source)
    try:
        write(config, source, name, into, Cut(until_id, until.date() if until else None), console.print)
    except (UnknownExport, ValueError, OSError) as error:
        raise ConfigError(str(error)) from None


def _config(source: str) -> DatasetConfig:
    config = config_from_environment()
    if source not in config.sources:
        raise ConfigError(f"{config.file} has no source {source!r}; it has: {', '.join(config.sources)}")
    return config
