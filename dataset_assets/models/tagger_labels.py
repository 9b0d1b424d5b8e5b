"""`selected_tags.csv`: what each of a tagger's numbers means."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset_assets.domain.predicted_tags import CATEGORIES
from dataset_assets.models.weight_files import ModelError

COLUMNS = ("tag_id", "name", "category")
MAX_BYTES = 20_000_000
MAX_NAME = 500


@dataclass(frozen=True)
class Label:
    """A tag that a tagger knows; its place among the labels is that of its score."""

    name: str
    category: str


def read_labels(file: Path) -> list[Label]:
    """The labels in the order of the model's scores.

    Raises: ModelError naming the line that is wrong.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ModelError(f"{file}: larger than {MAX_BYTES:,} bytes; this is no list of tags")
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: cannot be read: {error}; it is published beside the model") from None
    try:
        lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if missing := [name for name in COLUMNS if name not in (lines.fieldnames or ())]:
            found = ",".join(lines.fieldnames or ())[:200]
            raise ModelError(
                f"{file}: has no column {missing[0]}; expected tag_id,name,category,count, found {found!r}"
            )
        labels = [_label(file, lines.line_num, line) for line in lines]
    except csv.Error as error:
        raise ModelError(f"{file}: is no CSV: {error}") from None
    _require_distinct(file, labels)
    return labels


def _label(file: Path, line: int, fields: dict[str, str | None]) -> Label:
    name, category = fields["name"], fields["category"] or ""
    if not name or len(name) > MAX_NAME or name != name.strip():
        raise ModelError(f"{file}, line {line}: {name!r} is no tag")
    if not category.isascii() or not category.isdigit() or int(category) not in CATEGORIES:
        known = ", ".join(f"{number} ({word})" for number, word in CATEGORIES.items())
        raise ModelError(f"{file}, line {line}: {category!r} is no category; expected {known}")
    return Label(name, CATEGORIES[int(category)])


def _require_distinct(file: Path, labels: Sequence[Label]) -> None:
    if not labels:
        raise ModelError(f"{file}: names no tag")
    seen: set[Label] = set()
    for number, label in enumerate(labels, 2):
        if label in seen:
            raise ModelError(f"{file}, line {number}: {label.category} tag {label.name!r} stands twice")
        seen.add(label)


def require_one_per_score(file: Path, labels: Sequence[Label], scores: int) -> None:
    """Refuse labels of another model. Raises: ModelError."""
    if len(labels) != scores:
        raise ModelError(
            f"{file}: has {len(labels):,} tags, the model gives {scores:,} scores; "
            "take both from the same repository and revision"
        )
