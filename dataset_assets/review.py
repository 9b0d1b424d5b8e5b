"""Going through what a tagger and a source disagree about, one picture after the other."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.duplicate_tables import split_keys
from dataset_assets.domain.schemas import TRAINING_IMAGES
from dataset_assets.domain.tag_decisions import MAX_TEXT, BadDecision, Decision, in_effect, parse, rows_of
from dataset_assets.domain.tag_disagreements import MISSING, TAG_DISAGREEMENTS
from dataset_assets.storage.decision_files import DecisionFiles, Sitting
from dataset_assets.storage.tables import Cell, Tables

UNDO = "undo"


@dataclass(frozen=True)
class Earlier:
    """What the same person has said before. ids: all decisions of theirs about it that were not taken back."""

    ids: tuple[str, ...]
    is_there: bool
    why: str | None
    decided_at: str


@dataclass(frozen=True)
class Question:
    """Whether an image has a tag, as source and tagger disagree."""

    cell: Cell
    image_id: str
    tag: str
    category: str
    kind: str
    score: float | None
    is_in_sample: bool | None
    model: str | None
    path: str | None
    earlier: Earlier | None = None

    @property
    def pair(self) -> tuple[str, str]:
        return self.image_id, self.tag

    @property
    def is_accepted(self) -> bool | None:
        """Whether the tagger was said to be right before; null = nothing was said."""
        return None if self.earlier is None else self.earlier.is_there == self.proposes

    @property
    def proposes(self) -> bool:
        """What the tagger says: true = the image has the tag."""
        return self.kind == MISSING


@dataclass(frozen=True)
class Wanted:
    """Which questions are asked."""

    cells: Sequence[Cell]
    tags: Sequence[str] = ()
    kind: str | None = None
    in_sample: bool = False  # also of images that the tagger has learnt from
    limit: int = 1000
    part: tuple[int, int] = (1, 1)  # the first of one: all; by image, so that nobody else is asked about it
    without: Set[tuple[str, str]] = frozenset()  # image_id and tag of what is being asked elsewhere


class NothingToReview(Exception):
    """There is no table of disagreements; the message says how to make it."""


def questions(config: DatasetConfig, wanted: Wanted) -> list[Question]:
    """The open questions, the clearest first; what was decided in an earlier sitting is not asked again.

    Raises: NothingToReview.
    """
    tables = Tables(config.root_path)
    cells = [cell for cell in wanted.cells if cell in tables.cells(TAG_DISAGREEMENTS.name)]
    if not cells:
        raise NothingToReview(
            "tag_disagreements is not built; set a tagger in dataset.yaml, then `dataset-assets rebuild`"
        )
    found = [_of_cell(tables, cell, wanted) for cell in cells]
    ordered = pl.concat(found).sort("magnitude", "image_id", "tag", descending=[True, False, False])
    ordered = ordered.with_columns(pl.col("score").cast(pl.Float64).round(4))
    fields = ("image_id", "tag", "category", "kind", "score", "is_in_sample", "model", "path")
    rows = ordered.head(wanted.limit + len(wanted.without)).to_dicts()
    asked = [Question(Cell(row["source"], row["year"]), **{name: row[name] for name in fields}) for row in rows]
    return [one for one in asked if one.pair not in wanted.without][: wanted.limit]


def _of_cell(tables: Tables, cell: Cell, wanted: Wanted) -> pl.DataFrame:
    """The first open rows of a partition, with where each image lies."""
    rows = tables.scan(TAG_DISAGREEMENTS, cell).filter(pl.col("decided_by").is_null())
    if wanted.tags:
        rows = rows.filter(pl.col("tag").is_in(list(wanted.tags)))
    if wanted.kind:
        rows = rows.filter(pl.col("kind") == wanted.kind)
    if not wanted.in_sample:
        rows = rows.filter(~pl.col("is_in_sample").fill_null(False))
    decided = in_effect(rows_of(DecisionFiles(tables.root).of(cell)).lazy()).select("image_id", "tag")
    rows = rows.join(decided, on=["image_id", "tag"], how="anti")
    rows = _of_part(rows, wanted.part).sort("rank").head(wanted.limit + len(wanted.without))
    paths = tables.scan(TRAINING_IMAGES, cell).select("image_id", "path")
    placed = pl.lit(cell.source).alias("source"), pl.lit(cell.year, pl.Int32).alias("year")
    return rows.join(paths, on="image_id", how="left").with_columns(placed).collect()


def _of_part(rows: pl.LazyFrame, part: tuple[int, int]) -> pl.LazyFrame:
    """The rows of images that fall to one of several parts, the same on every machine."""
    number, parts = part
    if parts == 1:
        return rows
    ids = rows.select(pl.col("image_id").unique()).collect().get_column("image_id")
    chosen = ids.filter(split_keys(ids) % parts == number - 1)
    return rows.filter(pl.col("image_id").is_in(chosen.implode()))


@dataclass
class Review:
    """One person's sitting: answers are written as they are given, and can be taken back, then and later."""

    config: DatasetConfig
    who: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _given: list[tuple[Question, Decision | None]] = field(default_factory=list)  # null = took an earlier answer back
    _sitting: Sitting | None = None

    def answer(self, question: Question, accept: bool, why: str | None = None) -> Decision:
        """Write whether the tagger is right about the image. Raises: BadAnswer for what could not be read again."""
        is_there = question.proposes if accept else not question.proposes
        decision = self._decision(question, is_there, why, None)
        self._write(question, decision)
        self._given.append((question, decision))
        return decision

    def take_back(self, question: Question) -> None:
        """Take back what was answered in an earlier sitting; what somebody else has answered before counts again."""
        if question.earlier is None:
            raise BadAnswer(f"{question.image_id} {question.tag}: there is no earlier answer to take back")
        for decision in question.earlier.ids:
            self._write(question, self._decision(question, None, None, decision))
        self._given.append((question, None))

    def undo(self) -> Question | None:
        """Undo the last step of this sitting; null = there is none. What was written stays, as undone."""
        if not self._given:
            return None
        question, decision = self._given.pop()
        if decision is not None:
            self._write(question, self._decision(question, None, None, decision.id))
        elif question.earlier is not None:
            self._write(question, self._decision(question, question.earlier.is_there, question.earlier.why, None))
        return question

    @property
    def count(self) -> int:
        return len(self._given)

    def _decision(self, question: Question, is_there: bool | None, why: str | None, undoes: str | None) -> Decision:
        moment = self.now().astimezone(UTC).isoformat()
        return Decision(
            id=uuid.uuid4().hex,
            image_id=question.image_id,
            tag=question.tag,
            category=question.category,
            is_there=is_there,
            who=self.who,
            decided_at=moment,
            why=why,
            score=question.score,
            model=question.model,
            undoes=undoes,
        )

    def _write(self, question: Question, decision: Decision) -> None:
        line = decision.line()
        try:
            parse(line)
        except BadDecision as error:  # written all the same, it would count for nothing, and nobody would notice
            raise BadAnswer(f"{question.image_id} {question.tag}: {error}") from None
        if self._sitting is None:  # a sitting in which nothing is decided leaves nothing behind
            began = self.now().astimezone(UTC).strftime("%Y%m%dT%H%M%S")
            self._sitting = Sitting(self.config.root_path, f"{began}-{self.token}")
        self._sitting.add(question.cell, line)


class BadAnswer(ValueError):
    """An answer, or a line of a file of answers, that cannot be meant; the message names it."""


def reason(said: str | None) -> str | None:
    """A reason as one line of text; null = none was given. Raises: BadAnswer when it is too long."""
    text = " ".join("".join(one if one.isprintable() else " " for one in said or "").split())
    if len(text) > MAX_TEXT:
        raise BadAnswer(f"a reason of {len(text):,} characters; expected at most {MAX_TEXT}: {text[:50]!r}...")
    return text or None


def answers_in(lines: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str, bool | None, str | None]]:
    """image_id, tag, whether to accept (null = undo) and why, of lines; `skip` and an empty decision are left out.

    Raises: BadAnswer.
    """
    for number, line in enumerate(lines, 2):
        decision = (line.get("decision") or "").strip().lower()
        if decision in ("", "skip", "s"):
            continue
        if decision not in ("accept", "a", "reject", "r", UNDO) or not line.get("image_id") or not line.get("tag"):
            raise BadAnswer(
                f"line {number}: expected image_id, tag and a decision of accept, reject, skip or undo, "
                f"found {dict(line)}"
            )
        try:
            why = reason(line.get("why"))
        except BadAnswer as error:
            raise BadAnswer(f"line {number}: {error}") from None
        yield line["image_id"], line["tag"], None if decision == UNDO else decision[0] == "a", why
