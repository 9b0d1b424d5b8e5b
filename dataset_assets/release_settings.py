"""The block `releases` of dataset.yaml: what of a subset is pinned, and in which formats it leaves."""

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from dataset_assets.domain.membership import ImageKind, TagKind
from dataset_assets.settings import Settings

FormatName = Literal[
    "webdataset",
    "huggingface",
    "imagefolder",
    "clip_retrieval",
    "img2dataset",
    "kohya",
    "niji",
    "niji_raw",
    "danbooru",
    "pd12m",
    "coco",
    "sqlite",
    "ids",
]
FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Release(Settings):
    """A subset as it is at one time, written once and never changed.

    until: by source, the last post id or the last day (UTC). captions: origins, the preferred first; the others follow.
    previous: the release that this one is told apart from; without it, the one before it in dataset.yaml.
    """

    subset: str
    formats: Annotated[tuple[FormatName, ...], BeforeValidator(_one_or_several)] = Field(min_length=1)
    until: dict[str, int | date] = Field(default_factory=dict)
    images: ImageKind = "training"
    tags: TagKind = "source"
    captions: Annotated[tuple[str, ...], BeforeValidator(_one_or_several)] = ()
    # Pixels of sources that may not be redistributed stay here. `all` is for use within one's own house.
    pixels: Literal["redistributable", "all"] = "redistributable"
    shard_mb: int = Field(default=500, ge=1, le=100_000)
    previous: str | None = None
    title: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=20_000)
    citation: str | None = Field(default=None, max_length=20_000)
