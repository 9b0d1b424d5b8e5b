"""Lists of Pixiv ids, as pixiv_dataset publishes them: popular works, and pairs of a sketch and its colouring.

Of a work the lists say its id and nothing else: no date, rating, tags or number of pages. Each id stands for the first
page of its work. Images are those of a folder that somebody has fetched; without one, all are missing.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from dataset_assets.config import PixivListsSource
from dataset_assets.domain.identity import image_id
from dataset_assets.domain.schemas import IMAGE_ID, IMAGE_METADATA, REJECTED_RECORDS, TAG_METADATA, Column, Table
from dataset_assets.domain.wording import counted
from dataset_assets.sources import ReadReport
from dataset_assets.sources.local_files import (
    fingerprint_of,
    locate_among,
    locate_images,
    names_of,
    orphan_images,
    orphans_among,
)
from dataset_assets.sources.pixiv_lines import WORK_ID, no_lines, read_lines, rejected_lines
from dataset_assets.sources.sketch_pairs import pair_files, read_pair_lines

SNAPSHOT = Table(
    "source_snapshot",
    "Pixiv id that a list names",
    (
        IMAGE_ID,
        Column("year", pl.Int32, "year of the collection; the lists state none"),
        Column("record_file", pl.String, "where it stands first; the lists of ids come before the pairs"),
        Column("record_line", pl.Int64, "1-based line there"),
        Column("post_id", pl.String, "the work at Pixiv"),
        Column("is_popular", pl.Boolean, "stands in a list of ids, not in the pairs alone"),
        Column("pair_role", pl.String, "colored, sketch or both: what it is in the pairs; null = in none"),
    ),
    sorted_by=("year", "image_id"),
)

BOOKMARK_TAGS = Table(
    "bookmark_tags",
    "popularity tag that the source's list names",
    (
        Column("tag", pl.String, "the tag: オリジナル50000users入り"),
        Column("tier", pl.Int32, "number of the heading that it stands under; null = it stands above all of them"),
        Column("copyright", pl.String, "what the works are of; null = any, or the tag is of another form"),
        Column("bookmarks", pl.Int32, "bookmarks that a work with this tag has at least; null = unknown"),
        Column("lines", pl.Int32, "lines of the list with this tag"),
        Column("line", pl.Int64, "1-based line where it stands first"),
    ),
    sorted_by=("tag",),
)

# Names of the file of a work's first page: `14646322_p0.jpg`, as downloaders write it, and `14646322.jpg`.
FILE_STEM = f"({WORK_ID})(?:_p0)?"

# Popularity tags and the headings above them. One line stands for several tags: "忍たま10000·20000users入り".
_BOOKMARK_TAG = r"^(.*?)(\d{1,9})(?:·\d+)*users入り$"
_TIER_HEADING = r"^#\s*(\d{1,9})$"


def fingerprint(source: PixivListsSource) -> str:
    """Hex digest of name, size and time of each list."""
    return fingerprint_of([*source.files(source.ids), *pair_files(source)])


def read_snapshot(name: str, source: PixivListsSource, into: Path, say: Callable[[str], None]) -> ReadReport:
    """Read the lists into the Parquet file `into`. Of lines with one id the first counts, by file name and line.

    Raises: DamagedExport when a list is far too large to be one; OSError when it cannot be read.
    """
    image_id(name, "1")  # a source's name that cannot be one fails before the work, not after it
    popular, rejected = _popular(source)
    pairs, rejected_pairs = read_pair_lines(source)
    listed = popular.join(_roles(pairs), on="post_id", how="full", coalesce=True)
    snapshot = listed.select(
        image_id=pl.format("{}-{}-0", pl.lit(name), "post_id"),
        year=pl.lit(source.collected, pl.Int32),
        record_file=pl.coalesce("file", "file_of_pair"),
        record_line=pl.coalesce("line", "line_of_pair"),
        post_id="post_id",
        is_popular=pl.col("file").is_not_null(),
        pair_role="pair_role",
    ).sort(SNAPSHOT.sorted_by)
    snapshot.write_parquet(into, compression="zstd", compression_level=3)
    rejected = pl.concat([rejected, rejected_pairs]).sort(REJECTED_RECORDS.sorted_by)
    ids = f"{counted(snapshot.height, 'id')}, {popular.height:,} of them popular"
    say(f"{name}: {ids}; {counted(rejected.height, 'line')} rejected")
    return ReadReport(snapshot.height, rejected)


def _popular(source: PixivListsSource) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first line of each id (file, line, post_id), and the other lines as rows of `rejected_records`."""
    files = source.files(source.ids)
    names = names_of([*files, *pair_files(source)])
    lines = pl.concat([no_lines(), *(read_lines(file, names[file]) for file in files)])
    is_id = pl.col("content").str.contains(f"^{WORK_ID}$")
    bad, ids = lines.filter(~is_id), lines.filter(is_id)
    is_first = pl.col("content").is_first_distinct()
    first = ids.filter(is_first).rename({"content": "post_id"})
    kept = first.select(content="post_id", kept=pl.format("line {} of {}", "line", "file"))
    repeated = ids.filter(~is_first).join(kept, on="content", how="left")
    rejected = [
        rejected_lines(bad, "bad_id", pl.lit("expected one Pixiv id, 1 to 18 digits that begin with no 0")),
        rejected_lines(repeated, "duplicate_id", pl.format("id {} is already that of {}", "content", "kept")),
    ]
    return first, pl.concat(rejected)


def _roles(pairs: pl.DataFrame) -> pl.DataFrame:
    """Each id of the pairs: post_id, pair_role, file_of_pair, line_of_pair (where it stands first)."""
    ends = pl.concat(
        pairs.select("file", "line", post_id=role, role=pl.lit(role)) for role in ("colored", "sketch")
    ).sort("file", "line", "role")
    role = pl.when(pl.col("role").n_unique() > 1).then(pl.lit("both")).otherwise(pl.col("role").first())
    return ends.group_by("post_id").agg(
        pair_role=role, file_of_pair=pl.col("file").first(), line_of_pair=pl.col("line").first()
    )


def image_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `image_metadata`. The rating is null: pixiv_dataset warns that works may be unsafe, and rates none."""
    columns = {
        "image_id": pl.col("image_id"),
        "post_id": pl.col("post_id"),
        "page": pl.lit(0),
        "page_url": pl.format("https://www.pixiv.net/artworks/{}", pl.col("post_id")),
        "pixiv_id": pl.col("post_id"),
    }
    return snapshot.select(
        columns.get(column.name, pl.lit(None)).cast(column.dtype).alias(column.name)
        for column in IMAGE_METADATA.columns
    )


def tag_metadata(snapshot: pl.LazyFrame) -> pl.LazyFrame:
    """No rows: the lists do not say which tag an id was found by."""
    return TAG_METADATA.empty().lazy()


def locate(source: PixivListsSource, listed: pl.DataFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Where each listed image lies below `images`: `<id>_p0.<ext>` or `<id>.<ext>`, in any folder."""
    if files is not None:
        return locate_among(files, listed, FILE_STEM)
    return locate_images(_image_folder(source), listed, FILE_STEM)


def orphans(source: PixivListsSource, snapshot: pl.LazyFrame, files: pl.DataFrame | None = None) -> pl.DataFrame:
    """Images that no list names, further pages of a work, and second files for one."""
    post_ids = snapshot.select("post_id").collect()["post_id"]
    if files is not None:
        return orphans_among(files, post_ids, FILE_STEM)
    return orphan_images(_image_folder(source), post_ids, FILE_STEM)


def _image_folder(source: PixivListsSource) -> Path | None:
    return source.resolve(source.images) if source.images else None


def read_bookmark_tags(path: Path) -> pl.DataFrame:
    """The popularity tags of pixiv_bookmark_list.txt, each once, as rows of BOOKMARK_TAGS.

    A tag counts the bookmarks of its heading where it ends with that number, so that "ガンダム00500users入り" is
    ガンダム00 at 500; else the (first) number that is in it; without one, the heading's.
    Raises: DamagedExport when the file is far too large to be one; OSError when it cannot be read.
    """
    lines = read_lines(path, path.name)
    tag, tier = pl.col("content"), pl.col("content").str.extract(_TIER_HEADING).cast(pl.Int32).forward_fill()
    tags = lines.with_columns(tier=tier).filter(~tag.str.starts_with("#"))
    ending = pl.format("{}users入り", "tier")
    ends_so = tag.str.ends_with(ending).fill_null(False)
    number = tag.str.extract(_BOOKMARK_TAG, 2).cast(pl.Int32)
    owner = pl.when(ends_so).then(tag.str.strip_suffix(ending)).otherwise(tag.str.extract(_BOOKMARK_TAG, 1))
    return tags.select(
        tag=tag,
        tier="tier",
        copyright=pl.when(owner != "").then(owner),
        bookmarks=pl.when(ends_so).then("tier").otherwise(pl.coalesce(number, "tier")),
        lines=pl.col("line").count().over("content").cast(pl.Int32),
        line="line",
    ).unique("tag", keep="first", maintain_order=True)
