"""One key for each picture: the questions of `dataset-assets review` in a terminal, sheet by sheet."""

import contextlib
import os
import re
import signal
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from dataset_assets.config import DatasetConfig
from dataset_assets.review import Question, Review
from dataset_assets.review_answers import answered_pairs
from dataset_assets.review_sheets import SHEET_COLUMNS, Sheets, draw_sheet
from dataset_assets.storage.blobs import Blobs

console = Console(highlight=False, soft_wrap=True)

KEYS = "a = the tagger is right, r = the source is right, s = skip, u = undo, q = quit"
AGAIN_KEYS = f"{KEYS}, t = take the earlier answer back"
ESCAPE = "\x1b"
# What a key such as an arrow sends: several characters, among them letters that would be answers.
ESCAPED = re.compile(r"\x1b(?:\[[0-9;<=>?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
BYTES_AT_ONCE = 1024
ENDS = ("q", "\x03", "\x04", "")  # as well as Ctrl-C, Ctrl-D and the end of input


def ask(config: DatasetConfig, sitting: Review, asked: Sequence[Question], why: str | None) -> None:
    """Ask in this terminal, until all is answered or the person leaves."""
    with single_keys() as read_key:
        go_through(config, sitting, asked, read_key, why)


def go_through(
    config: DatasetConfig, sitting: Review, asked: Sequence[Question], read_key: Callable[[], str], why: str | None
) -> None:
    """Ask each question until all are answered or the person leaves; every answer is safe before the next is asked."""
    sheets = Sheets(config.root_path, sitting.token)
    keys = AGAIN_KEYS if any(one.earlier for one in asked) else KEYS
    with sheets.open():
        dealt, at = Dealt(config, sheets, asked), 0
        while (question := dealt.at(at)) is not None:
            _print_question(config, question, dealt, at)
            key = read_key().lower()
            if key in ENDS:
                return
            if key == "u":
                undone = sitting.undo()
                at = at if undone is None else dealt.shown.index(undone)
            elif _is_done(sitting, question, key, why):
                at += 1
            else:
                console.print(keys)
    if dealt.left:
        console.print(f"answered by others meanwhile, or asked of them just now: {len(dealt.left)}")


def _is_done(sitting: Review, question: Question, key: str, why: str | None) -> bool:
    """Do what a key says; false = it says nothing here."""
    if key in ("a", "r") and question.is_accepted != (key == "a"):
        sitting.answer(question, key == "a", why)
    elif key == "t" and question.earlier is not None:
        sitting.take_back(question)
    elif key not in ("a", "r", "s"):
        return False
    return True


@dataclass
class Dealt:
    """The questions that this sitting was given so far, and the sheet that lies before the person."""

    config: DatasetConfig
    sheets: Sheets
    asked: Sequence[Question]
    shown: list[Question] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # of each sheet, among those shown
    drawn: int | None = None

    @property
    def left(self) -> list[Question]:
        """Those that were not shown."""
        shown = {one.pair for one in self.shown}
        return [one for one in self.asked if one.pair not in shown]

    def at(self, position: int) -> Question | None:
        """A question, with its sheet drawn; null = there are no more."""
        if position == len(self.shown):
            dealt = self.sheets.deal(self.left, self._answered)
            if not dealt:
                return None
            self.starts.append(position)
            self.shown += dealt
        start = self.start_of(position)
        if start != self.drawn:
            self._draw(start)
        return self.shown[position]

    def start_of(self, position: int) -> int:
        """The first question of a question's sheet."""
        return self.starts[bisect_right(self.starts, position) - 1]

    def _answered(self) -> set[tuple[str, str]]:
        if any(one.earlier for one in self.asked):
            return set()  # they are asked because they are answered
        return set(answered_pairs(self.config, sorted({one.cell for one in self.asked})))

    def _draw(self, start: int) -> None:
        end = next((other for other in self.starts if other > start), len(self.shown))
        sheet = self.shown[start:end]
        self.sheets.keep(sheet)
        at = draw_sheet(self.config, sheet, self.sheets.picture)
        self.drawn = start
        console.print(f"[dim]pictures of the next {len(sheet)}: {escape(at)}[/dim]")


def _print_question(config: DatasetConfig, question: Question, dealt: Dealt, at: int) -> None:
    row, column = divmod(at - dealt.start_of(at), SHEET_COLUMNS)
    score = "below the floor" if question.score is None else f"{question.score:.2f}"
    verb = "add" if question.proposes else "remove"
    path = Blobs(config.root_path).shown(question.path) if question.path else "no picture"
    console.print(
        f"{at + 1}/{len(dealt.asked)} (row {row + 1}, column {column + 1})  {question.image_id}  {verb} "
        f"[bold]{escape(question.tag)}[/bold] ({question.category}, {score})?  {_said(question)}"
        f"[dim]{escape(path)}[/dim]"
    )


def _said(question: Question) -> str:
    """What the person has said before, and when."""
    if question.earlier is None:
        return ""
    said = "it is there" if question.earlier.is_there else "it is not"
    why = f" ({question.earlier.why})" if question.earlier.why else ""
    return escape(f"you said {said}, {question.earlier.decided_at[:16]}{why}  ")


@contextlib.contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """Keys as they are pressed, without Return; the terminal is as before when the block is left."""
    import termios
    import tty

    stream = sys.stdin.fileno()
    before = termios.tcgetattr(stream)
    try:
        tty.setcbreak(stream)
        keys = pressed(lambda: _sent(stream))
        yield lambda: next(keys, "")
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)


def _sent(stream: int) -> bytes:
    """What comes next from a terminal; Ctrl-C ends the wait."""
    signal.siginterrupt(signal.SIGINT, True)  # Polars' handler lets a read go on, so that it would wait for a key
    return os.read(stream, BYTES_AT_ONCE)


def pressed(read: Callable[[], bytes]) -> Iterator[str]:
    """The keys of what a terminal sends, in their order; one that sends several characters is ESCAPE."""
    while sent := read():
        yield from ESCAPED.sub(ESCAPE, sent.decode("utf-8", "replace"))
