"""Why a rule of a subset does not keep one image, in the words of the rule and with the image's own values."""

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from dataset_assets.domain import tag_query, tag_query_metatags
from dataset_assets.domain.selection_where import conjuncts, where_expression
from dataset_assets.domain.tag_query import And, Meta, Not, Or, Query, Tag, Wildcard
from dataset_assets.domain.tag_query_nodes import Node, leaves

SHOWN_TAGS = 5
LONGEST = 80


def where_reasons(where: str, image: pl.DataFrame) -> list[str]:
    """The parts of a condition that are not true of an image, each with the values that it was decided by.

    image: its one row, of the public columns. A part that cannot be decided, since a value is not known, is not true.
    """
    reasons = []
    for part in conjuncts(where):
        condition = where_expression(part)
        if image.select(condition.fill_null(False)).to_series().item() is not True:
            reasons.append(f"{part}: {values_of(image, condition.meta.root_names())}")
    return reasons


def tag_reasons(query: Query, image: pl.DataFrame, tags: pl.DataFrame) -> list[str]:
    """The terms of a tag query that do not find an image, each with what the image has instead.

    image: its one row of `image_metadata`. tags: its rows of `tag_metadata`.
    """
    terms = query.root.terms if isinstance(query.root, And) else (query.root,)
    return [f"{term}: {_found_instead(term, image, tags)}" for term in terms if not _finds(term, image, tags)]


def values_of(image: pl.DataFrame, columns: Iterable[str]) -> str:
    """Some of an image's values, such as `width is 300, height is not known`."""
    named = [f"{name} is {_shown(image.get_column(name).to_list()[0])}" for name in dict.fromkeys(columns)]
    return ", ".join(named) or "it asks for nothing of the image"


def _finds(term: Node, image: pl.DataFrame, tags: pl.DataFrame) -> bool:
    answer = tag_query.matches(Query(term), image.lazy(), tags.lazy()).collect()
    return bool(answer.get_column("matches").item())


def _found_instead(term: Node, image: pl.DataFrame, tags: pl.DataFrame) -> str:
    match term:
        case Not(Tag() | Wildcard() as unwanted):
            return f"it has {_named(_having(unwanted, tags))}"
        case Tag() | Wildcard():
            return "it has no such tag"
        case Or() if not any(isinstance(leaf, Meta) for leaf in leaves(term)):
            return "it has none of them"
    asked = [leaf for leaf in leaves(term) if isinstance(leaf, Meta)]
    counted = [meta.name for meta in asked if meta.name in tag_query_metatags.TAG_COUNTS]
    stated = [meta for meta in asked if meta.name not in tag_query_metatags.TAG_COUNTS]
    columns = [
        name for meta in stated for name in tag_query_metatags.condition(meta.name, meta.value).meta.root_names()
    ]
    found = [values_of(image, columns)] if columns else []
    found += [f"{name} is {_count(name, tags)}" for name in dict.fromkeys(counted)]
    others = [leaf for leaf in leaves(term) if not isinstance(leaf, Meta)]
    present = [tag for leaf in others for tag in _having(leaf, tags)]
    found += [f"it has {_named(present)}" if present else "it has none of these tags"] if others else []
    return ", ".join(found)


def _having(term: Tag | Wildcard, tags: pl.DataFrame) -> list[str]:
    """The tags of an image that a term names."""
    name = pl.col("tag")
    if isinstance(term, Tag):
        is_meant = name == term.name
    else:
        is_meant = name.str.contains(tag_query_metatags.text_pattern(term.pattern))
    if term.category is not None:
        is_meant &= pl.col("category") == term.category
    return tags.filter(is_meant).get_column("tag").unique().sort().to_list()


def _named(tags: list[str]) -> str:
    more = f" and {len(tags) - SHOWN_TAGS} more" if len(tags) > SHOWN_TAGS else ""
    return ", ".join(tags[:SHOWN_TAGS]) + more


def _count(name: str, tags: pl.DataFrame) -> int:
    category = tag_query_metatags.TAG_COUNTS[name]
    return tags.height if category is None else tags.filter(category=category).height


def _shown(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST else value[: LONGEST - 3] + "...")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value[:SHOWN_TAGS]))}{', ...' if len(value) > SHOWN_TAGS else ''}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
