"""Images of members in their order, of which the next are read while one is written.

From a bucket, waiting is most of the time: eight at once take an eighth of it. On a disk it costs nothing.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from dataset_assets.exports.members import Members, Row

READ_AT_ONCE = 8
# Small images are read several in a thread: handing over one takes as long as reading it.
BYTES_AT_ONCE = 256 << 10

Read = list[tuple[Row, bytes]]


def read_ahead(members: Members, rows: Iterable[Row]) -> Iterator[tuple[Row, bytes]]:
    """Each row with the bytes of its file. Held are nine images, or 256 kB for each of them if that is more.

    rows: image_id, path, sha256 and size. Raises: MemberLost, where the row's turn comes.
    """

    def read(some: list[Row]) -> Read:
        return [(row, members.read(row)) for row in some]

    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        ahead: deque[Future[Read]] = deque()
        for some in _groups(rows):
            ahead.append(threads.submit(read, some))
            if len(ahead) > READ_AT_ONCE:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows whose files are small, several at a time; large ones alone."""
    held: list[Row] = []
    size = 0
    for row in rows:
        if held and size + row["size"] > BYTES_AT_ONCE:
            yield held
            held, size = [], 0
        held.append(row)
        size += row["size"]
    if held:
        yield held
