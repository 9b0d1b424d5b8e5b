"""Captions and tags as kohya's files hold them: beside each image, and of all images in JSON, written one by one."""

import json
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import IO, Any, NamedTuple

from dataset_assets.domain.kohya_cleaning import caption_line, clean_caption, clean_tags, tag_words, unique

Entry = dict[str, str]


class Texts(NamedTuple):
    """What is said of an image, as kohya's files can hold it. caption: one line; "" = none."""

    caption: str
    tags: list[str]


def texts_of(member: Mapping[str, Any]) -> Texts:
    """The preferred caption of a row of MEMBERS, and all its tags."""
    captions = member["captions"] or ()
    return Texts(
        caption_line(captions[0]["caption"]) if captions else "",
        tag_words([tag["tag"] for tag in member["tags"] or ()]),
    )


def cleaned(texts: Texts) -> Texts:
    """The same by kohya's rules of cleaning."""
    return Texts(clean_caption(texts.caption).strip(), unique(clean_tags(texts.tags)))


def tag_list(texts: Texts) -> str:
    """All tags in one line."""
    return ", ".join(texts.tags)


def beside(texts: Texts) -> dict[str, bytes]:
    """The files beside an image, by what follows its stem.

    Both are always there, and have a line: kohya's scripts of 2022 stop at an image where one is missing or empty.
    """
    return {".caption": f"{texts.caption}\n".encode(), ".txt": f"{tag_list(texts)}\n".encode()}


def _caption_entry(texts: Texts) -> Entry:
    return {"caption": texts.caption} if texts.caption else {}


def _tag_entry(texts: Texts) -> Entry:
    return {"tags": tag_list(texts)}


def _joined_entry(texts: Texts) -> Entry:
    return _caption_entry(texts) | _tag_entry(texts)


# What each meta file says of an image. One without a caption has no key `caption`: an empty one would put a separator
# before its tags.
META_FILES: Mapping[str, Callable[[Texts], Entry]] = MappingProxyType(
    {
        "meta_cap": _caption_entry,
        "meta_dd": _tag_entry,
        "meta_clean": lambda texts: _joined_entry(cleaned(texts)),
        "meta_cap_dd": _joined_entry,
    }
)


class MetaFile:
    """A JSON object in the making, with the bytes of `json.dump(entries, file, indent=2)`, of which none is kept.

    `json` itself indents at a third of the speed.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._is_empty = True

    def add(self, key: str, entry: Entry) -> None:
        """Write an entry; the keys are the caller's to keep apart."""
        texts = ",\n".join(f"    {json.dumps(name)}: {json.dumps(text)}" for name, text in entry.items())
        before, value = "{\n" if self._is_empty else ",\n", f"{{\n{texts}\n  }}" if entry else "{}"
        self._stream.write(f"{before}  {json.dumps(key)}: {value}".encode())
        self._is_empty = False

    def close(self) -> None:
        """Write the object's end; the stream stays open."""
        self._stream.write(b"{}" if self._is_empty else b"\n}")


def write_meta(stream: IO[bytes], entries: Iterable[tuple[str, Entry]]) -> None:
    """Write a whole meta file."""
    meta = MetaFile(stream)
    for key, entry in entries:
        meta.add(key, entry)
    meta.close()
