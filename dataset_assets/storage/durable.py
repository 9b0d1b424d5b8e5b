"""Files that are whole or not there: written aside, made durable, then renamed."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HASH_BLOCK = 1 << 20


@contextmanager
def scratch_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """A new name in `folder` for a file in the making; what is still there at the end is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{uuid.uuid4().hex}{suffix}"
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def place(finished: Path, target: Path) -> None:
    """Move a finished file to its name, so that a reader sees the old file or the new one, also after a power cut."""
    make_durable(finished)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(finished, target)
    make_durable(target.parent)


def write_text(target: Path, text: str, scratch: Path) -> None:
    """Replace a small text file by the same steps."""
    with scratch_file(scratch) as file:
        file.write_text(text, "utf-8")
        place(file, target)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it; one that is not there is no error."""
    shutil.rmtree(folder, ignore_errors=True)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_durable(path: Path) -> None:
    """Write a file's content, or a folder's names, through to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
