"""What differs between two releases, as one HTML page."""

from collections.abc import Sequence
from html import escape

import polars as pl

from dataset_assets.domain.html_page import (
    Bar,
    Change,
    Html,
    block,
    link,
    page,
    paragraph,
    section,
    side_by_side,
    table,
    text,
    tiles,
)
from dataset_assets.domain.member_changes import ALL_CHANGES
from dataset_assets.domain.plain_text import in_bytes, signed
from dataset_assets.domain.release_diff import ReleaseDiff
from dataset_assets.domain.release_diff_sums import ASPECTS, EXAMPLES
from dataset_assets.domain.release_diff_text import (
    NAME_CHANGES,
    TOTALS,
    aspect_rows,
    change_rows,
    headline,
    leaks,
    name_rows,
    reasons,
    summary,
)

_ASPECT_NAMES = {"source": "Source", "year": "Year", "rating": "Rating", "split": "Split", "license": "Licence"}


def diff_page(diff: ReleaseDiff, before: str, after: str, notes: Sequence[str] = ()) -> str:
    """The page: what came, what went and why, what changed, and images to look at."""
    return page(
        f"{before} to {after}",
        f"<h1>{text(before)} &rarr; {text(after)}</h1>",
        paragraph(headline(diff), "lead"),
        paragraph(summary(diff)[0].upper() + summary(diff)[1:] + "."),
        *(paragraph(note, "soft") for note in notes),
        _leak_warning(diff),
        tiles([(what, f"{diff.count(what):,}") for what in ("added", "removed", "replaced", "unchanged")]),
        side_by_side(
            block("In all", _totals(diff)), block("Images", _changes(diff)), block("Out because", _because(diff))
        ),
        section("Where", side_by_side(*(block(_ASPECT_NAMES[aspect], _aspect(diff, aspect)) for aspect in ASPECTS))),
        section("From one to another", _moves(diff)),
        section("Tags", _names(diff, "tag")),
        section("Artists", _names(diff, "artist")),
        section("Images to look at", _examples(diff)),
    )


def _leak_warning(diff: ReleaseDiff) -> str:
    moved = leaks(diff)
    if not moved:
        return ""
    said = "; ".join(moved)
    why = "A model that learnt from the earlier release may be tested on what it has seen."
    return paragraph(Html(f"<b>Splits are not kept apart:</b> {escape(said)}. {why}"), "warn")


def _totals(diff: ReleaseDiff) -> str:
    rows: list[tuple[object, ...]] = []
    for what, before, after in diff.totals.iter_rows():
        if "bytes" in what:
            by = Change(after - before, signed(after - before, in_bytes))
            rows.append((TOTALS[what], in_bytes(before), in_bytes(after), by))
        else:
            rows.append((TOTALS[what], before, after, Change(after - before)))
    return table(("", "before", "after", "difference"), rows)


def _changes(diff: ReleaseDiff) -> str:
    return table(("change", "images", ""), change_rows(diff))


def _because(diff: ReleaseDiff) -> str:
    rows = reasons(diff)
    most = max((images for _, images in rows), default=1)
    return table(("reason", "images", ""), [(reason, images, Bar(images / most)) for reason, images in rows])


def _aspect(diff: ReleaseDiff, aspect: str) -> str:
    rows = [
        (value, before, after, Change(added), Change(-removed), changed)
        for value, before, after, added, removed, changed in aspect_rows(diff, aspect)
    ]
    return table(("", "before", "after", "added", "removed", "changed"), rows)


def _moves(diff: ReleaseDiff) -> str:
    rows = [
        (_ASPECT_NAMES[aspect], before or "none", after or "none", images)
        for aspect, before, after, images in diff.moves.iter_rows()
    ]
    return table(("", "from", "to", "images"), rows)


def _names(diff: ReleaseDiff, kind: str) -> str:
    blocks = []
    for change, said in NAME_CHANGES.items():
        rows = [
            (name, category or "", before, after, Change(after - before))
            for name, category, before, after in name_rows(diff, kind, change)
        ]
        number = diff.name_count(kind, change)
        title = f"{number:,} {said}" + (f", the {len(rows)} largest" if number > len(rows) else "")
        blocks.append(block(title, table((kind, "", "before", "after", ""), rows)))
    return side_by_side(*blocks)


def _examples(diff: ReleaseDiff) -> str:
    blocks = []
    for change, said in ALL_CHANGES.items():
        chosen = diff.examples.filter(pl.col("change") == change)
        rows = [
            (link(url, image_id), detail or "")
            for image_id, detail, url in chosen.select("image_id", "detail", "page_url").iter_rows()
        ]
        first = f", the first {EXAMPLES}" if diff.count(change) > EXAMPLES else ""
        blocks.append(block(f"{change}: {said}{first}", table(("image", ""), rows)))
    return side_by_side(*blocks)
