"""The `.json` beside an image, as gallery-dl 1.24 writes it, of what is known of a member: nothing is made up.

Source: mikf/gallery-dl at v1.24.1, extractor/pixiv.py and postprocessor/metadata.py.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

_WORK_AT_PIXIV = re.compile(r"https://www\.pixiv\.net/artworks/([1-9]\d{0,18})")
_JAPAN = timezone(timedelta(hours=9))
_RESTRICTIONS = {"General": 0, "R-18": 1, "R-18G": 2}


def sidecar(member: Mapping[str, Any], stem: str) -> bytes:
    """The sidecar of a row of MEMBERS whose file has this stem; what is not known is left out.

    `category` is `pixiv` of a work at Pixiv; of another image it is the image's source, whose ids are not Pixiv's.
    """
    found = {**_of_file(member, stem), **_of_post(member), **(_of_work if is_work(member) else _of_other)(member)}
    known = {key: value for key, value in found.items() if value is not None}
    return (json.dumps(known, indent=4, sort_keys=True, ensure_ascii=False) + "\n").encode()


def is_work(member: Mapping[str, Any]) -> bool:
    """Whether a member is a page of a work at Pixiv."""
    named = _WORK_AT_PIXIV.fullmatch(member["page_url"] or "")
    return named is not None and named[1] == member["post_id"]


def _of_file(member: Mapping[str, Any], stem: str) -> dict[str, Any]:
    """Width and height are those of a work's page 0, and so are known of it alone."""
    is_first = member["page"] == 0
    return {
        "filename": stem,
        "extension": member["extension"],
        "width": member["original_width"] if is_first else None,
        "height": member["original_height"] if is_first else None,
        "num": member["page"],
        "page_count": member["page_count"],
        "url": member["file_url"],
    }


def _of_post(member: Mapping[str, Any]) -> dict[str, Any]:
    user = {"id": _number(member["uploader_id"]), "name": member["uploader_name"]}
    return {
        "id": _number(member["post_id"]),
        "title": member["title"],
        "caption": member["description"],
        "date": _text(member["created_at"]),
        "tags": [tag["tag"] for tag in member["tags"] or ()],
        "user": {key: value for key, value in user.items() if value is not None} or None,
        "rating": member["rating_source"],
    }


def _of_work(member: Mapping[str, Any]) -> dict[str, Any]:
    is_ai, created = member["is_ai_generated"], member["created_at"]
    return {
        "category": "pixiv",
        "create_date": None if created is None else created.astimezone(_JAPAN).isoformat(timespec="seconds"),
        "x_restrict": _RESTRICTIONS.get(member["rating_source"]),
        "illust_ai_type": None if is_ai is None else 1 + is_ai,
        "total_bookmarks": member["fav_count"],
        "total_view": member["view_count"],
    }


def _of_other(member: Mapping[str, Any]) -> dict[str, Any]:
    return {"category": member["source"], "source": member["source_url"]}


def _number(text: str | None) -> int | str | None:
    return int(text) if text and re.fullmatch(r"[1-9][0-9]{0,17}", text) else text


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")
