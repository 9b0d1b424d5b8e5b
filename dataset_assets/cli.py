"""The command line: rebuild, look, ask."""

import os
import signal
import sys
import time
from collections import Counter
from csv import writer as csv_writer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets import cli_gc, cli_release, cli_review, cli_search, cli_snapshots, cli_subsets, cli_takedown
from dataset_assets.cli_exits import FAILED, LOCKED, STOPPED, UNAVAILABLE, WRONG_USE, WrongUse
from dataset_assets.config import ConfigError, DatasetConfig, load_config, parse_years
from dataset_assets.domain.wording import counted
from dataset_assets.environment import (
    CONFIG_VARIABLE,
    SAMPLE_CONFIG,
    SAMPLE_FOLDER,
    config_from_environment,
    dagster_home,
)
from dataset_assets.instance import dagster_of
from dataset_assets.storage.bucket_access import BucketUnusable, SourceDown
from dataset_assets.storage.bucket_sources import require_buckets
from dataset_assets.storage.root import RootUnavailable, WrongRoot, opened

if TYPE_CHECKING:
    import duckdb

    from dataset_assets.compute.fetch_inputs import Mode
    from dataset_assets.rebuild import Outcome
    from dataset_assets.staleness import Verdict

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Illustration datasets as Dagster assets. The settings are the dataset.yaml that "
    f"{CONFIG_VARIABLE} names; without it, the bundled sample in ./{SAMPLE_FOLDER}.",
)
app.add_typer(cli_snapshots.app, name="snapshots")
app.add_typer(cli_release.app, name="release")
app.add_typer(cli_takedown.app, name="takedown")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Sources = Annotated[list[str] | None, typer.Option("--source", "-s", help="Only this source; may be given again.")]
YearSpan = Annotated[str | None, typer.Option("--years", "-y", help="Only these years: 2019, or 2005..2021.")]


def main() -> None:
    """Run the command line; errors that a person can mend are said in a line, with the exit code that fits."""
    try:
        app()
    except (ConfigError, WrongRoot, BucketUnusable) as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        sys.exit(WRONG_USE)
    except (RootUnavailable, SourceDown) as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        sys.exit(UNAVAILABLE)


@app.command()
def init(file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("dataset.yaml")) -> None:
    """Write a commented dataset.yaml to begin from."""
    if file.exists():
        raise WrongUse(f"{file} is there already; it was left as it is")
    if not file.parent.is_dir():
        raise WrongUse(f"{file.parent} is no folder; make it first")
    file.write_text(SAMPLE_CONFIG.read_text("utf-8"), "utf-8")
    console.print(f"wrote {file}; edit it, then: {CONFIG_VARIABLE}={file} dataset-assets check")


@app.command()
def check() -> None:
    """Check dataset.yaml and that the files it names are there."""
    config = config_from_environment()
    _require_inputs(config, None)
    console.print(
        f"{config.file}: {counted(len(config.sources), 'source')}, {counted(len(config.cells()), 'cell')}, "
        f"{counted(len(config.subsets), 'subset')}"
    )


@app.command()
def rebuild(
    source: Sources = None,
    years: YearSpan = None,
    assets: Annotated[str | None, typer.Option(help="Only these assets, separated by commas.")] = None,
    without: Annotated[str | None, typer.Option(help="All but these assets and what is built from them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Look at fresh assets too.")] = False,
    fetch: Annotated[
        str, typer.Option(help="Files to ask for again: due; retry = all pending ones; again = all.")
    ] = "due",
) -> None:
    """Rebuild what is missing or stale, with no daemon; rows whose input and recipe are unchanged are carried over."""
    from dataset_assets.compute.fetch_inputs import parse_mode

    config = config_from_environment()
    try:
        mode = parse_mode(fetch)
    except ValueError as error:
        raise WrongUse(f"--fetch {error}") from None
    _require_inputs(config, source)
    cells = _cells(config, source, years)
    _rebuild(config, cells, _chosen_assets(assets, without, config), everything, mode)


def _rebuild(
    config: DatasetConfig,
    cells: list[tuple[str, int]],
    assets: list[str] | None,
    everything: bool,
    fetch: "Mode" = "due",
) -> None:
    from dataset_assets.rebuild import Rebuild

    began, outcomes = time.monotonic(), []
    # Both signals end a run as Ctrl-C does: what is finished stays, workers end with the run.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with dagster_of(config) as (definitions, instance):
            for outcome in Rebuild(definitions, config, instance, _progress, fetch).run(cells, assets, everything):
                _print_outcome(outcome)
                outcomes.append(outcome)
    except KeyboardInterrupt:
        errors.print("stopped; what was finished stays, and the same command goes on from there")
        raise typer.Exit(STOPPED) from None
    failed = sum(bool(outcome.errors) for outcome in outcomes)
    took = f"{counted(len(cells), 'cell')} in {time.monotonic() - began:.1f} s"
    console.print(took + (f", {failed} failed" if failed else ""))
    if failed:
        raise typer.Exit(_exit_code(outcomes))


def _exit_code(outcomes: list["Outcome"]) -> int:
    if any(outcome.is_locked for outcome in outcomes):
        return LOCKED
    return UNAVAILABLE if any(outcome.is_unavailable for outcome in outcomes) else FAILED


def _print_outcome(outcome: "Outcome") -> None:
    console.print(f"[bold]{escape(str(outcome))}[/bold]")
    for warning in outcome.warnings:
        errors.print(f"[yellow]  {escape(warning)}[/yellow]")
    for error in outcome.errors:
        errors.print(f"[red]  {escape(error)}[/red]")


def _progress(line: str) -> None:
    console.print(f"[dim]  {escape(line)}[/dim]")


@app.command()
def demo() -> None:
    """Draw the sample below ./demo and run the whole graph on it."""
    from dataset_assets.sample import draw_sample
    from dataset_assets.storage.blobs import Blobs

    draw_sample(Path(SAMPLE_FOLDER), _progress)
    config = load_config(Path(SAMPLE_FOLDER) / "dataset.yaml")
    _rebuild(config, config.cells(), None, everything=False)
    _print_states(config, config.cells())
    for name in config.subsets:
        cli_subsets.print_funnel(config, name)
    console.print("\nreleases")
    cli_release.write(config, list(config.releases), as_is=False)
    console.print(
        "\nThe embeddings above are made with [bold]random weights[/bold]: they show the plumbing, and mean nothing."
    )
    sheets = Blobs(config.root_path).shown("sheets/training_images")
    console.print(f"Look at the images:   {_from_here(Path(sheets))}/*.jpg")
    card = Blobs(config.root_path).shown(f"releases/{next(iter(config.releases))}/card.html")
    console.print(f"Look at a release:    {_from_here(Path(card))}")
    program = _from_here(Path(sys.argv[0]).absolute())
    console.print(f"Why is an image out?  {program} why {_dropped_image(config)}")
    console.print(f"Ask in SQL:           {program} sql 'from funnel order by all'")
    console.print("See the graph:        make ui, then open http://127.0.0.1:3000")


def _dropped_image(config: DatasetConfig) -> str:
    """The first image that the first subset dropped for its `where`, as an example."""
    import polars as pl

    from dataset_assets.storage.declared import declared_cells
    from dataset_assets.storage.tables import Tables

    name = f"subset/{next(iter(config.subsets))}"
    rows = Tables(config.root_path).scan_all(name, declared_cells(config, name))
    dropped = None if rows is None else rows.filter(pl.col("drop_reason") == "where").sort("image_id").head(1).collect()
    return "<image id>" if dropped is None or dropped.is_empty() else str(dropped.item(0, "image_id"))


@app.command()
def status(source: Sources = None, years: YearSpan = None) -> None:
    """Show rows by state for each cell, and which cells are stale and why."""
    from dataset_assets.assets.graph import ACROSS_JOB, CATALOG_JOB, READ_JOB, REBUILD_JOB, SOURCE_JOB, UNIQUE_JOB
    from dataset_assets.overview import damage, undeclared_records, undeclared_tables
    from dataset_assets.staleness import Staleness, keys_of
    from dataset_assets.storage.tables import Cell

    config = config_from_environment()
    cells = _cells(config, source, years)
    _print_states(config, cells)
    _print_rejected(config, sorted({name for name, _ in cells}))
    with dagster_of(config) as (definitions, instance):
        staleness = Staleness(definitions, instance, config)
        parts = [(READ_JOB, Cell(name)) for name in sorted({name for name, _ in cells})]
        parts += [(REBUILD_JOB, Cell(name, year)) for name, year in cells]
        parts += [(SOURCE_JOB, Cell(name)) for name in sorted({name for name, _ in cells})]
        unique = cells if config.has_unique_subsets else []
        parts += [(ACROSS_JOB, Cell()), *((UNIQUE_JOB, Cell(*cell)) for cell in unique), (CATALOG_JOB, Cell())]
        stale = [verdict for job, cell in parts for verdict in staleness.of(keys_of(definitions, job), cell)]
    _print_stale(stale)
    for line in [*undeclared_records(config, sorted({name for name, _ in cells})), *undeclared_tables(config)]:
        console.print(f"[yellow]{escape(line)}[/yellow]")
    for line in damage(config):
        errors.print(f"[red]{escape(line)}; `dataset-assets rebuild` makes it again[/red]")
    for line in cli_takedown.not_done(config):
        console.print(f"[yellow]{escape(line)}[/yellow]")


def _print_stale(stale: list["Verdict"]) -> None:
    """What is stale, each with its cause; what was never built, by cell."""
    verb = "is" if len(stale) == 1 else "are"
    console.print(f"\n{counted(len(stale), 'table')} {verb} missing or stale" + (":" if stale else "."))
    missing = Counter(verdict.cell for verdict in stale if verdict.is_missing)
    for verdict in stale:
        if not verdict.is_missing or missing[verdict.cell] == 1:
            console.print(f"  {escape(str(verdict))}")
    for cell, tables in missing.items():
        if tables > 1:
            console.print(f"  {escape(str(cell))}: {tables} tables are not built yet")


def _print_states(config: DatasetConfig, cells: list[tuple[str, int]]) -> None:
    from dataset_assets.overview import states_by_cell

    rows = states_by_cell(config, cells)
    totals: dict[str, Any] = {"cell": "all"}
    for name in list(rows[0])[1:]:
        totals[name] = sum(row[name] or 0 for row in rows)
    _print_grid([*rows, totals])


def _print_rejected(config: DatasetConfig, sources: list[str]) -> None:
    """What no table of images has; a record without id and the file of its post stand here apart."""
    from dataset_assets.overview import rejected_by_reason

    if rows := rejected_by_reason(config, sources):
        console.print("\nrejected_records")
        _print_grid(rows)


@app.command()
def trace(image_id: Annotated[str, typer.Argument(help="Such as danbooru-1525146-0.")]) -> None:
    """Tell an image's story through every table, and for each subset the rule that dropped it."""
    from dataset_assets.domain.identity import BadImageId
    from dataset_assets.trace import trace as chapters_of

    config = config_from_environment()
    try:
        chapters = chapters_of(config, image_id)
    except BadImageId as error:
        raise WrongUse(str(error)) from None
    except KeyError:
        raise WrongUse(f"no table knows {image_id}; `dataset-assets search` finds ids") from None
    for chapter in chapters:
        recipe = f", recipe {chapter.recipe}" if chapter.recipe else ""
        made = f"{chapter.cell}, made {chapter.made_at} by run {chapter.run_id[:8]}{recipe}"
        console.print(f"[bold]{chapter.table}[/bold]  [dim]{escape(made)}[/dim]")
        for name, value in chapter.facts.items():
            console.print(f"  {name:<18} {escape(str(value))}")


app.command(context_settings=cli_search.CONTEXT)(cli_search.search)
app.command()(cli_subsets.funnel)
app.command()(cli_subsets.why)
app.command()(cli_review.review)
app.command()(cli_release.export)
app.command()(cli_gc.gc)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="DuckDB SQL over the tables, each a view by its name.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Ask the tables in SQL; the same views stand in <root>/catalog.duckdb."""
    import duckdb

    from dataset_assets.catalog import create_views, table_names
    from dataset_assets.storage.tables import Tables

    config = config_from_environment()
    with duckdb.connect() as connection:
        try:
            create_views(connection, config)
            _print_answer(connection.sql(query), csv)
        except duckdb.CatalogException as error:
            bare = f"{config.root_path} has no table yet; build them with `dataset-assets rebuild`"
            raise WrongUse(str(error) if table_names(Tables(config.root_path)) else bare) from None
        except duckdb.Error as error:  # some are met only when rows are computed
            raise WrongUse(str(error)) from None


def _print_answer(answer: "duckdb.DuckDBPyRelation | None", csv: bool) -> None:
    """A table for people, or CSV for programs; a statement has no answer."""
    if answer is not None and csv:
        rows = csv_writer(sys.stdout, lineterminator="\n")
        rows.writerow(answer.columns)
        rows.writerows(answer.fetchall())
    elif answer is not None:
        answer.show(max_rows=200, max_width=console.width)


@app.command()
def ui(
    host: Annotated[
        str, typer.Option(help="The UI has no login: leave it on this machine, or put one in front.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 3000,
) -> None:
    """Open the Dagster UI on this dataset."""
    config = config_from_environment()
    dagster_home(config)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "dataset_assets.definitions", "-h", host, "-p", str(port)]
    os.execv(sys.executable, command)


def _require_inputs(config: DatasetConfig, sources: list[str] | None) -> None:
    """Refuse to begin without the files that dataset.yaml names."""
    if config.file == SAMPLE_CONFIG:
        raise WrongUse(
            f"{CONFIG_VARIABLE} names no dataset.yaml, and the sample is not drawn yet: "
            "`dataset-assets demo` draws it, `dataset-assets init` writes a dataset.yaml of your own"
        )
    config.require_inputs(sources if sources is None else _known_sources(config, sources))
    require_buckets(config, config.sources if sources is None else sources)
    config.require_root()
    opened(config.root_path).require()


def _known_sources(config: DatasetConfig, sources: list[str]) -> list[str]:
    if unknown := [name for name in sources if name not in config.sources]:
        raise WrongUse(f"{config.file} has no source {unknown[0]!r}; it has: {', '.join(config.sources)}")
    return sources


def _cells(config: DatasetConfig, sources: list[str] | None, years: str | None) -> list[tuple[str, int]]:
    """The declared cells that the options mean. Raises: WrongUse when there is none."""
    try:
        span = None if years is None else parse_years(years)
    except ValueError as error:
        raise WrongUse(f"--years {error}") from None
    cells = config.cells(None if sources is None else _known_sources(config, sources), span)
    if not cells:
        raise WrongUse(f"no source declares {years}; the declared years are {config.years[0]}..{config.years[-1]}")
    return cells


def _chosen_assets(only: str | None, without: str | None, config: DatasetConfig) -> list[str] | None:
    """The assets to rebuild; None = all. What is built from an asset that is left out is left out too."""
    if only is None and without is None:
        return None
    from dataset_assets.definitions import build
    from dataset_assets.staleness import WITHOUT_TABLE

    graph = build(config).resolve_asset_graph()
    known = {key.to_user_string(): key for key in graph.materializable_asset_keys}

    def named(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if pinned := [name for name in names if name.startswith(("release/", "release_members/"))]:
            raise WrongUse(f"{pinned[0]} is made by `dataset-assets release build {pinned[0].split('/')[1]}`")
        if unknown := [name for name in names if name not in known]:
            raise WrongUse(f"there is no asset {unknown[0]!r}; there are: {', '.join(sorted(known))}")
        return names

    # What a rebuild does not make of itself stays out, unless it is named.
    left_out = {"optimized_images"} if only is None and config.optimized_images is None else set()
    waiting = named(without or "")
    while waiting:
        left_out.add(name := waiting.pop())
        children = {child.to_user_string() for child in graph.get(known[name]).child_keys}
        waiting += children & set(known) - left_out - WITHOUT_TABLE  # the catalog shows whatever there is
    return [name for name in (sorted(known) if only is None else named(only)) if name not in left_out]


def _print_grid(rows: list[dict[str, Any]]) -> None:
    """Rows as aligned columns, numbers to the right, in full width whatever the terminal's."""
    cells = [list(rows[0])] + [[_shown(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for number, line in enumerate(cells):
        first, *others = zip(line, widths, strict=True)
        text = "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])
        console.print(escape(text), style="bold" if number == 0 else None)


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _from_here(path: Path) -> Path:
    """A path as a person in this folder would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
