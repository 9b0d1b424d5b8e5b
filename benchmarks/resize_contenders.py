"""One way to make training images, in a process of its own: `python resize_contenders.py NAME IN OUT SIDE QUALITY`.

Prints the CPU seconds that all images of the folder took, after one of them was made to warm up. This file imports
nothing of the package for the sake of img2dataset, which has an environment of its own.
"""

import io
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

Way = Callable[[bytes], bytes]


def img2dataset(side: int, quality: int) -> Way:
    """The resizer of img2dataset, as its downloader calls it."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from img2dataset.resizer import Resizer

    resizer = Resizer(side, "keep_ratio_largest", resize_only_if_bigger=True, encode_quality=quality)

    def make(data: bytes) -> bytes:
        made, *_, error = resizer(io.BytesIO(data))
        if error:
            raise RuntimeError(error)
        return bytes(made)

    return make


def ours(side: int, quality: int) -> Way:
    """`training_images`, on white as img2dataset does it."""
    from dataset_assets.domain.training import TrainingRecipe, prepare

    recipe = TrainingRecipe(max_side=side, quality=quality, background="white")
    return lambda data: prepare(data, recipe).bytes


def pillow(side: int, quality: int) -> Way:
    """Pillow alone, as a short script would."""
    from PIL import Image

    def make(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data))
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        scale = min(1, side / max(image.size))
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        buffer = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return make


def pillow_thumbnail(side: int, quality: int) -> Way:
    """Pillow's own shortcut, which lets the JPEG decoder do some of the work."""
    from PIL import Image

    def make(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data))
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=1.0)
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return make


WAYS = {way.__name__: way for way in (img2dataset, ours, pillow, pillow_thumbnail)}


def main(name: str, source: str, target: str, side: str, quality: str) -> None:
    """Make every image of a folder, write them to another, and print what it cost."""
    make = WAYS[name](int(side), int(quality))
    files = sorted(file for file in Path(source).iterdir() if file.suffix in (".jpg", ".jpeg", ".png"))
    originals = [file.read_bytes() for file in files]
    make(originals[0])
    began = time.process_time()
    made = [make(original) for original in originals]
    seconds = time.process_time() - began
    for file, data in zip(files, made, strict=True):
        (Path(target) / f"{file.stem}{file.suffix}.jpg").write_bytes(data)
    sys.stdout.write(f"{seconds}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
