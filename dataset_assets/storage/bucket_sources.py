"""The buckets that dataset.yaml names as origins of images: how each is reached, and whether it is there at all."""

from collections.abc import Iterable

from dataset_assets.config import AnySource, DatasetConfig, Pd12mSource
from dataset_assets.storage.bucket_access import Access, split_uri
from dataset_assets.storage.locations import Locations


def access_of(source: AnySource) -> Access:
    """How the bucket of a source's images is reached."""
    return Access(**source.s3.model_dump())


def locations_of(config: DatasetConfig) -> Locations:
    """What reads images that lie outside of the root."""
    in_buckets = [source for source in config.sources.values() if source.in_bucket]
    return Locations({split_uri(str(source.images))[0]: access_of(source) for source in in_buckets})


def is_listed(source: AnySource) -> bool:
    """Whether images are found by listing a bucket; PD12M's are found by the keys in its records."""
    return source.in_bucket and not isinstance(source, Pd12mSource)


def require_buckets(config: DatasetConfig, names: Iterable[str]) -> None:
    """Refuse sources whose bucket or prefix is not there, before work begins. Raises: BucketUnusable; SourceDown."""
    for source in (config.sources[name] for name in names):
        if is_listed(source):
            from dataset_assets.storage.buckets import require_bucket  # brings obstore's S3, which few sources need

            require_bucket(str(source.images), access_of(source))
