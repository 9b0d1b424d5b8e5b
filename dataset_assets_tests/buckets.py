"""A root in a bucket of a real S3 server, for tests, and a proxy before it that can spoil requests."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataset_assets.places import S3Place
from dataset_assets.storage import s3
from dataset_assets_tests.mirror import Mirror
from dataset_assets_tests.s3_server import CREDENTIALS, make_bucket, s3_client

BUCKET, PREFIX = "data-sets", "root/one"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Something to sign with, and nothing of the person who runs the tests."""
    nowhere = tmp_path_factory.mktemp("aws")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(nowhere / name))
    s3.connection.cache_clear()
    yield
    s3.connection.cache_clear()


def place(port: int, cache: Path, bucket: str = BUCKET, prefix: str = PREFIX) -> S3Place:
    """A root in a bucket that is reached by this port."""
    return S3Place(bucket, prefix, cache, endpoint_url=f"http://127.0.0.1:{port}")


def objects(port: int, bucket: str = BUCKET, prefix: str = PREFIX) -> dict[str, bytes]:
    """What lies below the prefix, by name."""
    client, found = s3_client(port), dict[str, bytes]()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for entry in page.get("Contents", []):
            body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
            found[entry["Key"].removeprefix(f"{prefix}/")] = body.read()
    client.close()
    return found


@dataclass
class InBucket:
    """Settings beside a mirror's own, whose root is a bucket."""

    mirror: Mirror
    port: int
    bucket: str

    @classmethod
    def of(cls, mirror: Mirror, port: int, bucket: str, *, through: int | None = None) -> "InBucket":
        """The same sources, built into a new bucket; `through` = the port of a proxy."""
        make_bucket(port, bucket)
        settings = (mirror.folder / "dataset.yaml").read_text("utf-8")
        reached = f"s3: {{endpoint: 'http://127.0.0.1:{through or port}', cache: cache_{bucket}}}"
        at = f"root: s3://{bucket}/{PREFIX}\n{reached}"
        (mirror.folder / f"{bucket}.yaml").write_text(settings.replace("root: ./data", at), "utf-8")
        return cls(Mirror(mirror.folder, mirror.posts, bucket), port, bucket)

    def content(self) -> dict[str, bytes]:
        """What a reader meets: tables, images, sheets and indexes."""
        return shown(objects(self.port, self.bucket))


def content_of_folder(root: Path) -> dict[str, bytes]:
    """The same of a root on a disk."""
    return shown({file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()})


def shown(files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        name: data for name, data in files.items() if name.split("/")[0] in ("tables", "images", "sheets", "indexes")
    }
