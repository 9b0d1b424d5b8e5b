"""What differs between two releases in words: a line, a report for the terminal, and a record for programs."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import polars as pl

from dataset_assets.domain.member_changes import ALL_CHANGES
from dataset_assets.domain.plain_text import in_bytes, printable, shown, signed, table
from dataset_assets.domain.release_diff import ReleaseDiff
from dataset_assets.domain.release_diff_sums import ASPECTS
from dataset_assets.domain.wording import counted

TOTALS = {
    "images": "images",
    "bytes": "bytes",
    "original_bytes": "bytes of the originals",
    "tags": "tags on images",
    "distinct_tags": "distinct tags",
    "distinct_artists": "artists",
    "captions": "captions",
    "captioned_images": "images with a caption",
}
NAME_CHANGES = {"new": "new", "vanished": "gone", "more": "on more images", "fewer": "on fewer images"}
UNTOLD = "no reason is known"
_SHOWN_IN_TERMINAL = 10


def headline(diff: ReleaseDiff) -> str:
    """What Danbooru2018's page says of itself: +392,557 images, +0.413 TB, +15,208,974 tags, +31,698 new tags.

    Differences of the totals, and how many tags the earlier release did not have.
    """
    by = {what: after - before for what, before, after in diff.totals.iter_rows()}
    new = diff.name_count("tag", "new")
    return (
        f"{counted(by['images'], 'image', signed=True)}, {signed(by['bytes'], in_bytes)}, "
        f"{counted(by['tags'], 'tag', signed=True)}, {counted(new, 'new tag', signed=True)}"
    )


def summary(diff: ReleaseDiff) -> str:
    """A sentence or two: what came, what went and why, and what changed."""
    changes = [(name, diff.count(name)) for name in ALL_CHANGES if name != "unchanged" and diff.count(name)]
    if not changes:
        return "no image differs"
    return ", ".join(f"{count:,} {_said(name)}" for name, count in changes)


def _said(change: str) -> str:
    return {"added": "added", "removed": "removed", "replaced": "replaced"}.get(change, f"with {ALL_CHANGES[change]}")


def leaks(diff: ReleaseDiff) -> list[str]:
    """A line for each way from one split to another: what was learnt from may now be tested on."""
    moved = diff.moves.filter((pl.col("aspect") == "split") & pl.col("before").is_not_null())
    return [
        f"{counted(row['images'], 'image')} moved from {row['before']} to {row['after'] or 'no split'}"
        for row in moved.iter_rows(named=True)
    ]


def reasons(diff: ReleaseDiff) -> list[tuple[str, int]]:
    """Why images are out, the most frequent reason first."""
    return [(UNTOLD if reason is None else reason, images) for reason, images in diff.removed_because.iter_rows()]


def report(diff: ReleaseDiff, before: str, after: str, notes: Sequence[str] = ()) -> list[str]:
    """Lines for a terminal, aligned and safe to print."""
    lines = [printable(f"{before} -> {after}"), headline(diff), *map(printable, notes)]
    if moved := leaks(diff):
        lines += ["", "WARNING: splits are not kept apart over the two releases", *(f"  {line}" for line in moved)]
    for title, heads, rows in _tables(diff):
        if rows:
            lines += ["", title, *(f"  {line}" for line in table(heads, rows))]
    return lines


def _tables(diff: ReleaseDiff) -> list[tuple[str, Sequence[str], Sequence[Sequence[object]]]]:
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[object]]]] = [
        ("in all", ("", "before", "after", "difference"), total_rows(diff)),
        ("images", ("change", "images", "meaning"), change_rows(diff)),
        ("removed because", ("reason", "images"), reasons(diff)),
    ]
    for aspect in ASPECTS:
        if rows := aspect_rows(diff, aspect):
            tables.append((f"by {aspect}", ("", "before", "after", "added", "removed", "changed"), rows))
    for kind in ("tag", "artist"):
        for change, said in NAME_CHANGES.items():
            number = diff.name_count(kind, change)
            title = f"{number:,} {kind}s {said}" + (", the largest" if number > _SHOWN_IN_TERMINAL else "")
            names = name_rows(diff, kind, change)[:_SHOWN_IN_TERMINAL]
            tables.append((title, (kind, "before", "after"), [(name, was, became) for name, _, was, became in names]))
    return tables


def total_rows(diff: ReleaseDiff) -> list[tuple[str, int, int, str]]:
    """What, before, after and the difference."""
    return [(TOTALS[what], before, after, f"{after - before:+,}") for what, before, after in diff.totals.iter_rows()]


def change_rows(diff: ReleaseDiff) -> list[tuple[str, int, str]]:
    """Each change that there is, with its number of images and its meaning."""
    return [(name, diff.count(name), said) for name, said in ALL_CHANGES.items() if diff.count(name)]


def aspect_rows(diff: ReleaseDiff, aspect: str) -> list[tuple[str, int, int, int, int, int]]:
    """value, before, after, added, removed, changed of one aspect; nothing where no image says anything of it."""
    rows = diff.by.filter(pl.col("aspect") == aspect).drop("aspect")
    if rows.get_column("value").is_null().all():
        return []
    return [(shown(row[0]) if row[0] is not None else "none", *row[1:]) for row in rows.iter_rows()]


def name_rows(diff: ReleaseDiff, kind: str, change: str) -> list[tuple[str, str | None, int, int]]:
    """name, category, before, after of tags or artists."""
    chosen = diff.names.filter((pl.col("kind") == kind) & (pl.col("change") == change))
    return list(chosen.select("name", "category", "before", "after").iter_rows())


def record(diff: ReleaseDiff, before: str, after: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """All of it for programs, as JSON can hold it."""
    return {
        "before": before,
        "after": after,
        "headline": headline(diff),
        "summary": summary(diff),
        "notes": list(notes),
        **{item.name: getattr(diff, item.name).to_dicts() for item in fields(diff)},
    }
