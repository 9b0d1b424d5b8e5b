"""Requests to S3: who asks, how often, and what a refusal means in words that a person can act on."""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from dataset_assets.places import S3Place
from dataset_assets.storage.root import RootUnavailable, WrongRoot

if TYPE_CHECKING:
    from obstore import GetResult, PutMode
    from obstore.store import S3Config

Result = TypeVar("Result")

# Names of metadata: what an object holds, and which request put it there.
SHA256, TOKEN = "sha256", "token"

# The library sends a request again when it fails; these are for replies that only we can tell to be wrong.
ATTEMPTS, FIRST_PAUSE_S, LONGEST_PAUSE_S = 8, 0.02, 0.5
RETRIES = 8
# A request may take so long, and of a large object so long; after half of it no further attempt of ours is begun.
REQUEST_S, LARGE_REQUEST_S = 60, 7200
LARGE = 32 << 20  # bytes
CONNECT_S = 10

CREDENTIALS = (
    "credentials are looked for where the AWS command line looks: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the "
    "profile that AWS_PROFILE or s3.profile names, or the role of this machine"
)
# Why S3 refuses, by the code in its reply.
NO_SETTING = {
    "NoSuchBucket": "there is no such bucket; look at its name",
    "InvalidBucketName": "that is no name of a bucket",
    "PermanentRedirect": "the bucket is in another region; set s3.region in dataset.yaml, or AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set s3.region in dataset.yaml, or AWS_REGION",
    "IllegalLocationConstraintException": "the bucket is in another region; set s3.region in dataset.yaml",
}
NO_ACCESS = {
    "RequestTimeTooSkewed": "this machine's clock is wrong; check its clock",
    "ExpiredToken": f"the credentials have expired; renew them. {CREDENTIALS}",
    "InvalidAccessKeyId": f"the access key is not known; {CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key does not fit the access key; {CREDENTIALS}",
    "AccessDenied": "access denied; a root needs s3:ListBucket, GetObject, PutObject and DeleteObject",
}
REDIRECTED = "incorrectly configured region"  # the library's words for a redirect by S3


class DamagedReply(OSError):
    """An object whose bytes are not those that were stored, however often they are asked for."""


def whole(reply: "GetResult") -> bytes:
    """A reply's bytes, compared with what the object says of itself. Raises: DamagedReply."""
    data = bytes(reply.bytes())
    expected = reply.attributes.get(SHA256)
    if len(data) != reply.meta["size"] or expected not in (None, hashlib.sha256(data).hexdigest()):
        raise DamagedReply(f"{reply.meta['path']} does not have the bytes that were stored")
    return data


@dataclass(frozen=True)
class Seen:
    """An object as a HEAD request tells it."""

    size: int
    e_tag: str
    metadata: Mapping[str, str]


def seen(place: S3Place, name: str) -> Seen | None:
    """What a HEAD request tells of an object; null = not there."""
    try:
        found = tried(place, lambda store: obstore.get(store, name, options={"head": True}))
    except FileNotFoundError:
        return None
    return Seen(found.meta["size"], str(found.meta["e_tag"]), {str(k): v for k, v in found.attributes.items()})


def put_over(
    place: S3Place, name: str, data: bytes | memoryview, metadata: Mapping[str, str], over: str | None
) -> str | None:
    """Put an object in place of one version of it (null = of none).

    Returns: the ETag of what was put; null = the object is another version by now, and stays.
    """
    token = uuid.uuid4().hex
    attributes: dict[str, str] = {**metadata, TOKEN: token}
    mode: PutMode = {"e_tag": over} if over else "create"
    for pause in _pauses(REQUEST_S):
        time.sleep(pause)
        try:
            put = tried(
                place,
                lambda store: obstore.put(store, name, data, attributes=attributes, mode=mode, use_multipart=False),
                len(data),
            )
            return str(put["e_tag"])
        except (AlreadyExistsError, PreconditionError):
            there = seen(place, name)
        # A reply was lost and the request sent again: what stands there is our own.
        if there is not None and there.metadata.get(TOKEN) == token:
            return there.e_tag
        if (there and there.e_tag) != over:
            return None
        # Else it met a request that came to nothing.
    raise RootUnavailable(f"{place}: {name} could not be put; see whether the store is up")


def tried(place: S3Place, request: Callable[[S3Store], Result], size: int = 0) -> Result:
    """The result of a request about so many bytes, which is sent again when its reply was damaged or lost.

    Credentials that are refused are looked up once more.
    Raises: FileNotFoundError; AlreadyExistsError and PreconditionError of conditional requests, which may then have
    been met by themselves; DamagedReply; WrongRoot; RootUnavailable.
    """
    last: BaseException = DamagedReply()
    is_renewed, limit_s = False, LARGE_REQUEST_S if size > LARGE else REQUEST_S
    for pause in _pauses(limit_s):
        time.sleep(pause)
        try:
            return request(connection(place, limit_s))
        except (AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, DamagedReply, FileNotFoundError) as error:
            last = error
        if _is_about_credentials(last) and not is_renewed:
            connection.cache_clear()
            is_renewed = True
        elif _is_refusal(last):
            raise _refusal(place, last)
        elif isinstance(last, FileNotFoundError):
            raise last
    if isinstance(last, DamagedReply):
        raise last
    said = _code(last) or type(last).__name__
    raise RootUnavailable(f"{place}: no right answer came ({said}); see whether the store is up and can be reached")


def _pauses(limit_s: int) -> Iterator[float]:
    """Seconds to wait before each attempt."""
    began = time.monotonic()
    yield 0
    for attempt in range(1, ATTEMPTS):
        if time.monotonic() - began > limit_s / 2:
            return
        yield min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)


@lru_cache(maxsize=4)
def connection(place: S3Place, limit_s: int) -> S3Store:
    """The connection of this process for requests of so many seconds at most.

    Raises: RootUnavailable when there are no credentials.
    """
    import boto3  # for its credentials alone: every place that AWS's own programs know
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = boto3.Session(profile_name=place.profile)
        provider = Boto3CredentialProvider(session)
    except (BotoCoreError, ValueError) as error:
        raise RootUnavailable(f"{place}: no credentials were found ({error}); {CREDENTIALS}") from None
    # What is not said here the library takes from AWS_ENDPOINT_URL and AWS_REGION.
    reached: S3Config = {} if place.endpoint_url is None else {"endpoint": place.endpoint_url}
    if region := place.region or session.region_name:
        reached["region"] = region
    return S3Store(
        place.bucket,
        config=reached,
        prefix=place.prefix or None,
        credential_provider=provider,
        client_options={
            "allow_http": True,  # of a store in one's own network
            "timeout": timedelta(seconds=limit_s),
            "connect_timeout": timedelta(seconds=CONNECT_S),
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=limit_s),
            "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=10), "base": 2},
        },
    )


def _code(error: BaseException) -> str:
    """S3's code of a refusal; empty where the reply had none."""
    text = str(error)
    if found := re.search(r"<Code>(\w+)</Code>", text):
        return found[1]
    if REDIRECTED in text:
        return "PermanentRedirect"
    # A reply to HEAD has no body; this is why S3 says 400 to one that was right before.
    return "ExpiredToken" if "performing HEAD" in text and "400 Bad Request" in text else ""


def _is_about_credentials(error: BaseException) -> bool:
    is_refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
    return (is_refused or _code(error) in NO_ACCESS) and _code(error) != "RequestTimeTooSkewed"


def _is_refusal(error: BaseException) -> bool:
    is_refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
    return is_refused or _code(error) in NO_ACCESS or _code(error) in NO_SETTING


def _refusal(place: S3Place, error: BaseException) -> Exception:
    code = _code(error)
    if code in NO_SETTING:
        return WrongRoot(f"{place}: {NO_SETTING[code]}")
    return RootUnavailable(f"{place}: {NO_ACCESS.get(code, NO_ACCESS['AccessDenied'])}")
