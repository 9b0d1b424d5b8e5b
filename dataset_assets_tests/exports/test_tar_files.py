import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataset_assets.exports.tar_files import NotAllowed, TarWriter, header

WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,150}", fullmatch=True)


def as_tarfile_writes(name: str, size: int) -> bytes:
    information = tarfile.TarInfo(name)
    information.size = size
    return information.tobuf(tarfile.PAX_FORMAT)


@given(word=WORDS, size=st.integers(0, 1 << 40))
@example(word="w" * 96, size=8**11 - 1)
@example(word="w" * 97, size=1)
@example(word="w", size=8**11)
def test_a_header_is_what_tarfile_writes(word: str, size: int) -> None:
    assert header(f"{word}.jpg", size) == as_tarfile_writes(f"{word}.jpg", size)


@given(files=st.dictionaries(WORDS, st.binary(max_size=1500), max_size=5))
def test_an_archive_is_what_tarfile_writes(files: dict[str, bytes]) -> None:
    ours, theirs = io.BytesIO(), io.BytesIO()
    with TarWriter(ours) as tar, tarfile.open(fileobj=theirs, mode="w", format=tarfile.PAX_FORMAT) as expected:
        for word, data in files.items():
            tar.add(word, "png", data)
            information = tarfile.TarInfo(f"{word}.png")
            information.size = len(data)
            expected.addfile(information, io.BytesIO(data))

    assert ours.getvalue() == theirs.getvalue()


@pytest.mark.parametrize(
    "word",
    [
        "",
        ".",
        "..",
        "../a",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:a",
        "a.b",
        "-rf",
        "__key__",
        "a b",
        "a\n",
        "a\0b",
        "é",
        "~a",
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(word: str) -> None:
    with TarWriter(io.BytesIO()) as tar, pytest.raises(NotAllowed, match="names no member"):
        tar.add(word, "jpg", b"")


@pytest.mark.parametrize(
    "extension", ["pyd", "pickle", "pkl", "pth", "pt", "ten", "npy", "svg", "html", "zip", "JPG", ""]
)
def test_only_images_and_text_are_let_in(extension: str) -> None:
    with TarWriter(io.BytesIO()) as tar, pytest.raises(NotAllowed, match="only images"):
        tar.add("danbooru-1-0", extension, b"")


def test_an_archive_that_failed_has_no_end(tmp_path: Path) -> None:
    file = tmp_path / "half.tar"

    def write() -> None:
        with file.open("wb") as stream, TarWriter(stream) as tar:
            tar.add("danbooru-1-0", "jpg", b"whole")
            tar.add("danbooru-2-0", "exe", b"")

    with pytest.raises(NotAllowed):
        write()
    assert file.stat().st_size == 1024
