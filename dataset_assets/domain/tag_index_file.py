"""The bytes of an index: blobs under sorted keys, laid out so that a memory map of them opens at once.

    header | blobs | directory | checksums of the pages of all that stands between header and checksums

Nothing is read, and so nothing is checked, before it is asked for: a page's checksum is compared when the page is
first touched, and every place that the bytes name is checked against their length. A damaged index therefore ends in
`IndexDamaged`, never in an answer. Numbers are little-endian.
"""

import struct
import sys
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple, overload

VERSION = 1
MAGIC = b"TAGINDEX"
PAGE = 4096
_HEADER = struct.Struct("<8sIIIIQQQI")  # the last is the CRC-32 of all before it
HEADER_BYTES = 64


class IndexDamaged(ValueError):
    """Bytes that are no index, or no longer the one that was written."""


class Entry(NamedTuple):
    """A blob under its key. `size` and `mark` are the writer's own words about it."""

    key: bytes
    blob: bytes
    size: int = 0
    mark: int = 0


def pack(entries: Iterable[Entry], rows: int) -> Iterator[bytes]:
    """An index's bytes in pieces: the same for the same entries, whatever their order. Equal blobs are kept once."""
    ordered = sorted(entries)
    if repeated := next((a.key for a, b in pairwise(ordered) if a.key == b.key), None):
        raise ValueError(f"two entries have the key {repeated!r}")
    places: dict[bytes, int] = {}
    end = 0
    for entry in ordered:
        if entry.blob not in places:
            places[entry.blob] = end
            end += len(entry.blob)
    directory = b"".join(_directory(ordered, places))
    body = b"".join(places) + directory
    checksums = _numbers("I", (zlib.crc32(body[at : at + PAGE]) for at in range(0, len(body), PAGE)))
    fields = (VERSION, rows, len(ordered), zlib.crc32(checksums), end, len(directory), len(checksums))
    header = _HEADER.pack(MAGIC, *fields, 0)[:-4]
    yield (header + struct.pack("<I", zlib.crc32(header))).ljust(HEADER_BYTES, b"\0")
    yield body
    yield checksums


def _directory(ordered: list[Entry], places: dict[bytes, int]) -> Iterator[bytes]:
    yield _numbers("Q", (places[entry.blob] for entry in ordered))
    yield _numbers("I", (len(entry.blob) for entry in ordered))
    yield _numbers("I", (entry.size for entry in ordered))
    yield _numbers("I", accumulate((len(entry.key) for entry in ordered), initial=0))
    yield bytes(entry.mark for entry in ordered)
    yield from (entry.key for entry in ordered)


def _numbers(kind: str, values: Iterable[int]) -> bytes:
    numbers = list(values)
    return struct.pack(f"<{len(numbers)}{kind}", *numbers)


class IndexFile:
    """Entries by number, in order of their keys, and by key."""

    def __init__(self, data: bytes | memoryview) -> None:
        """Raises: IndexDamaged when the header is none, or does not fit the length."""
        view = memoryview(data)
        if sys.byteorder != "little":
            raise IndexDamaged("an index is read on little-endian machines only")
        if len(view) < HEADER_BYTES:
            raise IndexDamaged(f"an index begins with {HEADER_BYTES} bytes, found {len(view)}")
        magic, version, self.rows, self.size, crc, blobs, directory, sums, own = _HEADER.unpack_from(view)
        if magic != MAGIC:
            raise IndexDamaged(f"expected {MAGIC!r} in the first 8 bytes, found {magic!r}")
        if version != VERSION:
            raise IndexDamaged(f"version {version}, expected {VERSION}")
        if zlib.crc32(view[: _HEADER.size - 4]) != own:
            raise IndexDamaged("the header does not match its checksum")
        if len(view) != HEADER_BYTES + blobs + directory + sums:
            raise IndexDamaged(f"{HEADER_BYTES + blobs + directory + sums} bytes were written, found {len(view)}")
        self._body = view[HEADER_BYTES : HEADER_BYTES + blobs + directory]
        self._sums = _array(view[len(view) - sums :])
        if zlib.crc32(view[len(view) - sums :]) != crc or len(self._sums) != -(-len(self._body) // PAGE):
            raise IndexDamaged("the table of checksums does not match its own")
        self._checked = bytearray(len(self._sums))
        self._places(blobs, directory)
        self.find = lru_cache(maxsize=65_536)(self._find)
        self.place_of = lru_cache(maxsize=65_536)(self._place_of)

    def _places(self, blobs: int, directory: int) -> None:
        """Where each array of the directory begins, within the body."""
        sizes = (8, 4, 4, 4, 1)
        lengths = [size * (self.size + (number == 3)) for number, size in enumerate(sizes)]
        starts = list(accumulate(lengths, initial=blobs))
        if starts[-1] > blobs + directory:
            raise IndexDamaged(f"a directory of {self.size} keys does not fit into {directory} bytes")
        self._blob_bytes = blobs
        self._at, self._length, self._count, self._key_at, self._mark, self._text = starts

    def __len__(self) -> int:
        return int(self.size)

    def key(self, number: int) -> bytes:
        start, end = self._pair(self._key_at, number)
        return bytes(self._read(self._text + start, self._text + end))

    def count(self, number: int) -> int:
        return self._number(self._count + 4 * number, 4)

    def mark(self, number: int) -> int:
        return self._number(self._mark + number, 1)

    def _place_of(self, number: int) -> tuple[int, int]:
        """Where an entry's blob begins, and its length."""
        start, length = self._number(self._at + 8 * number, 8), self._number(self._length + 4 * number, 4)
        if start + length > self._blob_bytes:
            raise IndexDamaged(f"entry {number} is {length} bytes at {start} of {self._blob_bytes}")
        return start, length

    def blob(self, number: int, start: int = 0, end: int | None = None) -> memoryview:
        """An entry's bytes, or some of them; the bytes themselves, not a copy."""
        at, length = self.place_of(number)
        end = length if end is None else end
        if not 0 <= start <= end <= length:
            raise IndexDamaged(f"entry {number} has {length} bytes, not {start} to {end}")
        return self._read(at + start, at + end)

    def numbers(self, number: int, kind: str) -> "Numbers":
        """An entry's whole numbers, of a kind that `struct` knows; only those that are asked for are read."""
        (start, length), size = self.place_of(number), struct.calcsize(f"<{kind}")
        if length % size:
            raise IndexDamaged(f"the {length} bytes of entry {number} are no whole numbers")
        return Numbers(self._read, start, length // size, struct.Struct(f"<{kind}"))

    def _find(self, key: bytes) -> int | None:
        """The number of the entry of this key; null = there is none."""
        number = self.first_from(key)
        return number if number < self.size and self.key(number) == key else None

    def first_from(self, key: bytes) -> int:
        """The number of the first entry whose key is not below this one."""
        return bisect_left(range(self.size), key, key=self.key)

    def section(self, prefix: bytes) -> range:
        """The numbers of the entries whose keys begin so."""
        last = prefix.rstrip(b"\xff")
        end = self.first_from(last[:-1] + bytes([last[-1] + 1])) if last else self.size
        return range(self.first_from(prefix), end)

    def keys_with(self, part: bytes, among: range) -> Iterator[int]:
        """The numbers of the entries among these whose keys hold the bytes."""
        if not among:
            return
        begin, _ = self._pair(self._key_at, among[0])
        _, finish = self._pair(self._key_at, among[-1])
        starts = _array(self._read(self._key_at, self._key_at + 4 * (self.size + 1)))
        text = bytes(self._read(self._text + begin, self._text + finish))
        at = text.find(part)
        while at >= 0:
            number = bisect_left(starts, begin + at + 1, among[0], among[-1] + 1) - 1
            if begin + at + len(part) <= starts[number + 1]:
                yield number
                at = text.find(part, starts[number + 1] - begin)
            else:
                at = text.find(part, at + 1)

    def _pair(self, array: int, number: int) -> tuple[int, int]:
        if not 0 <= number < self.size:
            raise IndexDamaged(f"there is no entry {number} among {self.size}")
        start, end = struct.unpack("<II", self._read(array + 4 * number, array + 4 * number + 8))
        if start > end:
            raise IndexDamaged(f"the key of entry {number} ends before it begins")
        return start, end

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._read(at, at + size), "little")

    def _read(self, start: int, end: int) -> memoryview:
        """Bytes of the body, once the pages that they lie on are known to be as written."""
        if not 0 <= start <= end <= len(self._body):
            raise IndexDamaged(f"bytes {start} to {end} are asked for, of {len(self._body)}")
        first, last = start // PAGE, -(-end // PAGE)
        if self._checked.find(0, first, last) >= 0:
            for page in range(first, last):
                if zlib.crc32(self._body[page * PAGE : (page + 1) * PAGE]) != self._sums[page]:
                    raise IndexDamaged(f"page {page} does not match its checksum")
                self._checked[page] = 1
        return self._body[start:end]


class Numbers(Sequence[int]):
    """Whole numbers that lie in an index."""

    def __init__(self, read: Callable[[int, int], memoryview], start: int, size: int, kind: struct.Struct) -> None:
        self._read, self._start, self._size, self._kind = read, start, size, kind

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[int]: ...
    def __getitem__(self, place: int | slice) -> int | Sequence[int]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(self._size))]
        if not 0 <= place < self._size:
            raise IndexError(place)
        at = self._start + place * self._kind.size
        return int(self._kind.unpack(self._read(at, at + self._kind.size))[0])


def _array(view: memoryview) -> "memoryview[int]":
    if len(view) % 4:
        raise IndexDamaged(f"{len(view)} bytes are no whole numbers")
    return view.cast("I")
