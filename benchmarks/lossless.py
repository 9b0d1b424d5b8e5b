"""Lossless recompression beside `optipng -o2` and `jpegoptim`: bytes saved, and bytes saved for each second of CPU.

    python -m benchmarks.lossless [FOLDER ...]

Ours is the very function that workers run, with its proof that the pixels are equal; the others prove nothing. Each
contender works through all files in one process of one thread; what our process takes to start is not counted, since a
worker starts once for many thousands of files. Afterwards every file of every contender is decoded, and
one pixel that differs ends the benchmark. Without folders, images are drawn.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.drawn_images import draw_all
from dataset_assets.domain.hashes import pixel_hash
from dataset_assets.domain.images import UnreadableImage, decode, read
from dataset_assets.domain.lossless import LosslessRecipe, Unchanged, optimize

SUFFIXES = {"png": (".png",), "jpeg": (".jpg", ".jpeg")}
OTHERS = {"png": "optipng", "jpeg": "jpegoptim"}
# Of the other's figure: bytes saved per CPU-second of PNGs, bytes saved of JPEGs.
GOALS = {"png": 3.5, "jpeg": 2.3}


@dataclass(frozen=True)
class Gain:
    """What a contender made of all files."""

    saved: int  # bytes
    seconds: float  # of CPU

    @property
    def rate(self) -> float:
        return self.saved / self.seconds


def optimize_all(files: Sequence[str], target: str, level: int) -> None:
    """Our contender: write each file as the workers would; level 2 is what a dataset.yaml has by default."""
    for file in map(Path, files):
        data = file.read_bytes()
        with suppress(Unchanged):
            data = optimize(data, LosslessRecipe(png_level=level)).bytes
        Path(target, file.name).write_bytes(data)


def commands(kind: str, files: Sequence[str], target: str) -> dict[str, list[str]]:
    """The contenders for a kind of file, and how each is called."""
    other = {"png": ["optipng", "-quiet", "-o2", "-dir"], "jpeg": ["jpegoptim", "-q", "-d"]}[kind]
    levels = {"ours": 2, "ours, level 1": 1} if kind == "png" else {"ours": 2}
    call = "optimize_all(sys.argv[4:], sys.argv[2], int(sys.argv[3]))"
    ours = f"import sys; from benchmarks.lossless import optimize_all; {call}"
    calls = {name: [sys.executable, "-c", ours, "--", target, str(level), *files] for name, level in levels.items()}
    return {**calls, OTHERS[kind]: [*other, target, *files]}


def measured(command: Sequence[str]) -> float:
    """CPU-seconds of a command. Files that a tool refuses stay as they are; ours must not fail."""
    process = subprocess.Popen(command, env=os.environ | {"RAYON_NUM_THREADS": "1"}, cwd=Path(__file__).parents[1])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and command[0] == sys.executable:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def gains(kind: str, files: Sequence[Path], rounds: int) -> dict[str, Gain]:
    """What each contender saves, and its median time over rounds in which they take turns.

    Raises: RuntimeError when a file's pixels are not the original's, or it is not there.
    """
    before = sum(file.stat().st_size for file in files)
    seconds: dict[str, list[float]] = {}
    saved: dict[str, int] = {}
    for _ in range(rounds):
        for name, idle in commands(kind, (), "").items():
            with TemporaryDirectory() as target:
                command = commands(kind, [str(file.resolve()) for file in files], target)[name]
                start = measured(idle) if idle[0] == sys.executable else 0.0
                seconds.setdefault(name, []).append(measured(command) - start)
                # Neither tool writes what it refuses, nor jpegoptim what would not be smaller.
                made = {file: here if (here := Path(target, file.name)).exists() else file for file in files}
                saved[name] = before - sum(file.stat().st_size for file in made.values())
                _require_equal_pixels(name, made)
    return {name: Gain(saved[name], median(times)) for name, times in seconds.items()}


def _require_equal_pixels(name: str, made: dict[Path, Path]) -> None:
    for original, file in made.items():
        if pixel_hash(decode(original.read_bytes())) != pixel_hash(decode(file.read_bytes())):
            raise RuntimeError(f"{name}: {original} has other pixels than before")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(kind: str, files: Sequence[Path], rounds: int) -> None:
    """Print what each contender saves of some files, and how ours stands to the other."""
    if shutil.which(OTHERS[kind]) is None:
        _say(f"\n{kind}: {OTHERS[kind]} is not installed; your system's package of that name has it")
        return
    found = gains(kind, files, rounds)
    before = sum(file.stat().st_size for file in files)
    _say(f"\n{kind}: {len(files)} files, {before / 1e6:.1f} MB, {rounds} rounds; all pixels equal")
    for name, gain in found.items():
        share, rate = gain.saved / before, gain.rate / 1000
        _say(
            f"  {name:<14} {gain.saved / 1e6:8.2f} MB saved ({share:6.2%})  {gain.seconds:7.1f} CPU-s  {rate:8.1f} kB/s"
        )
    other = found.pop(OTHERS[kind])
    for name, gain in found.items():
        by_size, by_time = _ratio(gain.saved, other.saved), _ratio(gain.rate, other.rate)
        _say(f"  {name} / {OTHERS[kind]}: {by_size} of the bytes saved, {by_time} of those per CPU-second")
    _say(f"  goal: {GOALS[kind]} {'of those per CPU-second' if kind == 'png' else 'of the bytes saved'}")


def _ratio(ours: float, other: float) -> str:
    return f"{ours / other:.2f}" if other > 0 else "all"


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="of PNG and JPEG files, looked through to the bottom")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--each", type=int, default=12, help="images of each kind to draw where no folder is given")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/_data/images"), help="where they are drawn")
    parser.add_argument("--most", type=int, default=100, help="files of each format, spread evenly over those found")
    arguments = parser.parse_args()
    if not arguments.folders:
        draw_all(arguments.data, arguments.each)
    for folder in arguments.folders or [arguments.data]:
        for kind, suffixes in SUFFIXES.items():
            found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
            whole = [file for file in found if _is(kind, file)]
            chosen = whole[:: max(1, -(-len(whole) // arguments.most))]
            with TemporaryDirectory() as copies:
                if chosen:
                    compare(kind, _copied(chosen, Path(copies)), arguments.rounds)


def _copied(files: Sequence[Path], folder: Path) -> list[Path]:
    """Copies in one folder, under names of their own."""
    copies = [folder / f"{number:05}{file.suffix}" for number, file in enumerate(files)]
    return [Path(shutil.copyfile(file, copy)) for file, copy in zip(files, copies, strict=True)]


def _is(kind: str, file: Path) -> bool:
    """Whether a file is what its name says, a still image, and whole."""
    try:
        picture = read(file.read_bytes())
    except UnreadableImage:
        return False
    return picture.format == kind and picture.frames == 1


if __name__ == "__main__":
    main()
