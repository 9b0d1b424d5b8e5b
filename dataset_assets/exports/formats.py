"""The formats by name: what each is, and whether pixels leave in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written


@dataclass(frozen=True)
class Settings:
    """What a release says to all of its formats.

    name: the release's, a path-safe word. shard_bytes: about how large a shard may become.
    """

    name: str
    shard_bytes: int = 500 << 20


Write = Callable[[Members, Target, Settings], Iterator[Written]]


@dataclass(frozen=True)
class Format:
    """A format: its module in this package, whether pixels leave in it, and what reads it."""

    module: str
    has_pixels: bool
    read_by: str

    def write(self, members: Members, target: Target, settings: Settings) -> Iterator[Written]:
        """Write the members, and yield each file when it is whole; names begin with the format's own folder."""
        function: Write = import_module(f"dataset_assets.exports.{self.module}").write
        return function(members, target, settings)


FORMATS: dict[str, Format] = {
    "webdataset": Format("webdataset", True, "webdataset, img2dataset's readers, open_clip"),
    "huggingface": Format("huggingface", True, "datasets: Parquet with image bytes"),
    "imagefolder": Format("imagefolder", True, "datasets: images beside metadata.jsonl"),
    "clip_retrieval": Format("clip_retrieval", False, "clip-retrieval, autofaiss: img_emb/*.npy and metadata"),
    "img2dataset": Format("img2dataset", True, "readers of img2dataset's tars and the Parquet beside each"),
    "kohya": Format("kohya", True, "kohya's sd-scripts"),
    "niji": Format("niji", True, "the Niji archive's preprocessed zip"),
    "niji_raw": Format("niji_raw", True, "the Niji archive's raw zip, with gallery-dl sidecars"),
    "danbooru": Format("danbooru", True, "readers of Danbooru2021: original/ or 512px/, metadata by year"),
    "pd12m": Format("pd12m", False, "readers of PD12M: Parquet of addresses and captions, vectors in .npy"),
    "coco": Format("coco", True, "pycocotools: images, captions and boxes"),
    "sqlite": Format("sqlite", False, "readers of the community's SQLite schema"),
    "ids": Format("ids", False, "anyone: ids alone, for sources that may only be referred to"),
}
