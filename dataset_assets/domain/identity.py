"""The one name of an image, `<source>-<post_id>-<page>`, and the bucket its file lies in."""

import hashlib
import re
from typing import NamedTuple

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
POST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
MAX_PAGE = 99_999


class ImageName(NamedTuple):
    """The parts of an image id."""

    source: str
    post_id: str
    page: int


class BadImageId(ValueError):
    """Text that is not, or cannot become, an image id."""


def image_id(source: str, post_id: str, page: int = 0) -> str:
    """Name an image.

    Raises: BadImageId when a part holds anything but the letters, digits, `_` and `-` that are safe in every path.
    """
    if not SOURCE_NAME.fullmatch(source):
        raise BadImageId(f"source {source!r}: use 1 to 32 of a-z, 0-9 and _")
    if not POST_ID.fullmatch(post_id):
        raise BadImageId(f"post id {post_id!r}: use 1 to 128 of letters, digits, _ and -")
    if not 0 <= page <= MAX_PAGE:
        raise BadImageId(f"page {page}: expected 0 to {MAX_PAGE}")
    return f"{source}-{post_id}-{page}"


def parse_image_id(text: str) -> ImageName:
    """Take an image id apart: `danbooru-1525146-0` is ("danbooru", "1525146", 0).

    Raises: BadImageId when the text is not one.
    """
    source, _, rest = text.partition("-")
    post_id, _, page = rest.rpartition("-")
    if not (SOURCE_NAME.fullmatch(source) and POST_ID.fullmatch(post_id) and re.fullmatch(r"0|[1-9]\d{0,4}", page)):
        raise BadImageId(f"{text!r} is not an image id; expected <source>-<post_id>-<page>, such as danbooru-1525146-0")
    return ImageName(source, post_id, int(page))


def bucket(post_id: str) -> str:
    """Danbooru's folder of a post, `%04d` of id mod 1000; for ids that are not numbers, of a hash.

    Source: Danbooru2021, "File format": `original/0146/1525146.jpg`.
    """
    if post_id.isascii() and post_id.isdigit():
        return f"{int(post_id) % 1000:04d}"
    return f"{int.from_bytes(hashlib.sha256(post_id.encode()).digest()[:4], 'big') % 1000:04d}"
