"""What holds of every format, whoever wrote it: names, bytes, credits, and what must never leave."""

import getpass
import hashlib
import io
import json
import re
import socket
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from dataset_assets.domain import training
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target
from dataset_assets_tests.buckets import credentials, objects, place
from dataset_assets_tests.exports.made_members import (
    HOSTILE,
    PREPARED,
    contents,
    export,
    member,
    members_of,
    picture,
    tag,
    vectors_of,
)
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]

EVERY = sorted(FORMATS)
EXTENSIONS = {
    *(".jpg", ".jpeg", ".png", ".webp", ".gif"),
    *(".json", ".jsonl", ".csv", ".txt", ".caption", ".toml", ".md"),
    *(".parquet", ".npy", ".tar", ".zip", ".db"),
}
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)
IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"WEBPVP8")
SECRET_PLACE = "SECRET-PLACE-OF-GPS"


def with_gps() -> bytes:
    """A JPEG that says where it was taken."""
    with Image.open(io.BytesIO(picture(5, (64, 64), "JPEG"))) as image, io.BytesIO() as buffer:
        exif = Image.Exif()
        exif[0x010E] = SECRET_PLACE
        exif.get_ifd(0x8825)[0x12] = SECRET_PLACE
        image.save(buffer, "JPEG", exif=exif)
        return buffer.getvalue()


def prepared(number: int, original: bytes, **stated: Any) -> dict[str, Any]:
    """A member whose file is the training image of an original."""
    made = training.prepare(original, training.TrainingRecipe()).bytes
    return member(str(number), file=made, **PREPARED, **stated)


@cache
def some_rows() -> list[dict[str, Any]]:
    """Images of three sources, one of them with hostile texts wherever texts are."""
    rows = [prepared(number, picture(number, (64, 48))) for number in range(1, 4)]
    rows.append(prepared(4, with_gps(), artist=["Painter-of-Night"], license="A-Licence-1.0"))
    rows.append(prepared(5, picture(9), source_url="https://name:password@host.example/9", page_url=None))
    rows += [member("77", "pixiv", page=page, tags=[tag("夜"), tag("女の子")], year=2022) for page in (0, 1)]
    for number, text in enumerate(HOSTILE, 100):
        said: dict[str, Any] = {"title": text, "artist": [text], "uploader_name": text, "source_url": text}
        captions = [{"origin": "human", "caption": text}]
        rows.append(prepared(number, picture(number), tags=[tag(text)], captions=captions, license=text, **said))
    return rows


def some_members() -> Members:
    rows = some_rows()
    boxes = {"x": [1], "y": [2], "width": [10], "height": [12], "body": ["a box"]}
    notes = pl.LazyFrame({"image_id": [rows[0]["image_id"]], **boxes})
    return members_of(rows, embeddings=vectors_of(rows), notes=notes)


def inside(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """A file, what is packed in it, and what its values say."""
    yield name, data
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                yield info.filename, archive.read(info)
    elif name.endswith(".tar"):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for packed in archive:
                assert packed.isreg(), f"{packed.name} is no plain file"
                assert (packed.uname, packed.gname, packed.uid, packed.gid) in {("", "", 0, 0), ("root", "root", 0, 0)}
                stream = archive.extractfile(packed)
                yield packed.name, stream.read() if stream else b""
    elif name.endswith(".parquet"):
        rows = pl.read_parquet(io.BytesIO(data))
        yield name, b"\n".join(values(rows.rows()))
    elif name.endswith(".db"):
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(data)
            yield name, "\n".join(connection.iterdump()).encode()


def values(value: Any) -> Iterator[bytes]:
    """Every text and every byte string in rows of a table."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, dict):
        yield from values(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from values(one)


def packed(folder: Path) -> list[tuple[str, bytes]]:
    return [found for name, data in contents(folder).items() for found in inside(name, data)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each format, all of the same members."""
    folder = tmp_path_factory.mktemp("formats")
    for name in EVERY:
        export(name, some_members(), folder / name)
    return folder


@pytest.mark.parametrize("name", EVERY)
def test_what_is_said_to_be_written_is_there_and_nothing_else(name: str, tmp_path: Path) -> None:
    said = export(name, some_members(), tmp_path)
    found = contents(tmp_path)

    assert set(found) == set(said)
    for file, data in found.items():
        assert (said[file].sha256, said[file].bytes) == (hashlib.sha256(data).hexdigest(), len(data)), file
    by_kind: dict[str, int] = {}
    for one in said.values():
        by_kind[Path(one.name).suffix] = by_kind.get(Path(one.name).suffix, 0) + one.rows
    images = by_kind.get(".jpg", 0) + by_kind.get(".png", 0)
    assert len(some_rows()) in {images, *by_kind.values()}, "files of one kind have each member once"


@pytest.mark.parametrize("name", EVERY)
def test_names_are_safe_in_every_file_system_and_below_the_format_s_own_folder(name: str, written: Path) -> None:
    for file in contents(written / name):
        assert SAFE_NAME.fullmatch(file), file
        assert file.startswith(f"{name}/"), file
        assert Path(file).suffix in EXTENSIONS, file
    for file, _ in packed(written / name):
        assert SAFE_NAME.fullmatch(file), file


@pytest.mark.parametrize("name", EVERY)
def test_equal_members_give_equal_bytes_in_another_folder(name: str, written: Path, tmp_path: Path) -> None:
    export(name, some_members(), tmp_path / "a folder of another name")

    assert contents(tmp_path / "a folder of another name") == contents(written / name)


@pytest.mark.parametrize("name", EVERY)
def test_pixels_leave_in_formats_that_have_them_and_in_no_other(name: str, written: Path) -> None:
    everything = b"\n".join(data for _, data in packed(written / name))

    if FORMATS[name].has_pixels:
        assert all(row["data"] in everything for row in some_rows())
    else:
        assert not any(magic in everything for magic in IMAGE_MAGIC)


@pytest.mark.parametrize("name", EVERY)
def test_whose_an_image_is_goes_along(name: str, written: Path) -> None:
    everything = b"\n".join(data for _, data in packed(written / name))

    for credit in (b"Painter-of-Night", b"A-Licence-1.0", b"stated by the artist", b"booru.example/posts/4"):
        assert credit in everything.replace(b"\\/", b"/"), credit


def test_the_picture_with_a_place_has_one_before_it_is_prepared() -> None:
    assert SECRET_PLACE.encode() in with_gps()


@pytest.mark.parametrize("name", EVERY)
def test_nothing_tells_of_this_machine_its_user_or_a_password(name: str, written: Path) -> None:
    of_this_machine = [str(Path.home()), socket.gethostname(), getpass.getuser()]
    long = [secret for secret in of_this_machine if len(secret) > 5]  # a short one is in any bytes by chance
    secrets = [str(written), "password", "images/raw/", "_tmp", *long]
    for file, data in packed(written / name):
        assert not [secret for secret in secrets if secret.encode() in data], file
        assert SECRET_PLACE.encode() not in data, f"{file} says where a picture was taken"


@pytest.mark.parametrize("name", EVERY)
def test_files_are_what_they_are_called_and_none_is_a_pickle(name: str, written: Path) -> None:
    for file, data in packed(written / name):
        assert not data.startswith(b"\x80"), f"{file} begins like a pickle"
        if file.endswith(".npy"):
            assert np.load(io.BytesIO(data), allow_pickle=False).dtype.kind == "f"
        elif file.endswith(".json") and "/metadata/" not in file:
            json.loads(data)
        elif file.endswith(".jsonl") or (file.endswith(".json") and "/metadata/" in file):
            assert all(json.loads(line) for line in data.decode().split("\n") if line)


@pytest.mark.parametrize("name", EVERY)
def test_a_release_without_members_is_written_and_can_be_read(name: str, tmp_path: Path) -> None:
    none = members_of([], embeddings=vectors_of(some_rows()[:1]))
    export(name, none, tmp_path)

    for file, data in packed(tmp_path):
        assert SAFE_NAME.fullmatch(file), file
        if file.endswith(".npy"):
            assert len(np.load(io.BytesIO(data), allow_pickle=False)) == 0


@pytest.mark.parametrize("name", EVERY)
def test_an_export_that_was_stopped_goes_on_to_the_same_files(name: str, written: Path, tmp_path: Path) -> None:
    files = FORMATS[name].write(some_members(), Target(tmp_path, tmp_path / "_tmp"), Settings("night"))
    next(files)
    files.close()  # type: ignore[attr-defined]
    assert not list((tmp_path / "_tmp").glob("*")), "what was in the making is gone"
    export(name, some_members(), tmp_path)

    assert contents(tmp_path) == contents(written / name)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as found:
        yield found


@pytest.mark.parametrize("name", EVERY)
def test_a_bucket_holds_the_same_files_as_a_folder(name: str, written: Path, port: int, tmp_path: Path) -> None:
    make_bucket(port, "exports")
    target = Target(place(port, tmp_path / "cache", "exports", name), tmp_path / "_tmp")
    said = list(FORMATS[name].write(some_members(), target, Settings("night")))
    target.finish()

    assert objects(port, "exports", name) == contents(written / name)
    assert {file.name for file in said} == set(contents(written / name))
