"""A year of images built, built again with nothing changed, and with one image in a hundred replaced.

    python -m benchmarks.image_rebuild --images 2000

Images are drawn, a third of them PNG, about a megapixel each. Each figure is the wall time of `dataset-assets rebuild`
in this process, of the tables raw_images, image_facts and training_images.
"""

import argparse
import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import numpy as np
from PIL import Image

from benchmarks.drawn_images import line_art, photo
from dataset_assets.config import load_config
from dataset_assets.definitions import build
from dataset_assets.rebuild import Rebuild

TABLES = ["source_snapshot", "image_metadata", "raw_images", "image_facts", "training_images"]
SETTINGS = """
root: ./{root}
sources:
  drawn:
    kind: danbooru
    metadata: posts.json
    images: original
    store: reference
    years: [2020]
    license: {{name: none, basis: drawn}}
workers: {workers}
"""
POST = {"created_at": "2020-03-01 10:00:00 UTC", "updated_at": "2020-03-01 10:00:00 UTC", "rating": "s", "score": "1"}
DRAWINGS = 24


def draw_mirror(folder: Path, images: int) -> list[Path]:
    """Lay out a mirror of drawn images, as far as it is not there. Returns: its files."""
    rng = np.random.default_rng(1)
    files = [folder / f"original/{n % 1000:04}/{n}.{'png' if n % 3 == 0 else 'jpg'}" for n in range(1, images + 1)]
    drawings: list[Image.Image] = []
    posts = []
    for number, file in enumerate(files, 1):
        if not file.exists():
            drawings = drawings or _drawings(rng)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_part(drawings[number % DRAWINGS], number))
        md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        posts.append(POST | {"id": str(number), "md5": md5, "file_ext": file.suffix[1:], "tags": []})
    (folder / "posts.json").write_text("\n".join(map(json.dumps, posts)), "utf-8")
    return files


def _drawings(rng: np.random.Generator) -> list[Image.Image]:
    ways = (line_art, photo)
    return [ways[n % 2](rng, 1400 + 20 * n, 1200 + 10 * n).convert("RGB") for n in range(DRAWINGS)]


def _part(drawing: Image.Image, number: int) -> bytes:
    """A part of a drawing, not the same for any two numbers."""
    left, top = number % 97, number % 89
    buffer = io.BytesIO()
    part = drawing.crop((left, top, left + 1200 - number % 13, top + 900 - number % 11))
    part.save(buffer, "PNG" if number % 3 == 0 else "JPEG", quality=92)
    return buffer.getvalue()


def rebuild(folder: Path, workers: int, instance: dg.DagsterInstance) -> tuple[float, int]:
    """Seconds, and rows computed. Raises: RuntimeError when a table failed."""
    file = folder / f"workers_{workers}.yaml"
    file.write_text(SETTINGS.format(root=f"root_{workers}", workers=workers), "utf-8")
    config = load_config(file)
    work = Rebuild(build(config), config, instance, lambda line: None)
    began = time.perf_counter()
    outcomes = list(work.run(config.cells(), assets=TABLES))
    seconds = time.perf_counter() - began
    if errors := [error for outcome in outcomes for error in outcome.errors]:
        raise RuntimeError("\n".join(errors))
    return seconds, sum(outcome.computed for outcome in outcomes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--data", type=Path, default=Path("benchmarks/_data/mirror"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args(arguments)
    files = draw_mirror(asked.data, asked.images)
    full = {}
    for workers in asked.workers:
        instance = dg.DagsterInstance.ephemeral()
        shutil.rmtree(asked.data / f"root_{workers}", ignore_errors=True)
        full[workers], rows = rebuild(asked.data, workers, instance)
        _say(f"all of {asked.images} images, {workers} workers", full[workers], rows)
    first = full[asked.workers[0]]
    sys.stdout.write(f"{asked.workers[-1]} workers against {asked.workers[0]}: x{first / full[workers]:.2f}\n")
    _say("nothing changed", *rebuild(asked.data, workers, instance), full[workers])
    changed = files[:: max(1, len(files) // (asked.images // 100))][: asked.images // 100]
    for file, other in zip(changed, changed[1:] + changed[:1], strict=True):
        file.write_bytes(other.read_bytes() + b"\0")
    _say(f"{len(changed)} images changed", *rebuild(asked.data, workers, instance), full[workers])
    for file in changed:  # no longer as drawn
        file.unlink()


def _say(what: str, seconds: float, rows: int, full: float | None = None) -> None:
    share = f", {100 * seconds / full:.1f} % of all" if full else ""
    sys.stdout.write(f"{what}: {seconds:.2f} s, {rows} rows computed{share}\n")


if __name__ == "__main__":
    main()
