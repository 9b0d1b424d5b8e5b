"""What a file of an export follows from: digests of the members in it."""

import hashlib
from collections.abc import Iterable

import polars as pl

from dataset_assets.exports.descriptions import as_json, described


def digest_of(batches: Iterable[pl.DataFrame]) -> str:
    """SHA-256 of all that is said of some members, hex; where their files lie is not part of it."""
    digest = hashlib.sha256()
    for batch in batches:
        for said in batch.select(as_json(described())).to_series():
            digest.update(said.encode())
            digest.update(b"\n")
    return digest.hexdigest()
