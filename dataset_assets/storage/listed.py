"""Files as a look through a root finds them: with their bytes, and when they were last written or read."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Listed(NamedTuple):
    """A file below a root.

    bytes: what its removal frees; of a file that has another name too, none. changed_at, used_at: seconds since 1970,
    when it was last written or given this name, and when it was last read as well. is_plain: false of a link, which is
    not followed, and of whatever else is no file.
    """

    name: str
    bytes: int
    changed_at: float
    used_at: float
    is_plain: bool = True


def listed_in_folder(root: Path, below: str, skipped: Collection[str] = ()) -> Iterator[Listed]:
    """The files below a folder of a root ("", or ending in a slash), folder by folder, in order of name.

    skipped: folders that are not looked into. Some of the files may be gone by the time they are handed out.
    """
    try:
        with os.scandir(root / below) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{below}{entry.name}"
        if not entry.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError):
                yield _as_listed(name, entry.stat(follow_symlinks=False), entry.is_file(follow_symlinks=False))
        elif f"{name}/" not in skipped:
            yield from listed_in_folder(root, f"{name}/", skipped)


def remove_from_folder(root: Path, files: Collection[Listed]) -> list[Listed]:
    """Remove the files that are as they were listed. Returns: those that were removed.

    Raises: OSError when a folder has become a link that leads elsewhere.
    """
    removed, real, folder = [], root.resolve(), None
    for file in files:
        path = root / file.name
        if path.parent != folder:
            folder = path.parent
            if folder.resolve() != real / folder.relative_to(root):
                raise OSError(f"{folder} is a link, or lies behind one; nothing is removed through links")
        with suppress(FileNotFoundError):
            found = path.lstat()
            if _as_listed(file.name, found, file.is_plain).changed_at == file.changed_at:
                path.unlink()
                removed.append(file)
    return removed


def _as_listed(name: str, found: os.stat_result, is_plain: bool) -> Listed:
    # A second name for an old file is as young as the name: the disk notes when names were given, too.
    changed_at = max(found.st_mtime, found.st_ctime)
    freed = found.st_size if found.st_nlink == 1 else 0
    return Listed(name, freed, changed_at, max(changed_at, found.st_atime), is_plain)
