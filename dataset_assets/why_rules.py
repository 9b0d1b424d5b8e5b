"""What each rule of a subset has against an image, in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from dataset_assets.config import License
from dataset_assets.domain import reasons, tag_query
from dataset_assets.domain.image_scores import column_of
from dataset_assets.subset_settings import Subset


@dataclass(frozen=True)
class Asked:
    """A subset, and what is known of one image.

    row: all that its rules read. listed: the image's row of `image_metadata`. tags: its rows of `tag_metadata`.
    stands_on: whether its post is on an id list of this name.
    """

    definition: Subset
    source: str
    license: License
    row: pl.DataFrame
    listed: pl.DataFrame
    tags: pl.DataFrame
    stands_on: Callable[[str], bool]
    duplicates: Callable[[], str | None]
    takedowns: Mapping[str, str]


def _source(asked: Asked) -> list[str]:
    return [f"{', '.join(asked.definition.sources or ())}: it is of {asked.source}"]


def _license(asked: Asked) -> list[str]:
    wanted = asked.definition.license
    barred = "" if asked.license.redistribute else ", and may not be passed on"
    named = wanted if isinstance(wanted, str) else ", ".join(wanted)
    return [f"{named}: that of {asked.source} is {asked.license.name}{barred}"]


def _takedown(asked: Asked) -> list[str]:
    return [f"{name}: {reason}" for name, reason in asked.takedowns.items()] or ["it was taken down"]


def _exclude(asked: Asked) -> list[str]:
    return [f"{one}: its post is on this list" for one in asked.definition.exclude if asked.stands_on(one)]


def _only(asked: Asked) -> list[str]:
    return [f"{', '.join(asked.definition.only)}: its post is on no such list"]


def _not_stored(asked: Asked) -> list[str]:
    found = [str(asked.row.item(0, name)) for name in ("state", "reason") if asked.row.item(0, name) is not None]
    return [f"its state is {', '.join(found)}" if found else "no file was looked for yet"]


def _undecodable(asked: Asked) -> list[str]:
    return [f"its file cannot be decoded: {asked.row.item(0, 'decode_error') or 'it was not tried yet'}"]


def _min_side(asked: Asked) -> list[str]:
    return [f"{asked.definition.min_side}: {_size(asked)}"]


def _max_aspect(asked: Asked) -> list[str]:
    return [f"{asked.definition.max_aspect:g}: {_size(asked)}"]


def _size(asked: Asked) -> str:
    return f"it is {asked.row.item(0, 'width')} x {asked.row.item(0, 'height')}"


def _scores(asked: Asked) -> list[str]:
    wanted = [
        f"{column_of(score)} >= {least:f}".rstrip("0").rstrip(".") for score, least in asked.definition.scores.items()
    ]
    return reasons.where_reasons(" and ".join(wanted), asked.row)


def _tags(asked: Asked) -> list[str]:
    return reasons.tag_reasons(tag_query.parse(str(asked.definition.tags)), asked.listed, asked.tags)


def _where(asked: Asked) -> list[str]:
    return reasons.where_reasons(str(asked.definition.where), asked.row)


def _duplicates(asked: Asked) -> list[str]:
    return [f"drop: it is a {asked.duplicates()}"]


# By the name that stands as drop_reason.
REASONS: dict[str, Callable[[Asked], list[str]]] = {
    "source": _source,
    "license": _license,
    "takedown": _takedown,
    "exclude": _exclude,
    "only": _only,
    "not_stored": _not_stored,
    "undecodable": _undecodable,
    "min_side": _min_side,
    "max_aspect": _max_aspect,
    "scores": _scores,
    "tags": _tags,
    "where": _where,
    "duplicates": _duplicates,
}
