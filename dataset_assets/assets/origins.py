"""Where a source's image files are listed when no folder holds them: a bucket's prefix, or archives."""

from collections.abc import Callable

import polars as pl

from dataset_assets.config import DanbooruSource
from dataset_assets.resources import Dataset


def listed_files(dataset: Dataset, name: str, say: Callable[[str], None], *, anew: bool = False) -> pl.DataFrame | None:
    """The files of a source's bucket or archives; null = the source finds its images without a list.

    Raises: BucketUnusable; SourceDown; DamagedMember when an archive is not whole.
    """
    from dataset_assets.storage.bucket_sources import access_of, is_listed
    from dataset_assets.storage.listings import list_archives, list_bucket

    source = dataset.config.sources[name]
    if is_listed(source):
        return list_bucket(str(source.images), access_of(source), say, anew=anew)
    if not isinstance(source, DanbooruSource) or source.is_fetched or source.resolve(source.images).is_dir():
        return None
    return list_archives(source.archives())
