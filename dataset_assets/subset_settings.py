"""The block `subsets` of dataset.yaml: which images are kept, and into which parts they are dealt."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dataset_assets.domain import identity, selection, tag_query
from dataset_assets.domain.image_scores import SCORES, Score, column_of
from dataset_assets.domain.splits import MAX_SPLITS, SplitBy
from dataset_assets.settings import Settings

Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
Share = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class Subset(Settings):
    """A definition of which images are kept; the rules are asked in the order of the keys below."""

    sources: tuple[str, ...] | None = None
    # Licences by their names under `sources`, or those that permit to pass images on.
    license: Literal["any", "redistributable"] | tuple[str, ...] = "any"
    exclude: Names = ()  # of `id_lists`: posts that stand in any of them are left out
    only: Names = ()  # of `id_lists`: posts that stand in none of them are left out
    # keep: images of which no file has come yet stay, as ids that a release may hand on without pixels.
    without_file: Literal["drop", "keep"] = "drop"
    min_side: int | None = Field(default=None, ge=1)  # pixels of the shorter side, upright as decoded
    max_aspect: float | None = Field(default=None, ge=1, allow_inf_nan=False)  # the longer side by the shorter
    scores: dict[Score, float] = Field(
        default_factory=dict
    )  # the least of each; an image that has no such score is dropped
    tags: str | None = None
    where: str | None = None
    duplicates: Literal["keep", "drop"] = "keep"  # drop: of near-duplicates only the leader is kept
    families: Literal["keep", "drop"] = "drop"  # keep: duplicates in looks alone stay beside their parent or child
    # Parts by name with their shares, such as {train: 90, val: 5, test: 5}, and what they must not tear apart.
    splits: dict[str, Share] = Field(default_factory=dict)
    split_by: SplitBy = "duplicates"

    @property
    def asks_duplicates(self) -> bool:
        """Whether it can be judged only when the near-duplicates over all sources are known."""
        is_split_by_groups = bool(self.splits) and self.split_by != "image"
        return self.duplicates == "drop" or is_split_by_groups or "split_key" in self._asked_columns

    @property
    def asked_scores(self) -> tuple[Score, ...]:
        """The scores of `image_scores` that it asks for."""
        return tuple(score for score in SCORES if score in self.scores or column_of(score) in self._asked_columns)

    @cached_property
    def _asked_columns(self) -> frozenset[str]:
        return frozenset(() if self.where is None else selection.where_expression(self.where).meta.root_names())

    @field_validator("license", mode="before")
    @classmethod
    def _license_is_a_word_or_a_list(cls, value: object) -> object:
        if isinstance(value, str) and value not in ("any", "redistributable"):
            raise ValueError(f"{value!r}: write any, redistributable, or a list of licences such as [{value}]")
        if isinstance(value, (list, tuple)) and not value:
            raise ValueError("the list is empty: no image would be kept")
        return value

    @field_validator("scores")
    @classmethod
    def _scores_are_numbers(cls, scores: dict[Score, float]) -> dict[Score, float]:
        if wrong := [score for score, least in scores.items() if not math.isfinite(least)]:
            raise ValueError(f"{wrong[0]}: {scores[wrong[0]]} is no score")
        return scores

    @field_validator("tags")
    @classmethod
    def _tags_parse(cls, text: str | None) -> str | None:
        if text is not None:
            tag_query.parse(text)
        return text

    @field_validator("where")
    @classmethod
    def _where_is_safe(cls, text: str | None) -> str | None:
        if text is not None:
            selection.where_expression(text)
        return text

    @field_validator("splits", mode="before")
    @classmethod
    def _splits_have_names_of_files(cls, splits: object) -> object:
        if not isinstance(splits, Mapping):
            raise ValueError(f"{splits!r}: write shares by name, such as {{train: 90, val: 5, test: 5}}")
        for name in splits:
            if not (isinstance(name, str) and identity.SOURCE_NAME.fullmatch(name)):
                raise ValueError(f"{name!r}: a name is 1 to 32 of a-z, 0-9 and _, and begins with no _")
        if len(splits) > MAX_SPLITS:
            raise ValueError(f"{len(splits)} parts; a subset has at most {MAX_SPLITS}")
        return splits

    @model_validator(mode="after")
    def _split_by_has_splits(self) -> "Subset":
        if "split_by" in self.model_fields_set and not self.splits:
            raise ValueError("split_by says how splits are made, and there are none; write splits: {train: 95, val: 5}")
        return self
