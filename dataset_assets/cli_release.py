"""`dataset-assets release` and `dataset-assets export`: what leaves, pinned or once."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets import cli_release_report, release_history
from dataset_assets.cli_exits import DAMAGED, FAILED, LOCKED, WrongUse
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment
from dataset_assets.instance import dagster_of
from dataset_assets.places import Place, S3Place, parse_s3_url
from dataset_assets.release_settings import FORMAT_NAMES, Release

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from dataset_assets.exports.target import Target
    from dataset_assets.resources import Dataset

SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Releases: subsets pinned, written once, verified and written again.")
cli_release_report.register(app)
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Argument(help="The release's name in dataset.yaml.")]
To = Annotated[str, typer.Option("--to", help="An empty folder, or s3://bucket/prefix.")]


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help="Of dataset.yaml; without one, all.")] = None,
    as_is: Annotated[bool, typer.Option("--as-is", help="Also of subsets that are stale.")] = False,
) -> None:
    """Write releases. One that is written is left alone; one that was stopped goes on from there."""
    config = config_from_environment()
    known = _known(config, names or list(config.releases))
    wanted = known if names else [name for name in known if not _is_written(config, name)]
    if wanted:
        write(config, wanted, as_is=as_is)
    if before := len(known) - len(wanted):
        console.print(f"written before, and left as it is: {before:,} of {len(known):,}; `dataset-assets release list`")


def _is_written(config: DatasetConfig, name: str) -> bool:
    """Whether a release is there. Says so where dataset.yaml means another one by now."""
    from dataset_assets.assets.release_writing import release_target
    from dataset_assets.exports import release as releases

    try:
        manifest = releases.read_manifest(release_target(config, name))
    except FileNotFoundError:
        return False
    meant = config.releases[name].model_dump(mode="json")
    meant["formats"] = sorted(meant["formats"])
    written = {**manifest, "formats": sorted(manifest["formats"])}
    decides = ("subset", "formats", "until", "images", "tags", "captions", "pixels", "shard_mb")
    if other := [key for key in decides if written.get(key) != meant[key]]:
        said = f"{name} was written with other {' and '.join(other)} than dataset.yaml has now; it stays as it is"
        errors.print(f"[yellow]{escape(said)}[/yellow]")
    return True


def write(config: DatasetConfig, wanted: list[str], *, as_is: bool) -> None:
    """Write releases of a dataset and tell of each. Raises: WrongUse; typer.Exit when one cannot be written."""
    from dataset_assets.rebuild import Rebuild

    with dagster_of(config) as (definitions, instance):
        if not as_is:
            _require_fresh(config, definitions, instance, wanted)
        outcomes = []
        for outcome in Rebuild(definitions, config, instance, _progress).releases(wanted):
            outcomes.append(outcome)
            for error in outcome.errors:
                errors.print(f"[red]{escape(error)}[/red]")
    release_history.write_feed(config.root_path, _progress)
    if any(outcome.errors for outcome in outcomes):
        raise typer.Exit(LOCKED if any(outcome.is_locked for outcome in outcomes) else FAILED)
    for name in wanted:
        _tell(config, name)


def _require_fresh(config: DatasetConfig, definitions: object, instance: object, names: list[str]) -> None:
    """Refuse to release a subset that is not what dataset.yaml and the sources now make of it."""
    import dagster as dg

    from dataset_assets.staleness import Staleness
    from dataset_assets.storage.tables import Cell

    assert isinstance(definitions, dg.Definitions)
    assert isinstance(instance, dg.DagsterInstance)
    staleness = Staleness(definitions, instance, config)
    keys = [dg.AssetKey(["subset", name]) for name in dict.fromkeys(config.releases[name].subset for name in names)]
    stale = [verdict for cell in config.cells() for verdict in staleness.of(keys, Cell(*cell))]
    stale = stale or staleness.made_from_stale(keys)
    if stale:
        raise WrongUse(
            f"{stale[0]}" + (f", and {len(stale) - 1} more" if len(stale) > 1 else "") + "; run `dataset-assets "
            "rebuild` first, or release them `--as-is`"
        )


def _tell(config: DatasetConfig, name: str) -> None:
    """A line or two about a release that is there."""
    from dataset_assets.assets.release_writing import release_target
    from dataset_assets.exports import release as releases
    from dataset_assets.storage.root import opened

    target = release_target(config, name)
    manifest = releases.read_manifest(target)
    counts = manifest["counts"]
    console.print(
        f"[bold]{escape(name)}[/bold]  {counted(counts['images'], 'image')}, {counted(counts['tags'], 'tag')}, "
        f"{counted(manifest['files']['count'], 'file')}, {counted(manifest['files']['bytes'], 'byte')}"
    )
    if counts["without_file"]:
        console.print(f"  {counts['without_file']:,} have no file, and leave as ids alone")
    for source, images in manifest["held_back"].items():
        license_name = manifest["sources"][source]["license"]["name"]
        console.print(
            f"  held back: the pixels of {counted(images, 'image')} of {source}, whose licence is {license_name!r}"
        )
    console.print(f"  manifest {releases.manifest_hash(manifest)}")
    console.print(f"  {_from_here(opened(target.place).shown(''))}")


@app.command("list")
def list_releases() -> None:
    """List the releases of dataset.yaml and of the root."""
    from dataset_assets.assets.release_writing import RELEASES, release_target
    from dataset_assets.exports import release as releases
    from dataset_assets.storage.root import opened

    config = config_from_environment()
    below = opened(config.root_path).names(f"{RELEASES}/")
    there = {name.split("/")[1] for name in below if name.endswith(f"/{releases.MANIFEST}") and name.count("/") == 2}
    for name in sorted(there | set(config.releases)):
        if name not in there:
            console.print(f"[bold]{escape(name)}[/bold]  not written yet: `dataset-assets release build {name}`")
            continue
        _tell(config, name)
        if opened(release_target(config, name).place).size(releases.WITHDRAWN) is not None:
            console.print("  withdrawn: its files are gone, its manifest stays")


@app.command()
def verify(
    release: Annotated[str, typer.Argument(help="Of this root, or the folder or s3:// place of a copy.")],
) -> None:
    """Read every byte of a release, and say what is not as its manifest pins it. A copy needs no dataset.yaml."""
    from dataset_assets.exports import release as releases

    target = _target_of(release)
    if (reason := releases.withdrawn_because(target)) is not None:
        errors.print(f"[red]{escape(release)} was withdrawn, and its files are gone: {escape(reason)}[/red]")
        raise typer.Exit(DAMAGED)
    try:
        found = list(releases.verify(target, _progress))
        manifest = releases.read_manifest(target)
    except FileNotFoundError:
        raise WrongUse(f"{release} is no finished release: it has no {releases.MANIFEST}") from None
    except ValueError as error:
        raise WrongUse(str(error)) from None
    for damage in found[:SHOWN]:
        errors.print(f"[red]{escape(damage.name)}: {escape(damage.what)}[/red]")
    if found:
        errors.print(
            f"{len(found):,} of {counted(manifest['files']['count'], 'file')} are not as the manifest pins them"
        )
        raise typer.Exit(DAMAGED)
    console.print(
        f"{manifest['name']}: {counted(manifest['files']['count'], 'file')}, "
        f"{counted(manifest['files']['bytes'], 'byte')}, all as the manifest pins them: "
        f"{releases.manifest_hash(manifest)}"
    )


@app.command("rebuild")
def write_again(name: Name, to: To) -> None:
    """Write a release once more, elsewhere, from what it pins, and say whether the bytes are the same."""
    from dataset_assets.assets import release_again, release_writing
    from dataset_assets.exports import release as releases

    config = config_from_environment()
    dataset, target = _dataset(config), _fresh_target(config, to)
    try:
        again = release_again.write_again(dataset, name, target, _progress)
    except FileNotFoundError:
        raise WrongUse(f"there is no release {name!r} in {config.root_path}") from None
    except release_writing.CannotRelease as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(DAMAGED) from None
    finally:
        _leave_no_scratch(target)
    if again.is_same and again.manifest is not None:
        console.print(f"{name}: the same bytes, manifest {releases.manifest_hash(again.manifest)}")
        return
    _say_some("missing: its file is nowhere any more", again.missing)
    _say_some("changed: its file is another now; `dataset-assets rebuild --all` makes it again", again.changed)
    _say_some("other bytes than the first time", again.other_files)
    if again.manifest is None:
        unfinished = f"it was not finished; the same command goes on in {to}"
        errors.print("nothing was written" if again.missing else unfinished)
    raise typer.Exit(FAILED)


@app.command()
def drift(name: Name) -> None:
    """Say how the members that a release pins differ from what the tables would give now."""
    import dagster as dg

    from dataset_assets.assets import release_writing
    from dataset_assets.exports import release as releases

    config = config_from_environment()
    [name] = _known(config, [name])
    dataset, target = _dataset(config), release_writing.release_target(config, name)
    try:
        releases.read_manifest(target)
    except FileNotFoundError:
        raise WrongUse(f"release {name} is not written yet: `dataset-assets release build {name}`") from None
    try:
        found = release_writing.drift_of(dataset, name)
    except dg.Failure as error:
        errors.print(f"[red]{escape(error.description or str(error))}[/red]")
        raise typer.Exit(FAILED) from None
    for what, count in found.items():
        console.print(f"{what:<9}{count:>12,}")
    if any(found.values()):
        raise typer.Exit(FAILED)


@app.command()
def withdraw(name: Name, reason: Annotated[str, typer.Option(help="Why; it is written beside the manifest.")]) -> None:
    """Remove a release's files from the root. Its manifest, members and list of files stay, to tell what it was."""
    from dataset_assets.assets import release_again

    config = config_from_environment()
    try:
        gone = release_again.withdraw(_dataset(config), name, reason, _progress)
    except FileNotFoundError:
        raise WrongUse(f"there is no release {name!r} in {config.root_path}") from None
    release_history.write_feed(config.root_path, _progress)
    console.print(f"{name}: {counted(gone, 'file')} removed; its manifest stays")


def export(
    subset: Annotated[str, typer.Argument(help="The subset's name in dataset.yaml.")],
    formats: Annotated[list[str], typer.Option("--format", "-f", help=f"One of {', '.join(FORMAT_NAMES)}.")],
    to: To,
    images: Annotated[str, typer.Option(help="training, original or optimized.")] = "training",
    tags: Annotated[str, typer.Option(help="source, predicted or published.")] = "source",
    captions: Annotated[list[str] | None, typer.Option(help="Origins, the preferred first.")] = None,
    all_pixels: Annotated[bool, typer.Option(help="Also of sources that may not be redistributed.")] = False,
    shard_mb: Annotated[int, typer.Option(help="About how large a shard may become.")] = 500,
) -> None:
    """Write a subset once, in some formats, without pinning it as a release."""
    import dagster as dg
    from pydantic import ValidationError

    from dataset_assets.assets import release_writing

    config = config_from_environment()
    if subset not in config.subsets:
        raise WrongUse(f"{config.file} has no subset {subset!r}; it has: {', '.join(config.subsets) or 'none'}")
    pixels = "all" if all_pixels else "redistributable"
    asked = {"subset": subset, "formats": formats, "images": images, "tags": tags, "captions": captions or ()}
    try:
        release = Release.model_validate({**asked, "pixels": pixels, "shard_mb": shard_mb})
    except ValidationError as error:
        raise WrongUse("; ".join(map(_about_option, _first_of_each(error)))) from None
    target = _fresh_target(config, to)
    try:
        manifest = release_writing.export(_dataset(config), subset, release, target, _progress)
    except (dg.Failure, release_writing.CannotRelease) as error:
        errors.print(f"[red]{escape(str(getattr(error, 'description', None) or error))}[/red]")
        raise typer.Exit(FAILED) from None
    finally:
        _leave_no_scratch(target)
    counts = manifest["counts"]
    console.print(
        f"{subset}: {counted(counts['images'], 'image')}, {counted(manifest['files']['count'], 'file')} in {to}"
    )
    for source, held in manifest["held_back"].items():
        console.print(
            f"  held back: the pixels of {counted(held, 'image')} of {source}, which may not be redistributed"
        )


def _first_of_each(error: "ValidationError") -> list["ErrorDetails"]:
    """What is wrong with each option: the first thing said, for the others follow from it."""
    found: dict[str, ErrorDetails] = {}
    for one in error.errors():
        found.setdefault(str(one["loc"][0]), one)
    return list(found.values())


def _about_option(found: "ErrorDetails") -> str:
    name = {"formats": "format", "shard_mb": "shard-mb"}.get(str(found["loc"][0]), str(found["loc"][0]))
    return f"--{name} {found['input']}: {found['msg'][0].lower()}{found['msg'][1:]}"


def _known(config: DatasetConfig, names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in config.releases]:
        raise WrongUse(f"{config.file} has no release {unknown[0]!r}; it has: {', '.join(config.releases) or 'none'}")
    if not names:
        raise WrongUse(f"{config.file} has no releases")
    return names


def _dataset(config: DatasetConfig) -> "Dataset":
    from dataset_assets.resources import Dataset

    return Dataset(config_file=str(config.file.absolute()), folder=str(config.folder))


def _place(config: DatasetConfig | None, to: str) -> Place:
    """A folder, or a place in a bucket that is reached as the root's is."""
    if "://" not in to:
        return Path(to).expanduser().absolute()
    try:
        bucket, prefix = parse_s3_url(to)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    s3 = (config or config_from_environment()).s3
    cache = (config or config_from_environment()).folder / s3.cache / bucket / prefix
    return S3Place(bucket, prefix, cache, s3.region, s3.endpoint, s3.profile)


def _fresh_target(config: DatasetConfig, to: str) -> "Target":
    """Where something is written that is no release of the root: a place that holds nothing, or an unfinished try."""
    from dataset_assets.exports.release import MANIFEST
    from dataset_assets.exports.target import FINISHED, Target
    from dataset_assets.storage.root import opened

    place = _place(config, to)
    if isinstance(place, Path):
        _require_writable(config, place, to)
    opened(place).require()
    names = opened(place).names("")
    if MANIFEST in names or (names and not any(name.startswith(f"{FINISHED}/") for name in names)):
        raise WrongUse(f"--to {to}: there is something already; it was left as it is")
    scratch = place.parent / f".{place.name}.making" if isinstance(place, Path) else opened(place).scratch
    return Target(place, scratch)


def _require_writable(config: DatasetConfig, place: Path, to: str) -> None:
    """Refuse a folder that cannot be made or written into, and one that is the root's own. Raises: WrongUse."""
    if isinstance(config.root_path, Path) and place.resolve().is_relative_to(config.root_path.resolve()):
        raise WrongUse(f"--to {to}: it lies in the root {config.root_path}, which is no place for anything else")
    if place.exists() and not place.is_dir():
        raise WrongUse(f"--to {to}: there is a file of that name; it was left as it is")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place if place.is_dir() else place.parent):
            pass
    except OSError as error:
        raise WrongUse(f"--to {to} cannot be written: {error}") from None


def _leave_no_scratch(target: "Target") -> None:
    """Remove the folder in which the files of a place outside of the root were made."""
    if isinstance(target.place, Path):
        shutil.rmtree(target.scratch, ignore_errors=True)


def _target_of(release: str) -> "Target":
    """A release of the root by its name, else the place of a copy."""
    from dataset_assets.assets.release_writing import release_target
    from dataset_assets.exports.target import Target
    from dataset_assets.storage.root import opened

    if "/" in release or Path(release).is_dir():
        place = _place(None, release)
        return Target(place, opened(place).scratch)
    return release_target(config_from_environment(), release)


def _say_some(what: str, names: list[str]) -> None:
    if names:
        errors.print(f"[red]{len(names):,} {what}:[/red] {escape(', '.join(names[:SHOWN]))}")


def _progress(line: str) -> None:
    console.print(f"[dim]  {escape(line)}[/dim]")


def _from_here(path: str) -> str:
    """A folder as a person in this one would write it."""
    found = Path(path)
    return str(found.relative_to(Path.cwd())) if "://" not in path and found.is_relative_to(Path.cwd()) else path
