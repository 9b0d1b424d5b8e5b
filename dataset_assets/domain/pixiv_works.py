"""Which work at Pixiv an image is, as far as its source says, and the works that are met in more than one source."""

import polars as pl

from dataset_assets.domain.identity import MAX_PAGE
from dataset_assets.domain.schemas import IMAGE_ID, Column, Table

PIXIV_WORKS = Table(
    "pixiv_works",
    "image that is known to be of a work at Pixiv",
    (
        Column(IMAGE_ID.name, IMAGE_ID.dtype, IMAGE_ID.description, ("image_metadata.image_id",)),
        Column("pixiv_id", pl.String, "the work at Pixiv", ("image_metadata.pixiv_id", "image_metadata.source_url")),
        Column("page", pl.Int32, "0-based page of the work; null = not known", ("image_metadata.source_url",)),
        Column("evidence", pl.String, "own_id = a source of Pixiv works; pixiv_id = stated; source_url = in the link"),
        Column("url_pixiv_id", pl.String, "the work that the link names, where it is another; null = no contradiction"),
    ),
)

SAME_WORKS = Table(
    "same_works",
    "image of a Pixiv work that two or more sources have",
    (
        *(Column(c.name, c.dtype, c.description, (f"pixiv_works.{c.name}",)) for c in PIXIV_WORKS.columns[1:2]),
        *(Column(c.name, c.dtype, c.description, (f"pixiv_works.{c.name}",)) for c in PIXIV_WORKS.columns[:1]),
        Column("source", pl.String, "the image's source"),
        *(Column(c.name, c.dtype, c.description, (f"pixiv_works.{c.name}",)) for c in PIXIV_WORKS.columns[2:4]),
        Column(
            "match",
            pl.String,
            "same_page = another source has this very page; page_unknown = one may; other_page = none has it",
        ),
        Column("sources", pl.List(pl.String), "all sources that have the work, by name"),
    ),
    sorted_by=("pixiv_id", "image_id"),
)

_ID = "([1-9][0-9]{0,17})"
_SCHEME = r"(?i)^(?:(?:https?:)?//)?"
_IMAGE_HOST = r"(?:(?:i|img)\d*\.pixiv\.net|i\d*\.pximg\.net|i\.pixiv\.(?:cat|re)|tc-pximg\d+\.techorus-cdn\.com)"
# Portraits, banners and covers of novels lie in other folders of the same hosts, and their numbers are no works.
_IMAGE_FOLDER = r"(?:c/[^/]+/)?(?:img-original/|img-master/|img-zip-ugoira/|img-inf/|custom-thumb/|img\d+/)?img/"
_IMAGE_FILE = rf"{_SCHEME}{_IMAGE_HOST}/{_IMAGE_FOLDER}(?:[^?#\s]*/)?{_ID}(?:-[0-9a-f]+)?(_[^/?#\s]*)?\.\w+(?:[?#].*)?$"
_SITE = r"(?:www\.|touch\.|m\.|embed\.)?pixiv\.net"
_WORK_PAGE = rf"{_SCHEME}{_SITE}/(?:[a-z]{{2}}(?:-[a-z]{{2,4}})?/)?(?:artworks|i)/{_ID}(?:[/?#].*)?$"
# What Pixiv's own pages were called until 2019.
_FORMER_PAGE = (
    rf"{_SCHEME}{_SITE}/(?:[^?#\s]*/)?(?:member_illust|decorate|index)\.php\?(?:[^#\s]*&)?illust_id={_ID}(?:[&#].*)?$"
)
_PAGE_OF_FILE = r"^_(?:big_)?p(\d{1,5})(?:\D|$)"
_PAGE_OF_MANGA = r"(?i)[?&]mode=manga_big(?:&[^#]*)?&page=(\d{1,5})(?:\D|$)"


def pixiv_works(images: pl.LazyFrame, *, is_of_pixiv: bool) -> pl.LazyFrame:
    """Rows of PIXIV_WORKS from rows of `image_metadata`.

    `is_of_pixiv`: whether the source's posts are works at Pixiv. If not, what is stated counts before what a link says.
    """
    link = pl.col("source_url").str.strip_chars()
    stated = pl.when(pl.col("pixiv_id").str.contains(f"^{_ID}$")).then("pixiv_id")
    found = images.select("image_id", own_page="page", stated=stated, link=link).with_columns(
        linked=pl.coalesce(pl.col("link").str.extract(form) for form in (_IMAGE_FILE, _WORK_PAGE, _FORMER_PAGE)),
        linked_page=_page_of_link(pl.col("link")),
    )
    work = pl.coalesce("stated", "linked")
    is_contradicted = pl.col("linked") != pl.col("stated")
    page = pl.when(pl.col("linked") == work).then("linked_page")
    evidence = pl.when(pl.col("stated").is_not_null()).then(pl.lit("pixiv_id")).otherwise(pl.lit("source_url"))
    return found.filter(work.is_not_null()).select(
        "image_id",
        pixiv_id=work,
        page=pl.col("own_page") if is_of_pixiv else page,
        evidence=pl.lit("own_id") if is_of_pixiv else evidence,
        url_pixiv_id=pl.when(is_contradicted).then("linked"),
    )


def _page_of_link(link: pl.Expr) -> pl.Expr:
    """The page that a link to an image names. A work of one page, or an animation, has none in its file's name."""
    suffix = link.str.extract(_IMAGE_FILE, 2)
    is_single = link.str.contains(_IMAGE_FILE) & (suffix.is_null() | suffix.str.starts_with("_ugoira"))
    page = pl.coalesce(suffix.str.extract(_PAGE_OF_FILE), link.str.extract(_PAGE_OF_MANGA)).cast(pl.Int32)
    return pl.when(is_single).then(0).otherwise(pl.when(page <= MAX_PAGE).then(page)).cast(pl.Int32)


def same_works(works: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of SAME_WORKS from those of PIXIV_WORKS of all sources."""
    named = works.select("pixiv_id", "image_id", "page", "evidence", source=pl.col("image_id").str.extract("^([^-]+)-"))
    sources = named.group_by("pixiv_id").agg(sources=pl.col("source").unique().sort())
    met = named.join(sources.filter(pl.col("sources").list.len() > 1), on="pixiv_id")
    is_unknown = pl.col("page").is_null()
    without_page = pl.col("source").filter(is_unknown).n_unique().over("pixiv_id")
    other_is_unknown = without_page > is_unknown.any().over("pixiv_id", "source").cast(pl.UInt32)
    is_shared = ~is_unknown & (pl.col("source").n_unique().over("pixiv_id", "page") > 1)
    match = (
        pl.when(is_shared)
        .then(pl.lit("same_page"))
        .when(is_unknown | other_is_unknown)
        .then(pl.lit("page_unknown"))
        .otherwise(pl.lit("other_page"))
    )
    return met.with_columns(match=match).select(SAME_WORKS.schema.names())
