"""Images in a bucket of S3: which keys there are, and the bytes of one, whole and unchanged or not at all."""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from dataset_assets.storage.archives import LocationMissing, TooLarge
from dataset_assets.storage.bucket_access import (
    CONNECT_S,
    READ_S,
    RETRIES,
    RETRY_S,
    SCHEME,
    Access,
    AccessDenied,
    BucketUnusable,
    SourceDown,
    Unread,
    client,
    code_in,
    is_expired,
    refusal,
    split_uri,
)

KEYS_PER_PAGE = 1000
READINGS = 4  # of an object whose bytes are not those that its ETag tells of
PAGE_TRIES = 4
# Objects in a row that a bucket does not hand over, in one process, until it is taken for down.
FAILURES_IN_A_ROW = 5


class Listed(NamedTuple):
    """An object of a listing. `mark` is a number that changes with the content; see `change_mark`."""

    key: str
    size: int
    mark: int


def change_mark(etag: str | None, modified: datetime) -> int:
    """A number that changes with an object's content: 63 bits of its ETag, or its time in nanoseconds without one.

    The time of an object says when it was put there, in whole seconds: it changes when a bucket is copied, and does
    not when an object is replaced within the second. The ETag does neither.
    """
    if etag:
        return int.from_bytes(hashlib.sha256(etag.strip('"').encode()).digest()[:8], "big") >> 1
    return int(modified.timestamp()) * 1_000_000_000


def list_objects(bucket: str, prefix: str, access: Access) -> Iterator[list[Listed]]:
    """The objects below a prefix in pages of at most a thousand, by key; the markers that stand for folders left out.

    boto3 lists, because obstore gives up a whole listing at the first key such as `a//b` or `a/../b`.
    Raises: BucketUnusable; SourceDown.
    """
    after = ""
    asking = client(access)
    try:
        while True:
            found = _page(asking, bucket, prefix, after)
            objects = found.get("Contents", [])
            yield [
                Listed(each["Key"], each["Size"], change_mark(each.get("ETag"), each["LastModified"]))
                for each in objects
                if not (each["Key"].endswith("/") and each["Size"] == 0)
            ]
            if not found.get("IsTruncated") or not objects:
                return
            after = objects[-1]["Key"]
    finally:
        asking.close()


def _page(asking, bucket: str, prefix: str, after: str):  # type: ignore[no-untyped-def]  # boto3 has no types
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    for left in reversed(range(PAGE_TRIES)):
        try:
            return asking.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=KEYS_PER_PAGE)
        except ParamValidationError:
            raise refusal(bucket, "InvalidBucketName") from None
        except (ClientError, BotoCoreError) as error:
            code = code_in(error)
            if code or not left:
                raise _of_listing(bucket, code, error) from None
    raise AssertionError("the last try returns or raises")


def _of_listing(bucket: str, code: str, error: Exception) -> Exception:
    refused = refusal(bucket, code or type(error).__name__)
    if isinstance(refused, AccessDenied):
        return BucketUnusable(f"{refused}; it cannot be listed")
    return refused


def require_bucket(uri: str, access: Access) -> None:
    """Refuse a bucket or prefix where nothing is, before any work begins. Raises: BucketUnusable; SourceDown."""
    bucket, prefix = split_uri(uri)
    if not next(iter(list_objects(bucket, prefix, access)), []):
        raise BucketUnusable(f"{uri}: no key begins with {prefix!r}; see `images`" if prefix else f"{uri}: is empty")


def read_object(location: str, limit: int, access: Access) -> bytes:
    """All bytes of `s3://bucket/key`, read again where they are not those that the object's ETag tells of.

    Of uploads in parts and some encryptions the ETag is no MD5 and proves nothing: then TLS vouches for the bytes, and
    over plain HTTP two readings must agree. Where an ETag looks like an MD5, all readings must agree, once a bucket.
    Raises: LocationMissing; TooLarge; Unread; AccessDenied; BucketUnusable; SourceDown, for the bucket.
    """
    bucket, key = split_uri(location)
    try:
        data = _proven(location, bucket, key, limit, access)
    except Unread as error:
        if _HEALTH.failed(bucket) >= FAILURES_IN_A_ROW:
            raise SourceDown(
                f"{SCHEME}{bucket}: {FAILURES_IN_A_ROW} objects in a row could not be read; the last: {error}"
            ) from None
        raise
    _HEALTH.answered(bucket)
    return data


def _proven(location: str, bucket: str, key: str, limit: int, access: Access) -> bytes:
    seen: Counter[bytes] = Counter()
    for _ in range(READINGS):
        data, etag = _read(location, bucket, key, limit, access)
        looks_like_md5 = re.fullmatch(r"[0-9a-f]{32}", etag) is not None
        if looks_like_md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() == etag:
            return data
        digest = hashlib.sha256(data).digest()
        seen[digest] += 1
        if seen[digest] >= _readings_needed(bucket, looks_like_md5, access):
            _OTHER_ETAGS.add(bucket)
            return data
    raise Unread(f"{location}: {READINGS} readings gave {len(seen)} different contents, none of its ETag {etag}")


def _readings_needed(bucket: str, looks_like_md5: bool, access: Access) -> int:
    """How many equal readings stand for an ETag that is not the MD5 of the bytes."""
    if looks_like_md5 and bucket not in _OTHER_ETAGS:
        return READINGS
    return 2 if (access.endpoint or "").startswith("http:") else 1


def _read(location: str, bucket: str, key: str, limit: int, access: Access) -> tuple[bytes, str]:
    """The bytes and the ETag without its quotes."""
    for has_new_credentials in (False, True):
        try:
            found = obstore.get(_store(bucket, access), key)
            if found.meta["size"] > limit:
                raise TooLarge(f"{location}: {found.meta['size']:,} bytes, expected at most {limit:,}")
            return bytes(found.bytes()), (found.meta["e_tag"] or "").strip('"')
        except (BaseError, OSError, ValueError) as error:
            code = code_in(error)
            if is_expired(code) and not has_new_credentials:
                _store.cache_clear()  # whoever renews credentials may have done so since they were read
                continue
            raise _of_object(location, bucket, code, error) from None
    raise AssertionError("the second try returns or raises")


def _of_object(location: str, bucket: str, code: str, error: Exception) -> Exception:
    if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
        return LocationMissing(f"{location}: no such object")
    if isinstance(error, ValueError):
        return LocationMissing(f"{location}: {str(error).splitlines()[0][:200]}")
    refused = refusal(bucket, code) if code else None
    if isinstance(refused, AccessDenied):
        return AccessDenied(f"{location}: access denied")
    if isinstance(refused, (BucketUnusable, SourceDown)) and not _is_passing(code):
        return refused
    return Unread(f"{location}: {code or 'no whole answer'} after {RETRIES} tries")


def _is_passing(code: str) -> bool:
    """Whether an error may be one object's alone, and gone the next time."""
    return code in ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")


@lru_cache(maxsize=8)
def _store(bucket: str, access: Access) -> S3Store:
    """Raises: BucketUnusable when there are no credentials."""
    asking = client(access)
    endpoint, region = asking.meta.endpoint_url, asking.meta.region_name
    asking.close()
    return S3Store(
        bucket,
        config={"endpoint": endpoint, "region": region, "skip_signature": access.unsigned},
        client_options={
            "allow_http": True,
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "read_timeout": timedelta(seconds=READ_S),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
        credential_provider=None if access.unsigned else _credentials(bucket),
    )


def _credentials(bucket: str):  # type: ignore[no-untyped-def]  # boto3 has no types
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider(ttl=timedelta(minutes=5))
    except ValueError:
        raise refusal(bucket, "NoCredentials") from None


class _Health:
    """How many objects in a row each bucket did not hand over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()

    def failed(self, bucket: str) -> int:
        with self._lock:
            self._failures[bucket] += 1
            return self._failures[bucket]

    def answered(self, bucket: str) -> None:
        with self._lock:
            self._failures.pop(bucket, None)


_HEALTH = _Health()
# Buckets that were proven to give ETags that are no MD5.
_OTHER_ETAGS: set[str] = set()
