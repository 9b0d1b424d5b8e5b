"""How a drawn post is written in each of Danbooru's schemas, as one Polars expression of its columns."""

from collections.abc import Mapping

import polars as pl

from benchmarks.vocabulary import CATEGORIES

_NEVER = "1970-01-01 00:00:00 UTC"


def _moment(column: str) -> pl.Expr:
    return pl.from_epoch(column, time_unit="us").dt.strftime("%Y-%m-%d %H:%M:%S%.6f UTC")


def _one_in(parts: float, salt: float) -> pl.Expr:
    """Whether a post is one of the so many that have something; another salt, others."""
    return (pl.col("chance") * 1000 + salt) % 1 < 1 / parts


def _quoted(value: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), value.cast(pl.String), pl.lit('"'))


def _flag(parts: float, salt: float) -> pl.Expr:
    return pl.when(_one_in(parts, salt)).then(pl.lit("true")).otherwise(pl.lit("false"))


def _when(has_it: pl.Expr, value: pl.Expr, otherwise: str | None = None) -> pl.Expr:
    """A quoted value; without `otherwise`, null where it is not there: the key is left out."""
    return pl.when(has_it).then(_quoted(value)).otherwise(pl.lit(otherwise, pl.String))


def _object(values: Mapping[str, pl.Expr]) -> pl.Expr:
    members = [(pl.lit(f'"{key}":') + value) for key, value in values.items()]
    return pl.concat_str(pl.lit("{"), pl.concat_str(*members, separator=",", ignore_nulls=True), pl.lit("}"))


_POST_ID = pl.col("id")
_HAS_ID = pl.col("kind") != "no_id"
_CREATED = pl.when(pl.col("kind") == "bad_date").then(pl.lit("")).otherwise(_moment("created"))
_SOURCE = pl.format("https://i.pximg.net/img-original/img/2019/05/12/00/10/22/{}_p0.jpg", "pixiv")
_COMMON: dict[str, pl.Expr] = {
    "created_at": _quoted(_CREATED),
    "uploader_id": _quoted(pl.col("uploader")),
    "score": _quoted(pl.col("score")),
    "source": pl.when(_one_in(8, 0.1)).then(pl.lit('""')).otherwise(_quoted(_SOURCE)),
    "rating": _quoted(pl.col("rating")),
    "image_width": _quoted(pl.col("width")),
    "image_height": _quoted(pl.col("height")),
    "file_ext": _quoted(pl.col("ext")),
    "file_size": _quoted(pl.col("size")),
    "up_score": _quoted(pl.col("score") - pl.col("down")),
    "down_score": _quoted(pl.col("down")),
    "updated_at": _quoted(_moment("updated")),
    "has_children": _flag(12, 0.2),
    "is_note_locked": _flag(300, 0.3),
    "is_rating_locked": _flag(60, 0.4),
    "is_status_locked": _flag(500, 0.5),
    "is_pending": _flag(1000, 0.6),
    "is_flagged": _flag(2000, 0.7),
    "is_deleted": _flag(20, 0.8),
    "is_banned": _flag(400, 0.9),
}
_OLD = {
    "id": _when(_HAS_ID, _POST_ID),
    **_COMMON,
    "md5": _quoted(pl.col("md5")),
    "last_commented_at": _when(_one_in(4, 0.15), _moment("commented"), f'"{_NEVER}"'),
    "last_noted_at": _when(_one_in(15, 0.25), _moment("commented"), f'"{_NEVER}"'),
    "parent_id": _when(_one_in(10, 0.35), pl.col("parent"), '"0"'),
    "approver_id": _when(_one_in(3, 0.45), pl.col("approver"), '"0"'),
    "pixiv_id": _when(_one_in(2, 0.55), pl.col("pixiv"), '"0"'),
    "tags": pl.concat_str(pl.lit("["), "tags_all", pl.lit("]")),
    "pools": pl.when(_one_in(20, 0.65)).then(pl.lit('["10152","4162","series","collection"]')).otherwise(pl.lit("[]")),
    "favs": pl.concat_str(pl.lit("["), "tags_favs", pl.lit("]")),
}
_URLS = {
    name: _when(_HAS_ID, pl.format("https://danbooru.donmai.us/data/{}{}.{}", pl.lit(folder), "md5", "ext"))
    for name, folder in (
        ("file_url", "original/4a/12/"),
        ("large_file_url", "sample/4a/12/sample-"),
        ("preview_file_url", "preview/4a/12/"),
    )
}
_NEW = {
    "id": _when(_HAS_ID, _POST_ID),
    **_COMMON,
    "md5": _when(_HAS_ID, pl.col("md5")),
    "last_comment_bumped_at": _when(_one_in(4, 0.15), _moment("commented")),
    "last_commented_at": _when(_one_in(4, 0.15), _moment("commented")),
    "last_noted_at": _when(_one_in(15, 0.25), _moment("commented")),
    "fav_count": _quoted(pl.col("favourites")),
    "tag_string": _quoted(pl.col("tags_all")),
    "tag_count": _quoted(pl.sum_horizontal(f"tags_count_{name}" for name in CATEGORIES.values())),
    **{f"tag_count_{name}": _quoted(pl.col(f"tags_count_{name}")) for name in CATEGORIES.values()},
    "fav_string": pl.lit('""'),
    "pool_string": pl.when(_one_in(20, 0.65))
    .then(pl.lit('"pool:10152 pool:4162 pool:series"'))
    .otherwise(pl.lit('""')),
    "approver_id": _when(_one_in(3, 0.45), pl.col("approver")),
    "parent_id": _when(_one_in(10, 0.35), pl.col("parent")),
    "pixiv_id": _when(_one_in(2, 0.55), pl.col("pixiv")),
    "has_active_children": _flag(12, 0.2),
    "has_visible_children": _flag(12, 0.2),
    "has_large": _flag(2, 0.75),
    "bit_flags": pl.lit('"0"'),
    **{f"tag_string_{name}": _quoted(pl.col(f"tags_{name}")) for name in CATEGORIES.values()},
    **_URLS,
}
LINES = {"old": _object(_OLD), "new": _object(_NEW)}
