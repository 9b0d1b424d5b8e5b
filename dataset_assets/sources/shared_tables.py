"""The tables that all sources share, made of a snapshot's records: rows in the tables' order, some at a time."""

from collections.abc import Iterator

import polars as pl

from dataset_assets.domain.tag_decisions import Overlay
from dataset_assets.domain.tag_relations import Closure, apply
from dataset_assets.sources import Adapter
from dataset_assets.sources.snapshots import parts_of


def image_frames(
    adapter: Adapter, records: pl.LazyFrame, vanished: pl.Series | None = None, page_url: str | None = None
) -> Iterator[pl.DataFrame]:
    """Rows of `image_metadata`; those whose image_id is among `vanished` are marked.

    page_url: where each post is shown, with `{post_id}` in it; null = as the adapter knows its site.
    """
    is_vanished = pl.lit(False) if vanished is None else pl.col("image_id").is_in(vanished.implode())
    for part in parts_of(records):
        rows = adapter.image_metadata(part).with_columns(is_vanished=is_vanished)
        yield shown_at(rows, page_url).sort("image_id").collect()


def shown_at(images: pl.LazyFrame, page_url: str | None) -> pl.LazyFrame:
    """Rows of `image_metadata` whose posts are shown at this address, with `{post_id}` in it; null = as they are."""
    if page_url is None:
        return images
    return images.with_columns(page_url=pl.format(page_url.replace("{post_id}", "{}"), "post_id"))


def tag_frames(
    adapter: Adapter,
    records: pl.LazyFrame,
    closure: Closure | None = None,
    categories: pl.LazyFrame | None = None,
    decisions: pl.DataFrame | None = None,
) -> Iterator[pl.DataFrame]:
    """Rows of `tag_metadata`, after relations and people's decisions where there are any.

    decisions: those rows of `tag_decisions` that count. What a person has added implies what the source's tags would.

    categories: tag, category of the tags that relations lead to. Memory holds ten bytes a row, and the records of some
    images at a time.
    """
    from dataset_assets.domain.tag_rows import TagRows

    image_ids = records.select(pl.col("image_id").sort()).collect().get_column("image_id")
    rows = TagRows(image_ids)
    overlay = None if decisions is None or decisions.is_empty() else Overlay.of(decisions, image_ids)
    for part in parts_of(records):
        tagged = adapter.tag_metadata(part).collect()
        if overlay is not None:
            tagged, overlay = overlay.without_removed(tagged), overlay.less_known(tagged)
        rows.add(tagged)
    if overlay is not None:
        rows.add(overlay.added)
    if closure is not None and categories is not None:
        rows.relate(closure, categories)
    return rows.frames() if overlay is None else map(overlay.marked, rows.frames())


def tags(
    adapter: Adapter, records: pl.LazyFrame, closure: Closure | None = None, categories: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """The same rows as a LazyFrame, in no order."""
    tagged = adapter.tag_metadata(records)
    return tagged.unique() if closure is None else apply(tagged, closure, categories)
