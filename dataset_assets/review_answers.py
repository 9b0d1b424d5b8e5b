"""What a person has answered before, to be looked at again: changed, or taken back."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import TRAINING_IMAGES
from dataset_assets.domain.tag_decisions import COUNTS, SUPERSEDED, TAG_DECISIONS, in_effect, rows_of
from dataset_assets.domain.tag_disagreements import DOUBTFUL, MISSING, TAG_DISAGREEMENTS
from dataset_assets.review import Earlier, Question, Wanted
from dataset_assets.storage.decision_files import DecisionFiles
from dataset_assets.storage.tables import Cell, Tables


def decisions(config: DatasetConfig, cells: Sequence[Cell]) -> pl.DataFrame:
    """All decisions about some partitions, as the root has them now: rows of TAG_DECISIONS."""
    files = DecisionFiles(config.root_path)
    return pl.concat([TAG_DECISIONS.empty(), *(rows_of(files.of(cell)) for cell in cells)])


def answered_pairs(config: DatasetConfig, cells: Sequence[Cell]) -> dict[tuple[str, str], str]:
    """Whose answer counts, by image_id and tag, as the root has them now."""
    rows = in_effect(decisions(config, cells).lazy()).select("image_id", "tag", "who").collect()
    return {(image_id, tag): who for image_id, tag, who in rows.iter_rows()}


def earlier_answers(config: DatasetConfig, wanted: Wanted, who: str) -> list[Question]:
    """A person's answers that count, as the questions that they were, the latest first."""
    tables = Tables(config.root_path)
    found = [question for cell in wanted.cells for question in _of_cell(tables, cell, wanted, who)]
    latest = sorted(found, key=lambda one: (one.earlier.decided_at if one.earlier else "", one.pair), reverse=True)
    return latest[: wanted.limit]


def _of_cell(tables: Tables, cell: Cell, wanted: Wanted, who: str) -> list[Question]:
    own = rows_of(DecisionFiles(tables.root).of(cell)).filter(
        pl.col("who") == who, pl.col("state").is_in((COUNTS, SUPERSEDED)), pl.col("is_there").is_not_null()
    )
    ids = own.group_by("image_id", "tag").agg(ids=pl.col("id").sort_by("decided_at"))
    counting = own.filter(pl.col("state") == COUNTS).join(ids, on=["image_id", "tag"])
    if wanted.tags:
        counting = counting.filter(pl.col("tag").is_in(list(wanted.tags)))
    # Once it is applied, source and tagger agree, or the person and the source do: no row says what was asked.
    kinds = tables.scan(TAG_DISAGREEMENTS, cell).select("image_id", "tag", "kind")
    paths = tables.scan(TRAINING_IMAGES, cell).select("image_id", "path")
    rows = counting.lazy().join(kinds, on=["image_id", "tag"], how="left").join(paths, on="image_id", how="left")
    said = pl.when("is_there").then(pl.lit(MISSING)).otherwise(pl.lit(DOUBTFUL))
    rows = rows.with_columns(kind=pl.coalesce("kind", said), score=pl.col("score").cast(pl.Float64).round(4))
    questions = [_question(cell, row) for row in rows.collect().to_dicts()]
    return [one for one in questions if wanted.kind in (None, one.kind)]


def _question(cell: Cell, row: dict[str, object]) -> Question:
    names = ("image_id", "tag", "category", "kind", "score", "model", "path")
    asked = Question(cell, is_in_sample=None, **{name: row[name] for name in names})  # type: ignore[arg-type]  # of a table
    ids = row["ids"]
    assert isinstance(ids, list)
    why = row["why"]
    said = Earlier(tuple(ids), bool(row["is_there"]), None if why is None else str(why), str(row["decided_at"]))
    return replace(asked, earlier=said)
