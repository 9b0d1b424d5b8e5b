"""What differs between two releases: images, files, captions, tags, ratings, licences and splits."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from dataset_assets.domain.aligned_members import aligned, moved_ids
from dataset_assets.domain.member_changes import ALL_CHANGES, COMPARED, joined
from dataset_assets.domain.release_diff_names import KINDS, artist_counts, largest, names_of, numbers, tag_counts
from dataset_assets.domain.release_diff_sums import EXAMPLES, Sums, added_up, examples_of, first_examples, sums_of

NOT_LISTED = "no longer listed"
OUTSIDE = "kept by the subset, outside of the release"

_PIECES_HELD, _REMOVED_HELD = 64, 500_000
_REMOVED = pl.Schema({"image_id": pl.String, "page_url": pl.String})


@dataclass(frozen=True)
class ReleaseDiff:
    """Small tables of what differs.

    totals: what, before, after. changes: change (of ALL_CHANGES), images. by: aspect, value, before, after, added,
    removed, changed. moves: aspect, before, after, images. removed_because: reason, images; null = nobody told.
    names: kind (tag or artist), change (new, vanished, more, fewer), name, category, before, after; the largest
    differences. name_counts: kind, change, names; how many there are. examples: change, image_id, detail, page_url.
    """

    totals: pl.DataFrame
    changes: pl.DataFrame
    by: pl.DataFrame
    moves: pl.DataFrame
    removed_because: pl.DataFrame
    names: pl.DataFrame
    name_counts: pl.DataFrame
    examples: pl.DataFrame

    def total(self, what: str) -> tuple[int, int]:
        """Before and after."""
        before, after = self.totals.filter(pl.col("what") == what).select("before", "after").row(0)
        return before, after

    def count(self, change: str) -> int:
        """Images of one change."""
        return int(self.changes.filter(pl.col("change") == change)["images"].sum())

    def name_count(self, kind: str, change: str) -> int:
        """Tags or artists that are new, vanished, or on more or fewer images."""
        chosen = (pl.col("kind") == kind) & (pl.col("change") == change)
        return int(self.name_counts.filter(chosen)["names"].sum())


def release_diff(before: pl.LazyFrame, after: pl.LazyFrame, reasons: pl.LazyFrame | None = None) -> ReleaseDiff:
    """Tell two releases apart, in memory that does not grow with them, but for the lists of tags and of artists.

    before, after: MEMBERS, in their order. reasons: image_id and reason, why an image is out of the later release; a
    null reason says that the subset keeps it, and an image that is not there is no longer listed. Raises: NotInOrder.
    """
    tally = _Tally(reasons)
    for piece in _pieces(before, after):
        tally.add(piece)
    counts = {"tag": (tag_counts(before), tag_counts(after)), "artist": (artist_counts(before), artist_counts(after))}
    return tally.diff({kind: names_of(*counts[kind], kind) for kind in KINDS})


def changed_images(before: pl.LazyFrame, after: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Every image that is not the same in both, some at a time: image_id and change, a row for each change of it.

    before, after: MEMBERS, in their order. Raises: NotInOrder.
    """
    told = [change for change in ALL_CHANGES if change != "unchanged"]
    for piece in _pieces(before, after):
        has = [pl.when(f"has_{change}").then(pl.lit(change)) for change in told]
        changes = piece.select("image_id", change=pl.concat_list(has).list.drop_nulls())
        yield changes.explode("change", empty_as_null=False)


def _pieces(before: pl.LazyFrame, after: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    is_moved = pl.col("image_id").is_in(moved_ids(before, after).implode())
    halves = [side.filter(is_moved).select("image_id", *COMPARED).collect() for side in (before, after)]
    yield joined(halves[0], halves[1])
    for one, other in aligned(before, after, COMPARED, ~is_moved):
        yield joined(one, other)


@dataclass
class _Tally:
    """Sums over the pieces, and of removed images those of which the reason was not looked up yet."""

    reasons: pl.LazyFrame | None
    sums: list[Sums] = field(default_factory=list)
    examples: list[pl.DataFrame] = field(default_factory=list)
    removed: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=_REMOVED)])
    because: list[pl.DataFrame] = field(default_factory=list)

    def add(self, piece: pl.DataFrame) -> None:
        self.sums.append(sums_of(piece))
        self.examples.append(examples_of(piece))
        self.removed.append(piece.filter("has_removed").select(*_REMOVED))
        if len(self.sums) >= _PIECES_HELD:
            self.sums, self.examples = [added_up(self.sums)], [first_examples(self.examples)]
        if sum(some.height for some in self.removed) >= _REMOVED_HELD:
            self._explain()

    def _explain(self) -> None:
        """Look up why the removed images are out."""
        removed = _with_reasons(pl.concat(self.removed), self.reasons)
        self.because.append(removed.group_by("reason").agg(images=pl.len().cast(pl.Int64)))
        first = removed.sort("reason", "image_id").group_by("reason", maintain_order=True).head(EXAMPLES)
        change = pl.lit("removed").alias("change")
        self.examples.append(first.select(change, "image_id", pl.col("reason").alias("detail"), "page_url"))
        self.removed = [pl.DataFrame(schema=_REMOVED)]

    def diff(self, names: dict[str, pl.DataFrame]) -> ReleaseDiff:
        self._explain()
        sums = added_up(self.sums)
        order = pl.col("change").replace_strict({change: at for at, change in enumerate(ALL_CHANGES)})
        every_name = pl.concat(names.values())
        return ReleaseDiff(
            totals=pl.concat([sums["totals"], *(_distinct(names[kind], kind) for kind in KINDS)]),
            changes=sums["changes"],
            by=sums["by"].sort("aspect", "value", nulls_last=True),
            moves=sums["moves"].sort("aspect", "images", "before", "after", descending=[False, True, False, False]),
            removed_because=pl.concat(self.because).group_by("reason").sum().sort("images", "reason", descending=True),
            names=largest(every_name),
            name_counts=numbers(every_name),
            examples=first_examples(self.examples).sort(order, maintain_order=True),
        )


def _with_reasons(removed: pl.DataFrame, reasons: pl.LazyFrame | None) -> pl.DataFrame:
    if reasons is None:
        return removed.with_columns(reason=pl.lit(None, pl.String))
    wanted = reasons.select("image_id", "reason", is_listed=pl.lit(True))
    found = wanted.join(removed.lazy().select("image_id"), on="image_id", how="semi").collect()
    said = (
        pl.when(pl.col("is_listed").is_null()).then(pl.lit(NOT_LISTED)).otherwise(pl.col("reason").fill_null(OUTSIDE))
    )
    rows = removed.join(found.unique("image_id", keep="first", maintain_order=True), on="image_id", how="left")
    return rows.select(*_REMOVED, reason=said)


def _distinct(names: pl.DataFrame, kind: str) -> pl.DataFrame:
    """How many names a release has, before and after."""
    counted = names.select((pl.col("before", "after") > 0).sum().cast(pl.Int64))
    return counted.select(pl.lit(f"distinct_{kind}s").alias("what"), "before", "after")
