"""What each of Danbooru's metatags (`rating:g`, `score:>10`) asks of a row of `image_metadata`.

A comparison with a missing value is false, so its negation is true: `-score:>10` finds unscored images.
Source: danbooru, app/logical/post_query_builder.rb and app/models/post.rb. Ours are `views`, `year` and `is:ai`; and
`rating:safe` means general or sensitive, which is what became of the old rating "safe".
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import polars as pl

from dataset_assets.domain.tag_query_ranges import DATE, FILE_SIZE, INTEGER, MEGAPIXELS, RATIO, BadRange, Kind, spans


class BadMetatag(ValueError):
    """A metatag that cannot be answered, or a value that it does not take."""


Condition = Callable[[str], pl.Expr]
Choice = TypeVar("Choice")

# `artist:name` finds the tag only where it is of that category.
CATEGORIES = {
    "artist": "artist",
    "art": "artist",
    "character": "character",
    "char": "character",
    "copyright": "copyright",
    "copy": "copyright",
    "general": "general",
    "gen": "general",
    "meta": "meta",
}

# Metatags that count an image's tags, of one category or of all.
TAG_COUNTS: Mapping[str, str | None] = {
    "tagcount": None,
    "gentags": "general",
    "arttags": "artist",
    "chartags": "character",
    "copytags": "copyright",
    "metatags": "meta",
}

_RATINGS = {
    **{name: (name,) for name in ("general", "sensitive", "questionable", "explicit")},
    "g": ("general",),
    "s": ("sensitive",),
    "q": ("questionable",),
    "e": ("explicit",),
    "safe": ("general", "sensitive"),
}
_SAFETY = {"sfw": ("general", "sensitive"), "nsfw": ("questionable", "explicit")}
_FILE_TYPES = ("jpg", "jpeg", "png", "gif", "webp", "avif", "mp4", "webm", "swf", "zip")


def tag_count_column(name: str) -> str:
    """The column that holds the answer of one of TAG_COUNTS."""
    return f"metatag:{name}"


def condition(name: str, value: str) -> pl.Expr:
    """What the metatag asks, as an expression over `image_metadata` and the columns of TAG_COUNTS; never null.

    Raises: BadMetatag when the value is none that the metatag takes.
    """
    try:
        return _SERVED[name](value).fill_null(False)
    except BadRange as problem:
        raise BadMetatag(str(problem)) from None


def canonical(name: str, value: str, quoted: bool) -> tuple[str, str]:
    """One spelling for names and values that mean the same.

    A value may hold anything within quotes, so `source:"none"` looks for the word, which `source:none*` does as well.
    """
    name = {"pixiv_id": "pixiv"}.get(name, name)
    if name != "source":
        return name, value.lower()
    if quoted and value.lower() == "none":
        return name, f"{value}*"
    return name, value or "none"


def refusal(name: str) -> str | None:
    """Why a metatag of Danbooru's cannot be answered; null = it can, or is no metatag."""
    return _REFUSED.get(name) or (_ABSENT if _COUNTS.fullmatch(name) else None)


def is_metatag(name: str) -> bool:
    """Whether Danbooru or we know a metatag of that name."""
    return name in _SERVED or name == "pixiv_id" or refusal(name) is not None


def closest(name: str) -> str | None:
    """The metatag that a misspelt one may be meant for."""
    return next(iter(difflib.get_close_matches(name, list(_SERVED), n=1)), None)


def text_pattern(pattern: str) -> str:
    """A pattern in which `*` stands for any text, as a regular expression over the whole value."""
    return "(?s)^" + ".*".join(pl.escape_regex(part) for part in re.split(r"\*+", pattern)) + "$"


def _choose(found: str, known: Mapping[str, Choice], what: str) -> Choice:
    if found in known:
        return known[found]
    close = difflib.get_close_matches(found, list(known), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; expected {', '.join(known)}"
    raise BadMetatag(f"{found!r} is no {what}{hint}")


def _in_range(column: pl.Expr, kind: Kind) -> Condition:
    """A metatag that compares a whole number."""

    def answer(value: str) -> pl.Expr:
        if value in ("any", "none"):
            return column.is_null() if value == "none" else column.is_not_null()
        found = spans(value, kind)
        points = [span.low for span in found if span.low is not None and span.low == span.high]
        wider = [_between(column, span.low, span.high) for span in found if span.low != span.high]
        return pl.any_horizontal(*wider, column.is_in(points)) if points else pl.any_horizontal(*wider)

    return answer


def _between(column: pl.Expr, low: int | None, high: int | None) -> pl.Expr:
    bounds = [column >= low] if low is not None else []
    bounds += [column <= high] if high is not None else []
    return pl.all_horizontal(*bounds)


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int64, strict=False)


def _hundredths_of_ratio() -> pl.Expr:
    """Width by height times a hundred, rounded half up in whole numbers as PostgreSQL's numeric is."""
    height = pl.max_horizontal(_number("height"), pl.when(pl.col("height").is_not_null()).then(1))
    return (_number("width") * 200 + height) // (height * 2)


def _one_of(column: str, choices: Mapping[str, tuple[str, ...]], what: str) -> Condition:
    def answer(value: str) -> pl.Expr:
        words = [word for word in re.split(r"[,\s]+", value) if word]
        wanted = {choice for word in words or [value] for choice in _choose(word, choices, what)}
        return pl.col(column).is_in(sorted(wanted))

    return answer


def _file_types(value: str) -> pl.Expr:
    words = [word for word in re.split(r"[,\s]+", value) if word]
    if not words or not all(re.fullmatch(r"[a-z0-9]{1,10}", word) for word in words):
        raise BadMetatag(f"expected extensions such as png,jpg, found {value!r}")
    wanted = set(words) | ({"jpg", "jpeg"} if {"jpg", "jpeg"} & set(words) else set())
    return pl.col("file_ext").is_in(sorted(wanted))


def _hashes(value: str) -> pl.Expr:
    if value in ("any", "none"):
        return pl.col("md5").is_null() if value == "none" else pl.col("md5").is_not_null()
    words = [word for word in re.split(r"[,\s]+", value) if word]
    if not words or not all(re.fullmatch(r"[0-9a-f]{32}", word) for word in words):
        raise BadMetatag(f"expected an MD5 of 32 hexadecimal digits, found {value!r}")
    return pl.col("md5").is_in(words)


def _claims(column: str) -> pl.Expr:
    return pl.col(column).fill_null(False)


_WAITING = pl.any_horizontal(_claims("is_pending"), _claims("is_flagged"))
_HAS_PARENT = pl.col("parent_id").is_not_null()
_HAS_CHILDREN = _claims("has_children")
_HAS_SOURCE = pl.col("source_url").fill_null("") != ""
_HAS_POOL = pl.col("pools").list.len().fill_null(0) > 0
_STATUSES = {
    **{name: _claims(f"is_{name}") for name in ("deleted", "banned", "pending", "flagged", "vanished")},
    "modqueue": _WAITING,
    "active": ~(_WAITING | _claims("is_deleted")),  # where the source says nothing of it, nothing speaks against it
    "any": pl.lit(True),
    "all": pl.lit(True),
}
_HAS = {
    "parent": _HAS_PARENT,
    "child": _HAS_CHILDREN,
    "children": _HAS_CHILDREN,
    "source": _HAS_SOURCE,
    "pool": _HAS_POOL,
    "pools": _HAS_POOL,
}
_IS = {
    "parent": _HAS_CHILDREN,
    "child": _HAS_PARENT,
    "ai": _claims("is_ai_generated"),
    **{name: answer for name, answer in _STATUSES.items() if name not in ("any", "all")},
    **{name: pl.col("rating").is_in(ratings) for name, ratings in (_RATINGS | _SAFETY).items() if len(name) > 1},
    **{name: _file_types(name) for name in _FILE_TYPES},
}


def _has_any(found: pl.Expr, *, number: Callable[[str], pl.Expr] | None = None) -> Condition:
    """A metatag that takes any, none and perhaps a post's or pool's number."""

    def answer(value: str) -> pl.Expr:
        if value in ("any", "none"):
            return found if value == "any" else ~found
        if number is None or not re.fullmatch(r"[0-9]{1,20}", value):
            expected = "any or none" if number is None else "any, none or a number; names are not in the metadata"
            raise BadMetatag(f"expected {expected}, found {value!r}")
        return number(value.lstrip("0") or "0")

    return answer


def _source(value: str) -> pl.Expr:
    if value.lower() == "none":
        return ~_HAS_SOURCE
    return pl.col("source_url").str.contains("(?i)" + text_pattern(value + "*"))


def _user(value: str) -> pl.Expr:
    if value in ("any", "none"):
        return pl.col("uploader_name").is_not_null() if value == "any" else pl.col("uploader_name").is_null()
    names = pl.col("uploader_name").str.to_lowercase().str.replace_all(" ", "_", literal=True)
    return names == value.replace(" ", "_")


# Metatags that compare a whole number: what they compare, and how its ranges are written.
NUMBERS: Mapping[str, tuple[pl.Expr, Kind]] = {
    "id": (_number("post_id"), INTEGER),
    "score": (_number("score"), INTEGER),
    "upvotes": (_number("up_score"), INTEGER),
    "downvotes": (_number("down_score").abs(), INTEGER),  # stored as zero or less, searched as a count
    "favcount": (_number("fav_count"), INTEGER),
    "views": (_number("view_count"), INTEGER),
    "width": (_number("width"), INTEGER),
    "height": (_number("height"), INTEGER),
    "mpixels": (_number("width") * _number("height"), MEGAPIXELS),
    "ratio": (_hundredths_of_ratio(), RATIO),
    "filesize": (_number("file_size"), FILE_SIZE),
    "pixiv": (_number("pixiv_id"), INTEGER),
    "date": (pl.col("created_at").dt.epoch("us"), DATE),
    "year": (pl.col("created_at").dt.year().cast(pl.Int64), INTEGER),
    **{name: (pl.col(tag_count_column(name)).cast(pl.Int64).fill_null(0), INTEGER) for name in TAG_COUNTS},
}
_ANY_OR_NONE = ("parent", "child", "pool", "md5", "user")
# Metatags and values that ask for no number, name or pattern; `filetype` is not among them, as it takes any extension.
CLOSED: tuple[tuple[str, str], ...] = (
    *(("rating", value) for value in _RATINGS),
    *(("status", value) for value in _STATUSES),
    *(("is", value) for value in _IS),
    *(("has", value) for value in _HAS),
    *((name, value) for name in _ANY_OR_NONE for value in ("any", "none")),
    ("source", "none"),
)

_SERVED: dict[str, Condition] = {
    **{name: _in_range(column, kind) for name, (column, kind) in NUMBERS.items()},
    "rating": _one_of("rating", _RATINGS, "rating"),
    "status": lambda value: _choose(value, _STATUSES, "status that the metadata tells"),
    "is": lambda value: _choose(value, _IS, "quality that the metadata tells"),
    "has": lambda value: _choose(value, _HAS, "part of a post that the metadata tells"),
    "filetype": _file_types,
    "md5": _hashes,
    "parent": _has_any(_HAS_PARENT, number=lambda post: (pl.col("post_id") == post) | (pl.col("parent_id") == post)),
    "child": _has_any(_HAS_CHILDREN),
    "pool": _has_any(_HAS_POOL, number=lambda pool: pl.col("pools").list.contains(pool)),
    "source": _source,
    "user": _user,
}


_ORDERING = "it orders or cuts a list of results, and a subset has neither order nor length; leave it out"
_PEOPLE = "who did what at the site is not in the metadata"
_ABSENT = "it is not in the metadata"
_REFUSED: Mapping[str, str] = {
    "age": "it depends on the day it is asked; name the dates, such as date:2019..2021",
    **dict.fromkeys(("order", "limit", "random", "ordfav", "ordpool", "ordfavgroup"), _ORDERING),
    **dict.fromkeys(("approver", "commenter", "comm", "noter", "noteupdater", "artcomm", "commentaryupdater"), _PEOPLE),
    **dict.fromkeys(("flagger", "appealer", "upvote", "upvoter", "downvote", "downvoter", "fav", "favgroup"), _PEOPLE),
    **dict.fromkeys(("disapproved", "search"), _PEOPLE),
    **dict.fromkeys(("note", "comment", "commentary", "embedded", "exif", "ai", "duration", "locked"), _ABSENT),
}
_COUNTS = re.compile(
    r"(deleted_|active_|series_|collection_)?((comment|note|flag|child|pool|appeal|approval|replacement)(_count|s)|children)"
)
