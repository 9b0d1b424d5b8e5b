"""Which image a caption or list of tags is about: by the stem beside it, or by a key of a meta file."""

import os
from collections import defaultdict
from collections.abc import Iterable

from dataset_assets.domain.archive_members import split_location
from dataset_assets.sources.gallery_dl_files import split_name


class ImagesByName:
    """The images of one place. Every look-up gives all images that are meant: one, none, or several in conflict."""

    def __init__(self, images: Iterable[str]) -> None:
        self._beside: dict[str, list[str]] = defaultdict(list)
        self._by_own_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            folder, own_name = split_name(image)
            stem = os.path.splitext(own_name)[0]
            self._beside[folder + stem].append(image)
            self._by_own_name[own_name].append(image)
            self._by_stem[stem].append(image)

    def beside(self, file: str) -> list[str]:
        """The images in the folder of `<stem>.txt` or `<stem>.caption` that have its stem."""
        return self._beside.get(os.path.splitext(file)[0], [])

    def of_key(self, meta_file: str, key: str) -> list[str]:
        """The images at or below a meta file's folder that one of its keys names.

        A key is an image's stem, as kohya's scripts write it, or its path (`--full_path`) on the machine where they
        ran: of images with the path's own name those that share most of its folders are meant.
        """
        folder = split_name(meta_file)[0]
        path = key.replace("\\", "/")
        own_name = path.rpartition("/")[2]
        for known in (self._by_own_name, self._by_stem):
            if found := [image for image in known.get(own_name, []) if image.startswith(folder)]:
                shared = {image: _shared_folders(image, path) for image in found}
                return [image for image in found if shared[image] == max(shared.values())]
        return []


def _shared_folders(image: str, path: str) -> int:
    """How many folders above the file two paths have in common, from the file upwards."""
    archive, member = split_location(image)
    within = archive if member is None else member
    folders = zip(reversed(within.split("/")[:-1]), reversed(path.split("/")[:-1]), strict=False)
    count = 0
    for one, other in folders:
        if one != other:
            break
        count += 1
    return count
