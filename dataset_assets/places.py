"""Where a root lies when it is no folder: below a prefix of an S3 bucket."""

import re
from dataclasses import dataclass
from pathlib import Path

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")
PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(?:/[A-Za-z0-9!_.*'()-]+)*")


@dataclass(frozen=True)
class S3Place:
    """A prefix of a bucket, how to reach it, and the folder for copies of what is read from it.

    prefix: without slashes at its ends; "" = the whole bucket. Null = what the environment or the profile says.
    """

    bucket: str
    prefix: str
    cache: Path
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (f"s3://{self.bucket}", self.prefix) if part)


Place = Path | S3Place


def parse_s3_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`. Raises: ValueError."""
    bucket, _, prefix = url.removeprefix("s3://").rstrip("/").partition("/")
    if not url.startswith("s3://") or not BUCKET_NAME.fullmatch(bucket):
        raise ValueError(f"{url} is neither a folder nor an S3 bucket; write ./data or s3://bucket/prefix")
    if prefix and (not PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ValueError(f"{url}: a prefix is made of letters, digits and !_.*'()- between single slashes")
    return bucket, prefix
