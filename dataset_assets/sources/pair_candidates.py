"""Works that link to another in their description: where colourings of somebody's sketch are found, for a human to see.

Source: pixiv_dataset's README, which mined its pairs from links in descriptions and from the tags below.
"""

import polars as pl

from dataset_assets.domain.schemas import Column, Table
from dataset_assets.sources.pixiv_lines import WORK_ID

PAIR_CANDIDATES = Table(
    "pair_candidates",
    "work and other work that its description links to",
    (
        Column("post_id", pl.String, "the work whose description has the link", ("source_snapshot.id",)),
        Column("linked_post_id", pl.String, "the work that is linked to", ("source_snapshot.caption",)),
        Column("link", pl.String, "the link as it stands", ("source_snapshot.caption",)),
        Column("coloring_tags", pl.List(pl.String), "tags that say it colours a sketch", ("source_snapshot.tags",)),
        Column("image_id", pl.String, "first listed image of the work", ("source_snapshot.image_id",)),
        Column("linked_image_id", pl.String, "first listed image of the other; null = this source has none"),
        Column("linked_is_older", pl.Boolean, "the other's id is lower, as a sketch's is below its colouring's"),
    ),
    sorted_by=("post_id", "linked_post_id"),
)

# Of work pages, those of former years included, and what Pixiv's app makes of "illust/123" in a text.
_LINK = (
    r"(?:pixiv\.net/(?:[a-z]{2}/)?(?:artworks/|i/|member_illust\.php\?(?:[^\s\"'<>]*(?:&|;))?illust_id=)|pixiv://illusts/)"
    rf"{WORK_ID}"
)
COLORING_TAG = "塗ってみた|塗らせて(?:いただ|頂)"


def pair_candidates(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of PAIR_CANDIDATES from a snapshot of gallery-dl; the pages of a work say the same and count once."""
    works = snapshot.sort("image_id").unique("id", keep="first", maintain_order=True)
    first = works.select("id", linked_image_id="image_id")
    tag = pl.element()
    links = (
        works.select("id", "image_id", "tags", link=pl.col("caption").str.extract_all(_LINK))
        .explode("link")
        .drop_nulls("link")
        .with_columns(linked=pl.col("link").str.extract(r"(\d+)$").cast(pl.Int64))
        .filter(pl.col("linked") != pl.col("id"))
        .unique(["id", "linked"], keep="first", maintain_order=True)
    )
    found = links.join(first, left_on="linked", right_on="id", how="left")
    return found.select(
        post_id=pl.col("id").cast(pl.String),
        linked_post_id=pl.col("linked").cast(pl.String),
        link="link",
        coloring_tags=pl.col("tags").list.eval(tag.filter(tag.str.contains(COLORING_TAG))).fill_null([]),
        image_id="image_id",
        linked_image_id="linked_image_id",
        linked_is_older=pl.col("linked") < pl.col("id"),
    )
