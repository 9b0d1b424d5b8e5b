"""Bytes of any location: a path, a member of an archive (`scrape.zip!niji/1_p0.png`), an object (`s3://bucket/key`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataset_assets.storage.archives import read_location
from dataset_assets.storage.bucket_access import SCHEME, Access, split_uri


@dataclass(frozen=True)
class Locations:
    """Reads locations. Small and picklable: workers get one each. `buckets`: how to reach those that need more said."""

    buckets: Mapping[str, Access] = field(default_factory=dict)

    def read(self, location: str, limit: int) -> bytes:
        """All bytes of a location, at most `limit` of them.

        Raises: LocationMissing; TooLarge; DamagedMember; Unread and AccessDenied for this one object; BucketUnusable
        and SourceDown when it is the whole bucket; OSError when the disk fails.
        """
        if not is_remote(location):
            return read_location(location, limit)
        from dataset_assets.storage.buckets import read_object  # brings obstore's S3, which few sources need

        return read_object(location, limit, self.buckets.get(split_uri(location)[0], Access()))


def is_remote(location: str) -> bool:
    """Whether a location is an object of a bucket."""
    return location.startswith(SCHEME)
