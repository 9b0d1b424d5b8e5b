"""JSON arrays, such as an API's pages, as JSON Lines: one line for each element, streamed."""

import codecs
import json
import re
from collections.abc import Iterator

from dataset_assets.sources import DamagedExport


def is_array(head: bytes) -> bool:
    """Whether a file that begins so is one array, and not lines of which the first happens to look like one."""
    if not re.match(rb"\s*\[\s*[{\]]", head):
        return False
    first, _, others = head.strip().partition(b"\n")
    if _is_json(first):
        return not others
    return first.rstrip().endswith((b"[", b"{", b"}", b",")) or not _is_json(others.partition(b"\n")[0])


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def elements(name: str, blocks: Iterator[bytes], longest: int) -> Iterator[bytes]:
    """The array's elements, each a line of its own.

    Raises: DamagedExport when the array ends early, holds what is no JSON, or an element of more than `longest` bytes.
    """
    count = 0
    try:
        for line in _Elements(blocks, longest):
            yield line
            count += 1
    except _BrokenArray as error:
        raise DamagedExport(f"{name}: the JSON array {error} after element {count:,}; fetch the file again") from None


class _BrokenArray(Exception):
    """An array that ends early, or goes on with what is no JSON."""


class _Elements:
    """The elements of a JSON array, each as one line of bytes."""

    def __init__(self, blocks: Iterator[bytes], longest: int) -> None:
        self._blocks, self._longest = blocks, longest
        # Bytes that are no UTF-8 pass through, so that only the element that holds them is rejected.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at = "", 0

    def __iter__(self) -> Iterator[bytes]:
        self._next()  # the bracket that `is_array` saw
        if self._peek() == "]":
            self._next()
        else:
            yield self._element()
            while (separator := self._next()) == ",":
                yield self._element()
            if separator != "]":
                raise _BrokenArray(f"goes on with {separator!r} where a comma or bracket should be")
        if self._peek():
            raise _BrokenArray("is followed by other text")

    def _more(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        self._text, self._at = self._text[self._at :] + self._decode(block), 0
        return True

    def _peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise _BrokenArray("ends too early")
        self._at += 1
        return character

    def _element(self) -> bytes:
        self._peek()
        while (end := self._end_of_element()) is None:
            if len(self._text) - self._at > self._longest:
                raise _BrokenArray("is no JSON, or has an element that is too long,")
            if not self._more():
                raise _BrokenArray("ends too early or is no JSON")
        text, self._at = self._text[self._at : end], end
        return text.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n"

    def _end_of_element(self) -> int | None:
        """Where the element ends; null while it is not read to its end."""
        try:
            _, end = self._scan(self._text, self._at)
        except ValueError:
            return None
        except RecursionError:
            raise _BrokenArray("is nested too deeply") from None
        return end if end < len(self._text) else None
