"""`dataset-assets search`: find images, count them, see what they have in common, look at some."""

import json
import sys
from csv import writer as csv_writer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.config import ConfigError, DatasetConfig, parse_years
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment

if TYPE_CHECKING:
    import polars as pl

    from dataset_assets.likeness import Alike
    from dataset_assets.search import Found

# What a program is told of an image; `trace` and the tables know the rest.
SHOWN_IDS = 20
SHOWN = ("image_id", "source", "year", "created_at", "rating", "score", "width", "height", "file_ext", "page_url")
# A query may begin with -tag, which no short option may take for itself.
CONTEXT = {"ignore_unknown_options": True}

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def search(
    query: Annotated[str, typer.Argument(help='In Danbooru\'s syntax: "1girl -solo rating:general score:>10".')] = "",
    limit: Annotated[
        int | None, typer.Option(help="Show at most so many images.", show_default="20; all as CSV or JSON", min=0)
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many there are.")] = False,
    facets: Annotated[int, typer.Option(help="Show so many of the images' tags of each category.", min=0)] = 0,
    grid: Annotated[Path | None, typer.Option(help="Write a picture of some of the images, as PNG.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given again.")] = None,
    years: Annotated[str | None, typer.Option(help="Only these years: 2019, or 2005..2021.")] = None,
    where: Annotated[
        str | None, typer.Option(help='SQL over the public columns: "width >= 512 and not is_blank".')
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Rank by what the images show: a sentence in the model's language.")
    ] = None,
    like: Annotated[str | None, typer.Option(help="Rank by likeness to an image: its id, or any picture file.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with all images, not the nearest clusters.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Compare the vectors that a source publishes.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--html", help="Write what --text or --like finds as one HTML page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: the images, or the tags with --facets.")] = False,
) -> None:
    """Find images by tags and metadata, in Danbooru's own search syntax; and by text or likeness among them."""
    config = config_from_environment()
    if text is not None or like is not None:
        if count or facets:
            raise ConfigError("--text and --like rank images and count none; leave --count and --facets out")
        wanted = Wanted(query, where, source, years, 20 if limit is None else limit)
        found_alike = _alike(config, wanted, text, like, exact, published)
        _print_alike(found_alike, as_json, as_csv)
        return _write_alike(found_alike, text or f"like {like}", grid, page)
    if page is not None:
        raise ConfigError("--html shows what --text or --like finds; --grid shows a sample of what tags find")
    if exact or published:
        raise ConfigError(f"{'--exact' if exact else '--published'} belongs to --like, and --exact to --text")
    found = _find(config, query, source, years, where)
    for note in found.notes:
        errors.print(f"[yellow]{escape(note)}[/yellow]")
    if as_json:
        _print_json(found, query, 0 if count else limit, _facets(found, facets))
    elif as_csv:
        _print_csv(_facets(found, facets) if facets else _rows(found, limit))
    else:
        _print(found, 0 if count else SHOWN_IDS if limit is None else limit, _facets(found, facets))
    if grid is not None:
        _write_grid(found, grid)


class Wanted(NamedTuple):
    """Which images are ranked, and how many of them are shown."""

    query: str
    where: str | None
    sources: list[str] | None
    years: str | None
    limit: int


def _alike(
    config: DatasetConfig, wanted: Wanted, text: str | None, like: str | None, exact: bool, published: bool
) -> "Alike":
    from dataset_assets.domain.selection import WhereError
    from dataset_assets.domain.tag_query import TagQueryError
    from dataset_assets.likeness import alike
    from dataset_assets.models.weight_files import ModelError
    from dataset_assets.search import SearchError

    span = _checked(config, wanted.sources, wanted.years)
    try:
        return alike(
            config,
            text=text,
            like=like,
            query=wanted.query,
            where=wanted.where,
            sources=wanted.sources,
            years=span,
            limit=wanted.limit,
            exact=exact,
            published=published,
        )
    except (TagQueryError, WhereError, SearchError, ModelError) as error:
        raise ConfigError(str(error)) from None


def _print_alike(found: "Alike", as_json: bool, as_csv: bool) -> None:
    if as_json:
        answer = {"images": found.rows.to_dicts(), "notes": found.notes}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1, default=str) + "\n")
        return
    for note in found.notes:
        errors.print(f"[yellow]{escape(note)}[/yellow]")
    if as_csv:
        return _print_csv(found.rows)
    for cosine, image_id in found.rows.select("cosine", "image_id").iter_rows():
        console.print(f"{cosine:8.4f}  {escape(image_id)}")


def _write_alike(found: "Alike", title: str, grid: Path | None, page: Path | None) -> None:
    if page is not None:
        try:
            page.write_text(found.page(title), "utf-8")
        except OSError as error:
            raise ConfigError(f"--html {page} cannot be written: {error}") from None
        errors.print(f"wrote {escape(str(page))}")
    if grid is not None:
        _write_grid(found, grid)


def _checked(config: DatasetConfig, sources: list[str] | None, years: str | None) -> tuple[int, ...] | None:
    """The years as numbers. Raises: ConfigError for what cannot be meant."""
    if unknown := [name for name in sources or [] if name not in config.sources]:
        raise ConfigError(f"{config.file} has no source {unknown[0]!r}; it has: {', '.join(config.sources)}")
    try:
        return None if years is None else parse_years(years)
    except ValueError as error:
        raise ConfigError(f"--years {error}") from None


def _find(
    config: DatasetConfig, query: str, sources: list[str] | None, years: str | None, where: str | None
) -> "Found":
    from dataset_assets import search as searching
    from dataset_assets.domain.selection import WhereError
    from dataset_assets.domain.tag_query import TagQueryError
    from dataset_assets.storage.tables import Tables

    span = _checked(config, sources, years)
    if not Tables(config.root_path).cells("image_metadata"):
        raise ConfigError("no image is listed yet; build with `dataset-assets rebuild`")
    try:
        return searching.find(config, query, sources, span, where)
    except (TagQueryError, WhereError, searching.SearchError) as error:
        raise ConfigError(str(error)) from None


def _facets(found: "Found", facets: int) -> "pl.DataFrame":
    import polars as pl

    from dataset_assets.search import SearchError

    try:
        return found.facets(facets) if facets else pl.DataFrame()
    except SearchError as error:
        raise ConfigError(str(error)) from None


def _print(found: "Found", limit: int, facets: "pl.DataFrame") -> None:
    console.print(counted(found.count, "image"))
    for image_id in found.image_ids(limit):
        console.print(escape(image_id))
    if 0 < limit < found.count:
        errors.print(f"[dim]{found.count - limit:,} more; --limit shows them[/dim]")
    for (category,), tags in facets.group_by("category", maintain_order=True) if facets.height else ():
        console.print(f"\n[bold]{category}[/bold]")
        for _, tag, images in tags.iter_rows():
            console.print(f"  {images:>11,}  {escape(tag)}")


def _rows(found: "Found", limit: int | None) -> "pl.DataFrame":
    return found.rows(limit).select(SHOWN).collect()


def _print_json(found: "Found", query: str, limit: int | None, facets: "pl.DataFrame") -> None:
    answer: dict[str, object] = {"query": query, "count": found.count, "images": _rows(found, limit).to_dicts()}
    if facets.height:
        answer["facets"] = facets.to_dicts()
    answer["notes"] = found.notes
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1, default=str) + "\n")


def _print_csv(rows: "pl.DataFrame") -> None:
    lines = csv_writer(sys.stdout, lineterminator="\n")
    lines.writerow(rows.columns)
    lines.writerows(rows.iter_rows())


def _write_grid(found: "Found | Alike", file: Path) -> None:
    sheet = found.grid()
    if sheet is None:
        errors.print("no picture was written: none of the images found has a file")
        return
    try:
        sheet.save(file, "PNG")
    except OSError as error:
        raise ConfigError(f"--grid {file} cannot be written: {error}") from None
    errors.print(f"wrote {escape(str(file))}")
