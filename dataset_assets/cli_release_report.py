"""`dataset-assets release diff` and `release feed`: what differs between releases, and their history."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.config import ConfigError, DatasetConfig
from dataset_assets.environment import config_from_environment

if TYPE_CHECKING:
    from dataset_assets.release_history import Released

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Named = Annotated[str, typer.Argument(help="A release of this root, or the folder of one.")]


def register(app: typer.Typer) -> None:
    """Add the commands to those of `dataset-assets release`."""
    app.command()(diff)
    app.command()(feed)


def diff(
    before: Named,
    after: Named,
    html: Annotated[Path | None, typer.Option(help="Also write a page that needs nothing beside it.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Also write every image that changed, with each change, as CSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what differs between two releases: images, bytes, tags, captions, ratings, licences, splits."""
    from dataset_assets.domain.aligned_members import NotInOrder
    from dataset_assets.domain.release_diff_page import diff_page
    from dataset_assets.domain.release_diff_text import record, report
    from dataset_assets.release_history import UnknownRelease, compare, find, notes_on

    config = _config_if_any(before, after)
    root = None if config is None else config.root_path
    try:
        one, other = find(before, root), find(after, root)
        # Of a copy that was brought from elsewhere, this root's subset says nothing.
        own = root if other.folder else None
        found = compare(one, other, own)
        notes = notes_on(one, other, found)
        if images is not None:
            _write_images(images, one, other)
    except (UnknownRelease, NotInOrder, OSError) as error:
        raise ConfigError(str(error)) from None
    if html is not None:
        _write(html, diff_page(found, one.name, other.name, notes))
    if as_json:
        typer.echo(json.dumps(record(found, one.name, other.name, notes), indent=1, ensure_ascii=False))
    else:
        for line in report(found, one.name, other.name, notes):
            console.print(escape(line))
    for file in (html, images):
        if file is not None:
            errors.print(f"wrote {escape(str(file))}")


def feed(
    base_url: Annotated[
        str | None, typer.Option(help="Where the folder of releases can be reached, for the feed's links.")
    ] = None,
) -> None:
    """Write the releases' history as an Atom feed and as a changelog, beside them."""
    from dataset_assets.release_history import write_feed
    from dataset_assets.storage.root import opened

    root = config_from_environment().root_path
    if base_url is not None and not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"--base-url {base_url}: expected an address such as https://example.org/releases")
    written = write_feed(root, lambda line: errors.print(f"[yellow]{escape(line)}[/yellow]"), base_url)
    if not written:
        console.print("nothing was released yet")
    for name in written:
        console.print(f"wrote {escape(opened(root).shown(name))}")


def _write_images(file: Path, before: "Released", after: "Released") -> None:
    from dataset_assets.domain.release_diff import changed_images

    with file.open("wb") as stream:
        stream.write(b"image_id,change\n")
        for some in changed_images(before.members(), after.members()):
            some.write_csv(stream, include_header=False)


def _config_if_any(*named: str) -> DatasetConfig | None:
    """The settings; two folders are compared without any."""
    try:
        return config_from_environment()
    except ConfigError:
        if all(Path(name).expanduser().exists() for name in named):
            return None
        raise


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"--html {file} cannot be written: {error}") from None
