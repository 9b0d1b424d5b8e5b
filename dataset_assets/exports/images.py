"""Images of members: as files of their own, or as bytes, several at once."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dataset_assets.domain.identity import bucket
from dataset_assets.exports.descriptions import safe_batches
from dataset_assets.exports.members import Members, Row
from dataset_assets.exports.row_digests import digest_of
from dataset_assets.exports.target import Target, Written, key_of

READ_AT_ONCE = 8  # waiting for a bucket is most of the work; on a disk, hashing is


def bucketed(row: Row) -> str:
    """A member's file within a folder of buckets: `0146/danbooru-1525146-0.jpg`."""
    return f"{bucket(row['post_id'])}/{row['image_id']}.{row['extension']}"


def put_images(members: Members, target: Target, folder: str) -> Iterator[Written]:
    """Write each member's image, as it is, to its bucket in a folder.

    Raises: MemberLost; NotAllowed when a member is no image, or has a name that is not safe in a path.
    """

    def put(row: Row) -> list[Written]:
        return [target.put(f"{folder}/{bucketed(row)}", members.read(row), rows=1)]

    for batch in safe_batches(members):
        yield from target.each(key_of(folder, digest_of([batch])), batch.to_dicts(), put)


def read_all(members: Members, rows: Iterable[Row]) -> list[bytes]:
    """The bytes of some members' files, in their order. Raises: MemberLost."""
    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        return list(threads.map(members.read, rows))
