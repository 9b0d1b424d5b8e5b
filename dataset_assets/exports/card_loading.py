"""How each format of a release is read: code that can be run in its folder, with the names that are there."""

import json
import re
from collections.abc import Callable, Mapping, Sequence

from dataset_assets.exports.card_parts import Code

# Formats of few files; of the others a release may have millions, and their code names folders alone.
FEW_FILES = ("huggingface", "webdataset", "img2dataset", "clip_retrieval", "niji", "niji_raw", "pd12m", "sqlite")
# Files of the others that code names, one for each split at most.
ONE_BY_SPLIT = {
    "kohya": ("kohya/dataset.toml", "kohya/{split}/dataset.toml"),
    "coco": ("coco/annotations/captions_{split}.json",),
}
_HUB_SHARD = re.compile(r"data/(.+)-\d+-of-\d+\.parquet$")
_NUMBERED = re.compile(r"(.*?)(\d+)(\.tar)")


def loading(formats: Sequence[str], files: Mapping[str, Sequence[str]]) -> list[Code]:
    """Code for each format. files: of those in FEW_FILES and ONE_BY_SPLIT, the names."""
    return [_CODE[name](files.get(name, ())) for name in formats if name in _CODE and _has_shards(name, files)]


def _has_shards(name: str, files: Mapping[str, Sequence[str]]) -> bool:
    """Whether there is a tar to read. Where all pixels were held back, webdataset has its list of sizes alone."""
    return name != "webdataset" or name not in files or any(file.endswith(".tar") for file in files[name])


def _shards(files: Sequence[str], folder: str) -> str:
    """Tars as one brace pattern, of the split with most of them: webdataset/train-{00000..00012}.tar."""
    by_prefix: dict[str, list[str]] = {}
    for name in files:
        if found := _NUMBERED.fullmatch(name):
            by_prefix.setdefault(found.group(1), []).append(found.group(2))
    if not by_prefix:
        return f"{folder}/00000.tar"
    prefix, numbers = max(by_prefix.items(), key=lambda item: (len(item[1]), item[0]))
    first, last = min(numbers), max(numbers)
    return f"{prefix}{first}.tar" if first == last else f"{prefix}{{{first}..{last}}}.tar"


def _first(files: Sequence[str], ending: str, otherwise: str) -> str:
    return next((name for name in sorted(files) if name.endswith(ending)), otherwise)


def _of_training(files: Sequence[str], otherwise: str) -> str:
    """The file of the split that one trains with."""
    return next((name for name in files if "train" in name), files[0] if files else otherwise)


def _huggingface(files: Sequence[str]) -> Code:
    splits = sorted({found.group(1) for name in files if (found := _HUB_SHARD.search(name))}) or ["train"]
    patterns = {split: f"huggingface/data/{split}-*.parquet" for split in splits}
    return Code(
        f'from datasets import load_dataset\n\nimages = load_dataset("parquet", data_files={json.dumps(patterns)})\n'
        "print(images)  # on the hub the name of the repository is enough",
        "python",
        "huggingface: Parquet with the images in it",
    )


def _imagefolder(files: Sequence[str]) -> Code:
    del files
    return Code(
        'from datasets import load_dataset\n\nimages = load_dataset("imagefolder", data_dir="imagefolder")',
        "python",
        "imagefolder: images beside metadata.jsonl",
    )


def _webdataset(files: Sequence[str]) -> Code:
    return Code(
        "import webdataset\n\n"
        f'samples = webdataset.WebDataset("{_shards(files, "webdataset")}", shardshuffle=False).decode("pil")\n'
        'for image, caption, about in samples.to_tuple("jpg;png;webp;gif", "txt", "json"):\n'
        '    print(about["image_id"], image.size, caption)',
        "python",
        "webdataset: tar shards",
    )


def _img2dataset(files: Sequence[str]) -> Code:
    return Code(
        "import webdataset\n\n"
        f'samples = webdataset.WebDataset("{_shards(files, "img2dataset")}", shardshuffle=False).decode("pil")\n'
        'for image, caption in samples.to_tuple("jpg;png;webp;gif", "txt"):\n    print(image.size, caption)',
        "python",
        "img2dataset: shards as img2dataset writes them, with a Parquet each",
    )


def _kohya(files: Sequence[str]) -> Code:
    name = _of_training(files, "kohya/dataset.toml")
    return Code(
        f"accelerate launch train_network.py --dataset_config {name} ...",
        "sh",
        "kohya: sd-scripts, by its metadata",
    )


def _archive(folder: str) -> Callable[[Sequence[str]], Code]:
    def code(files: Sequence[str]) -> Code:
        name = _first(files, ".zip", f"{folder}/release.zip")
        return Code(
            f'import zipfile\n\nwith zipfile.ZipFile("{name}") as archive:\n    print(archive.namelist()[:10])',
            "python",
            f"{folder}: as the Niji archive is laid out",
        )

    return code


def _danbooru(files: Sequence[str]) -> Code:
    del files
    return Code(
        "import glob\n\nimport polars as pl\n\n"
        'for file in sorted(glob.glob("danbooru/**/metadata/*.json", recursive=True)):\n'
        "    print(file, pl.read_ndjson(file, infer_schema_length=None).height)",
        "python",
        "danbooru: folders by the id modulo 1000, and JSON lines by year, as Danbooru2021",
    )


def _pd12m(files: Sequence[str]) -> Code:
    del files
    return Code(
        'import polars as pl\n\nimages = pl.read_parquet("pd12m/metadata/*.parquet")',
        "python",
        "pd12m: addresses and captions, no pixels",
    )


def _coco(files: Sequence[str]) -> Code:
    name = _of_training(files, "coco/annotations/captions_train.json")
    return Code(
        f'from pycocotools.coco import COCO\n\ncaptions = COCO("{name}")\nprint(len(captions.getImgIds()))',
        "python",
        "coco: images, captions, and boxes where there are notes",
    )


def _clip_retrieval(files: Sequence[str]) -> Code:
    vectors = _first(files, ".npy", "clip_retrieval/img_emb/img_emb_0.npy")
    about = _first(files, ".parquet", "clip_retrieval/metadata/metadata_0.parquet")
    return Code(
        f'import numpy\nimport polars as pl\n\nvectors = numpy.load("{vectors}")\n'
        f'about = pl.read_parquet("{about}")  # row for row',
        "python",
        "clip_retrieval: vectors, for autofaiss and clip-retrieval",
    )


def _sqlite(files: Sequence[str]) -> Code:
    name = _first(files, ".db", "sqlite/release.db")
    return Code(f"sqlite3 {name} .schema", "sh", "sqlite: images, tags, imageTags")


def _ids(files: Sequence[str]) -> Code:
    del files
    return Code(
        'import polars as pl\n\nids = pl.read_csv("ids/ids.csv", infer_schema=False)  # with hashes of what is meant',
        "python",
        "ids: what the images are, without pixels",
    )


_CODE: dict[str, Callable[[Sequence[str]], Code]] = {
    "huggingface": _huggingface,
    "imagefolder": _imagefolder,
    "webdataset": _webdataset,
    "img2dataset": _img2dataset,
    "kohya": _kohya,
    "niji": _archive("niji"),
    "niji_raw": _archive("niji_raw"),
    "danbooru": _danbooru,
    "pd12m": _pd12m,
    "coco": _coco,
    "clip_retrieval": _clip_retrieval,
    "sqlite": _sqlite,
    "ids": _ids,
}
