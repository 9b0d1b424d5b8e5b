"""How a bucket that images come from is reached, and what is said when it cannot be.

No message repeats a server's whole answer: S3 puts keys and session tokens into its errors.
"""

import re
from dataclasses import dataclass
from typing import Any

SCHEME = "s3://"
RETRIES = 8
CONNECT_S, READ_S, RETRY_S = 5, 20, 60

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_WRONG = {
    "NoSuchBucket": "there is no such bucket; see `images`",
    "InvalidBucketName": "this is no name of a bucket; see `images`",
    "PermanentRedirect": "the bucket lies in another region; see `s3.region`",
    "AuthorizationHeaderMalformed": "the bucket lies in another region; see `s3.region`",
    "InvalidAccessKeyId": "the access key is not known there; see AWS_PROFILE and AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; see AWS_PROFILE and AWS_SECRET_ACCESS_KEY",
    "NoCredentials": "no credentials were found; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or `s3: {unsigned: true}`",
    "PartialCredentials": "the credentials are not complete; see AWS_PROFILE and AWS_ACCESS_KEY_ID",
}
# Errors of the libraries that stand for a code of S3, where its answer had none.
_CODE_OF = {
    "NoCredentialsError": "NoCredentials",
    "PartialCredentialsError": "PartialCredentials",
    "PermissionDeniedError": "AccessDenied",
    "UnauthenticatedError": "AccessDenied",
}


@dataclass(frozen=True)
class Access:
    """How the buckets of a source are reached. Secrets come from the standard chain of AWS, not from here.

    endpoint: null = Amazon's own, or that of AWS_ENDPOINT_URL. unsigned: ask without credentials, as public buckets
    allow.
    """

    region: str | None = None
    endpoint: str | None = None
    unsigned: bool = False


class BucketUnusable(Exception):
    """A bucket that these settings do not lead to: wrong name, region, key or rights. A person must mend it."""


class SourceDown(Exception):
    """An origin of images that answers nothing useful now. The run stops; no image is called missing for it."""


class AccessDenied(Exception):
    """An object that is there or not: the server does not say to these credentials."""


class Unread(Exception):
    """An object that could not be read whole this time; it may be another time."""


def split_uri(location: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key may be empty."""
    bucket, _, key = location.removeprefix(SCHEME).partition("/")
    return bucket, key


def refusal(bucket: str, code: str) -> Exception:
    """What an error code of S3 means for whoever runs this."""
    if code in _EXPIRED:
        return SourceDown(f"{SCHEME}{bucket}: the credentials have expired ({code}); renew them and run again")
    if code in _CLOCK:
        return SourceDown(f"{SCHEME}{bucket}: this machine's clock is wrong ({code}); check the clock and run again")
    if code in _WRONG:
        return BucketUnusable(f"{SCHEME}{bucket}: {_WRONG[code]} ({code})")
    if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled"):
        return AccessDenied(f"{SCHEME}{bucket}: access denied; the credentials lack the right, or need `s3.unsigned`")
    return SourceDown(f"{SCHEME}{bucket}: does not answer as S3 should ({code or 'no code'}); try again later")


def is_expired(code: str) -> bool:
    """Whether new credentials might help."""
    return code in _EXPIRED


def code_in(error: BaseException) -> str:
    """The error code that S3 gave, found in a library's error; empty = it gave none."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    if named := re.search(r"<Code>(\w{1,64})</Code>", str(error)):
        return named[1]
    if "incorrectly configured region" in str(error):
        return "PermanentRedirect"
    return _CODE_OF.get(type(error).__name__, "")


def client(access: Access) -> Any:
    """boto3's client: it knows every way in which AWS keeps credentials."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    settings: dict[str, Any] = {"signature_version": UNSIGNED} if access.unsigned else {}
    config = Config(
        **settings,
        retries={"total_max_attempts": RETRIES + 1, "mode": "standard"},
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        s3={"addressing_style": "path"},
    )
    session = boto3.Session()
    region = access.region or session.region_name or "us-east-1"
    return session.client("s3", region_name=region, endpoint_url=access.endpoint, config=config)
