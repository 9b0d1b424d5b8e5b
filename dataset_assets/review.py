"""Going through what a tagger and a source disagree about, one picture after the other."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import TRAINING_IMAGES
from dataset_assets.domain.tag_decisions import (
    MAX_TEXT,
    TAG_DECISIONS,
    BadDecision,
    Decision,
    in_effect,
    parse,
    rows_of,
)
from dataset_assets.domain.tag_disagreements import MISSING, TAG_DISAGREEMENTS
from dataset_assets.storage.blobs import BlobMissing, Blobs
from dataset_assets.storage.decision_files import DecisionFiles, Sitting
from dataset_assets.storage.tables import Cell, Tables

if TYPE_CHECKING:
    from PIL import Image

SHEET_IMAGES, SHEET_COLUMNS, SHEET_SIDE = 24, 6, 224
SHEETS = "sheets/review/"


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
    ordered = pl.concat(found).sort("magnitude", "image_id", "tag", descending=[True, False, False]).head(wanted.limit)
    ordered = ordered.with_columns(pl.col("score").cast(pl.Float64).round(4))
    fields = ("image_id", "tag", "category", "kind", "score", "is_in_sample", "model", "path")
    return [
        Question(Cell(row["source"], row["year"]), **{name: row[name] for name in fields}) for row in ordered.to_dicts()
    ]


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
    rows = rows.join(decided, on=["image_id", "tag"], how="anti").sort("rank").head(wanted.limit)
    paths = tables.scan(TRAINING_IMAGES, cell).select("image_id", "path")
    placed = pl.lit(cell.source).alias("source"), pl.lit(cell.year, pl.Int32).alias("year")
    return rows.join(paths, on="image_id", how="left").with_columns(placed).collect()


@dataclass
class Review:
    """One person's sitting: answers are written as they are given, and can be taken back."""

    config: DatasetConfig
    who: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _given: list[tuple[Question, Decision]] = field(default_factory=list)
    _sitting: Sitting | None = None

    def answer(self, question: Question, accept: bool, why: str | None = None) -> Decision:
        """Write whether the tagger is right about the image. Raises: BadAnswer for what could not be read again."""
        is_there = question.proposes if accept else not question.proposes
        decision = self._decision(question, is_there, why, None)
        self._write(question, decision)
        self._given.append((question, decision))
        return decision

    def undo(self) -> Question | None:
        """Take the last answer of this sitting back; null = there is none. The decision stays written, as undone."""
        if not self._given:
            return None
        question, taken_back = self._given.pop()
        self._write(question, self._decision(question, None, None, taken_back.id))
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

    @property
    def sheet(self) -> str:
        """Where the sheet of pictures lies: each sitting has its own, since several people may be at it."""
        return f"{SHEETS}{self.token}.jpg"

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


def draw_sheet(config: DatasetConfig, asked: Sequence[Question], name: str) -> str:
    """Draw the pictures of the next questions, in their order, row by row; returns where the sheet `name` lies."""
    from PIL import Image

    from dataset_assets.domain.contact_sheet import contact_sheet, jpeg_within

    blobs = Blobs(config.root_path)
    blank = Image.new("RGB", (SHEET_SIDE, SHEET_SIDE), (200, 200, 200))
    pictures = [_picture(blobs, question.path) or blank for question in asked[:SHEET_IMAGES]]
    sheet = contact_sheet(pictures, columns=SHEET_COLUMNS, side=SHEET_SIDE)
    blobs.replace(name, jpeg_within(sheet, 4_000_000))
    return blobs.shown(name)


def _picture(blobs: Blobs, path: str | None) -> "Image.Image | None":
    """A training image, made by this platform; null = it is gone."""
    import io

    from PIL import Image

    if path is None:
        return None
    try:
        picture = Image.open(io.BytesIO(blobs.get(path)), formats=("JPEG", "PNG", "WEBP"))
        picture.load()
    except (BlobMissing, OSError):
        return None
    return picture


class BadAnswer(ValueError):
    """An answer, or a line of a file of answers, that cannot be meant; the message names it."""


def reason(said: str | None) -> str | None:
    """A reason as one line of text; null = none was given. Raises: BadAnswer when it is too long."""
    text = " ".join("".join(one if one.isprintable() else " " for one in said or "").split())
    if len(text) > MAX_TEXT:
        raise BadAnswer(f"a reason of {len(text):,} characters; expected at most {MAX_TEXT}: {text[:50]!r}...")
    return text or None


def answers_in(lines: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str, bool, str | None]]:
    """image_id, tag, whether to accept and why, of lines with these columns; `skip` and an empty decision are left out.

    Raises: BadAnswer.
    """
    for number, line in enumerate(lines, 2):
        decision = (line.get("decision") or "").strip().lower()
        if decision in ("", "skip", "s"):
            continue
        if decision not in ("accept", "a", "reject", "r") or not line.get("image_id") or not line.get("tag"):
            raise BadAnswer(
                f"line {number}: expected image_id, tag and a decision of accept, reject or skip, found {dict(line)}"
            )
        try:
            why = reason(line.get("why"))
        except BadAnswer as error:
            raise BadAnswer(f"line {number}: {error}") from None
        yield line["image_id"], line["tag"], decision[0] == "a", why


def decisions(config: DatasetConfig, cells: Sequence[Cell]) -> pl.DataFrame:
    """All decisions about some partitions, as the root has them now: rows of TAG_DECISIONS."""
    files = DecisionFiles(config.root_path)
    return pl.concat([TAG_DECISIONS.empty(), *(rows_of(files.of(cell)) for cell in cells)])
