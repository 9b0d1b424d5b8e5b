"""Images that lie in a bucket or in archives give the same tables as images on disk."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.config import ConfigError, load_config
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets_tests.faulty_proxy import ALL_FAULTS, faulty_proxy, s3_error
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.s3_server import CREDENTIALS, make_bucket, s3_client, s3_server
from dataset_assets_tests.storage.test_buckets import forget

ONLY = ["source_snapshot", "rejected_records", "vanished_records", "tag_relations", "image_metadata", "raw_images"]
# Where a file lies and when it was put there is what differs.
SAME = [name for name in RAW_IMAGES.schema if name not in ("location", "input_key", "recipe", "path")]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as number:
        yield number


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    forget()
    yield
    forget()


def mirrored(mirror: Mirror) -> dict[str, bytes]:
    """The files of a mirror by their keys."""
    tree = mirror.folder / "original"
    return {f"original/{file.relative_to(tree)}": file.read_bytes() for file in tree.rglob("*.*")}


def with_images(mirror: Mirror, name: str, images: str, *more: str) -> Mirror:
    """The same sources with the images of the first elsewhere, built into a root of their own."""
    settings = (mirror.folder / "dataset.yaml").read_text("utf-8")
    lines = "".join(f"    {line}\n" for line in (f"images: {images}", *more))
    settings = settings.replace("root: ./data", f"root: ./{name}").replace("    images: original\n", lines)
    (mirror.folder / f"{name}.yaml").write_text(settings, "utf-8")
    return Mirror(mirror.folder, mirror.posts, name)


def build(mirror: Mirror) -> None:
    mirror.rebuild(assets=ONLY)


def raw_rows(mirror: Mirror) -> pl.DataFrame:
    return mirror.table("raw_images").filter(source="danbooru").sort("image_id")


def orphans(mirror: Mirror) -> pl.DataFrame:
    rows = mirror.table("rejected_records").filter(source="danbooru").sort("file")
    return rows.select("file", "reason")


@pytest.fixture
def bare(tmp_path: Path) -> Mirror:
    """A mirror of which nothing was built."""
    return Mirror.make(tmp_path)


@pytest.fixture
def mirror(bare: Mirror) -> Mirror:
    """One with faults in its files, whose tables were built from the disk."""
    made = bare
    made.image_file(5001).unlink()
    (made.folder / "original" / "0001" / "9001.png").write_bytes(picture(9))
    (made.folder / "original" / "0002" / "notes.txt").write_bytes(b"hello")
    made.image_file(6001).rename(made.image_file(6001).with_suffix(".JPG"))
    made.image_file(7002).write_bytes(b"<!DOCTYPE html>")
    build(made)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("store", ["copy", "reference"])
def test_s10_a_bucket_behind_faults_gives_the_same_rows_as_the_disk(mirror: Mirror, port: int, store: str) -> None:
    make_bucket(port, f"mirror-{store}", mirrored(mirror))
    with faulty_proxy(port, share=0.3, faults=ALL_FAULTS, slow_s=0.05) as between:
        between.hits = lambda request: "list-type" not in request.path or "flip" not in between.faults
        images = f"s3://mirror-{store}/original"
        remote = with_images(mirror, f"far_{store}", images, f"s3: {{endpoint: '{between.endpoint}'}}")
        remote.config_file.write_text(remote.config_file.read_text().replace("store: copy", f"store: {store}"))
        build(remote)
        if store == "reference":
            remote.rebuild(assets=[*ONLY, "image_facts"])
        assert between.faulted() >= 3

    rows = raw_rows(remote)
    assert rows.select(SAME).drop("detail").equals(raw_rows(mirror).select(SAME).drop("detail"))
    assert orphans(remote).equals(orphans(mirror))
    stored = rows.filter(state="stored")
    assert stored["location"].str.starts_with("s3://mirror-").all()
    assert (stored["path"].str.starts_with("s3://") == (store == "reference")).all()
    if store == "reference":
        assert remote.table("image_facts").filter(source="danbooru")["error"].null_count() == stored.height


@pytest.mark.slow
def test_only_what_changed_in_the_bucket_is_read_again(mirror: Mirror, port: int) -> None:
    make_bucket(port, "changing", mirrored(mirror))
    with faulty_proxy(port) as between:
        remote = with_images(mirror, "changing", "s3://changing/original", f"s3: {{endpoint: '{between.endpoint}'}}")
        build(remote)
        client = s3_client(port)
        for key, content in mirrored(mirror).items():  # every time in the bucket is new, the contents are the same
            client.put_object(Bucket="changing", Key=key, Body=picture(77) if key.endswith("/7001.png") else content)
        client.close()
        between.requests.clear()
        build(remote)

        read = [request.path for request in between.requests if "list-type" not in request.path]
    assert read == ["/changing/original/0001/7001.png"]


@pytest.mark.slow
def test_s16_credentials_that_expire_in_mid_run_stop_it_and_lose_nothing(mirror: Mirror, port: int) -> None:
    make_bucket(port, "expiring", mirrored(mirror))
    with faulty_proxy(port) as between:
        remote = with_images(mirror, "expiring", "s3://expiring/original", f"s3: {{endpoint: '{between.endpoint}'}}")
        between.answer = lambda request: s3_error(403, "ExpiredToken") if "6000.png" in request.path else None
        outcomes = remote.rebuild(assets=ONLY, strict=False)
        failed = {str(outcome.cell) for outcome in outcomes if outcome.errors}
        said = [error for outcome in outcomes for error in outcome.errors]
        assert failed == {"danbooru|2006"}
        assert all("credentials have expired" in error and "Traceback" not in error for error in said)
        assert all(outcome.is_unavailable for outcome in outcomes if outcome.errors)

        between.answer = lambda request: None
        build(remote)
    assert (
        raw_rows(remote)
        .select("image_id", "state", "sha256")
        .equals(raw_rows(mirror).select("image_id", "state", "sha256"))
    )


def test_pd12m_images_are_read_by_the_key_of_their_record_without_a_listing(tmp_path: Path, port: int) -> None:
    pixels, ids = picture(1, form="JPEG"), [f"52d32a32-831b-56c0-81f5-75bed80f6f5{n}" for n in range(3)]
    make_bucket(port, "pd12m", {f"images/{name}.jpeg": pixels for name in ids[:2]})
    client = s3_client(port)
    for name in ids[:2]:
        client.put_object_acl(Bucket="pd12m", Key=f"images/{name}.jpeg", ACL="public-read")
    client.close()
    pl.DataFrame(
        {
            "id": ids,
            "url": [f"https://pd12m.s3.us-west-2.amazonaws.com/images/{name}.jpeg" for name in ids],
            "caption": ["The image shows blocks."] * 3,
            "width": [48] * 3,
            "height": [40] * 3,
            "mime_type": ["image/jpeg"] * 3,
            "hash": ["0" * 32] * 3,
            "license": ["https://creativecommons.org/publicdomain/zero/1.0/"] * 3,
        }
    ).write_parquet(tmp_path / "pd12m.000.parquet")
    with faulty_proxy(port) as between:
        (tmp_path / "dataset.yaml").write_text(
            f"""
root: ./data
sources:
  pd12m:
    kind: pd12m
    metadata: pd12m.*.parquet
    images: s3://pd12m/images
    s3: {{endpoint: '{between.endpoint}', region: us-west-2, unsigned: true}}
    collected: 2024
    license: {{name: CDLA-Permissive-2.0, basis: the publisher's}}
workers: 1
""",
            "utf-8",
        )
        made = Mirror(tmp_path)
        made.rebuild(assets=ONLY)
        asked = [request for request in between.requests if "list-type" in request.path]
        signed = [request for request in between.requests if "authorization" in request.headers]

    rows = made.table("raw_images").sort("image_id")
    assert rows["state"].to_list() == ["stored", "stored", "pending"]
    assert rows["location"][0] == f"s3://pd12m/images/{ids[0]}.jpeg"
    assert (asked, signed) == ([], [])


@pytest.mark.parametrize(
    "packing", ["tar", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zip", "two tars"))]
)
def test_a_mirror_in_archives_gives_the_same_rows_as_its_folder(mirror: Mirror, packing: str) -> None:
    files = mirrored(mirror)
    if packing == "zip":
        with zipfile.ZipFile(mirror.folder / "images.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        parts = 2 if packing == "two tars" else 1
        for part in range(parts):
            with tarfile.open(mirror.folder / f"images{part}.tar", "w") as tar:
                for name, content in list(files.items())[part::parts]:
                    header = tarfile.TarInfo(f"./{name}")
                    header.size = len(content)
                    tar.addfile(header, io.BytesIO(content))
    packed = with_images(mirror, "packed", "images*." + ("zip" if packing == "zip" else "tar"))
    build(packed)

    assert raw_rows(packed).select(SAME).drop("detail").equals(raw_rows(mirror).select(SAME).drop("detail"))
    assert orphans(packed)["file"].str.replace("original/", "", literal=True).sort().equals(orphans(mirror)["file"])
    assert not [path for path in mirror.folder.rglob("5000.png") if "original" not in str(path)], "never unpacked"


@pytest.mark.parametrize(
    ("images", "store", "said"),
    [
        ("s3://images/original", "link", "with images in a bucket use copy or reference"),
        ("s3://images", "copy", ""),
        ("s3:///original", "copy", "names no bucket"),
        ("s3://Images_/x", "copy", "names no bucket"),
        ("images.tar", "link", "cannot be linked to"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(bare: Mirror, images: str, store: str, said: str) -> None:
    changed = with_images(bare, "wrong", images)
    changed.config_file.write_text(changed.config_file.read_text().replace("store: copy", f"store: {store}"), "utf-8")

    if not said:
        assert load_config(changed.config_file).sources["danbooru"].in_bucket
        return
    with pytest.raises(ConfigError, match=said):
        load_config(changed.config_file)


def test_two_ways_to_one_bucket_are_refused(bare: Mirror) -> None:
    settings = (bare.folder / "dataset.yaml").read_text("utf-8")
    start, end = settings.index("  danbooru:"), settings.index("  pixiv_niji:")
    block = settings[start:end].replace("images: original", "images: s3://images/original")
    other = block.replace("  danbooru:", "  other:") + "    s3: {unsigned: true}\n"
    (bare.folder / "two.yaml").write_text(settings[:start] + block + other + settings[end:], "utf-8")

    with pytest.raises(ConfigError, match=r"sources\.other\.s3: another source reaches the bucket images"):
        load_config(bare.folder / "two.yaml")


@pytest.mark.parametrize("endpoint", ["http://me:secret@127.0.0.1", "file:///etc", "https://a/b?c=d"])
def test_x16_an_endpoint_holds_no_secret(bare: Mirror, endpoint: str) -> None:
    changed = with_images(bare, "wrong", "s3://images/x", f"s3: {{endpoint: '{endpoint}'}}")

    with pytest.raises(ConfigError, match=r"s3\.endpoint"):
        load_config(changed.config_file)


def run_cli(mirror: Mirror, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DATASET_ASSETS_CONFIG": str(mirror.config_file), "AWS_MAX_ATTEMPTS": "1"}
    command = [sys.executable, "-m", "dataset_assets.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_s17_the_command_line_refuses_a_typo_before_it_begins(bare: Mirror, port: int) -> None:
    make_bucket(port, "real-bucket", {"original/0000/5000.png": picture(1)})
    endpoint = f"s3: {{endpoint: 'http://127.0.0.1:{port}'}}"

    bucket = run_cli(with_images(bare, "typo", "s3://reel-bucket/original", endpoint), "rebuild")
    prefix = run_cli(with_images(bare, "typo", "s3://real-bucket/orignal", endpoint), "check")

    assert (bucket.returncode, prefix.returncode) == (2, 2)
    assert "no such bucket" in bucket.stderr
    assert "no key begins with" in prefix.stderr
    assert not (bare.folder / "typo").exists()


def test_s19_the_command_line_ends_with_six_where_the_clock_is_wrong(bare: Mirror, port: int) -> None:
    with faulty_proxy(port, answer=lambda request: s3_error(403, "RequestTimeTooSkewed")) as between:
        remote = with_images(bare, "skewed", "s3://any/original", f"s3: {{endpoint: '{between.endpoint}'}}")
        ended = run_cli(remote, "rebuild")

    assert ended.returncode == 6
    assert "check the clock" in " ".join(ended.stderr.split())
