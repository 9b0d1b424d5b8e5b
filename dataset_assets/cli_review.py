"""`dataset-assets review`: one key for each picture about whose tags a tagger and the source disagree."""

import csv
import getpass
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dataset_assets.config import ConfigError, DatasetConfig, parse_years
from dataset_assets.domain.wording import counted
from dataset_assets.environment import config_from_environment

if TYPE_CHECKING:
    from dataset_assets.review import Question, Review, Wanted
    from dataset_assets.storage.tables import Cell

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

EVERY = 10**9
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
    again: Annotated[bool, typer.Option("--again", help="Your earlier answers, to change or take them back.")] = False,
    part: Annotated[str, typer.Option(help="Only a part of the images, such as 2/3: for several people.")] = "1/1",
    undo: Annotated[
        tuple[str, str] | None, typer.Option(help="Take back your answer about an image and a tag, and ask nothing.")
    ] = None,
    who: Annotated[str | None, typer.Option(help="Who decides.", show_default="the login name")] = None,
    why: Annotated[str | None, typer.Option(help="A reason that is written with each decision.")] = None,
    answers: Annotated[
        Path | None, typer.Option("--from", help="CSV of image_id, tag, decision (accept, reject, skip, undo), why.")
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
    sitting, why = _sitting(config, who), _reason(why)
    wanted = _wanted(cells, tag or [], kind, in_sample, limit, part)
    if undo is not None:
        _undo(config, sitting, wanted, undo)
    elif answers is not None:
        _from_file(config, sitting, wanted, answers, why)
    elif questions is not None:
        return _write_questions(_asked(config, sitting, wanted, again), questions)
    elif not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask in; use --questions FILE, fill it in, then --from FILE")
    else:
        _ask_in_terminal(config, sitting, _asked(config, sitting, wanted, again), why)
    console.print(counted(sitting.count, "decision") + (f"; {APPLY}" if sitting.count else ""))
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


def _wanted(
    cells: "Sequence[Cell]", tags: list[str], kind: str | None, in_sample: bool, limit: int, part: str
) -> "Wanted":
    from dataset_assets.review import Wanted

    match = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", part)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigError(f"--part {part}: expected a number of so many parts, such as 2/3")
    return Wanted(cells, tags, kind, in_sample, limit, (int(match[1]), int(match[2])))


def _asked(config: DatasetConfig, sitting: "Review", wanted: "Wanted", again: bool) -> "list[Question]":
    """The questions that are open and asked of nobody else now, or the person's own answers."""
    from dataset_assets.review import NothingToReview, questions
    from dataset_assets.review_answers import earlier_answers
    from dataset_assets.review_sheets import asked_elsewhere

    if again:
        return earlier_answers(config, wanted, sitting.who)
    elsewhere = asked_elsewhere(config.root_path)
    if elsewhere:
        console.print(f"left out, as others are being asked now: {counted(len(elsewhere), 'question')}")
    try:
        return questions(config, replace(wanted, without=elsewhere))
    except NothingToReview as error:
        raise ConfigError(str(error)) from None


def _undo(config: DatasetConfig, sitting: "Review", wanted: "Wanted", pair: tuple[str, str]) -> None:
    """Take back one answer of this person's. Raises: ConfigError when there is none."""
    from dataset_assets.review_answers import answered_pairs, earlier_answers

    found = [one for one in earlier_answers(config, replace(wanted, limit=EVERY), sitting.who) if one.pair == pair]
    if not found:
        other = answered_pairs(config, wanted.cells).get(pair)
        said = f"the answer that counts is {other}'s" if other else "no answer counts"
        raise ConfigError(f"--undo {' '.join(pair)}: {sitting.who} has none to take back there; {said}")
    sitting.take_back(found[0])


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
    from dataset_assets.cli_review_terminal import AGAIN_KEYS, KEYS, ask

    keys = AGAIN_KEYS if any(one.earlier for one in asked) else KEYS
    console.print(f"{counted(len(asked), 'question')}. {keys}")
    ask(config, sitting, asked, why)


def _from_file(config: DatasetConfig, sitting: "Review", wanted: "Wanted", file: Path, why: str | None) -> None:
    """Take answers from a file; all of it is read before the first is written."""
    from dataset_assets.review import BadAnswer, NothingToReview, answers_in, questions
    from dataset_assets.review_answers import answered_pairs, earlier_answers

    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            if lacking := {"image_id", "tag", "decision"} - {*(table.fieldnames or ())}:
                raise BadAnswer(f"its first line names no column {', '.join(sorted(lacking))}; commas part columns")
            answers = list(answers_in(list(table)))
        everything = replace(wanted, limit=EVERY, in_sample=True)
        known = {one.pair: one for one in questions(config, everything)}
        known |= {one.pair: one for one in earlier_answers(config, everything, sitting.who)}
    except (OSError, UnicodeDecodeError, csv.Error, BadAnswer, NothingToReview) as error:
        raise ConfigError(f"{file}: {error}") from None
    others = answered_pairs(config, wanted.cells)
    for image_id, tag, accept, reason in answers:
        pair = (image_id, tag)
        if not _is_taken(sitting, known.pop(pair, None), accept, reason or why):
            other = others.get(pair, sitting.who)
            said = "no open question" if other == sitting.who else f"{other} has answered it"
            errors.print(f"[yellow]{escape(f'{image_id} {tag}: {said}')}; left as it is[/yellow]")


def _is_taken(sitting: "Review", question: "Question | None", accept: bool | None, why: str | None) -> bool:
    """Write an answer, or take an earlier one back; what was said before is not said again. False = nobody asked."""
    if question is None or (accept is None and question.earlier is None):
        return False
    if accept is None:
        sitting.take_back(question)
    elif accept != question.is_accepted:
        sitting.answer(question, accept, why)
    return True


def _write_questions(asked: "Sequence[Question]", file: Path) -> None:
    names = ("image_id", "tag", "category", "kind", "score", "path")
    said = {True: "accept", False: "reject", None: ""}
    rows = [
        {name: getattr(one, name) for name in names}
        | {"decision": said[one.is_accepted], "why": one.earlier and one.earlier.why}
        for one in asked
    ]
    _write_csv(file, [*names, "decision", "why"], rows)
    console.print(f"wrote {counted(len(asked), 'question')} to {escape(str(file))}; fill in `decision`, then --from it")


def _export(config: DatasetConfig, cells: "Sequence[Cell]", file: Path) -> None:
    from dataset_assets.domain.tag_decisions import exported
    from dataset_assets.review_answers import decisions

    records = exported(decisions(config, cells))
    if file.suffix == ".csv":
        names = ("image_id", "tag", "category", "is_there", "who", "decided_at", "why", "score", "model")
        _write_csv(file, names, records)
    elif file.suffix in (".jsonl", ".json"):
        _written(file, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    else:
        raise ConfigError(f"--export {file}: expected a name that ends in .csv or .jsonl")
    console.print(f"wrote {counted(len(records), 'decision')} to {escape(str(file))}")


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
