"""`dataset-assets takedown`: images that are to go and stay away, the proof that they did, and taking it back."""

import getpass
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.cli_exits import FAILED, LOCKED, WrongUse
from dataset_assets.config import DatasetConfig
from dataset_assets.domain.takedowns import BadTakedown, Kind, Takedown
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment
from dataset_assets.instance import dagster_of

if TYPE_CHECKING:
    import dagster as dg

    from dataset_assets.rebuild import Outcome

SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Take images down: out of every table and file, and never in again.")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Reason = Annotated[str, typer.Option(help="Why, in words that may be shown.")]
Who = Annotated[str | None, typer.Option(help="Who asks.", show_default="the login name")]


@app.command()
def add(
    reason: Reason,
    image: Annotated[str | None, typer.Option(help="An image's id, known here or not.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 of a file, under whatever name it comes.")] = None,
    pixel_hash: Annotated[str | None, typer.Option(help="A picture, in whatever lossless file it comes.")] = None,
    artist: Annotated[str | None, typer.Option(help="All of an artist's: by tag, or account name or number.")] = None,
    source: Annotated[str | None, typer.Option(help="With --artist: only there has the name this meaning.")] = None,
    who: Who = None,
    replacement: Annotated[
        str | None, typer.Option(help="What the source has in its place: a URL or an image's id.")
    ] = None,
    later: Annotated[bool, typer.Option("--later", help="Only write it down; a rebuild or `apply` does it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would hit.")] = False,
) -> None:
    """Take down an image, a file, a picture or all of an artist's, in all sources; and prove that it is gone."""
    from dataset_assets import takedown

    config = config_from_environment()
    kind, value = _one_of({"image": image, "sha256": sha256, "pixel_hash": pixel_hash, "artist": artist})
    asked = takedown.Asked(kind, value, reason, who or getpass.getuser(), source, replacement)
    try:
        one = takedown.resolved(config, asked)
    except BadTakedown as error:
        raise WrongUse(str(error)) from None
    _print_hits(config, one, dry_run)
    if dry_run:
        return
    takedown.add(config, one)
    if later:
        console.print("written down; `dataset-assets takedown apply`, or the next rebuild, takes it out")
    else:
        _apply(config, [one.id])


def _one_of(named: dict[str, str | None]) -> tuple[Kind, str]:
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) != 1:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        raise WrongUse(f"name one of {options}; {len(given)} were given")
    ((name, value),) = given.items()
    return name, value  # type: ignore[return-value]  # the names above are the kinds


def _print_hits(config: DatasetConfig, one: Takedown, is_dry: bool) -> None:
    from dataset_assets import takedown

    count = len({hit.image_id for hit in one.found})
    verb = "would hit" if is_dry else "hits"
    name = "this" if is_dry else f"takedown {one.id}"
    console.print(f"[bold]{name}[/bold] {verb} {counted(count, 'image')}")
    first = {hit.image_id: hit for hit in reversed(one.found)}
    for image_id in sorted(first)[:SHOWN]:
        console.print(f"  {image_id}  by its {first[image_id].met_by.replace('_', ' ')}")
    if count > SHOWN:
        console.print(f"  and {count - SHOWN} more")
    for doubt in takedown.doubts(one):
        console.print(f"[yellow]  {escape(doubt)}[/yellow]")
    if others := takedown.alike(config, one):
        shown = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        console.print(f"[yellow]  {len(others)} look like it and are not hit: {shown}; see `trace`[/yellow]")


@app.command("list")
def list_requests(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what was taken down, what was lifted, and what is not done yet."""
    from dataset_assets.storage.takedown_files import TakedownFiles

    config = config_from_environment()
    files = TakedownFiles(config.root_path)
    rows = [_listed(one, _state(config, one, files.proof(one.id))) for one in _requests(config)]
    if as_json:
        console.print(json.dumps(rows, indent=1, ensure_ascii=False), markup=False)
        return
    for row in rows:
        at = f" at {row['source']}" if row["source"] else ""
        console.print(
            f"[bold]{row['id']}[/bold]  {row['state']:<10} {counted(row['images'], 'image'):>12}  "
            f"{row['kind'].replace('_', ' ')} {escape(row['value'])}{escape(at)}"
        )
        console.print(f"  {row['requested_at'][:10]} {escape(row['who'])}: {escape(row['reason'])}")
        if row["replacement"]:
            console.print(f"  in its place: {escape(row['replacement'])}")
        if row["lifted_why"]:
            by = f"{row['lifted_at'][:10]} by {escape(row['lifted_by'])}"
            console.print(f"  lifted {by}: {escape(row['lifted_why'])}")
    if not rows:
        console.print("nothing was taken down")


def not_done(config: DatasetConfig) -> list[str]:
    """Requests whose images are not proven to be gone, in words."""
    from dataset_assets.storage.takedown_files import TakedownFiles
    from dataset_assets.takedown_removal import is_finished

    files = TakedownFiles(config.root_path)
    waiting = [one for one in _requests(config) if not (one.is_lifted or is_finished(config, one, files.proof(one.id)))]
    return [f"takedown {one.id} is not done; `dataset-assets takedown apply` does it" for one in waiting]


def _requests(config: DatasetConfig) -> list[Takedown]:
    from dataset_assets.storage.takedown_files import TakedownFiles

    try:
        return TakedownFiles(config.root_path).all()
    except BadTakedown as error:
        raise WrongUse(str(error)) from None


def _listed(one: Takedown, state: str) -> dict[str, Any]:
    names = ("id", "kind", "value", "source", "reason", "who", "requested_at", "replacement")
    lifted = ("lifted_at", "lifted_by", "lifted_why")
    return {name: getattr(one, name) for name in (*names, *lifted)} | {"images": len(one.image_ids), "state": state}


def _state(config: DatasetConfig, one: Takedown, proof: dict[str, Any] | None) -> str:
    from dataset_assets.takedown_removal import DONE, OPEN, is_finished

    if one.is_lifted:
        return "lifted"
    if is_finished(config, one, proof):
        return DONE
    return str(proof["state"]) if proof and proof["state"] != DONE else OPEN


@app.command()
def apply(
    request: Annotated[str | None, typer.Argument(help="Only this one; without it, all that are not done.")] = None,
) -> None:
    """Take out what was written down, remove its bytes and prove it. No source is looked at, nothing else is made."""
    config = config_from_environment()
    _apply(config, [_known(config, request).id] if request else None)


def _known(config: DatasetConfig, request: str) -> Takedown:
    from dataset_assets import takedown

    try:
        return takedown.known(config, request)
    except BadTakedown as error:
        raise WrongUse(str(error)) from None


def _apply(config: DatasetConfig, names: Sequence[str] | None) -> None:
    """Rebuild what the requests hit, remove its bytes, and show each proof."""
    from dataset_assets.storage.takedown_files import TakedownFiles
    from dataset_assets.takedown_removal import DONE, is_finished

    files = TakedownFiles(config.root_path)
    active = [one for one in _requests(config) if not one.is_lifted]
    wanted = [
        one
        for one in active
        if (one.id in names if names is not None else not is_finished(config, one, files.proof(one.id)))
    ]
    if not wanted:
        console.print("nothing is left to do")
        return
    is_locked, failures = _take_out(config, wanted)
    proofs = {one.id: files.proof(one.id) for one in wanted}
    for one in wanted:
        if proof := proofs[one.id]:
            _print_proof(proof)
    if is_locked:
        errors.print("[red]another run holds a table; `dataset-assets takedown apply` goes on when it is done[/red]")
        raise typer.Exit(LOCKED)
    if failures or any(proof is None or proof["state"] != DONE for proof in proofs.values()):
        raise typer.Exit(FAILED)


def _take_out(config: DatasetConfig, wanted: Sequence[Takedown]) -> tuple[bool, int]:
    """Rebuild and remove. Returns: whether another run held something; how many partitions failed."""
    from dataset_assets import takedown
    from dataset_assets.rebuild import Rebuild

    is_locked, failures, cells = False, 0, takedown.cells_to_rebuild(config, wanted)
    if any(one.found for one in wanted):
        sources = takedown.sources_to_rebuild(config, wanted)
        with dagster_of(config) as (definitions, instance):
            work = Rebuild(definitions, config, instance, _progress, takedowns_only=True, sources=sources)
            for outcome in work.run(cells, tables_behind_takedowns(config, definitions)):
                is_locked |= outcome.is_locked
                failures += bool(outcome.errors)
                _print_outcome(outcome)
    return _finish(config, {one.id for one in wanted}) or is_locked, failures


def _finish(config: DatasetConfig, names: set[str]) -> bool:
    """Remove what a rebuild has not, such as of images that no table lists.

    Returns: whether another run is removing.
    """
    from dataset_assets.storage.locks import PartitionLocked
    from dataset_assets.storage.takedown_files import TakedownFiles
    from dataset_assets.takedown_removal import is_finished, remove

    files, is_locked = TakedownFiles(config.root_path), False
    for one in files.active():
        try:
            if one.id in names and not is_finished(config, one, files.proof(one.id)):
                remove(config, one, _progress)
        except PartitionLocked:
            is_locked = True
    return is_locked


def _print_outcome(outcome: "Outcome") -> None:
    if outcome.assets:
        console.print(f"[dim]{escape(str(outcome))}[/dim]")
    for error in outcome.errors:
        errors.print(f"[red]  {escape(error)}[/red]")


def tables_behind_takedowns(config: DatasetConfig, definitions: "dg.Definitions") -> list[str]:
    """The assets that lose rows to a takedown, as far as this root has them; releases stay as they were published."""
    from dataset_assets.domain.takedowns import TAKEDOWNS
    from dataset_assets.storage.tables import Tables

    graph = definitions.resolve_asset_graph()
    known = {key.to_user_string(): key for key in graph.materializable_asset_keys}
    there, behind, waiting = {TAKEDOWNS.name, *Tables(config.root_path).names()}, set[str](), [TAKEDOWNS.name]
    while waiting:
        behind.add(name := waiting.pop())
        waiting += {child.to_user_string() for child in graph.get(known[name]).child_keys} - behind
    return sorted(name for name in behind & there if not name.startswith("release"))


@app.command()
def proof(
    request: Annotated[str, typer.Argument(help="Its name, or the beginning of it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the proof as it is kept.")] = False,
) -> None:
    """Show what was removed for a request, what still holds its images, and why."""
    from dataset_assets.storage.takedown_files import TakedownFiles

    config = config_from_environment()
    one = _known(config, request)
    found = TakedownFiles(config.root_path).proof(one.id)
    if found is None:
        raise WrongUse(f"takedown {one.id} is not applied yet; `dataset-assets takedown apply {one.id}` does it")
    if as_json:
        console.print(json.dumps(found, indent=1, ensure_ascii=False), markup=False)
    else:
        _print_proof(found)


def _print_proof(proof: dict[str, Any]) -> None:
    request = proof["request"]
    console.print(
        f"\n[bold]proof of takedown {request['id']}[/bold]  {proof['state']}, {counted(len(proof['images']), 'image')}"
    )
    for row in proof["removed"]:
        console.print(
            f"  removed  {escape(row['file'])}  {counted(row['bytes'], 'byte')}  [dim]{row['sha256'][:16]}[/dim]"
        )
    for row in proof["tables"]:
        rows = counted(row["rows"], "row")
        verb = "has yet" if row.get("left", row["rows"]) else "lost   "
        console.print(f"  {verb}  {row['table']} {row['partition']}  {rows}")
    for name in proof.get("sheets_drawn_anew", ()):
        console.print(f"  redrawn  {escape(name)}")
    for row in proof["still_held"]:
        console.print(f"  [yellow]{row['what']:<8}[/yellow] {escape(row['where'])}: {escape(row['why'])}")
    if searched := proof.get("searched"):
        found = len(searched["found"])
        console.print(
            f"  searched {counted(searched['files'], 'file')} below the root for "
            f"{counted(searched['hashes'], 'hash', 'hashes')}: "
            + (f"{found} found" if found else "none has these bytes")
            + f", {proof['proven_at'][:16]} UTC; `dataset-assets takedown apply {request['id']}` looks again"
        )


@app.command()
def lift(
    request: Annotated[str, typer.Argument(help="Its name, or the beginning of it.")],
    reason: Reason,
    who: Who = None,
) -> None:
    """Take a request back: its images may come in again, where their sources still have them."""
    from dataset_assets import takedown

    config = config_from_environment()
    try:
        one = takedown.lift(config, request, who or getpass.getuser(), reason)
    except BadTakedown as error:
        raise WrongUse(str(error)) from None
    console.print(f"lifted takedown {one.id}; the next `dataset-assets rebuild` reads its images again")


def _progress(line: str) -> None:
    console.print(f"[dim]  {escape(line)}[/dim]")
