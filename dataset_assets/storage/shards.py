"""What an unfinished rebuild of a partition has finished, kept for the run that goes on with it."""

from pathlib import Path

from dataset_assets.places import Place
from dataset_assets.storage.root import opened


class Shards:
    """The finished shards of an unfinished rebuild of a partition, by the recipe that made them."""

    def __init__(self, at: Place, folder: str) -> None:
        self._root, self.folder = opened(at), folder

    def files(self, recipe: str) -> list[Path]:
        """The shards of a recipe, as files of this machine."""
        return self._root.each(self._root.file, self._root.names(f"{self.folder}/{recipe}/"))

    def add(self, recipe: str, name: str, finished: Path) -> None:
        """Move a finished Parquet file to the shards."""
        self._root.put_file(f"{self.folder}/{recipe}/{name}.parquet", finished)

    def forget_others(self, recipe: str) -> None:
        """Remove what other recipes made: they are no longer asked for, and can never be used."""
        kept = f"{self.folder}/{recipe}/"
        others = {
            "/".join(name.split("/")[: self.folder.count("/") + 2])
            for name in self._root.names(f"{self.folder}/")
            if not name.startswith(kept)
        }
        for folder in sorted(others):
            self._root.remove(f"{folder}/")
