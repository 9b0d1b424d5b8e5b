"""Symbolic links that are not followed: one that leads out of a folder of images could name any file at all."""

import os

LEADS_OUT = "a link that leads out of the folder"
NOT_FOLLOWED = (
    "{} is a symbolic link that leads out of the folder of images, and is not followed; "
    "put the file itself or a hard link in its place (`cp -L`, `rsync --copy-links`)"
)


def link_problem(name: str, path: str) -> str:
    """Why an image lacks its file, where that is a link. name: its path within the folder, as it is told."""
    return NOT_FOLLOWED.format(name) if os.path.exists(path) else f"{name} is a symbolic link to nothing"
