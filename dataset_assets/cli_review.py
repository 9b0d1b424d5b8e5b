"""`dataset-assets review`: one key for each picture about whose tags a tagger and the source disagree."""

import contextlib
import csv
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.config import ConfigError, DatasetConfig, parse_years
from dataset_assets.environment import config_from_environment

if TYPE_CHECKING:
    from dataset_assets.review import Question, Review
    from dataset_assets.storage.tables import Cell

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

KEYS = "a = the tagger is right, r = the source is right, s = skip, u = undo, q = quit"
ESCAPE = "\x1b"
# What a key such as an arrow sends: several characters, among them letters that would be answers.
ESCAPED = re.compile(r"\x1b(?:\[[0-9;<=>?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
BYTES_AT_ONCE = 1024
ENDS = ("q", "\x03", "\x04", "")  # as well as Ctrl-C, Ctrl-D and the end of input
APPLY = "`dataset-assets rebuild --assets tag_decisions,tag_metadata` puts them into the tags"


def review(
    source: Annotated[list[str] | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    years: Annotated[str | None, typer.Option("--years", "-y", help="Only these years: 2019, or 2005..2021.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only this tag; may be given again.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only `missing` or `doubtful` tags.")] = None,
    in_sample: Annotated[
        bool, typer.Option("--in-sample", help="Also images that the tagger has learnt from, which prove little.")
    ] = False,
    limit: Annotated[int, typer.Option(help="At most so many questions.", min=1)] = 1000,
    who: Annotated[str | None, typer.Option(help="Who decides.", show_default="the login name")] = None,
    why: Annotated[str | None, typer.Option(help="A reason that is written with each decision.")] = None,
    answers: Annotated[
        Path | None, typer.Option("--from", help="CSV of image_id, tag, decision (accept, reject, skip), why.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Write the questions as CSV, to be filled in for --from, and ask nothing.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the decisions that count, as .csv or .jsonl, and ask nothing.")
    ] = None,
) -> None:
    """Decide about tags on which tagger and source disagree; with no terminal, from a file."""
    config = config_from_environment()
    cells = _cells(config, source, years)
    if export is not None:
        return _export(config, cells, export)
    if kind not in (None, "missing", "doubtful"):
        raise ConfigError(f"--kind {kind}: expected missing or doubtful")
    if answers is None and questions is None and not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask in; use --questions FILE, fill it in, then --from FILE")
    asked = _questions(config, cells, tag or [], kind, in_sample or answers is not None, 10**9 if answers else limit)
    if questions is not None:
        return _write_questions(asked, questions)
    sitting, why = _sitting(config, who), _reason(why)
    if answers is not None:
        _from_file(sitting, asked, answers, why)
    else:
        _ask_in_terminal(config, sitting, asked, why)
    console.print(f"{sitting.count} decisions" + (f"; {APPLY}" if sitting.count else ""))
    return None


def _cells(config: DatasetConfig, sources: list[str] | None, years: str | None) -> "list[Cell]":
    from dataset_assets.storage.tables import Cell

    if unknown := [name for name in sources or [] if name not in config.sources]:
        raise ConfigError(f"{config.file} has no source {unknown[0]!r}; it has: {', '.join(config.sources)}")
    try:
        span = None if years is None else parse_years(years)
    except ValueError as error:
        raise ConfigError(f"--years {error}") from None
    return [Cell(name, year) for name, year in config.cells(sources or None, span)]


def _questions(
    config: DatasetConfig, cells: "Sequence[Cell]", tags: list[str], kind: str | None, in_sample: bool, limit: int
) -> "list[Question]":
    from dataset_assets import review as reviewing

    try:
        return reviewing.questions(config, reviewing.Wanted(cells, tags, kind, in_sample, limit))
    except reviewing.NothingToReview as error:
        raise ConfigError(str(error)) from None


def _sitting(config: DatasetConfig, who: str | None) -> "Review":
    from dataset_assets.domain.tag_decisions import MAX_TEXT
    from dataset_assets.review import Review

    name = who or getpass.getuser()
    if not name.isprintable() or len(name) > MAX_TEXT:
        raise ConfigError(f"--who {name[:50]!r}: expected a name of at most {MAX_TEXT} characters")
    return Review(config, name)


def _reason(said: str | None) -> str | None:
    from dataset_assets.review import BadAnswer, reason

    try:
        return reason(said)
    except BadAnswer as error:
        raise ConfigError(f"--why: {error}") from None


def _ask_in_terminal(config: DatasetConfig, sitting: "Review", asked: "list[Question]", why: str | None) -> None:
    from dataset_assets.storage.blobs import Blobs

    console.print(f"{len(asked)} questions. {KEYS}")
    try:
        with _single_keys() as read_key:
            go_through(config, sitting, asked, read_key, why)
    finally:
        Blobs(config.root_path).remove(sitting.sheet)


def go_through(
    config: DatasetConfig, sitting: "Review", asked: "list[Question]", read_key: Callable[[], str], why: str | None
) -> None:
    """Ask each question until all are answered or the person leaves; every answer is safe before the next is asked."""
    from dataset_assets.review import SHEET_IMAGES, draw_sheet

    at, drawn = 0, -1
    while at < len(asked):
        if at // SHEET_IMAGES != drawn:
            drawn = at // SHEET_IMAGES
            shown = draw_sheet(config, asked[drawn * SHEET_IMAGES :], sitting.sheet)
            console.print(f"[dim]the next {min(SHEET_IMAGES, len(asked) - at)} pictures: {escape(shown)}[/dim]")
        _print_question(config, asked[at], at, len(asked))
        key = read_key().lower()
        if key in ENDS:
            return
        if key in ("a", "r"):
            sitting.answer(asked[at], key == "a", why)
        elif key == "u":
            taken_back = sitting.undo()
            at = at if taken_back is None else asked.index(taken_back)
        if key in ("a", "r", "s"):
            at += 1
        elif key != "u":
            console.print(KEYS)


def _print_question(config: DatasetConfig, question: "Question", at: int, count: int) -> None:
    from dataset_assets.review import SHEET_COLUMNS, SHEET_IMAGES
    from dataset_assets.storage.blobs import Blobs

    row, column = divmod(at % SHEET_IMAGES, SHEET_COLUMNS)
    score = "below the floor" if question.score is None else f"{question.score:.2f}"
    verb = "add" if question.proposes else "remove"
    path = Blobs(config.root_path).shown(question.path) if question.path else "no picture"
    console.print(
        f"{at + 1}/{count} (row {row + 1}, column {column + 1})  {question.image_id}  {verb} "
        f"[bold]{escape(question.tag)}[/bold] ({question.category}, {score})?  [dim]{escape(path)}[/dim]"
    )


@contextlib.contextmanager
def _single_keys() -> Iterator[Callable[[], str]]:
    """Keys as they are pressed, without Return; the terminal is as before when the block is left."""
    import termios
    import tty

    stream = sys.stdin.fileno()
    before = termios.tcgetattr(stream)
    try:
        tty.setcbreak(stream)
        keys = pressed(lambda: os.read(stream, BYTES_AT_ONCE))
        yield lambda: next(keys, "")
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)


def pressed(read: Callable[[], bytes]) -> Iterator[str]:
    """The keys of what a terminal sends, in their order; one that sends several characters is ESCAPE."""
    while sent := read():
        yield from ESCAPED.sub(ESCAPE, sent.decode("utf-8", "replace"))


def _from_file(sitting: "Review", asked: "Sequence[Question]", file: Path, why: str | None) -> None:
    """Take answers from a file; all of it is read before the first is written."""
    from dataset_assets.review import BadAnswer, answers_in

    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            if lacking := {"image_id", "tag", "decision"} - {*(table.fieldnames or ())}:
                raise BadAnswer(f"its first line names no column {', '.join(sorted(lacking))}; commas part columns")
            answers = list(answers_in(list(table)))
    except (OSError, UnicodeDecodeError, csv.Error, BadAnswer) as error:
        raise ConfigError(f"{file}: {error}") from None
    open_questions = {(question.image_id, question.tag): question for question in asked}
    for image_id, tag, accept, reason in answers:
        question = open_questions.pop((image_id, tag), None)
        if question is None:
            errors.print(f"[yellow]{escape(image_id)} {escape(tag)}: no open question; left as it is[/yellow]")
        else:
            sitting.answer(question, accept, reason or why)


def _write_questions(asked: "Sequence[Question]", file: Path) -> None:
    names = ("image_id", "tag", "category", "kind", "score", "path")
    rows = [{name: getattr(question, name) for name in names} for question in asked]
    _write_csv(file, [*names, "decision", "why"], rows)
    console.print(f"wrote {len(asked)} questions to {escape(str(file))}; fill in `decision`, then --from it")


def _export(config: DatasetConfig, cells: "Sequence[Cell]", file: Path) -> None:
    from dataset_assets.domain.tag_decisions import exported
    from dataset_assets.review import decisions

    records = exported(decisions(config, cells))
    if file.suffix == ".csv":
        names = ("image_id", "tag", "category", "is_there", "who", "decided_at", "why", "score", "model")
        _write_csv(file, names, records)
    elif file.suffix in (".jsonl", ".json"):
        _written(file, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    else:
        raise ConfigError(f"--export {file}: expected a name that ends in .csv or .jsonl")
    console.print(f"wrote {len(records)} decisions to {escape(str(file))}")


def _write_csv(file: Path, names: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    import io

    with io.StringIO(newline="") as text:
        lines = csv.DictWriter(text, names, lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
        _written(file, text.getvalue())


def _written(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}") from None
