"""Training images beside img2dataset's resizer and plain Pillow: speed, and likeness to the best that can be had.

    python -m benchmarks.resize --img2dataset benchmarks/_data/img2dataset/bin/python [FOLDER ...]

Contenders take turns, each in a process of its own on one thread; the figure is the median over rounds of CPU time
against img2dataset's in the same round. Likeness is the PSNR of the finished JPEG against the whole image, put on
white and scaled by Pillow's LANCZOS, never compressed. Without folders, images are drawn.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.drawn_images import KINDS, draw_all

CONTENDERS = Path(__file__).with_name("resize_contenders.py")
BASELINE = "img2dataset"
GOALS = {"jpeg_1_to_3_mp": 1.35, "jpeg_10_mp": 2.3, "png": 2.4}


def likeness(original: Path, made: Path) -> float:
    """PSNR in dB of a finished training image against its uncompressed reference."""
    with Image.open(original) as image, Image.open(made) as result:
        rgba = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        reference = np.asarray(flat.resize(result.size, Image.Resampling.LANCZOS), np.float32)
        error = float(((np.asarray(result.convert("RGB"), np.float32) - reference) ** 2).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def compare(folder: Path, contenders: dict[str, str], rounds: int, side: int, quality: int) -> None:
    """Print a table: what each contender costs for the images of a folder, and how like the reference they are."""
    originals = {
        f"{file.name}.jpg": file for file in sorted(folder.iterdir()) if file.suffix in (".jpg", ".jpeg", ".png")
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    with TemporaryDirectory() as scratch:
        for _ in range(rounds):
            for name, python in contenders.items():
                target = Path(scratch, name)
                target.mkdir(exist_ok=True)
                seconds[name].append(_run(name, python, folder, target, side, quality))
        said = [f"{folder.name}: {len(originals)} images, to {side} px, JPEG quality {quality}, {rounds} rounds"]
        for name, times in seconds.items():
            made = {file.name: file for file in Path(scratch, name).iterdir()}
            psnr = [likeness(original, made[key]) for key, original in originals.items()]
            base = seconds.get(BASELINE, times)
            ratio = median(b / t for b, t in zip(base, times, strict=True))
            size = mean(file.stat().st_size for file in made.values()) / 1000
            cost = median(times) / len(originals) * 1000
            goal = f"  (goal {GOALS[folder.name]})" if name == "ours" and folder.name in GOALS else ""
            quality_found = f"PSNR mean {mean(psnr):5.2f} least {min(psnr):5.2f} dB  {size:5.1f} kB"
            said.append(f"  {name:17s} {cost:6.1f} ms  x{ratio:4.2f}  {quality_found}{goal}")
    sys.stdout.write("\n".join([*said, "", ""]))


def _run(name: str, python: str, folder: Path, target: Path, side: int, quality: int) -> float:
    command = [python, str(CONTENDERS), name, str(folder), str(target), str(side), str(quality)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if name == "ours":
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", help="folders of JPEG and PNG files; without any, drawn ones")
    parser.add_argument(
        "--img2dataset", default="", help="a Python that has img2dataset; without it Pillow is the base"
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/_data/images"), help="where images are drawn")
    parser.add_argument("--each", type=int, default=12, help="images drawn of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--quality", type=int, default=95)
    asked = parser.parse_args(arguments)
    contenders = {BASELINE: asked.img2dataset} if asked.img2dataset else {}
    contenders |= dict.fromkeys(("pillow", "pillow_thumbnail", "ours"), sys.executable)
    if not asked.folders:
        draw_all(asked.data, asked.each)
    for folder in asked.folders or [asked.data / kind for kind in KINDS]:
        compare(folder, contenders, asked.rounds, asked.side, asked.quality)


if __name__ == "__main__":
    main()
